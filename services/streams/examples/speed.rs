//! How fast functions are, on a region in this process with its data on disk:
//!
//! ```text
//! cargo run --profile quick -p tradewind-streams --example speed -- [drain|single|process|start …] [--records N] [--python PATH]
//!
//! drain    a backlog of a million changes into a handler in this process that does nothing, 100 a batch
//! single   the same with one change a batch
//! process  one change a batch into a Python function, ten batches of a shard at once
//! start    a thousand changes a second into a warm function: from the intended time of the write to the function's start
//! ```

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tradewind_database::{CATCH_UP_SHARE, Database, Regions};
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_function::invoke::handler;
use tradewind_model::{Clock, Region, SystemClock};
use tradewind_streams::{Credentials, Request, Streams};
use tradewind_wire::{Operation, decode};

/// The CPU time of this process, without that of functions: what a busy machine does not change.
struct Cpu(Duration);

impl Cpu {
    fn now() -> Cpu {
        let used = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
        let time = |value: TimeVal| Duration::from_micros(value.num_microseconds().unsigned_abs());
        Cpu(time(used.user_time()) + time(used.system_time()))
    }

    /// Since then, for each of so many.
    fn each(&self, count: u64) -> String {
        let used = Cpu::now().0.saturating_sub(self.0);
        format!("{:.1} µs of this process's CPU each", used.as_secs_f64() * 1e6 / count.max(1) as f64)
    }
}

struct NoOthers;

impl Regions for NoOthers {
    fn ensure(&self, _region: Region) -> bool {
        false
    }

    fn has_table(&self, _region: Region, _table: &str) -> bool {
        false
    }
}

struct World {
    database: Arc<Database<FjallEngine>>,
    streams: Arc<Streams<FjallEngine>>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl World {
    async fn open(data: Arc<[Handle]>, python: &str) -> anyhow::Result<World> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(SystemClock::new(true));
        let engine_clock = clock.clone();
        let settings = Settings::new(folder.path().join("data"));
        let engine = Arc::new(FjallEngine::open(&settings, Arc::new(move || engine_clock.now_ms()))?);
        let region = Region::new("us-east-1")?;
        let settings = tradewind_database::Settings {
            account: "000000000000".to_owned(),
            throttle: false,
            catch_up_share: CATCH_UP_SHARE,
        };
        let database = Database::open(engine, clock, region, settings, Arc::new(NoOthers), data).await?;
        let database = Arc::new(database);
        let settings = tradewind_streams::Settings {
            folder: folder.path().join("functions"),
            endpoint_url: "http://127.0.0.1:9".to_owned(),
            credentials: Credentials {
                access_key_id: "x".to_owned(),
                secret_access_key: "x".to_owned(),
                session_token: None,
            },
            python: python.to_owned(),
            node: "node".to_owned(),
        };
        let streams = Arc::new(Streams::new(database.clone(), settings)?);
        let stop = CancellationToken::new();
        let (running, stopping) = (streams.clone(), stop.clone());
        tokio::spawn(async move { running.run(stopping).await });
        Ok(World { database, streams, stop, _folder: folder })
    }

    async fn ask(&self, operation: Operation, body: &Value) -> anyhow::Result<()> {
        let request =
            decode(operation, body.to_string().as_bytes()).map_err(|error| anyhow!("{}", error.message))?;
        self.database.execute(request).await.map_err(|error| anyhow!("{}", error.message))?;
        Ok(())
    }

    /// Answers the stream's ARN.
    async fn table(&self, name: &str) -> anyhow::Result<String> {
        let body = json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        self.ask(Operation::CreateTable, &body).await?;
        let described =
            self.database.describe_table(name).await.map_err(|error| anyhow!("{}", error.message))?;
        described.stream_arn.context("the table has a stream")
    }

    async fn put(&self, table: &str, id: u64, more: Value) -> anyhow::Result<()> {
        let mut item = json!({ "id": {"S": format!("item-{id}")} });
        item.as_object_mut().context("made above")?.extend(more.as_object().cloned().unwrap_or_default());
        self.ask(Operation::PutItem, &json!({ "TableName": table, "Item": item })).await
    }

    /// Many writers at once, so that groups form.
    async fn fill(self: &Arc<World>, table: &'static str, records: u64) -> anyhow::Result<()> {
        let writers = (0..256).map(|writer| {
            let world = self.clone();
            tokio::spawn(async move {
                for id in (writer..records).step_by(256) {
                    world.put(table, id, json!({ "n": {"N": id.to_string()} })).await?;
                }
                anyhow::Ok(())
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        Ok(())
    }

    async fn lambda(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut map = http::HeaderMap::new();
        map.insert("content-type", "application/json".parse()?);
        for (name, value) in headers {
            map.insert(*name, value.parse()?);
        }
        let body = Bytes::from(body.to_string());
        let response =
            self.streams.handle(Request { method, path, query: "", headers: &map, body: &body }).await;
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match response.status {
            200..300 => Ok(answer),
            status => Err(anyhow!("{method} {path}: {status} {answer}")),
        }
    }

    async fn map(&self, function: &str, arn: &str, knobs: Value) -> anyhow::Result<()> {
        let mut body =
            json!({ "FunctionName": function, "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON" });
        body.as_object_mut().context("made above")?.extend(knobs.as_object().cloned().unwrap_or_default());
        self.lambda("POST", "/2015-03-31/event-source-mappings", &[], &body).await.map(|_| ())
    }
}

async fn drain(world: &Arc<World>, name: &'static str, records: u64, batch: u32) -> anyhow::Result<()> {
    let arn = world.table(name).await?;
    world.fill(name, records).await?;
    let seen = Arc::new(AtomicU64::new(0));
    let counting = seen.clone();
    let invoked = Arc::new(AtomicU64::new(0));
    let invocations = invoked.clone();
    let count = handler(move |invocation| {
        counting.fetch_add(
            invocation.cause.batch.as_ref().map_or(0, |batch| batch.records as u64),
            Ordering::Relaxed,
        );
        invocations.fetch_add(1, Ordering::Relaxed);
        async { Ok(Bytes::from_static(b"null")) }
    });
    world.streams.serve(name, count).await?;
    let (began, cpu) = (Instant::now(), Cpu::now());
    world.map(name, &arn, json!({ "BatchSize": batch })).await?;
    while seen.load(Ordering::Relaxed) < records {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{name}: {records} records in {took:.2} s at batch {batch}: {:.0} records/s, {:.0} invocations/s; {}",
        records as f64 / took,
        invoked.load(Ordering::Relaxed) as f64 / took,
        cpu.each(records),
    );
    Ok(())
}

const PYTHON: &str = "
import os, time
out = open(os.environ['OUT'] + str(os.getpid()), 'a', buffering=1)
def handler(event, context):
    now = time.time()
    for record in event['Records']:
        sent = record['dynamodb']['NewImage'].get('sent')
        out.write('%.6f\\n' % (now - float(sent['N'])) if sent else '0\\n')
";

/// Adds the Python function; answers how many lines it has written, and what they say.
async fn add_python(world: &World, name: &str) -> anyhow::Result<impl Fn() -> Vec<f64> + use<>> {
    let folder: PathBuf = world._folder.path().join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("app.py"), PYTHON)?;
    let results = world._folder.path().join(format!("{name}-results"));
    std::fs::create_dir_all(&results)?;
    let directory = folder.to_str().context("UTF-8")?.to_owned();
    let body = json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "app.handler", "Timeout": 60, "MemorySize": 512,
        "Environment": { "Variables": { "OUT": format!("{}/", results.display()) } },
    });
    world.lambda("POST", "/2015-03-31/functions", &[("x-tradewind-directory", &directory)], &body).await?;
    Ok(move || {
        let files = std::fs::read_dir(&results).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        texts
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<f64>>())
            .collect()
    })
}

async fn process(world: &Arc<World>, records: u64) -> anyhow::Result<()> {
    let arn = world.table("process").await?;
    world.fill("process", records).await?;
    let lines = add_python(world, "process").await?;
    let (began, cpu) = (Instant::now(), Cpu::now());
    world.map("process", &arn, json!({ "BatchSize": 1, "ParallelizationFactor": 10 })).await?;
    while (lines().len() as u64) < records {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "process: {records} invocations of Python in {took:.2} s at batch 1: {:.0} a second; {}",
        records as f64 / took,
        cpu.each(records),
    );
    Ok(())
}

fn now_s() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Writes at a fixed rate whatever happens; each change carries when it was to be written. Answers how long after that
/// each was acknowledged: a function cannot start before its change is durable.
async fn write_at(
    world: &Arc<World>,
    table: &'static str,
    rate: u64,
    seconds: u64,
) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let start_s = now_s();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..rate * seconds {
        let due = Duration::from_secs_f64(number as f64 / rate as f64);
        if let Some(wait) = due.checked_sub(start.elapsed()) {
            tokio::time::sleep(wait).await;
        }
        let (world, sent) = (world.clone(), start_s + due.as_secs_f64());
        writes.spawn(async move {
            world.put(table, number, json!({ "sent": {"N": format!("{sent:.6}")} })).await?;
            anyhow::Ok(now_s() - sent)
        });
    }
    writes.join_all().await.into_iter().collect()
}

fn say(what: &str, mut latencies: Vec<f64>) {
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| {
        latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN) * 1000.0
    };
    let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
    println!("{what}: {} changes, p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms", latencies.len());
}

async fn start(world: &Arc<World>, rate: u64, seconds: u64) -> anyhow::Result<()> {
    let arn = world.table("start").await?;
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let noted = latencies.clone();
    let note = handler(move |invocation| {
        let now = now_s();
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap_or_default();
        let mut latencies = noted.lock().expect("no panic while held");
        for record in event["Records"].as_array().into_iter().flatten() {
            let sent = record["dynamodb"]["NewImage"]["sent"]["N"]
                .as_str()
                .and_then(|text| text.parse::<f64>().ok());
            latencies.extend(sent.map(|sent| now - sent));
        }
        async { Ok(Bytes::from_static(b"null")) }
    });
    world.streams.serve("start", note).await?;
    world.map("start", &arn, json!({})).await?;
    let acknowledged = write_at(world, "start", rate, seconds).await?;
    while latencies.lock().expect("no panic while held").len() < (rate * seconds) as usize {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    say("write to acknowledgement", acknowledged);
    say("write to start, in process", latencies.lock().expect("no panic while held").clone());

    let arn = world.table("warm").await?;
    let lines = add_python(world, "warm").await?;
    world.map("warm", &arn, json!({})).await?;
    // The first second starts the processes.
    write_at(world, "warm", rate, 2).await?;
    let cold = (rate * 2) as usize;
    while lines().len() < cold {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = lines();
    let acknowledged = write_at(world, "warm", rate, seconds).await?;
    while lines().len() < cold + (rate * seconds) as usize {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = lines();
    for value in before {
        if let Some(at) = all.iter().position(|other| *other == value) {
            all.swap_remove(at);
        }
    }
    say("write to acknowledgement", acknowledged);
    say("write to start, warm Python process", all);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let records = option("--records").map_or(Ok(1_000_000), |text| text.parse())?;
    let python = option("--python").unwrap_or_else(|| "python3".to_owned());
    let asked = |name: &str| {
        let any =
            ["drain", "single", "process", "start"].iter().any(|known| arguments.iter().any(|a| a == known));
        !any || arguments.iter().any(|argument| argument == name)
    };
    // As `tradewind dev` lays its threads out.
    let background = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let data = Builder::new_current_thread().enable_all().build()?;
    let handles: Arc<[Handle]> = Arc::from([data.handle().clone()]);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || data.block_on(ended));
    background.block_on(async {
        let world = Arc::new(World::open(handles, &python).await?);
        if asked("start") {
            start(&world, 1000, 10).await?;
        }
        if asked("single") {
            drain(&world, "single", records.min(100_000), 1).await?;
        }
        if asked("process") {
            process(&world, 20_000).await?;
        }
        if asked("drain") {
            drain(&world, "drain", records, 100).await?;
        }
        world.stop.cancel();
        anyhow::Ok(())
    })?;
    let _ = end.send(());
    let _ = thread.join();
    Ok(())
}
