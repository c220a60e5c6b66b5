//! Invoke: wait for the answer, leave an event, or only see whether one could.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tradewind_engine::Documents;

use super::constraints::Checks;
use super::{Answer, ApiError, LambdaApi, Request, Response};
use crate::catalogue::version::split;
use crate::invoke::{Invocation, InvokeError, Invoker, MAX_PAYLOAD, Outcome};
use crate::mapping::source::ShardSource;
use crate::metrics::FunctionMetrics;

/// The largest event of an asynchronous invocation.
const MAX_EVENT: usize = 1024 * 1024;
/// When an event that the function failed on is tried again, as Lambda does it by default.
const EVENT_RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// How often an event that could not be run is tried again, a second and more apart.
const MAX_REFUSALS: u32 = 100;
const MAX_CLIENT_CONTEXT: usize = 3583;

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn invoke(&self, request: Request<'_>, name: &str) -> Answer {
        let kind = request.header("x-amz-invocation-type").unwrap_or("RequestResponse");
        let log = request.header("x-amz-log-type").unwrap_or("None");
        let mut checks = Checks::default();
        checks.one_of("invocationType", Some(kind), &["Event", "RequestResponse", "DryRun"]);
        checks.one_of("logType", Some(log), &["None", "Tail"]);
        checks.finish()?;
        self.find(&request, name).await?;
        if kind == "DryRun" {
            return Ok(Response::empty(204));
        }
        let reference = self.reference(&request, name)?;
        let mut invocation = Invocation::new(reference, payload(&request, kind == "Event")?);
        invocation.client_context = client_context(&request)?;
        invocation.trace_id = request.header("x-amzn-trace-id").map(str::to_owned);
        if kind == "Event" {
            invocation.cause.is_event = true;
            return self.leave(invocation);
        }
        let outcome = self.invoker.invoke(invocation).await.map_err(refused)?;
        Ok(answer(outcome, log == "Tail"))
    }

    /// Runs an event in the background. It is kept in memory only: it does not survive the end of this process.
    fn leave(&self, invocation: Invocation) -> Answer {
        let Ok(permit) = self.events.clone().try_acquire_owned() else {
            return Err(ApiError::too_many_requests());
        };
        let metrics = self.journal.page(split(&invocation.function).0).metrics.clone();
        metrics.async_events_received.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(run_event(self.invoker.clone(), invocation, metrics, permit));
        Ok(Response::empty(202))
    }
}

async fn run_event<I: Invoker>(
    invoker: Arc<I>,
    mut invocation: Invocation,
    metrics: Arc<FunctionMetrics>,
    _permit: OwnedSemaphorePermit,
) {
    let mut retries = EVENT_RETRIES.into_iter();
    let mut refusals = 0;
    loop {
        let wait = match invoker.invoke(invocation.clone()).await {
            Ok(outcome) if outcome.function_error.is_none() => return,
            Ok(_) => {
                invocation.cause.attempt += 1;
                retries.next()
            }
            Err(InvokeError::NotFound(_) | InvokeError::TooLarge { .. }) => None,
            Err(InvokeError::Throttled | InvokeError::Service(_)) => {
                refusals += 1;
                (refusals <= MAX_REFUSALS).then(|| Duration::from_secs(1 << refusals.min(8)))
            }
        };
        let Some(wait) = wait else {
            metrics.async_events_dropped.fetch_add(1, Ordering::Relaxed);
            let (function, request_id) = (&invocation.function, &invocation.request_id);
            tracing::warn!(function, %request_id, "an asynchronous invocation was given up");
            return;
        };
        tokio::time::sleep(wait).await;
    }
}

fn payload(request: &Request<'_>, is_event: bool) -> Result<Bytes, ApiError> {
    let body = request.body;
    if body.len() > MAX_PAYLOAD {
        return Err(ApiError::request_must_be_smaller(MAX_PAYLOAD));
    }
    if is_event && body.len() > MAX_EVENT {
        return Err(ApiError::too_large(body.len(), MAX_EVENT));
    }
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => Ok(body.clone()),
        Err(error) => {
            let message = format!("Could not parse request body into json: {error}");
            Err(ApiError::invalid_request_content(message))
        }
    }
}

fn client_context(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    let Some(given) = request.header("x-amz-client-context") else { return Ok(None) };
    let bad =
        || ApiError::invalid_request_content("Client context must be a valid Base64-encoded JSON object.");
    if given.len() > MAX_CLIENT_CONTEXT {
        return Err(bad());
    }
    let text = BASE64.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    // In one line, since it travels on in a header.
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| bad())?;
    if value.is_object() { Ok(Some(value.to_string())) } else { Err(bad()) }
}

pub(super) fn refused(error: InvokeError) -> ApiError {
    match error {
        InvokeError::NotFound(name) => ApiError::not_found(format!("Function not found: {name}")),
        InvokeError::Throttled => ApiError::too_many_requests(),
        InvokeError::TooLarge { limit, .. } => ApiError::request_must_be_smaller(limit),
        InvokeError::Service(message) => ApiError::service(message),
    }
}

fn answer(outcome: Outcome, with_log: bool) -> Response {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-amz-executed-version", outcome.executed_version),
    ];
    if let Some(error) = outcome.function_error {
        headers.push(("x-amz-function-error", error.as_str().to_owned()));
    }
    if with_log {
        headers.push(("x-amz-log-result", BASE64.encode(&outcome.log_tail)));
    }
    Response { status: 200, headers, body: outcome.payload }
}
