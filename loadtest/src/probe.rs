//! Replication lag as a reader sees it: one item of each region is written again and again, and read in every other region
//! until it is there. The lag of a pair is the time from the acknowledgement to that read.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::Connection;
use crate::figures::{Latencies, Summary};
use crate::item::PROBE;
use crate::ledger::lock;
use crate::load::Load;

/// A reader asks again after this, and after longer the longer it waits.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
const MOST_PAUSE: Duration = Duration::from_millis(50);

/// From one region to another.
pub struct Lag {
    pub from: String,
    pub to: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    second: Latencies,
    all: Latencies,
    waiting_since: Option<Instant>,
}

impl Lag {
    fn waits(&self, since: Instant) {
        lock(&self.seen).waiting_since = Some(since);
    }

    fn seen(&self, since: Instant, measuring: bool) {
        let lag = since.elapsed();
        let mut seen = lock(&self.seen);
        seen.waiting_since = None;
        seen.second.record(lag);
        if measuring {
            seen.all.record(lag);
        }
    }

    /// The median of what was seen since the last time; while nothing is seen, how long the reader has waited.
    pub fn lately_ms(&self) -> f64 {
        let mut seen = lock(&self.seen);
        let median = seen.second.summary().p50_ms;
        let waited = seen.waiting_since.filter(|_| seen.second.is_empty());
        seen.second.clear();
        waited.map_or(median, |since| since.elapsed().as_secs_f64() * 1000.0)
    }

    pub fn summary(&self) -> Summary {
        lock(&self.seen).all.summary()
    }
}

/// One item's latest version: a number, and when it was acknowledged.
type Version = (u64, Instant);

/// Starts the probes, which end when the set is dropped.
pub fn start(load: &Arc<Load>) -> (Vec<Arc<Lag>>, JoinSet<()>) {
    let (mut lags, mut tasks) = (Vec::new(), JoinSet::new());
    let interval = load.scenario.probe.0;
    if interval.is_zero() || load.endpoints.len() < 2 {
        return (lags, tasks);
    }
    for from in 0..load.endpoints.len() {
        let (write, written) = watch::channel((0, Instant::now()));
        tasks.spawn(writer(load.clone(), from, interval, write));
        for to in (0..load.endpoints.len()).filter(|to| *to != from) {
            let region = |at: usize| load.endpoints[at].region.clone();
            let lag = Arc::new(Lag { from: region(from), to: region(to), seen: Mutex::default() });
            lags.push(lag.clone());
            tasks.spawn(reader(load.clone(), from, to, written.clone(), lag));
        }
    }
    (lags, tasks)
}

fn key(load: &Load, from: usize) -> Value {
    let mut key = json!({ "id": { "S": format!("{PROBE}{from}") } });
    if load.items.has_sort_key() {
        key["sk"] = json!({ "N": "0" });
    }
    key
}

async fn writer(load: Arc<Load>, from: usize, interval: Duration, write: watch::Sender<Version>) {
    let mut connection = Connection::new(load.endpoints[from].clone());
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1u64.. {
        ticks.tick().await;
        let mut item = key(&load, from);
        item["probe"] = json!({ "N": number.to_string() });
        let body = json!({ "TableName": load.items.table, "Item": item }).to_string();
        if connection.call("PutItem", body).await.is_ok() && write.send((number, Instant::now())).is_err() {
            return;
        }
    }
}

async fn reader(
    load: Arc<Load>,
    from: usize,
    to: usize,
    mut written: watch::Receiver<Version>,
    lag: Arc<Lag>,
) {
    let mut connection = Connection::new(load.endpoints[to].clone());
    let body = json!({ "TableName": load.items.table, "Key": key(&load, from) }).to_string();
    while written.changed().await.is_ok() {
        let (number, since) = *written.borrow_and_update();
        lag.waits(since);
        while read(&mut connection, &body).await < number {
            tokio::time::sleep((since.elapsed() / 16).clamp(LEAST_PAUSE, MOST_PAUSE)).await;
        }
        lag.seen(since, load.is_measuring());
    }
}

async fn read(connection: &mut Connection, body: &str) -> u64 {
    let Ok(answer) = connection.call("GetItem", body.to_owned()).await else { return 0 };
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    answer["Item"]["probe"]["N"].as_str().and_then(|number| number.parse().ok()).unwrap_or(0)
}
