//! A request of the Lambda API on its way between nodes: who takes it has verified its signature, who runs functions
//! answers it.
//!
//! ```text
//! request   length of the head:4 | head (MessagePack: method, path, query, headers) | body
//! answer    length of the head:4 | head (MessagePack: status, headers)              | body
//! ```
//!
//! Bodies are packages and events: they are copied once, and never put into a format.

use bytes::{BufMut, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::front::Answered;

/// A request as the node that runs functions sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// As sent: percent-encoded, without the query.
    pub path: String,
    /// Without the question mark; empty if there is none.
    pub query: String,
    /// Those that Lambda knows, and ours.
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Head {
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    headers: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct AnswerHead {
    status: u16,
    headers: Vec<(String, String)>,
}

/// The request in a form that travels. Of its headers only those go along that Lambda reads, or that we
/// read beside Lambda's: no signature, no cookie.
pub fn encode_request(parts: &Parts, body: &[u8]) -> Bytes {
    let is_read = |name: &str| {
        let is_known = name.starts_with("x-amz-") || name.starts_with("x-tradewind-");
        name == "content-type" || (is_known && !is_secret(name))
    };
    let headers = parts.headers.iter().filter(|(name, _)| is_read(name.as_str()));
    let head = Head {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.filter_map(|(name, value)| text(name.as_str(), value)).collect(),
    };
    framed(&head, body)
}

fn is_secret(name: &str) -> bool {
    name == "x-amz-security-token"
}

/// `None`: another version's words.
pub fn decode_request(sent: &Bytes) -> Option<Asked> {
    let (head, body) = unframed::<Head>(sent)?;
    let headers = head.headers.iter().filter_map(header).collect();
    Some(Asked { method: head.method, path: head.path, query: head.query, headers, body })
}

pub fn encode_answer(answer: &Answered) -> Bytes {
    let headers = answer.headers().iter().filter_map(|(name, value)| text(name.as_str(), value));
    let head = AnswerHead { status: answer.status().as_u16(), headers: headers.collect() };
    framed(&head, answer.body())
}

/// `None`: another version's words.
pub fn decode_answer(sent: &Bytes) -> Option<Answered> {
    let (head, body) = unframed::<AnswerHead>(sent)?;
    let mut answer = http::Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(head.status).ok()?;
    answer.headers_mut().extend(head.headers.iter().filter_map(header));
    Some(answer)
}

/// An error in the form of the REST services.
pub fn error(status: StatusCode, kind: &'static str, message: &str) -> Answered {
    let side = if status.is_server_error() { "Service" } else { "User" };
    let body = json!({ "Type": side, "Message": message, "message": message }).to_string();
    let mut answer = http::Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    answer
}

fn text(name: &str, value: &HeaderValue) -> Option<(String, String)> {
    Some((name.to_owned(), value.to_str().ok()?.to_owned()))
}

fn header((name, value): &(String, String)) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

fn framed(head: &impl Serialize, body: &[u8]) -> Bytes {
    let head = rmp_serde::to_vec_named(head).expect("strings and numbers become MessagePack");
    let mut sent = BytesMut::with_capacity(4 + head.len() + body.len());
    sent.put_u32(u32::try_from(head.len()).expect("heads are bounded"));
    sent.put_slice(&head);
    sent.put_slice(body);
    sent.freeze()
}

fn unframed<T: DeserializeOwned>(sent: &Bytes) -> Option<(T, Bytes)> {
    let length = u32::from_be_bytes(sent.get(..4)?.try_into().ok()?) as usize;
    let head = sent.get(4..4usize.checked_add(length)?)?;
    Some((rmp_serde::from_slice(head).ok()?, sent.slice(4 + length..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_sent_without_what_is_secret() {
        let request = http::Request::post("/2015-03-31/functions/a%20b/invocations?Qualifier=1")
            .header("Content-Type", "application/json")
            .header("X-Amz-Invocation-Type", "Event")
            .header("X-Tradewind-Origin", "local")
            .header("Authorization", "AWS4-HMAC-SHA256 …".as_bytes())
            .header("X-Amz-Security-Token", "t");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let asked = decode_request(&encode_request(&parts, b"{}")).unwrap();
        assert_eq!((&*asked.method, &*asked.query), ("POST", "Qualifier=1"));
        assert_eq!(asked.path, "/2015-03-31/functions/a%20b/invocations");
        assert_eq!(asked.headers["x-amz-invocation-type"], "Event");
        assert_eq!(asked.headers["x-tradewind-origin"], "local");
        assert_eq!((asked.headers.len(), asked.body), (3, Bytes::from_static(b"{}")));
    }

    #[test]
    fn an_answer_arrives_as_it_was_given() {
        let answer = error(StatusCode::NOT_FOUND, "ResourceNotFoundException", "no such function");
        let arrived = decode_answer(&encode_answer(&answer)).unwrap();
        assert_eq!((arrived.status(), arrived.body()), (answer.status(), answer.body()));
        assert_eq!(arrived.headers(), answer.headers());
    }

    #[test]
    fn what_is_cut_off_is_no_request() {
        for bytes in [&b""[..], b"\0\0", b"\0\0\0\xff{}", b"\xff\xff\xff\xff", b"\0\0\0\x02{}"] {
            assert!(decode_request(&Bytes::from_static(bytes)).is_none());
        }
    }
}
