//! What requests are refused with, in the service's words and order, and what they become.

mod framework;
mod hostile;
mod item;
mod legacy;
mod page;
mod several;
mod stream;
mod table;

use crate::error::{ApiError, Code};
use crate::request::Request;
use crate::target::Operation;

pub(crate) fn decoded(operation: Operation, json: &str) -> Request {
    super::decode(operation, json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {json}"))
}

pub(crate) fn refused(operation: Operation, json: &str) -> ApiError {
    match super::decode(operation, json.as_bytes()) {
        Ok(request) => panic!("{request:?} was accepted: {json}"),
        Err(error) => error,
    }
}

/// The message of a ValidationException.
pub(crate) fn invalid(operation: Operation, json: &str) -> String {
    let error = refused(operation, json);
    assert_eq!(error.code, Code::Validation, "{error}: {json}");
    error.message
}

/// The message of a SerializationException.
pub(crate) fn mistyped(operation: Operation, json: &str) -> String {
    let error = refused(operation, json);
    assert_eq!(error.code, Code::Serialization, "{error}: {json}");
    error.message
}

/// `One or more parameter values were invalid: …`
pub(crate) fn ompvi(text: &str) -> String {
    format!("One or more parameter values were invalid: {text}")
}
