//! What HTTP adds to requests and answers, without doing any of it: which requests are answered before any operation,
//! which headers an answer has, and when bodies are compressed.
//!
//! The order for a server: a body beyond [`MAX_BODY_BYTES`] is [`too_large`]; [`admit`] answers what is no call;
//! [`body::plain`] undoes the body's encoding; [`operation`] names the operation, after the syntax of the body; then
//! the signature is checked; then the body is decoded. A server that refuses the signature has to see
//! [`crate::check_syntax`] pass first, since that refusal comes earlier.

pub mod body;
mod request_id;

use std::borrow::Cow;

use crate::decode::check_syntax;
use crate::error::ApiError;
use crate::target::Operation;

pub use body::Encoding;
pub use request_id::RequestId;

/// The largest body, as sent and as it is without its encoding.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The largest request of Lambda: a package of 50 MB in base64, and what is around it.
pub const MAX_LAMBDA_BYTES: usize = 70_167_211;

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON: &str = "application/json";
const UNKNOWN_OPERATION: &[u8] = b"<UnknownOperationException/>\n";
/// Seconds.
const CORS_MAX_AGE: &str = "172800";

/// Whether a path belongs to Lambda, whose paths begin with a date, rather than to DynamoDB, which has only `/`.
pub fn is_lambda_path(path: &str) -> bool {
    let date = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let mut parts = date.split('-').map(str::len);
    (parts.next(), parts.next(), parts.next(), parts.next()) == (Some(4), Some(2), Some(2), None)
        && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// What matters of a request's head. Of headers that come several times, the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub accept_encoding: Option<&'a str>,
    /// X-Amz-Target.
    pub target: Option<&'a str>,
    pub origin: Option<&'a str>,
    /// Access-Control-Request-Headers and -Method.
    pub requested_headers: Option<&'a str>,
    pub requested_method: Option<&'a str>,
}

/// How the answer to a request is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope {
    content_type: &'static str,
    allow_origin: bool,
    encoding: Option<Encoding>,
}

/// Headers in the order they are sent; Content-Length, Date and Connection are the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Vec<u8>,
}

/// What becomes of a request whose head was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// There is nothing more to do.
    Answered(Reply),
    /// It calls an operation; the answer goes into this envelope.
    Call(Envelope),
}

/// The answer to a body that is too large; the server goes on reading it, so that the client sees the answer.
pub fn too_large() -> Reply {
    Reply { status: 413, headers: Vec::new(), body: Vec::new() }
}

/// Answers what is no call of an operation: health checks, preflights, other methods and content types. Only a health check
/// names a region.
pub fn admit(head: &Head<'_>, has_body: bool, region: impl FnOnce() -> String, id: RequestId) -> Admission {
    let is_json = |kind: &str| media_type(head).is_some_and(|given| given.eq_ignore_ascii_case(kind));
    let envelope = Envelope {
        content_type: if is_json(JSON_1_0) { JSON_1_0 } else { JSON },
        allow_origin: head.origin.is_some(),
        encoding: body::accepted(head.accept_encoding),
    };
    if head.method == "OPTIONS" && head.origin.is_some() {
        return Admission::Answered(preflight(head, id));
    }
    if head.method == "GET" && head.path == "/" {
        let health = format!("healthy: dynamodb.{}.amazonaws.com ", region());
        return Admission::Answered(envelope.bare(200, health.into_bytes(), id));
    }
    let known = !has_body || is_json(JSON_1_0) || is_json(JSON);
    if head.method != "POST" || head.path != "/" || !known {
        return Admission::Answered(envelope.bare(404, UNKNOWN_OPERATION.to_vec(), id));
    }
    Admission::Call(envelope)
}

fn media_type<'a>(head: &Head<'a>) -> Option<&'a str> {
    head.content_type.map(|given| given.split(';').next().unwrap_or(given).trim())
}

fn preflight(head: &Head<'_>, id: RequestId) -> Reply {
    let mut headers = vec![("x-amzn-RequestId", id.to_string().into())];
    headers.push(("Access-Control-Allow-Origin", "*".into()));
    if let Some(names) = head.requested_headers {
        headers.push(("Access-Control-Allow-Headers", names.to_owned().into()));
    }
    if let Some(method) = head.requested_method {
        headers.push(("Access-Control-Allow-Methods", method.to_owned().into()));
    }
    headers.push(("Access-Control-Max-Age", CORS_MAX_AGE.into()));
    Reply { status: 200, headers, body: Vec::new() }
}

/// The operation that a call names. A body that is no JSON is told first; one that is empty, only by decoding.
pub fn operation(head: &Head<'_>, body: &[u8]) -> Result<Operation, ApiError> {
    Operation::from_target(head.target.unwrap_or_default()).map_err(|unknown| {
        let syntax = if body.is_empty() { Ok(()) } else { check_syntax(body) };
        syntax.err().unwrap_or(unknown)
    })
}

impl Envelope {
    /// The whole answer: its checksum covers the bytes as they are sent.
    pub fn seal(self, status: u16, body: Vec<u8>, id: RequestId) -> Reply {
        let encoding = self.encoding.filter(|_| body::worth_compressing(&body));
        let body = match encoding {
            Some(encoding) => encoding.compress(&body),
            None => body,
        };
        let mut reply = self.bare(status, body, id);
        reply.headers.push(("Content-Type", self.content_type.into()));
        if let Some(encoding) = encoding {
            reply.headers.push(("Content-Encoding", encoding.name().into()));
        }
        reply
    }

    fn bare(self, status: u16, body: Vec<u8>, id: RequestId) -> Reply {
        let mut headers = Vec::with_capacity(6);
        headers.push(("x-amzn-RequestId", id.to_string().into()));
        headers.push(("x-amz-crc32", crc32fast::hash(&body).to_string().into()));
        if self.allow_origin {
            headers.push(("Access-Control-Allow-Origin", "*".into()));
        }
        Reply { status, headers, body }
    }
}

#[cfg(test)]
mod tests;
