//! Endpoints of every temper: what they get, and what their answers mean.

use std::convert::Infallible;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::catalogue::Code;
use crate::fixtures::function;
use crate::invoke::{BatchRef, Cause};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Seen = Arc<StdMutex<Vec<(String, HeaderMap, Bytes)>>>;
type Reply = dyn Fn(usize, &Value) -> Response<Full<Bytes>> + Send + Sync;

/// An HTTP server that notes what it gets and answers what it is told to.
struct Endpoints {
    url: String,
    seen: Seen,
    serving: JoinHandle<()>,
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Endpoints {
    async fn answering(
        reply: impl Fn(usize, &Value) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Endpoints {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen = Seen::default();
        let reply: Arc<Reply> = Arc::new(reply);
        let serving = tokio::spawn(accept(listener, seen.clone(), reply));
        Endpoints { url, seen, serving }
    }
}

async fn accept(listener: TcpListener, seen: Seen, reply: Arc<Reply>) {
    let count = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, reply, count) = (seen.clone(), reply.clone(), count.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, reply, count) = (seen.clone(), reply.clone(), count.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let number = count.fetch_add(1, Ordering::SeqCst);
                    let event = serde_json::from_slice(&body).unwrap_or(Value::Null);
                    seen.lock().unwrap().push((parts.uri.to_string(), parts.headers, body));
                    if event["hang"] == true {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(reply(number, &event))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

async fn invoke_at(url: &str, form: Form, event: Value, timeout_s: u32) -> Result<Outcome, InvokeError> {
    let functions = HttpFunctions::new(Arc::new(|| 1_614_265_330_123));
    let endpoint = Endpoint { url: url.to_owned(), form, secret: Some(SECRET.to_owned()) };
    let mut function = function("f", Code::Http(endpoint.clone()));
    function.timeout_s = timeout_s;
    let mut invocation = Invocation::new("f", event.to_string().into());
    let batch = BatchRef {
        mapping: "m".to_owned(),
        shard_id: "s".to_owned(),
        first_sequence: "1".to_owned(),
        last_sequence: "2".to_owned(),
        records: 2,
    };
    invocation.cause = Cause { attempt: 2, batch: Some(Arc::new(batch)), is_event: false };
    functions.invoke(&function, &endpoint, &invocation, &FunctionLog::default(), "arn:f").await
}

fn error_type(outcome: &Outcome) -> String {
    assert_eq!(outcome.function_error, Some(FunctionError::Unhandled));
    let object: Value = serde_json::from_slice(&outcome.payload).unwrap();
    object["errorType"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_webhook_gets_a_signed_event_with_an_id_that_attempts_share() {
    let endpoint = Endpoints::answering(|_, _| answer(200, "application/json", "{\"done\":1}")).await;
    for _ in 0..2 {
        let outcome = invoke_at(&endpoint.url, Form::Webhook, json!({"a": 1}), 5).await.unwrap();
        assert_eq!((&outcome.payload[..], outcome.function_error), (&b"{\"done\":1}"[..], None));
    }
    let seen = endpoint.seen.lock().unwrap();
    let (path, headers, body) = &seen[0];
    let text = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((path.as_str(), &body[..]), ("/hook", &b"{\"a\":1}"[..]));
    assert_eq!(text("webhook-timestamp"), "1614265330");
    let key = signature::key(SECRET).unwrap();
    assert_eq!(text("webhook-signature"), signature::sign(&key, text("webhook-id"), "1614265330", body));
    assert_eq!(seen[0].1["webhook-id"], seen[1].1["webhook-id"]);
    assert_ne!(seen[0].1["lambda-runtime-aws-request-id"], seen[1].1["lambda-runtime-aws-request-id"]);
}

#[tokio::test]
async fn a_webhooks_statuses_mean_what_they_say() {
    let endpoint = Endpoints::answering(|_, event| {
        let status = u16::try_from(event["status"].as_u64().unwrap()).unwrap();
        answer(status, "text/plain", "no luck")
    })
    .await;
    let at = async |status: u16| invoke_at(&endpoint.url, Form::Webhook, json!({"status": status}), 1).await;
    let fine = at(204).await.unwrap();
    assert_eq!((&fine.payload[..], fine.function_error), (&b"null"[..], None), "text is no answer");
    for status in [301, 400, 410, 500, 503] {
        assert_eq!(error_type(&at(status).await.unwrap()), format!("Endpoint.Status{status}"));
    }
    assert!(matches!(at(429).await, Err(InvokeError::Service(_))), "it was sent away: no attempt");
}

#[tokio::test]
async fn what_did_not_arrive_is_sent_again_and_then_is_no_attempt() {
    let endpoint = Endpoints::answering(|number, _| match number {
        0 => {
            let response = Response::builder().status(503).header("retry-after", "0");
            response.body(Full::new(Bytes::new())).unwrap()
        }
        _ => answer(200, "application/json", "true"),
    })
    .await;
    let outcome = invoke_at(&endpoint.url, Form::Webhook, json!({}), 5).await.unwrap();
    assert_eq!((&outcome.payload[..], endpoint.seen.lock().unwrap().len()), (&b"true"[..], 2));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = invoke_at(&format!("http://{nobody}/"), Form::Webhook, json!({}), 5).await;
    assert!(
        matches!(&refused, Err(InvokeError::Service(why)) if why.contains("cannot reach")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_endpoint_that_hangs_times_out() {
    let endpoint = Endpoints::answering(|_, _| answer(200, "text/plain", "")).await;
    for form in [Form::Webhook, Form::Emulator] {
        let outcome = invoke_at(&endpoint.url, form, json!({"hang": true}), 1).await.unwrap();
        assert_eq!(error_type(&outcome), "Sandbox.Timedout");
    }
}

#[tokio::test]
async fn an_emulators_answers_are_those_of_the_function_behind_it() {
    let endpoint = Endpoints::answering(|number, event| match event["do"].as_str().unwrap() {
        "answer" => answer(200, "text/plain", r#"{"errorType": "only a field"}"#),
        "fail" => {
            answer(200, "text/plain", r#"{"errorMessage":"no","errorType":"ValueError","stackTrace":[]}"#)
        }
        "late" => answer(200, "text/plain", "Task timed out after 3.00 seconds"),
        "busy" if number == 0 => answer(400, "text/plain", ""),
        "busy" => answer(200, "text/plain", "7"),
        other => panic!("{other}"),
    })
    .await;
    let base = endpoint.url.trim_end_matches("/hook").to_owned();
    let ask = async |what: &str| invoke_at(&base, Form::Emulator, json!({"do": what}), 5).await.unwrap();
    assert_eq!(&ask("busy").await.payload[..], b"7", "another invocation was running: sent again");
    assert_eq!(endpoint.seen.lock().unwrap()[0].0, EMULATOR_PATH);
    assert!(!endpoint.seen.lock().unwrap()[0].1.contains_key("webhook-id"));
    assert_eq!(ask("answer").await.function_error, None);
    assert_eq!(error_type(&ask("fail").await), "ValueError");
    assert_eq!(error_type(&ask("late").await), "Sandbox.Timedout");
}

#[tokio::test]
async fn more_than_six_megabytes_of_answer_are_an_error() {
    let endpoint =
        Endpoints::answering(|_, _| answer(200, "application/json", &" ".repeat(MAX_PAYLOAD + 1))).await;
    let outcome = invoke_at(&endpoint.url, Form::Webhook, json!({}), 5).await.unwrap();
    assert_eq!(error_type(&outcome), "Function.ResponseSizeTooLarge");
}
