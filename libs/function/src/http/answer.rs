//! What an endpoint's answer means.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::object;
use crate::catalogue::Form;
use crate::invoke::FunctionError;

type Answer = (Bytes, Option<FunctionError>);

/// How much of a failed endpoint's answer is kept as the error's message.
const MAX_MESSAGE: usize = 1024;
/// The longest pause an endpoint may ask for; beyond it the mapping's own pauses serve.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// An endpoint that says "not now" did not begin: how long to wait, and why.
pub fn send_again<B>(form: Form, response: &Response<B>) -> Option<(Option<Duration>, String)> {
    let status = response.status();
    let later = retry_after(response.headers());
    let busy = match form {
        Form::Webhook => {
            status == StatusCode::TOO_MANY_REQUESTS
                || (status == StatusCode::SERVICE_UNAVAILABLE && later.is_some())
        }
        // The emulator's answer to a second invocation at once.
        Form::Emulator => status == StatusCode::BAD_REQUEST || status == StatusCode::TOO_MANY_REQUESTS,
    };
    busy.then(|| (later, format!("the endpoint answered {status}")))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

pub fn failed(error_type: &str, message: &str) -> Answer {
    (object(error_type, message), Some(FunctionError::Unhandled))
}

pub fn timed_out(limit: Duration) -> Answer {
    failed("Sandbox.Timedout", &format!("Task timed out after {:.2} seconds", limit.as_secs_f64()))
}

/// Any 2xx is success. What is not JSON says nothing (`ok` and the like), so it is the answer `null`.
pub fn of_webhook(parts: &Parts, body: Bytes) -> Answer {
    if !parts.status.is_success() {
        return status_error(parts.status, &body);
    }
    let is_json =
        parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json && !body.is_empty() { (body, None) } else { (Bytes::from_static(b"null"), None) }
}

/// The emulator answers 200 whatever became of the invocation: an error object, or plain text after a time-out.
pub fn of_emulator(parts: &Parts, body: Bytes) -> Answer {
    if !parts.status.is_success() {
        return status_error(parts.status, &body);
    }
    if parts.headers.contains_key("x-amz-function-error") {
        return (body, Some(FunctionError::Unhandled));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(fields))
            if fields.contains_key("errorType") && fields.contains_key("errorMessage") =>
        {
            (body, Some(FunctionError::Unhandled))
        }
        Ok(_) => (body, None),
        Err(_) if body.is_empty() => (Bytes::from_static(b"null"), None),
        Err(_) if body.starts_with(b"Task timed out") => failed("Sandbox.Timedout", &text(&body)),
        // A handler may answer bytes of any kind.
        Err(_) => (body, None),
    }
}

fn status_error(status: StatusCode, body: &Bytes) -> Answer {
    failed(&format!("Endpoint.Status{}", status.as_u16()), &text(body))
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]).into_owned()
}
