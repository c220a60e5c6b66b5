//! The Lambda control API (REST-JSON, 2015-03-31 and its additions): requests in, responses out, over the catalogue.
//!
//! Which operations there are is the table in [`LambdaApi::handle`]; everything else Lambda has is answered with an
//! error that says so. Checks follow the service model's constraints and, where the model is silent, the developer
//! guide. The caller has verified the signature; what is checked here is the content type, so that no web page can make
//! a browser send these requests, and no answer carries CORS headers.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tradewind_engine::Documents;

use crate::Clock;
use crate::catalogue::Catalogue;
use crate::code::Packages;
use crate::invoke::Invoker;
use crate::journal::Journal;
use crate::mapping::failed::FailedLog;
use crate::mapping::source::ShardSource;

mod answers;
mod concurrency;
mod constraints;
mod error;
mod functions;
mod invocations;
mod knobs;
mod local;
mod mappings;
mod names;
mod path;
mod settings;
mod tags;
mod tools;
mod versions;

#[cfg(test)]
mod tests;

pub use error::ApiError;
pub use names::{destination_function, function_arn, mapping_arn};

/// How many asynchronous invocations wait or run before more are refused.
const MAX_PENDING_EVENTS: usize = 1000;

/// A request, its signature verified.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As sent: percent-encoded, without the query.
    pub path: &'a str,
    /// Without the question mark; empty if there is none.
    pub query: &'a str,
    pub headers: &'a hyper::HeaderMap,
    pub body: &'a Bytes,
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Response {
    fn json(status: u16, body: &impl Serialize) -> Response {
        let body = serde_json::to_vec(body).expect("plain values become JSON");
        let headers = vec![("content-type", "application/json".to_owned())];
        Response { status, headers, body: body.into() }
    }

    fn empty(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Bytes::new() }
    }
}

type Answer = Result<Response, ApiError>;

/// What the API works on.
pub struct Parts<D, I, S> {
    pub region: String,
    pub account: String,
    pub catalogue: Arc<Catalogue<D>>,
    pub code: Arc<Packages<D>>,
    pub invoker: Arc<I>,
    pub source: Arc<S>,
    pub failed: Arc<FailedLog<D>>,
    pub journal: Arc<Journal>,
    pub clock: Clock,
}

/// The Lambda API of one region.
pub struct LambdaApi<D, I, S> {
    region: String,
    account: String,
    catalogue: Arc<Catalogue<D>>,
    code: Arc<Packages<D>>,
    invoker: Arc<I>,
    source: Arc<S>,
    failed: Arc<FailedLog<D>>,
    journal: Arc<Journal>,
    clock: Clock,
    events: Arc<Semaphore>,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub fn new(parts: Parts<D, I, S>) -> LambdaApi<D, I, S> {
        let Parts { region, account, catalogue, code, invoker, source, failed, journal, clock } = parts;
        let events = Arc::new(Semaphore::new(MAX_PENDING_EVENTS));
        LambdaApi { region, account, catalogue, code, invoker, source, failed, journal, clock, events }
    }

    pub async fn handle(&self, request: Request<'_>) -> Response {
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut response = match self.route(request).await {
            Ok(response) => response,
            Err(error) => error.response(),
        };
        response.headers.push(("x-amzn-requestid", request_id));
        response
    }

    async fn route(&self, request: Request<'_>) -> Answer {
        let decoded = path::segments(request.path)?;
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let is_invocation = matches!(parts.as_slice(), [_, "functions", _, "invocations"]);
        check_content_type(&request, is_invocation)?;
        match (request.method, parts.as_slice()) {
            ("POST", ["2015-03-31", "functions"]) => self.create_function(request).await,
            ("GET", ["2015-03-31", "functions"]) => self.list_functions(request).await,
            ("GET", ["2015-03-31", "functions", name]) => self.get_function(request, name).await,
            ("DELETE", ["2015-03-31", "functions", name]) => self.delete_function(request, name).await,
            ("GET", ["2015-03-31", "functions", name, "configuration"]) => {
                self.get_function_configuration(request, name).await
            }
            ("PUT", ["2015-03-31", "functions", name, "configuration"]) => {
                self.update_function_configuration(request, name).await
            }
            ("PUT", ["2015-03-31", "functions", name, "code"]) => {
                self.update_function_code(request, name).await
            }
            ("POST", ["2015-03-31", "functions", name, "invocations"]) => self.invoke(request, name).await,
            ("POST", ["2015-03-31", "functions", name, "versions"]) => {
                self.publish_version(request, name).await
            }
            ("GET", ["2015-03-31", "functions", name, "versions"]) => self.list_versions(request, name).await,
            (_, ["2015-03-31", "functions", name, "aliases", rest @ ..]) => {
                self.aliases(request, name, rest).await
            }
            ("POST", ["2015-03-31", "event-source-mappings"]) => self.create_mapping(request).await,
            ("GET", ["2015-03-31", "event-source-mappings"]) => self.list_mappings(request).await,
            ("GET", ["2015-03-31", "event-source-mappings", uuid]) => self.get_mapping(uuid).await,
            ("PUT", ["2015-03-31", "event-source-mappings", uuid]) => {
                self.update_mapping(request, uuid).await
            }
            ("DELETE", ["2015-03-31", "event-source-mappings", uuid]) => self.delete_mapping(uuid).await,
            ("GET", ["2017-03-31", "tags", arn]) => self.list_tags(arn).await,
            ("POST", ["2017-03-31", "tags", arn]) => self.tag(request, arn).await,
            ("DELETE", ["2017-03-31", "tags", arn]) => self.untag(request, arn).await,
            ("PUT", ["2017-10-31", "functions", name, "concurrency"]) => {
                self.put_concurrency(request, name).await
            }
            ("GET", ["2019-09-30", "functions", name, "concurrency"]) => self.get_concurrency(name).await,
            ("DELETE", ["2017-10-31", "functions", name, "concurrency"]) => {
                self.delete_concurrency(name).await
            }
            (_, [tools::VERSION, rest @ ..]) => self.tools(request, rest).await,
            ("GET", parts) => self.answer_of_what_is_not_there(parts).await,
            _ => Err(ApiError::unsupported(request.method, request.path)),
        }
    }
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    async fn aliases(&self, request: Request<'_>, name: &str, rest: &[&str]) -> Answer {
        match (request.method, rest) {
            ("POST", []) => self.create_alias(request, name).await,
            ("GET", []) => self.list_aliases(request, name).await,
            ("GET", [alias]) => self.get_alias(request, name, alias).await,
            ("PUT", [alias]) => self.update_alias(request, name, alias).await,
            ("DELETE", [alias]) => self.delete_alias(request, name, alias).await,
            _ => Err(ApiError::unsupported(request.method, request.path)),
        }
    }
}

/// Bodies must be JSON; of an invocation's event SDKs say nothing or that it is bytes.
fn check_content_type(request: &Request<'_>, is_invocation: bool) -> Result<(), ApiError> {
    if request.body.is_empty() {
        return Ok(());
    }
    let given =
        request.header("content-type").map(|value| value.split(';').next().unwrap_or_default().trim());
    match given {
        Some("application/json" | "application/x-amz-json-1.1" | "application/x-amz-json-1.0") => Ok(()),
        None | Some("application/octet-stream" | "binary/octet-stream") if is_invocation => Ok(()),
        _ => Err(ApiError::unsupported_media_type(given.unwrap_or("none"))),
    }
}

/// The body as a request of type `T`.
fn parse<T: serde::de::DeserializeOwned>(request: &Request<'_>) -> Result<T, ApiError> {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { request.body };
    let value: Value = serde_json::from_slice(body).map_err(|error| ApiError::serialization(&error))?;
    serde_json::from_value(value).map_err(|error| ApiError::serialization(&error))
}
