//! The Runtime API (2018-06-01) of one environment over HTTP, on a loopback port of its own.
//!
//! Maps paths to [`Exchange`] and its refusals to Lambda's answers; see "Using the Lambda runtime API for custom
//! runtimes" in the Lambda developer guide.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::exchange::{Exchange, Job, Refusal, Reply};
use crate::invoke::MAX_PAYLOAD;

/// The largest response taken: 6 MiB and 100 bytes.
pub const MAX_RESPONSE: usize = MAX_PAYLOAD + 100;
/// A response above the limit is read and thrown away up to here, so that its sender gets to see the 413.
const MAX_DRAINED: usize = 64 * 1024 * 1024;

const PREFIX: &str = "/2018-06-01/runtime/";

/// The running server; dropping it ends it and its connections.
pub struct RuntimeApi {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl RuntimeApi {
    pub async fn start(exchange: Arc<Exchange>) -> io::Result<RuntimeApi> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, exchange));
        Ok(RuntimeApi { address, accepting })
    }
}

async fn accept(listener: TcpListener, exchange: Arc<Exchange>) {
    // The set ends its connections when this task is aborted.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let exchange = exchange.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| serve(exchange.clone(), request));
            let io = TokioIo::new(stream);
            // A connection that breaks is the runtime's business; its process is watched elsewhere.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    exchange: Arc<Exchange>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix(PREFIX) else { return Ok(not_found()) };
    let parts: Vec<&str> = path.split('/').collect();
    Ok(match (&method, parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(&exchange).await,
        (&Method::POST, ["invocation", id, "response"]) => respond(&exchange, id, request).await,
        (&Method::POST, ["invocation", id, "error"]) => report(&exchange, id, request).await,
        (&Method::POST, ["init", "error"]) => init_error(&exchange, request).await,
        _ => not_found(),
    })
}

async fn next(exchange: &Exchange) -> Response<Full<Bytes>> {
    match exchange.next().await {
        Ok(job) => hand_over(job),
        Err(refusal) => refuse(&refusal),
    }
}

fn hand_over(job: Job) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &job.request_id)
        .header("Lambda-Runtime-Deadline-Ms", job.deadline_ms)
        .header("Lambda-Runtime-Invoked-Function-Arn", &job.function_arn);
    if let Some(trace_id) = &job.trace_id {
        response = response.header("Lambda-Runtime-Trace-Id", trace_id);
    }
    if let Some(context) = &job.client_context {
        response = response.header("Lambda-Runtime-Client-Context", context);
    }
    // Header values from outside may not fit into a header; the event itself always does.
    response.body(Full::new(job.payload)).unwrap_or_else(|error| {
        problem(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", &error.to_string())
    })
}

async fn respond(exchange: &Exchange, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match read(request.into_body()).await {
        Ok(Some(body)) => settle(exchange.answer(id, Reply::Response(body))),
        Ok(None) => match exchange.answer(id, Reply::TooLarge) {
            Ok(()) => {
                let message = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).");
                problem(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
            }
            Err(refusal) => refuse(&refusal),
        },
        Err(_) => problem(StatusCode::BAD_REQUEST, "TruncatedRequest", "The body ended early."),
    }
}

async fn report(exchange: &Exchange, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let error_type = error_type(&request);
    match read(request.into_body()).await {
        Ok(body) => {
            let error = error_body(body, error_type.as_deref());
            settle(exchange.answer(id, Reply::Error(error)))
        }
        Err(_) => problem(StatusCode::BAD_REQUEST, "TruncatedRequest", "The body ended early."),
    }
}

async fn init_error(exchange: &Exchange, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let error_type = error_type(&request);
    let body = read(request.into_body()).await.ok().flatten();
    settle(exchange.init_error(error_body(body, error_type.as_deref())))
}

fn error_type(request: &Request<Incoming>) -> Option<String> {
    let value = request.headers().get("Lambda-Runtime-Function-Error-Type")?;
    value.to_str().ok().map(str::to_owned)
}

/// A runtime's error object, or one made of the error type if it sent none that is JSON.
fn error_body(body: Option<Bytes>, error_type: Option<&str>) -> Bytes {
    match body.filter(|body| serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|v| v.is_object())) {
        Some(body) => body,
        None => crate::invoke::error_object(error_type.unwrap_or("Runtime.Unknown"), ""),
    }
}

/// The body, or `None` if it is larger than a response may be.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let (mut gathered, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        size += bytes.len();
        if size <= MAX_RESPONSE {
            gathered.extend_from_slice(&bytes);
        }
        if size > MAX_DRAINED {
            break;
        }
    }
    Ok((size <= MAX_RESPONSE).then(|| gathered.freeze()))
}

fn settle(result: Result<(), Refusal>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" })),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::InvalidRequestId => {
            problem(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
        }
        Refusal::InvalidStateTransition { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            problem(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
    }
}

fn not_found() -> Response<Full<Bytes>> {
    problem(StatusCode::NOT_FOUND, "NotFound", "404 page not found")
}

fn problem(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "errorMessage": message, "errorType": error_type }))
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
