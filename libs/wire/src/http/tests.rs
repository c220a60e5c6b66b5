//! The head of a request: what is answered before any operation, and how answers are sealed.

use super::*;
use crate::error::Code;

const ID: [u8; 32] = [7; 32];

fn id() -> RequestId {
    RequestId::from_random(ID)
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn post(content_type: &'static str) -> Head<'static> {
    Head { method: "POST", path: "/", content_type: Some(content_type), ..Head::default() }
}

fn answered(head: &Head<'_>) -> Reply {
    match admit(head, true, region, id()) {
        Admission::Answered(reply) => reply,
        Admission::Call(_) => panic!("{head:?} was admitted"),
    }
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_ref())
}

#[test]
fn lambda_paths_are_told_from_dynamodbs() {
    assert!(is_lambda_path("/2015-03-31/functions") && is_lambda_path("/2019-09-30/functions/f/concurrency"));
    assert!(!is_lambda_path("/") && !is_lambda_path("") && !is_lambda_path("/2015-3-31/x"));
}

#[test]
fn health_is_told_at_the_root_only() {
    let get = Head { method: "GET", path: "/", ..Head::default() };
    let reply = answered(&get);
    assert_eq!(
        (reply.status, reply.body.as_slice()),
        (200, &b"healthy: dynamodb.us-east-1.amazonaws.com "[..])
    );
    assert_eq!(header(&reply, "x-amz-crc32"), Some("3128867991"));
    assert_eq!(header(&reply, "x-amzn-RequestId").map(str::len), Some(52));
    assert_eq!(answered(&Head { path: "/abc", ..get }).status, 404);
}

#[test]
fn other_content_types_and_methods_are_unknown_operations() {
    for head in [
        post("application/x-amz-json-1.1"),
        post("text/plain"),
        Head { content_type: None, ..post("") },
        Head { method: "PUT", ..post(JSON) },
        Head { method: "OPTIONS", ..post(JSON) },
        Head { path: "/else", ..post(JSON) },
    ] {
        let reply = answered(&head);
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (404, &b"<UnknownOperationException/>\n"[..]),
            "{head:?}"
        );
        assert_eq!(header(&reply, "x-amz-crc32"), Some("3552371480"));
    }
}

#[test]
fn content_types_are_accepted_with_parameters_and_echoed() {
    for (given, echoed) in [
        (JSON_1_0, JSON_1_0),
        ("application/json; charset=utf-8", JSON),
        ("Application/X-Amz-Json-1.0", JSON_1_0),
    ] {
        let Admission::Call(envelope) = admit(&post(given), true, region, id()) else { panic!("{given}") };
        let reply = envelope.seal(200, b"{}".to_vec(), id());
        assert_eq!(header(&reply, "Content-Type"), Some(echoed));
        assert_eq!(header(&reply, "x-amz-crc32"), Some("2745614147"));
        assert_eq!(header(&reply, "Access-Control-Allow-Origin"), None);
    }
    let bare = Head { content_type: None, ..post("") };
    assert!(
        matches!(admit(&bare, false, region, id()), Admission::Call(_)),
        "without a body any type will do"
    );
}

#[test]
fn preflights_are_answered_and_origins_allowed() {
    let head = Head {
        method: "OPTIONS",
        origin: Some("https://example.org"),
        requested_headers: Some("x-amz-target, authorization"),
        requested_method: Some("POST"),
        ..post("")
    };
    let reply = answered(&head);
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(header(&reply, "Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(header(&reply, "Access-Control-Allow-Headers"), Some("x-amz-target, authorization"));
    assert_eq!(header(&reply, "Access-Control-Allow-Methods"), Some("POST"));
    assert_eq!(header(&reply, "Access-Control-Max-Age"), Some("172800"));
    let call = Head { origin: Some("https://example.org"), ..post(JSON) };
    let Admission::Call(envelope) = admit(&call, true, region, id()) else { panic!("a call") };
    assert_eq!(header(&envelope.seal(200, Vec::new(), id()), "Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn large_answers_are_compressed_for_those_who_accept_it_and_summed_as_sent() {
    let large = vec![b'x'; 4097];
    let head = Head { accept_encoding: Some("gzip"), ..post(JSON_1_0) };
    let Admission::Call(envelope) = admit(&head, true, region, id()) else { panic!("a call") };
    let reply = envelope.seal(200, large.clone(), id());
    assert_eq!(header(&reply, "Content-Encoding"), Some("gzip"));
    assert_eq!(header(&reply, "x-amz-crc32"), Some(crc32fast::hash(&reply.body).to_string().as_str()));
    assert_eq!(body::plain(Some("gzip"), &reply.body).as_deref(), Ok(&large[..]));
    let small = envelope.seal(200, large[1..].to_vec(), id());
    assert_eq!((header(&small, "Content-Encoding"), small.body.len()), (None, 4096));
    let Admission::Call(plain) = admit(&post(JSON_1_0), true, region, id()) else { panic!("a call") };
    assert_eq!(plain.seal(200, large, id()).body.len(), 4097);
}

#[test]
fn syntax_is_told_before_the_target() {
    let code =
        |target, body: &[u8]| operation(&Head { target, ..post(JSON) }, body).map_err(|error| error.code);
    assert_eq!(code(Some("DynamoDB_20120810.PutItem"), b"{"), Ok(Operation::PutItem));
    assert_eq!(code(Some("DynamoDB_20120810.Nothing"), b"{}"), Err(Code::UnknownOperation));
    assert_eq!(code(Some("DynamoDB_20120810.Nothing"), b"{"), Err(Code::Serialization));
    assert_eq!(code(None, b""), Err(Code::UnknownOperation));
}
