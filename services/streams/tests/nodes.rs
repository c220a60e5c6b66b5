//! Two processes of the streams service over one store: shards spread, a planned end repeats nothing, and what a dead one
//! ran goes on at the other within ten seconds.
#![expect(clippy::unwrap_used, reason = "a test ends where its world does")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_database::{CATCH_UP_SHARE, Database, Regions, Settings};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_function::invoke::handler;
use tradewind_model::{Clock, Region, SystemClock};
use tradewind_streams::{Credentials, Node, Request};
use tradewind_wire::{Operation, decode};

const PATIENCE: Duration = Duration::from_secs(30);

struct NoOthers;

impl Regions for NoOthers {
    fn ensure(&self, _region: Region) -> bool {
        false
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

/// Who ran which record.
type Seen = Arc<Mutex<Vec<(&'static str, String)>>>;

struct Running {
    node: Arc<Node<MemoryEngine>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

struct World {
    engine: Arc<MemoryEngine>,
    /// Owns the partitions; the others only read.
    owner: Arc<Database<MemoryEngine>>,
    seen: Seen,
    folder: tempfile::TempDir,
}

impl World {
    async fn open() -> World {
        let clock = Arc::new(SystemClock::new(true));
        let engine = MemoryEngine::open(&MemoryDisk::default(), Arc::new(move || clock.now_ms()));
        let engine = Arc::new(engine);
        let owner = view(&engine).await;
        World { engine, owner, seen: Seen::default(), folder: tempfile::tempdir().unwrap() }
    }

    async fn start(&self, name: &'static str) -> Running {
        let settings = tradewind_streams::Settings {
            folder: self.folder.path().join(name),
            endpoint_url: "http://127.0.0.1:9".to_owned(),
            credentials: Credentials {
                access_key_id: "x".to_owned(),
                secret_access_key: "x".to_owned(),
                session_token: None,
            },
            python: "python3".to_owned(),
            node: "node".to_owned(),
        };
        let node =
            Arc::new(Node::new(view(&self.engine).await, settings, "streams", name, "nowhere:1").unwrap());
        let seen = self.seen.clone();
        let note = handler(move |invocation| {
            let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
            let mut seen = seen.lock().unwrap();
            for record in event["Records"].as_array().unwrap() {
                seen.push((name, record["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap().to_owned()));
            }
            async { Ok(Bytes::from_static(b"null")) }
        });
        node.streams.serve("f", note).await.unwrap();
        let shutdown = CancellationToken::new();
        let (running, stop) = (node.clone(), shutdown.clone());
        let task = tokio::spawn(async move { running.run(stop).await });
        Running { node, shutdown, task }
    }

    async fn ask(&self, operation: Operation, body: Value) {
        let request = decode(operation, body.to_string().as_bytes()).unwrap();
        self.owner.execute(request).await.unwrap();
    }

    /// Answers the stream's ARN.
    async fn table(&self) -> String {
        let body = json!({
            "TableName": "orders", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
        });
        self.ask(Operation::CreateTable, body).await;
        self.owner.describe_table("orders").await.unwrap().stream_arn.unwrap()
    }

    async fn put(&self, ids: std::ops::Range<u32>) {
        for id in ids {
            let item = json!({ "id": {"S": id.to_string()} });
            self.ask(Operation::PutItem, json!({ "TableName": "orders", "Item": item })).await;
        }
    }

    async fn seen_by(
        &self,
        within: Duration,
        what: &str,
        enough: impl Fn(&[(&'static str, String)]) -> bool,
    ) {
        let began = Instant::now();
        while !enough(&self.seen.lock().unwrap()) {
            assert!(
                began.elapsed() < within,
                "not within {within:?}: {what}; seen {:?}",
                self.seen.lock().unwrap().len()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn view(engine: &Arc<MemoryEngine>) -> Arc<Database<MemoryEngine>> {
    let settings =
        Settings { account: "000000000000".to_owned(), throttle: false, catch_up_share: CATCH_UP_SHARE };
    let data = Arc::new([tokio::runtime::Handle::current()]);
    let region = Region::new("us-east-1").unwrap();
    let clock = Arc::new(SystemClock::new(true));
    Arc::new(Database::open(engine.clone(), clock, region, settings, Arc::new(NoOthers), data).await.unwrap())
}

async fn map(node: &Node<MemoryEngine>, arn: &str) {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let body = json!({ "FunctionName": "f", "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON" });
    let body = Bytes::from(body.to_string());
    let path = "/2015-03-31/event-source-mappings";
    let request = Request { method: "POST", path, query: "", headers: &headers, body: &body };
    let response = node.streams.handle(request).await;
    assert_eq!(response.status, 202, "{:?}", response.body);
}

fn distinct(seen: &[(&'static str, String)]) -> usize {
    seen.iter().map(|(_, id)| id).collect::<std::collections::BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_are_spread_handed_over_and_taken_from_the_dead() {
    let world = World::open().await;
    let arn = world.table().await;
    let one = world.start("one").await;
    let two = world.start("two").await;
    map(&one.node, &arn).await;
    world.put(0..100).await;
    world.seen_by(PATIENCE, "everything", |seen| distinct(seen) == 100).await;

    // A planned end: what the first ran goes on at the second, and nothing was run twice.
    one.shutdown.cancel();
    one.task.await.unwrap();
    world.put(100..200).await;
    world.seen_by(PATIENCE, "everything after a planned end", |seen| distinct(seen) == 200).await;
    assert_eq!(world.seen.lock().unwrap().len(), 200, "something was invoked twice");
    assert!(world.seen.lock().unwrap()[100..].iter().all(|(name, _)| *name == "two"));

    // A death: the third takes over what the second ran, which had no time to say so.
    let _three = world.start("three").await;
    two.task.abort();
    let _ = two.task.await;
    let died = Instant::now();
    world.put(200..300).await;
    world.seen_by(Duration::from_secs(10), "everything after a death", |seen| distinct(seen) == 300).await;
    println!("a dead node's shards moved within {:?}", died.elapsed());
}
