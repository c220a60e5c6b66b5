//! Several nodes over one catalogue: shards are spread, handed over, taken from the dead and kept from the frozen; and
//! whatever happens, every record reaches the function, in order per key.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;
use tradewind_model::Region;

use super::checkpoint::Checkpoints;
use super::failed::FailedLog;
use super::{Mappings, RunnerSettings, Seats};
use crate::catalogue::{Catalogue, Mapping};
use crate::fixtures::{MemoryDocuments, MemoryStream, STREAM_ARN, mapping};
use crate::invoke::{FunctionError, Invocation, InvokeError, Invoker, Outcome};

const LONG: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

fn now_ms() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// A small generator of our own: the same seed gives the same choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What the function did right, in the order in which it did: (key, sequence) and which node asked.
#[derive(Default)]
struct Done {
    records: Mutex<Vec<(String, u64)>>,
}

impl Done {
    fn take(&self, payload: &Bytes) {
        let event: Value = serde_json::from_slice(payload).unwrap();
        let mut records = self.records.lock().unwrap();
        for record in event["Records"].as_array().unwrap() {
            let key = record["dynamodb"]["Keys"]["Id"]["N"].as_str().unwrap().to_owned();
            let sequence = record["dynamodb"]["SequenceNumber"].as_str().unwrap().parse().unwrap();
            records.push((key, sequence));
        }
    }

    fn distinct(&self) -> usize {
        let records = self.records.lock().unwrap();
        records.iter().collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Of each key, each record's first success comes after that of the record before.
    fn check_order(&self, context: &str) {
        let mut furthest: HashMap<&str, u64> = HashMap::new();
        let records = self.records.lock().unwrap();
        let mut expected: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (key, sequence) in records.iter() {
            expected.entry(key).or_default().push(*sequence);
        }
        for sequences in expected.values_mut() {
            sequences.sort_unstable();
            sequences.dedup();
        }
        for (key, sequence) in records.iter() {
            let all = &expected[key.as_str()];
            let index = all.binary_search(sequence).unwrap() as u64;
            let next = furthest.entry(key).or_insert(0);
            assert!(
                index <= *next,
                "{context}: {sequence} of key {key} overtook {}",
                all[usize::try_from(*next).unwrap()]
            );
            *next = (*next).max(index + 1);
        }
    }
}

/// A function with moods: fails, is throttled, dawdles, or does it and then says that it failed.
struct Moody {
    done: Arc<Done>,
    dice: Mutex<Dice>,
    trouble: bool,
}

impl Invoker for Moody {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let mood = if self.trouble { self.dice.lock().unwrap().roll(10) } else { 5 };
        let dawdle = Duration::from_millis(self.dice.lock().unwrap().roll(8));
        tokio::time::sleep(dawdle).await;
        let function_error = match mood {
            0 => return Err(InvokeError::Throttled),
            1 => Some(FunctionError::Unhandled),
            2 => {
                self.done.take(&invocation.payload);
                Some(FunctionError::Unhandled)
            }
            _ => {
                self.done.take(&invocation.payload);
                None
            }
        };
        Ok(Outcome {
            payload: Bytes::from_static(b"null"),
            function_error,
            log_tail: Bytes::new(),
            executed_version: "$LATEST".to_owned(),
            duration: dawdle,
            cold_start: false,
        })
    }
}

struct Node {
    seats: Arc<Seats>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Who is alive, and how often that was asked.
#[derive(Default)]
struct Living {
    names: Mutex<Vec<String>>,
    asked: AtomicUsize,
}

struct Cluster {
    living: Arc<Living>,
    documents: Arc<MemoryDocuments>,
    stream: Arc<MemoryStream>,
    done: Arc<Done>,
    nodes: Vec<Node>,
    trouble: bool,
    started: u64,
    dice: Dice,
}

impl Cluster {
    fn new(shards: &[(&str, Option<&str>)], trouble: bool, seed: u64) -> Cluster {
        Cluster {
            living: Arc::default(),
            documents: Arc::default(),
            stream: Arc::new(MemoryStream::with_shards(shards)),
            done: Arc::default(),
            nodes: Vec::new(),
            trouble,
            started: 0,
            dice: Dice(seed),
        }
    }

    async fn map(&self, mapping: &Mapping) {
        assert!(Catalogue::new(self.documents.clone()).create_mapping(mapping).await.unwrap());
    }

    fn start(&mut self) {
        self.launch();
        self.renew();
    }

    /// A node that knows of nobody, itself included.
    fn launch(&mut self) {
        self.started += 1;
        let living = self.living.clone();
        let seats = Seats::of(format!("node-{}", self.started), move || {
            living.asked.fetch_add(1, Ordering::Relaxed);
            let names = living.names.lock().unwrap().clone();
            Box::pin(async { Some(names) })
        });
        let catalogue = Arc::new(Catalogue::new(self.documents.clone()));
        let invoker = Moody {
            done: self.done.clone(),
            dice: Mutex::new(Dice(self.dice.roll(u64::MAX) | 1)),
            trouble: self.trouble,
        };
        let settings = RunnerSettings {
            region: Region::new("eu-west-1").unwrap(),
            account: "000000000000".to_owned(),
            seats: seats.clone(),
            drain: Duration::from_secs(5),
        };
        let failed = Arc::new(FailedLog::new(self.documents.clone()));
        let mappings = Mappings::new(
            catalogue,
            Arc::new(invoker),
            self.stream.clone(),
            failed,
            Arc::default(),
            Arc::new(now_ms),
            settings,
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { mappings.run(stop).await }
        });
        self.nodes.push(Node { seats, stop, task });
    }

    /// Everybody learns who is alive.
    fn renew(&self) {
        let live: Vec<_> = self.nodes.iter().map(|node| node.seats.me().to_owned()).collect();
        self.living.names.lock().unwrap().clone_from(&live);
        for node in &self.nodes {
            node.seats.renew(live.clone(), Instant::now() + LONG);
        }
    }

    /// A planned end: it lets go of everything, then the others learn that it has left.
    async fn leave(&mut self, index: usize) {
        let node = self.nodes.swap_remove(index);
        node.stop.cancel();
        node.task.await.unwrap();
        self.renew();
    }

    /// It is gone between two instructions.
    async fn crash(&mut self, index: usize) {
        let node = self.nodes.swap_remove(index);
        node.task.abort();
        let _ = node.task.await;
        self.renew();
    }

    /// The others think it dead, and so does its clock, but what it had begun goes on: that must be fenced.
    fn freeze(&mut self, index: usize) -> Node {
        let live = self.nodes.iter().map(|node| node.seats.me().to_owned()).collect();
        let node = self.nodes.swap_remove(index);
        node.seats.renew(live, Instant::now());
        self.renew();
        node
    }

    async fn everything_is_done(&self, count: usize, context: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.done.distinct() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let missing = || format!("{context}: {} of {count} were done", self.done.distinct());
        waited.await.unwrap_or_else(|_| panic!("{}", missing()));
    }

    async fn owners(&self, uuid: &str) -> BTreeMap<String, String> {
        let positions = Checkpoints::new(self.documents.clone()).positions(uuid).await.unwrap();
        positions.into_iter().map(|(shard, standing)| (shard, standing.owner)).collect()
    }
}

/// A renewal is seconds old when the next one comes; who came in between is alive for all that.
#[tokio::test]
async fn an_owner_that_is_not_known_yet_is_not_taken_for_dead() {
    let mut cluster = Cluster::new(&[("shard-0", None), ("shard-1", None)], false, 11);
    let mapping = mapping("m", STREAM_ARN);
    cluster.map(&mapping).await;
    cluster.start();
    cluster.stream.append("shard-0", 1, "INSERT", now_ms());
    cluster.stream.append("shard-1", 2, "INSERT", now_ms());
    cluster.everything_is_done(2, "before").await;
    cluster.launch();
    let stranger = &cluster.nodes[1].seats;
    stranger.renew(vec![stranger.me().to_owned()], Instant::now() + LONG);
    let asked = || cluster.living.asked.load(Ordering::Relaxed);
    let waited = tokio::time::timeout(PATIENCE, async {
        while asked() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it asks before it takes a shard, and again");
    let owners = cluster.owners(&mapping.uuid).await;
    assert!(owners.values().all(|owner| owner == "node-1"), "{owners:?}");
}

#[tokio::test]
async fn planned_moves_neither_repeat_nor_miss_anything() {
    let shards: Vec<_> = (0..8).map(|number| format!("shard-{number}")).collect();
    let named: Vec<_> = shards.iter().map(|shard| (shard.as_str(), None)).collect();
    let mut cluster = Cluster::new(&named, false, 7);
    let mut mapping = mapping("m", STREAM_ARN);
    mapping.knobs.batch_size = 3;
    cluster.map(&mapping).await;
    cluster.start();
    let mut written = 0;
    for round in 0..6 {
        match round {
            1 | 2 | 4 => cluster.start(),
            3 | 5 => cluster.leave(0).await,
            _ => {}
        }
        for number in 0..20 {
            for (index, shard) in shards.iter().enumerate() {
                cluster.stream.append(shard, (index * 100 + number % 5) as u64, "MODIFY", now_ms());
                written += 1;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    cluster.everything_is_done(written, "planned").await;
    cluster.done.check_order("planned");
    assert_eq!(cluster.done.records.lock().unwrap().len(), written, "something was invoked twice");
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let owners = cluster.owners("m").await;
            let live: Vec<_> = cluster.nodes.iter().map(|node| node.seats.me()).collect();
            let right = cluster.nodes.iter().all(|node| {
                let mine = node.seats.mine("m", shards.iter().map(String::as_str));
                mine.iter().all(|shard| owners.get(*shard).map(String::as_str) == Some(node.seats.me()))
            });
            if right {
                assert!(live.len() == 2, "{live:?}");
                return owners;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("shards settle where they belong");
}

#[tokio::test]
async fn a_frozen_nodes_late_checkpoint_is_refused() {
    let mut cluster = Cluster::new(&[("s", None)], false, 3);
    cluster.map(&mapping("m", STREAM_ARN)).await;
    cluster.start();
    cluster.stream.append("s", 1, "INSERT", now_ms());
    cluster.everything_is_done(1, "frozen").await;
    let documents = cluster.documents.clone();
    let name = cluster.nodes[0].seats.me().to_owned();
    let frozen = cluster.freeze(0);
    cluster.start();
    let taken = tokio::time::timeout(PATIENCE, async {
        while cluster.owners("m").await.get("s").is_none_or(|owner| *owner == name) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    taken.await.expect("the shard moves");
    for _ in 0..10 {
        cluster.stream.append("s", 1, "MODIFY", now_ms());
    }
    cluster.everything_is_done(11, "frozen").await;
    cluster.done.check_order("frozen");
    // The old one has noticed, or will at its next save; what stands is never its.
    let rows = documents.list("mapping-checkpoints").await.unwrap();
    let row: Value = serde_json::from_slice(&rows[0].1.body).unwrap();
    assert_eq!(row["owner"], cluster.nodes[0].seats.me());
    frozen.task.abort();
}

/// What it has read meanwhile it may not begin: the renewal comes before it notices what was saved.
#[tokio::test]
async fn a_node_that_has_its_lease_again_begins_nothing_that_was_taken_from_it() {
    let mut cluster = Cluster::new(&[("s", None)], false, 5);
    cluster.map(&mapping("m", STREAM_ARN)).await;
    cluster.start();
    cluster.stream.append("s", 1, "INSERT", now_ms());
    cluster.everything_is_done(1, "before").await;
    let read = Checkpoints::new(cluster.documents.clone());
    let read = || async { read.positions("m").await.unwrap()["s"].position.sequence };
    let (before, frozen) = (read().await, cluster.freeze(0));
    for _ in 0..10 {
        cluster.stream.append("s", 1, "MODIFY", now_ms());
    }
    let waited = tokio::time::timeout(PATIENCE, async {
        while read().await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it reads what it may not begin");
    cluster.start();
    cluster.everything_is_done(11, "while it is frozen").await;
    // The shard would be its own by the list, too.
    frozen.seats.renew(vec![frozen.seats.me().to_owned()], Instant::now() + LONG);
    for written in 12..=40 {
        cluster.stream.append("s", 1, "MODIFY", now_ms());
        cluster.everything_is_done(written, "after").await;
    }
    frozen.stop.cancel();
    frozen.task.await.unwrap();
    assert_eq!(cluster.done.records.lock().unwrap().len(), 40, "something was invoked twice");
}

/// A few seeds here, more with TRADEWIND_FUNCTION_SEEDS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_and_order_holds_whatever_happens() {
    let seeds =
        std::env::var("TRADEWIND_FUNCTION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6);
    for seed in 1..=seeds {
        one_history(seed * 0x9E37_79B9).await;
    }
}

async fn one_history(seed: u64) {
    let context = format!("seed {seed}");
    let mut cluster = Cluster::new(&[("a", None), ("b", None), ("c", Some("b"))], true, seed);
    let mut mapping = mapping("m", STREAM_ARN);
    mapping.knobs.parallelization_factor = 1 + u32::try_from(cluster.dice.roll(4)).unwrap();
    mapping.knobs.batch_size = 1 + u32::try_from(cluster.dice.roll(6)).unwrap();
    mapping.knobs.bisect_on_error = cluster.dice.roll(2) == 0;
    cluster.map(&mapping).await;
    cluster.start();
    cluster.start();
    let mut frozen = Vec::new();
    let (mut written, mut closed) = (0, false);
    for _ in 0..40 {
        for _ in 0..3 {
            let key = cluster.dice.roll(6);
            let shard = match (key < 3, closed) {
                (true, _) => "a",
                (false, false) => "b",
                (false, true) => "c",
            };
            cluster.stream.append(shard, key, "MODIFY", now_ms());
            written += 1;
        }
        let index = usize::try_from(cluster.dice.roll(cluster.nodes.len() as u64)).unwrap();
        match cluster.dice.roll(16) {
            0 if cluster.nodes.len() < 4 => cluster.start(),
            1 if cluster.nodes.len() > 1 => cluster.leave(index).await,
            2 if cluster.nodes.len() > 1 => cluster.crash(index).await,
            3 if cluster.nodes.len() > 1 => {
                let node = cluster.freeze(index);
                frozen.push(node);
            }
            4 if !closed => {
                cluster.stream.close("b");
                closed = true;
            }
            _ => tokio::time::sleep(Duration::from_millis(cluster.dice.roll(20))).await,
        }
    }
    assert_eq!(cluster.stream.count(), written);
    cluster.everything_is_done(written, &context).await;
    cluster.done.check_order(&context);
    for node in frozen {
        node.task.abort();
    }
    while !cluster.nodes.is_empty() {
        cluster.leave(0).await;
    }
}
