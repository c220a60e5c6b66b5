//! What it is to invoke a function, whatever the function is made of.
//!
//! [`Invoker`] is the seam between those who have an event (the Lambda API, a mapping) and what runs it: processes behind
//! the Runtime API, handlers in this process, HTTP endpoints.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tradewind_model::change::Trace;
use uuid::Uuid;

mod functions;

pub use functions::{Functions, Handler, HandlerError, handler};

/// The largest event and the largest answer of a synchronous invocation (Lambda quotas: 6 MB).
pub const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// How much of the log an invocation carries back (Lambda: the last 4 KB).
pub const LOG_TAIL: usize = 4 * 1024;

/// One event for one function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The function's name, without region, account or qualifier.
    pub function: String,
    pub request_id: Uuid,
    pub payload: Bytes,
    /// JSON, as the caller gave it (already decoded from base64).
    pub client_context: Option<String>,
    pub trace_id: Option<String>,
    /// The trace that the invocation is part of.
    pub trace: Option<Trace>,
    pub cause: Cause,
}

/// Who invokes, as the history of invocations shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// 1 for the first time that the function gets this event.
    pub attempt: u32,
    /// The batch of a mapping, if it is one.
    pub batch: Option<Arc<BatchRef>>,
    /// Left by an asynchronous invocation.
    pub is_event: bool,
}

/// Where a mapping's batch comes from: the same for each attempt, so that its text is an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRef {
    pub mapping: String,
    pub shard_id: String,
    pub first_sequence: String,
    pub last_sequence: String,
    pub records: usize,
}

impl Invocation {
    pub fn new(function: impl Into<String>, payload: Bytes) -> Invocation {
        Invocation {
            function: function.into(),
            request_id: Uuid::new_v4(),
            payload,
            client_context: None,
            trace_id: None,
            trace: None,
            cause: Cause { attempt: 1, ..Cause::default() },
        }
    }
}

/// Whether the function itself reported its error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FunctionError {
    Handled,
    Unhandled,
}

impl FunctionError {
    /// As in the `X-Amz-Function-Error` header.
    pub fn as_str(self) -> &'static str {
        match self {
            FunctionError::Handled => "Handled",
            FunctionError::Unhandled => "Unhandled",
        }
    }
}

/// What came of an invocation that the function was started for; a function that failed is an outcome too.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, or with `function_error` the error object `{errorMessage, errorType, …}`.
    pub payload: Bytes,
    pub function_error: Option<FunctionError>,
    /// The end of what this invocation logged, at most [`LOG_TAIL`] bytes; not necessarily UTF-8.
    pub log_tail: Bytes,
    pub executed_version: String,
    pub duration: Duration,
    pub cold_start: bool,
}

/// Why a function was not run at all. None of these counts as an attempt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("function not found: {0}")]
    NotFound(String),
    /// The function's concurrency is used up; try later.
    #[error("rate exceeded")]
    Throttled,
    #[error("the event has {size} bytes, the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    /// Something of ours failed; try again.
    #[error("service error: {0}")]
    Service(String),
}

/// Runs functions.
///
/// An invocation runs at most once per call. Dropping the future gives the invocation up: its environment is ended, and
/// whether the function finished is unknown.
pub trait Invoker: Send + Sync + 'static {
    fn invoke(&self, invocation: Invocation) -> impl Future<Output = Result<Outcome, InvokeError>> + Send;
}

impl<I: Invoker> Invoker for Arc<I> {
    fn invoke(&self, invocation: Invocation) -> impl Future<Output = Result<Outcome, InvokeError>> + Send {
        I::invoke(self, invocation)
    }
}

/// The error object of Lambda: what callers get as the payload of a failed invocation.
pub fn error_object(error_type: &str, message: &str) -> Bytes {
    let object = serde_json::json!({ "errorType": error_type, "errorMessage": message });
    Bytes::from(object.to_string())
}
