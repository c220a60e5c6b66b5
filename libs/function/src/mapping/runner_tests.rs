//! Mappings at work: records of a stream in memory into handlers in this process and into real Python, through the
//! Lambda API as users call it, over restarts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_model::Region;

use super::failed::FailedLog;
use super::{Mappings, RunnerSettings, Seats};
use crate::catalogue::Catalogue;
use crate::code::{CodeStore, Packages};
use crate::fixtures::{MemoryDocuments, MemoryStream, STREAM_ARN, zip_of};
use crate::invoke::{Functions, HandlerError, handler};
use crate::lambda::{LambdaApi, Parts, Request};
use crate::runtime::{Credentials, Environments, Settings};

type Api = LambdaApi<MemoryDocuments, Functions<MemoryDocuments>, MemoryStream>;

/// A region's functions, all of it: `stop` and `start` are a restart.
struct World {
    documents: Arc<MemoryDocuments>,
    stream: Arc<MemoryStream>,
    folder: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    api: Api,
    functions: Arc<Functions<MemoryDocuments>>,
    failed: Arc<FailedLog<MemoryDocuments>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What a handler in this process was given, record by record.
#[derive(Clone)]
struct Seen {
    records: Arc<Mutex<Vec<Value>>>,
    changed: watch::Sender<usize>,
}

impl Seen {
    fn new() -> Seen {
        Seen { records: Arc::default(), changed: watch::channel(0).0 }
    }

    fn take(&self, event: &Value) {
        let mut records = self.records.lock().unwrap();
        records.extend(event["Records"].as_array().unwrap().iter().cloned());
        self.changed.send_replace(records.len());
    }

    async fn count(&self, count: usize) {
        let mut changed = self.changed.subscribe();
        let waited = changed.wait_for(|seen| *seen >= count);
        let _ =
            tokio::time::timeout(Duration::from_secs(10), waited).await.expect("records in time").unwrap();
    }

    fn sequences(&self) -> Vec<u64> {
        let records = self.records.lock().unwrap();
        let number = |record: &Value| record["dynamodb"]["SequenceNumber"].as_str().unwrap().parse().unwrap();
        records.iter().map(number).collect()
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

impl World {
    fn new(shards: &[(&str, Option<&str>)]) -> World {
        let mut world = World {
            documents: Arc::default(),
            stream: Arc::new(MemoryStream::with_shards(shards)),
            folder: tempfile::tempdir().unwrap(),
            running: None,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let clock: crate::Clock = Arc::new(now_ms);
        let catalogue = Arc::new(Catalogue::new(self.documents.clone()));
        let code = Arc::new(CodeStore::open(self.folder.path().join("code")).unwrap());
        let code = Arc::new(Packages::new(self.documents.clone(), code, false));
        let settings = settings(self.folder.path());
        let environments =
            Environments::new(catalogue.clone(), code.clone(), settings, clock.clone()).unwrap();
        let functions = Arc::new(Functions::new(environments));
        let failed = Arc::new(FailedLog::new(self.documents.clone()));
        let runner = RunnerSettings {
            region: Region::new("eu-west-1").unwrap(),
            account: "000000000000".to_owned(),
            seats: Seats::alone("test"),
            drain: Duration::from_secs(10),
        };
        let mappings = Mappings::new(
            catalogue.clone(),
            functions.clone(),
            self.stream.clone(),
            failed.clone(),
            functions.environments().journal().metrics().clone(),
            clock.clone(),
            runner,
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { mappings.run(stop).await }
        });
        let api = LambdaApi::new(Parts {
            region: "eu-west-1".to_owned(),
            account: "000000000000".to_owned(),
            catalogue,
            code,
            invoker: functions.clone(),
            source: self.stream.clone(),
            failed: failed.clone(),
            journal: functions.environments().journal().clone(),
            clock,
        });
        self.running = Some(Running { api, functions, failed, stop, task });
    }

    async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        running.task.await.unwrap();
        running.functions.environments().shutdown();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request { method, path, query: "", headers: &headers, body: &body };
        let response = self.running().api.handle(request).await;
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    /// A mapping of the stream to the function `f`; answers its UUID.
    async fn map(&self, knobs: Value) -> String {
        let mut body =
            json!({"FunctionName": "f", "EventSourceArn": STREAM_ARN, "StartingPosition": "TRIM_HORIZON"});
        body.as_object_mut().unwrap().extend(knobs.as_object().unwrap().clone());
        let (status, shown) = self.call("POST", "/2015-03-31/event-source-mappings", body).await;
        assert_eq!(status, 202, "{shown}");
        shown["UUID"].as_str().unwrap().to_owned()
    }

    /// Waits until the mapping looks as wanted.
    async fn shown(&self, uuid: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/2015-03-31/event-source-mappings/{uuid}");
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let (_, shown) = self.call("GET", &path, Value::Null).await;
                if wanted(&shown) {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("the mapping in time")
    }

    /// Waits until the mapping is gone, and everything of it.
    async fn gone(&self, uuid: &str) {
        let path = format!("/2015-03-31/event-source-mappings/{uuid}");
        let checkpoints = super::checkpoint::Checkpoints::new(self.documents.clone());
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while self.call("GET", &path, Value::Null).await.0 != 404
                || !checkpoints.mappings().await.unwrap().is_empty()
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("the mapping is gone in time");
    }

    async fn add_python(&self, source: &str) {
        use base64::Engine as _;
        let zip = base64::engine::general_purpose::STANDARD.encode(zip_of(&[("main.py", source)]));
        let body = json!({
            "FunctionName": "f", "Runtime": "python3.12", "Handler": "main.handler", "Timeout": 20,
            "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": zip},
        });
        let (status, shown) = self.call("POST", "/2015-03-31/functions", body).await;
        assert_eq!(status, 201, "{shown}");
    }

    /// A function of that name must be in the catalogue to be mapped; what runs is the handler.
    async fn add_handler<F>(&self, run: F)
    where
        F: Fn(Value) -> Result<Value, HandlerError> + Send + Sync + 'static,
    {
        if self.call("GET", "/2015-03-31/functions/f", Value::Null).await.0 == 404 {
            self.add_python("").await;
        }
        let run = Arc::new(run);
        let in_process = handler(move |invocation| {
            let run = run.clone();
            async move {
                let event = serde_json::from_slice(&invocation.payload).unwrap();
                run(event).map(|answer| Bytes::from(answer.to_string()))
            }
        });
        self.running().functions.register("f", in_process);
    }
}

fn settings(folder: &std::path::Path) -> Settings {
    Settings {
        region: "eu-west-1".to_owned(),
        account: "000000000000".to_owned(),
        endpoint_url: "http://localhost:8000".to_owned(),
        credentials: Credentials {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        },
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        python: "python3".to_owned(),
        node: "node".to_owned(),
        use_aws_runtimes: false,
        folder: folder.join("runtime"),
        max_environments: 4,
        keep_idle: Duration::from_secs(60),
        init_timeout: Duration::from_secs(10),
    }
}

fn broken() -> HandlerError {
    HandlerError { error_type: "Broken".to_owned(), message: "as asked".to_owned() }
}

#[tokio::test]
async fn a_python_zip_runs_on_changes_retries_and_goes_on_after_a_restart() {
    let mut world = World::new(&[("shard-1", None), ("shard-2", None)]);
    let out = world.folder.path().join("out");
    let source = format!(
        "
import os
OUT = {out:?}
def handler(event, context):
    if not os.path.exists(OUT + '.tried'):
        open(OUT + '.tried', 'w').close()
        raise RuntimeError('the first time fails')
    with open(OUT, 'a') as out:
        for record in event['Records']:
            out.write(record['eventID'] + '\\n')
"
    );
    world.add_python(&source).await;
    let uuid = world.map(json!({})).await;
    world.stream.append("shard-1", 1, "INSERT", now_ms());
    world.stream.append("shard-2", 2, "INSERT", now_ms());
    let lines = || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let written = async |count: usize| {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while lines().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("records in time");
    };
    written(2).await;
    assert_eq!(world.shown(&uuid, |shown| shown["LastProcessingResult"] == "OK").await["State"], "Enabled");
    world.stop().await;
    world.stream.append("shard-1", 1, "MODIFY", now_ms());
    world.start();
    written(3).await;
    assert_eq!(lines(), ["shard-1-1", "shard-1-3", "shard-2-1"], "nothing is repeated or missing");
}

#[tokio::test]
async fn a_change_wakes_its_function_at_once() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    world
        .add_handler(move |event| {
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    let uuid = world.map(json!({})).await;
    world.shown(&uuid, |shown| shown["State"] == "Enabled").await;
    world.stream.append("s", 1, "INSERT", now_ms());
    seen.count(1).await;
    let mut slowest = Duration::ZERO;
    for number in 2..50 {
        let start = std::time::Instant::now();
        world.stream.append("s", 1, "MODIFY", now_ms());
        seen.count(number).await;
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "took {slowest:?}");
}

#[tokio::test]
async fn latest_begins_when_the_call_answers_and_filters_choose() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    world
        .add_handler(move |event| {
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    world.stream.append("s", 1, "INSERT", now_ms());
    let pattern = json!({"eventName": ["INSERT", "REMOVE"]}).to_string();
    let knobs = json!({"StartingPosition": "LATEST", "FilterCriteria": {"Filters": [{"Pattern": pattern}]}});
    let uuid = world.map(knobs).await;
    world.stream.append("s", 1, "MODIFY", now_ms());
    let wanted = world.stream.append("s", 1, "REMOVE", now_ms());
    seen.count(1).await;
    assert_eq!(seen.sequences(), [wanted]);
    let metrics = world.running().functions.environments().journal().metrics().find_mapping(&uuid).unwrap();
    assert_eq!(metrics.filtered_out_event_count.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_poisonous_record_is_kept_with_its_data_and_the_others_go_on() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    let poisonous = |event: &Value| event.to_string().contains(r#""N":"13""#);
    world
        .add_handler(move |event| {
            if poisonous(&event) {
                return Err(broken());
            }
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    for key in 10..20 {
        world.stream.append("s", key, "INSERT", now_ms());
    }
    let knobs = json!({"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 1, "BatchSize": 10});
    let uuid = world.map(knobs).await;
    seen.count(9).await;
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some((id, header)) = world.running().failed.list("f").await.unwrap().pop() {
                assert_eq!(header.mapping, uuid);
                return world.running().failed.read("f", &id).await.unwrap().unwrap().1;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let kept = waited.await.unwrap();
    assert_eq!(world.running().failed.list("f").await.unwrap().len(), 1);
    assert_eq!(kept.record.request.condition, "RetryAttemptsExhausted");
    assert!(kept.payload.get().contains(r#""N":"13""#));
    assert_eq!(kept.record.response.as_ref().unwrap().function_error.as_deref(), Some("Handled"));
    assert_eq!(seen.sequences().len(), 9);
}

#[tokio::test]
async fn reported_items_are_retried_from_the_first_of_them() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    let failures = Mutex::new(1);
    world
        .add_handler(move |event| {
            sink.take(&event);
            let records = event["Records"].as_array().unwrap();
            let mut left = failures.lock().unwrap();
            if *left > 0 && records.len() == 4 {
                *left -= 1;
                let identifier = &records[2]["dynamodb"]["SequenceNumber"];
                return Ok(json!({"batchItemFailures": [{"itemIdentifier": identifier}]}));
            }
            Ok(json!({"batchItemFailures": []}))
        })
        .await;
    for _ in 0..4 {
        world.stream.append("s", 1, "MODIFY", now_ms());
    }
    world.map(json!({"FunctionResponseTypes": ["ReportBatchItemFailures"]})).await;
    seen.count(6).await;
    assert_eq!(seen.sequences(), [1, 3, 5, 7, 5, 7]);
}

#[tokio::test]
async fn children_wait_for_their_parents_end() {
    let world = World::new(&[("a-parent", None), ("b-child", Some("a-parent"))]);
    let seen = Seen::new();
    let sink = seen.clone();
    world
        .add_handler(move |event| {
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    world.stream.append("b-child", 1, "MODIFY", now_ms());
    world.map(json!({})).await;
    world.stream.append("a-parent", 1, "INSERT", now_ms());
    seen.count(1).await;
    world.stream.append("a-parent", 1, "MODIFY", now_ms());
    world.stream.close("a-parent");
    seen.count(3).await;
    let records = seen.records.lock().unwrap();
    let ids: Vec<_> = records.iter().map(|record| record["eventID"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a-parent-1", "a-parent-3", "b-child-1"]);
}

#[tokio::test]
async fn a_disabled_mapping_keeps_its_place_and_a_deleted_one_leaves_nothing() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    world
        .add_handler(move |event| {
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    let uuid = world.map(json!({})).await;
    world.stream.append("s", 1, "INSERT", now_ms());
    seen.count(1).await;
    let path = format!("/2015-03-31/event-source-mappings/{uuid}");
    let (_, shown) = world.call("PUT", &path, json!({"Enabled": false})).await;
    assert_eq!(shown["State"], "Disabling");
    world.shown(&uuid, |shown| shown["State"] == "Disabled").await;
    world.stream.append("s", 1, "MODIFY", now_ms());
    let (_, shown) = world.call("PUT", &path, json!({"Enabled": true, "BatchSize": 5})).await;
    assert_eq!((&shown["State"], &shown["BatchSize"]), (&json!("Enabling"), &json!(5)));
    seen.count(2).await;
    assert_eq!(seen.sequences(), [1, 3]);
    assert_eq!(world.call("DELETE", &path, Value::Null).await.1["State"], "Deleting");
    world.gone(&uuid).await;
}

/// A mapping that was deleted could run once more: its document went first, and the invocation that was under way, or about
/// to be, came after.
#[tokio::test]
async fn a_mapping_is_deleting_or_disabling_until_its_last_invocation_has_ended() {
    let world = World::new(&[("s", None)]);
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, end) = (began.clone(), may_end.clone());
    let slow = handler(move |_| {
        let (begin, end) = (begin.clone(), end.clone());
        async move {
            begin.notify_one();
            end.notified().await;
            Ok(Bytes::from_static(b"null"))
        }
    });
    world.add_handler(|_| Ok(Value::Null)).await;
    world.running().functions.register("f", slow);
    let uuid = world.map(json!({})).await;
    let path = format!("/2015-03-31/event-source-mappings/{uuid}");
    world.stream.append("s", 1, "INSERT", now_ms());
    began.notified().await;
    world.call("PUT", &path, json!({"Enabled": false})).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.call("GET", &path, Value::Null).await.1["State"], "Disabling");
    may_end.notify_one();
    world.shown(&uuid, |shown| shown["State"] == "Disabled").await;
    world.call("PUT", &path, json!({"Enabled": true})).await;
    world.stream.append("s", 1, "MODIFY", now_ms());
    began.notified().await;
    assert_eq!(world.call("DELETE", &path, Value::Null).await.1["State"], "Deleting");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.call("GET", &path, Value::Null).await.1["State"], "Deleting");
    for (method, body) in [("DELETE", Value::Null), ("PUT", json!({"Enabled": false}))] {
        let (status, refused) = world.call(method, &path, body).await;
        assert_eq!(status, 400, "{refused}");
        assert!(refused["Message"].as_str().unwrap().ends_with("because it is in use."), "{refused}");
    }
    world.stream.append("s", 1, "MODIFY", now_ms());
    may_end.notify_one();
    world.gone(&uuid).await;
    let again = tokio::time::timeout(Duration::from_millis(300), began.notified()).await;
    assert!(again.is_err(), "it ran once more");
}

#[tokio::test]
async fn a_failing_function_does_not_delay_another_mapping() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    world.add_handler(|_| Err(broken())).await;
    let uuid = world.map(json!({})).await;
    let good = handler(move |invocation| {
        sink.take(&serde_json::from_slice(&invocation.payload).unwrap());
        async { Ok(Bytes::from_static(b"null")) }
    });
    let mut copy =
        crate::catalogue::Catalogue::new(world.documents.clone()).function("f").await.unwrap().unwrap();
    copy.name = "good".to_owned();
    crate::catalogue::Catalogue::new(world.documents.clone()).create_function(&copy).await.unwrap();
    world.running().functions.register("good", good);
    world.map(json!({"FunctionName": "good"})).await;
    for _ in 0..20 {
        world.stream.append("s", 1, "MODIFY", now_ms());
    }
    seen.count(20).await;
    let shown = world.shown(&uuid, |shown| shown["LastProcessingResult"] != "No records processed").await;
    assert_eq!(shown["LastProcessingResult"], "PROBLEM: Function call failed");
}

#[tokio::test]
async fn order_per_key_holds_with_parallel_lanes_and_random_failures() {
    let world = World::new(&[("s", None)]);
    let seen = Seen::new();
    let sink = seen.clone();
    let calls = Mutex::new(0u32);
    world
        .add_handler(move |event| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            if calls.is_multiple_of(3) {
                return Err(broken());
            }
            sink.take(&event);
            Ok(Value::Null)
        })
        .await;
    world.map(json!({"ParallelizationFactor": 10, "BatchSize": 7})).await;
    for number in 0..500u64 {
        world.stream.append("s", number % 13, "MODIFY", now_ms());
    }
    seen.count(500).await;
    let mut last: HashMap<String, u64> = HashMap::new();
    for record in seen.records.lock().unwrap().iter() {
        let key = record["dynamodb"]["Keys"]["Id"]["N"].as_str().unwrap().to_owned();
        let sequence: u64 = record["dynamodb"]["SequenceNumber"].as_str().unwrap().parse().unwrap();
        assert!(last.insert(key, sequence).is_none_or(|before| before < sequence));
    }
}
