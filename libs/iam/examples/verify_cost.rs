//! What the check of one signature costs: `cargo run --release -p tradewind-iam --example verify_cost`.

use std::hint::black_box;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use tradewind_iam::{Credentials, Request, Secret, Signer, Verifier, shape};

const NOW: i64 = 1_440_938_160;
const ROUNDS: u32 = 400;
const CALLS: u32 = 1_000;

const SDK_HEADERS: [(&str, &str); 6] = [
    ("host", "localhost:8000"),
    ("content-type", "application/x-amz-json-1.0"),
    ("x-amz-target", "DynamoDB_20120810.PutItem"),
    ("amz-sdk-invocation-id", "5bd3c7a4-7ee4-4c1f-9d33-1a4a3ad6d2f1"),
    ("amz-sdk-request", "attempt=1; max=3"),
    ("user-agent", "aws-sdk-rust/1.3.3 os/linux lang/rust/1.95.0"),
];

fn main() {
    let credentials =
        Credentials::new("AKIDEXAMPLE", Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"));
    let verifier = Verifier::new(["eu-west-1"]);
    verifier.set_credentials([credentials.clone()]);
    let signer = Signer::new(credentials, "eu-west-1", "dynamodb");
    for (name, headers) in [("all SDK headers", &SDK_HEADERS[..]), ("three headers", &SDK_HEADERS[..3])] {
        for body_len in [0, 300, 4096] {
            let body = vec![b'x'; body_len];
            let headers = signed(&signer, headers, &body);
            let request = request(&headers, &body);
            let each = least_ns(|| black_box(verifier.verify(black_box(&request), "dynamodb", NOW)).is_ok());
            println!("verify, {name}, body of {body_len:>4} B: {each:>6.0} ns");
        }
    }
    let headers = signed(&signer, &SDK_HEADERS, b"");
    println!("shape only: {:>6.0} ns", least_ns(|| black_box(shape(black_box(&headers))).is_ok()));
    let request = request(&headers, b"");
    println!("sign: {:>6.0} ns", least_ns(|| black_box(signer.sign(black_box(&request), NOW)).is_ok()));
}

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
    Request { method: "POST", path: "/", query: None, headers, body }
}

fn signed(signer: &Signer, headers: &[(&'static str, &'static str)], body: &[u8]) -> HeaderMap {
    let mut headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let signature = signer.sign(&request(&headers, body), NOW).expect("a request with a host can be signed");
    signature.apply(&mut headers);
    headers
}

/// Nanoseconds per call in the best round, which is the one that nothing else on the machine disturbed.
fn least_ns(call: impl Fn() -> bool) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            assert!(call(), "every call is of a good request");
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
