//! Functions behind HTTP: webhooks, and containers behind AWS's Runtime Interface Emulator.
//!
//! ```text
//! webhook    POST <url>                                                    event; Standard Webhooks headers
//! emulator   POST <url>/2015-03-31/functions/function/invocations          event
//! ```
//!
//! What surely did not reach the endpoint, or what it sent away for later (429, 503 with Retry-After), is tried again here
//! while the function's time lasts and then is [`InvokeError`]: no attempt was made. Everything else is an outcome. The
//! endpoint's answer is bounded like a runtime's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tradewind_telemetry::trace;

use crate::Clock;
use crate::catalogue::{Endpoint, Form, Function};
use crate::invoke::{FunctionError, Invocation, InvokeError, MAX_PAYLOAD, Outcome, error_object};
use crate::log::FunctionLog;

mod answer;
pub mod signature;

/// Tries of one invocation that did not reach the endpoint.
const MAX_TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Invocations of one webhook at once, unless its reserved concurrency says otherwise.
const MAX_CONCURRENT: usize = 64;
/// The emulator refuses a second invocation while one runs.
const MAX_CONCURRENT_EMULATOR: usize = 1;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_IDLE: Duration = Duration::from_secs(60);
const EMULATOR_PATH: &str = "/2015-03-31/functions/function/invocations";

pub struct HttpFunctions {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    running: Mutex<HashMap<String, (usize, Arc<Semaphore>)>>,
    clock: Clock,
}

/// What one request came to.
enum Sent {
    Answered(Response<Incoming>),
    /// Surely not begun; wait at least this long.
    Again(Option<Duration>, String),
    /// Whether it was begun is unknown.
    Broken(String),
}

impl HttpFunctions {
    pub fn new(clock: Clock) -> HttpFunctions {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(CONNECT_TIMEOUT));
        plain.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls())
            .https_or_http()
            .enable_http1()
            .wrap_connector(plain);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(KEEP_IDLE)
            .pool_timer(TokioTimer::new())
            // Whether a request that broke was begun is ours to judge.
            .retry_canceled_requests(false)
            .build(connector);
        HttpFunctions { client, running: Mutex::default(), clock }
    }

    pub async fn invoke(
        &self,
        function: &Function,
        endpoint: &Endpoint,
        invocation: &Invocation,
        log: &FunctionLog,
        arn: &str,
    ) -> Result<Outcome, InvokeError> {
        if invocation.payload.len() > MAX_PAYLOAD {
            return Err(InvokeError::TooLarge { size: invocation.payload.len(), limit: MAX_PAYLOAD });
        }
        let permits = self.permits(function, endpoint.form);
        let _permit = match function.reserved_concurrency {
            Some(_) => permits.try_acquire_owned().map_err(|_| InvokeError::Throttled)?,
            None => permits.acquire_owned().await.map_err(|error| InvokeError::Service(error.to_string()))?,
        };
        let began = Instant::now();
        let limit = function.timeout();
        let request_id = invocation.request_id;
        log.append(format!("START RequestId: {request_id} Version: $LATEST\n").as_bytes());
        let running = self.send_until_it_arrives(function, endpoint, invocation, arn, began);
        let answered = timeout(limit, running).await.unwrap_or_else(|_| Ok(answer::timed_out(limit)));
        let took = began.elapsed();
        let (payload, function_error) = answered?;
        if function_error.is_some() {
            log.append(&[payload.as_ref(), b"\n"].concat());
        }
        let ms = took.as_secs_f64() * 1000.0;
        log.append(
            format!("END RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: {ms:.2} ms\n")
                .as_bytes(),
        );
        Ok(Outcome {
            payload,
            function_error,
            log_tail: Bytes::new(),
            executed_version: function.version_text(),
            duration: took,
            cold_start: false,
        })
    }

    pub fn forget(&self, keep: impl Fn(&str) -> bool) {
        self.running.lock().expect("no panic while held").retain(|name, _| keep(name));
    }

    fn permits(&self, function: &Function, form: Form) -> Arc<Semaphore> {
        let default = match form {
            Form::Webhook => MAX_CONCURRENT,
            Form::Emulator => MAX_CONCURRENT_EMULATOR,
        };
        let wanted = function.reserved_concurrency.map_or(default, |reserved| reserved as usize);
        let wanted = wanted.min(Semaphore::MAX_PERMITS);
        let mut running = self.running.lock().expect("no panic while held");
        let known = running
            .entry(function.name.clone())
            .or_insert_with(|| (wanted, Arc::new(Semaphore::new(wanted))));
        if known.0 != wanted {
            *known = (wanted, Arc::new(Semaphore::new(wanted)));
        }
        known.1.clone()
    }

    async fn send_until_it_arrives(
        &self,
        function: &Function,
        endpoint: &Endpoint,
        invocation: &Invocation,
        arn: &str,
        began: Instant,
    ) -> Result<(Bytes, Option<FunctionError>), InvokeError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let (wait, why) = match self.send(function, endpoint, invocation, arn).await? {
                Sent::Answered(response) => return self.take(endpoint.form, response).await,
                Sent::Broken(why) => return Ok(answer::failed("Endpoint.ConnectionLost", &why)),
                Sent::Again(wait, why) => (wait.unwrap_or(pause), why),
            };
            if attempt >= MAX_TRIES || began.elapsed() + wait >= function.timeout() {
                return Err(InvokeError::Service(why));
            }
            tokio::time::sleep(wait).await;
            pause *= 4;
        }
        Err(InvokeError::Service("not tried".to_owned()))
    }

    async fn send(
        &self,
        function: &Function,
        endpoint: &Endpoint,
        invocation: &Invocation,
        arn: &str,
    ) -> Result<Sent, InvokeError> {
        let request = self.request(function, endpoint, invocation, arn)?;
        Ok(match self.client.request(request).await {
            Ok(response) => match answer::send_again(endpoint.form, &response) {
                Some((wait, why)) => Sent::Again(wait, why),
                None => Sent::Answered(response),
            },
            Err(error) if error.is_connect() => {
                Sent::Again(None, format!("cannot reach the endpoint: {}", chain(&error)))
            }
            Err(error) => Sent::Broken(chain(&error)),
        })
    }

    fn request(
        &self,
        function: &Function,
        endpoint: &Endpoint,
        invocation: &Invocation,
        arn: &str,
    ) -> Result<Request<Full<Bytes>>, InvokeError> {
        let url = match endpoint.form {
            Form::Webhook => endpoint.url.clone(),
            Form::Emulator => format!("{}{EMULATOR_PATH}", endpoint.url.trim_end_matches('/')),
        };
        let bad = |what: String| InvokeError::Service(format!("endpoint of {}: {what}", function.name));
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        let mut request = Request::post(uri)
            .body(Full::new(invocation.payload.clone()))
            .map_err(|error| bad(error.to_string()))?;
        let now_ms = (self.clock)();
        let headers = request.headers_mut();
        let deadline_ms = now_ms + u64::from(function.timeout_s) * 1000;
        put(headers, "content-type", "application/json");
        put(headers, "user-agent", "tradewind");
        put(headers, "lambda-runtime-aws-request-id", &invocation.request_id.to_string());
        put(headers, "lambda-runtime-deadline-ms", &deadline_ms.to_string());
        put(headers, "lambda-runtime-invoked-function-arn", arn);
        if let Some(trace_id) = &invocation.trace_id {
            put(headers, "lambda-runtime-trace-id", trace_id);
        }
        if let Some(context) = &invocation.trace {
            put(headers, "traceparent", &trace::traceparent(context));
        }
        if endpoint.form == Form::Webhook {
            let id = signature::message_id(invocation);
            let timestamp = (now_ms / 1000).to_string();
            put(headers, "webhook-id", &id);
            put(headers, "webhook-timestamp", &timestamp);
            if let Some(secret) = &endpoint.secret {
                let key = signature::key(secret).ok_or_else(|| bad("its secret is not one".to_owned()))?;
                put(
                    headers,
                    "webhook-signature",
                    &signature::sign(&key, &id, &timestamp, &invocation.payload),
                );
            }
        }
        Ok(request)
    }

    async fn take(
        &self,
        form: Form,
        response: Response<Incoming>,
    ) -> Result<(Bytes, Option<FunctionError>), InvokeError> {
        let (parts, body) = response.into_parts();
        let body = match read(body).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
                );
                return Ok(answer::failed("Function.ResponseSizeTooLarge", &message));
            }
            Err(error) => return Ok(answer::failed("Endpoint.ConnectionLost", &chain(&error))),
        };
        Ok(match form {
            Form::Webhook => answer::of_webhook(&parts, body),
            Form::Emulator => answer::of_emulator(&parts, body),
        })
    }
}

/// Trusts what this machine trusts.
fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the protocol versions of rustls")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Values that do not fit into a header are left out: none of ours can be such.
fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The body, or `None` if it is larger than an answer may be.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        if gathered.len() + bytes.len() > MAX_PAYLOAD {
            return Ok(None);
        }
        gathered.extend_from_slice(&bytes);
    }
    Ok(Some(gathered.freeze()))
}

/// An error with what caused it: hyper's own text says only `client error`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// An error object for [`Outcome::payload`].
fn object(error_type: &str, message: &str) -> Bytes {
    error_object(error_type, message)
}

#[cfg(test)]
mod tests;
