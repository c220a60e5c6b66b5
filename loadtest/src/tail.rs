//! Reads the stream of every region while the load runs, shard by shard, from the beginning.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Connection, STREAMS};
use crate::figures::Latencies;
use crate::history::{History, Repeats};
use crate::item::{Image, now_us};
use crate::ledger::lock;
use crate::load::Load;
use crate::setup::describe;

/// A shard without news is asked again after this.
const PAUSE: Duration = Duration::from_millis(25);
/// New shards are looked for so often.
const LOOK: Duration = Duration::from_secs(2);
const PAGE: usize = 1000;

/// What one region's stream showed.
pub struct Tail {
    pub region: usize,
    pub history: Mutex<History>,
    /// From the write, in whichever region, to its record in the reader's hands.
    pub latencies: Mutex<Latencies>,
    /// Why it could not be read to the end.
    pub trouble: Mutex<Option<String>>,
    stop: AtomicBool,
}

impl Tail {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// One reader for each region, each with a task for each shard.
pub fn start(load: &Arc<Load>) -> (Vec<Arc<Tail>>, JoinSet<()>) {
    let (mut tails, mut tasks) = (Vec::new(), JoinSet::new());
    let regions = if load.scenario.tail_streams { load.endpoints.len() } else { 0 };
    for region in 0..regions {
        let tail = Arc::new(Tail {
            region,
            history: Mutex::new(History::new(regions, Repeats::Forbidden)),
            latencies: Mutex::default(),
            trouble: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        tails.push(tail.clone());
        let load = load.clone();
        tasks.spawn(async move {
            if let Err(error) = follow(&load, &tail).await {
                *lock(&tail.trouble) = Some(format!("{error:#}"));
            }
        });
    }
    (tails, tasks)
}

pub async fn stream_arn(connection: &mut Connection, table: &str) -> anyhow::Result<String> {
    let table = describe(connection, table).await?;
    table["LatestStreamArn"].as_str().map(str::to_owned).context("the table has no stream")
}

async fn follow(load: &Arc<Load>, tail: &Arc<Tail>) -> anyhow::Result<()> {
    let mut connection = Connection::new(load.endpoints[tail.region].clone());
    let arn = stream_arn(&mut connection, &load.items.table).await?;
    let (mut known, mut readers) = (HashSet::new(), JoinSet::new());
    while !tail.is_stopped() {
        for shard in shards(&mut connection, &arn).await? {
            if known.insert(shard.clone()) {
                readers.spawn(read_shard(load.clone(), tail.clone(), arn.clone(), shard));
            }
        }
        // Readers end before they are stopped only where they fail, or their shard was split.
        match tokio::time::timeout(LOOK, readers.join_next()).await {
            Ok(Some(ended)) => ended.context("a reader panicked")??,
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Err(_) => (),
        }
    }
    while let Some(ended) = readers.join_next().await {
        ended.context("a reader panicked")??;
    }
    Ok(())
}

async fn shards(connection: &mut Connection, arn: &str) -> anyhow::Result<Vec<String>> {
    let (mut shards, mut last) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({ "StreamArn": arn });
        if !last.is_null() {
            body["ExclusiveStartShardId"] = last;
        }
        let answer = connection.operation(STREAMS, "DescribeStream", body.to_string().into()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let stream = &answer["StreamDescription"];
        let page = stream["Shards"].as_array().context("a description without shards")?;
        shards.extend(page.iter().filter_map(|shard| shard["ShardId"].as_str()).map(str::to_owned));
        last = stream["LastEvaluatedShardId"].clone();
        if last.is_null() {
            return Ok(shards);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
    next_shard_iterator: Option<String>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    dynamodb: Change<'a>,
}

/// A change as streams and functions show it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change<'a> {
    pub sequence_number: &'a str,
    #[serde(borrow)]
    pub keys: Image<'a>,
    #[serde(borrow)]
    pub old_image: Option<Image<'a>>,
    #[serde(borrow)]
    pub new_image: Option<Image<'a>>,
}

async fn read_shard(load: Arc<Load>, tail: Arc<Tail>, arn: String, shard: String) -> anyhow::Result<()> {
    let mut connection = Connection::new(load.endpoints[tail.region].clone());
    let body = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let answer = connection.operation(STREAMS, "GetShardIterator", body.to_string().into()).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let mut iterator = answer["ShardIterator"].as_str().map(str::to_owned);
    let mut last = String::new();
    while let Some(at) = iterator.take() {
        let body = Bytes::from(json!({ "ShardIterator": at, "Limit": PAGE }).to_string());
        let page = match connection.operation(STREAMS, "GetRecords", body).await {
            Ok(page) => page,
            // The iterator still stands where it did.
            Err(failure) if !failure.not_done && !tail.is_stopped() => {
                tokio::time::sleep(PAUSE).await;
                iterator = Some(at);
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        let page: Page<'_> = serde_json::from_slice(&page).context("records")?;
        note(&load, &tail, &page.records, &mut last);
        iterator = page.next_shard_iterator;
        if page.records.is_empty() {
            if tail.is_stopped() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

fn note(load: &Load, tail: &Tail, records: &[Record<'_>], last: &mut String) {
    let now = now_us();
    let mut history = lock(&tail.history);
    let mut latencies = lock(&tail.latencies);
    for Record { dynamodb: change } in records {
        // Sequence numbers are decimal and may differ in length.
        let sequence = change.sequence_number;
        if (sequence.len(), sequence) <= (last.len(), &last[..]) {
            history.violations.add(|| format!("sequence {sequence} came after {last}"));
        }
        sequence.clone_into(last);
        if change.keys.is_probe() {
            continue;
        }
        let Some(key) = load.items.key_of(&change.keys) else {
            history.violations.add(|| "a change of an item that nobody wrote".to_owned());
            continue;
        };
        let id = |image: &Option<Image<'_>>| image.as_ref().and_then(Image::write_id);
        history.change(key, id(&change.old_image), id(&change.new_image));
        let written = change.new_image.as_ref().and_then(Image::written_us);
        if let Some(written) = written.filter(|_| load.is_measuring()) {
            latencies.record(Duration::from_micros(now.saturating_sub(written)));
        }
    }
}
