//! One trace, from a client's write in one region to the function that it triggers in another, as an OTLP collector and
//! the function itself see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tradewind");
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const TABLE: &str = "orders";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
/// What no span may show: it is an item's.
const SECRET: &str = "what-only-the-item-knows";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on a thread of its own, for as long as the process lives.
    fn start() -> (Collector, SocketAddr) {
        let collector = Collector::default();
        let serving = collector.clone();
        let (told, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let server =
                    tonic::transport::Server::builder().add_service(TraceServiceServer::new(serving));
                server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
            });
        });
        (collector, address.recv().unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

/// A function behind HTTP; remembers the heads of its requests.
fn webhook() -> (Arc<Mutex<Vec<String>>>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            let head = loop {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.to_lowercase();
                    let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                        break head.to_owned();
                    }
                }
                assert!(read > 0, "the request ends in the middle");
            };
            seen.lock().unwrap().push(head);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (heads, address)
}

struct Dev {
    process: Child,
    port: u64,
    folder: TempDir,
}

impl Dev {
    fn start(more: &[&str]) -> Dev {
        let folder = TempDir::new().unwrap();
        let ready = folder.path().join("ready.json");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(PROGRAM)
            .args(["dev", "--in-memory", "--port", "0", "--regions", &REGIONS.join(","), "--ready-file"])
            .arg(&ready)
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut dev = Dev { process, port: 0, folder };
        until("the server to be ready", || {
            let text = std::fs::read(&ready).unwrap_or_default();
            let port =
                serde_json::from_slice::<Value>(&text).ok().and_then(|ready| ready["ports"]["all"].as_u64());
            dev.port = port.unwrap_or(0);
            port.is_some()
        });
        dev
    }

    fn call(&self, region: &str, operation: &str, traceparent: &str, body: &Value) -> Option<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port as u16)).unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
             traceparent: {traceparent}\r\n\
             X-Amz-Date: 20250101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=other/20250101/{region}/\
             dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).unwrap())
    }

    fn create_global_table(&self) {
        let untraced = unsampled();
        let create = json!({
            "TableName": TABLE,
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
        });
        self.call(REGIONS[0], "CreateTable", &untraced, &create).unwrap();
        let replicate =
            json!({ "TableName": TABLE, "ReplicaUpdates": [{ "Create": { "RegionName": REGIONS[1] } }] });
        self.call(REGIONS[0], "UpdateTable", &untraced, &replicate).unwrap();
        until("the replica to be active", || {
            let described = self.call(REGIONS[1], "DescribeTable", &untraced, &json!({ "TableName": TABLE }));
            described.is_some_and(|described| described["Table"]["TableStatus"] == "ACTIVE")
        });
    }

    fn add_function(&self, url: &str) {
        let output = Command::new(PROGRAM)
            .args(["function", "add", "notify", "--url", url, "--table", TABLE, "--region", REGIONS[1]])
            .args(["--endpoint", &format!("http://127.0.0.1:{}", self.port)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn put(&self, traceparent: &str) {
        let item =
            json!({ "TableName": TABLE, "Item": { "id": { "S": SECRET }, "at": { "S": traceparent } } });
        self.call(REGIONS[0], "PutItem", traceparent, &item).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn sampled() -> String {
    format!("00-{TRACE_ID}-b7ad6b7169203331-01")
}

fn unsampled() -> String {
    sampled().replace("-01", "-00")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(span: &Span) -> HashMap<String, String> {
    let text = |value: Option<Any>| match value {
        Some(Any::StringValue(text)) => text,
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    let pairs = span.attributes.iter().cloned();
    pairs.map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}

#[test]
fn one_trace_shows_the_write_its_replication_and_the_function() {
    let (collector, address) = Collector::start();
    let (heads, hook) = webhook();
    let endpoint = format!("http://{address}");
    let dev = Dev::start(&["--otlp-endpoint", &endpoint, "--trace-ratio", "0", "--log-format", "json"]);
    dev.create_global_table();
    dev.add_function(&format!("http://{hook}/"));
    dev.put(&unsampled());
    dev.put(&sampled());
    let of = |name: &str| collector.spans().into_iter().find(|span| span.name == name);
    let names = ["PutItem", "commit", "send orders", "apply orders", "process notify"];
    until("all spans of the write", || names.iter().all(|name| of(name).is_some()));

    let spans = collector.spans();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE_ID), "only what was sampled is traced");
    let [put, commit, send, apply, process] = names.map(|name| of(name).unwrap());
    assert_eq!(hex(&put.parent_span_id), "b7ad6b7169203331");
    assert_eq!(commit.parent_span_id, put.span_id);
    assert_eq!(send.parent_span_id, put.span_id);
    assert_eq!(apply.parent_span_id, send.span_id);
    assert_eq!(process.parent_span_id, apply.span_id);
    let put = attributes(&put);
    assert_eq!((&*put["db.system.name"], &*put["db.operation.name"]), ("aws.dynamodb", "PutItem"));
    assert_eq!((&*put["db.collection.name"], &*put["cloud.region"]), (TABLE, REGIONS[0]));
    let process_attributes = attributes(&process);
    assert_eq!(process_attributes["faas.invoked_name"], "notify");
    assert_eq!(process_attributes["cloud.region"], REGIONS[1]);

    let shown = format!("{spans:?}");
    assert!(!shown.contains(SECRET), "spans show no item: {shown}");
    let told = format!("traceparent: 00-{TRACE_ID}-{}-01", hex(&process.span_id));
    until("the function to be told of its span", || {
        heads.lock().unwrap().iter().any(|head| head.contains(&told))
    });
    let log = dev.log();
    assert!(
        !log.contains(SECRET) && log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{log}"
    );
}

#[test]
fn a_share_that_is_none_is_refused_before_anything_listens() {
    let output = Command::new(PROGRAM).args(["dev", "--in-memory", "--trace-ratio", "2"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--trace-ratio 2"), "{said}");
}
