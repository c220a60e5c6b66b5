//! The engine's log keeps the contract, on the engine for disks and on the one for simulations, and as another process sees it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tradewind_changelog::suite::{Subject, run_all};
use tradewind_changelog::{ChangeLog, Embedded, Polled, Tail};
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_engine::suite::ManualClock;
use tradewind_engine::{Engine, Opened, PartitionCommit};
use tradewind_model::{Change, PartitionId, Sequence};

const DAY_MS: u64 = 24 * 3600 * 1000;
const START_MS: u64 = 1_700_000_000_000;

struct Written<E, L> {
    engine: Arc<E>,
    tail: Tail,
    log: L,
    clock: ManualClock,
    now_ms: u64,
    opened: HashMap<PartitionId, Opened>,
}

impl<E: Engine> Written<E, Embedded<E>> {
    fn new(engine: E, clock: ManualClock) -> Self {
        Written::read_by(engine, clock, Embedded::new)
    }
}

impl<E: Engine, L: ChangeLog> Written<E, L> {
    fn read_by(engine: E, clock: ManualClock, log: impl Fn(Arc<E>, Tail) -> L) -> Self {
        let (engine, tail) = (Arc::new(engine), Tail::default());
        let log = log(engine.clone(), tail.clone());
        Written { engine, tail, log, clock, now_ms: START_MS, opened: HashMap::new() }
    }
}

impl<E: Engine, L: ChangeLog> Subject for Written<E, L> {
    type Log = L;

    fn log(&self) -> &L {
        &self.log
    }

    async fn append(&mut self, partition: PartitionId, changes: Vec<Option<Change>>) {
        let known = self.opened.get(&partition).copied();
        let mut opened = match known {
            Some(opened) => opened,
            None => self.engine.open(partition).await.expect("it opens"),
        };
        let next = Sequence(opened.next.0 + changes.len() as u64);
        let numbered = (opened.next.0..).map(Sequence).zip(changes);
        let encoded = |change: Change| Bytes::from(change.encode());
        let changes =
            numbered.filter_map(|(at, change)| change.map(|change| (at, encoded(change)))).collect();
        let commit = PartitionCommit {
            partition,
            epoch: opened.epoch,
            first: opened.next,
            next,
            max_hlc: opened.max_hlc,
            rows: Vec::new(),
            changes,
        };
        self.engine.commit(vec![commit]).await.expect("it commits");
        self.tail.advance(partition, next);
        opened.next = next;
        self.opened.insert(partition, opened);
    }

    async fn trim(&mut self) {
        self.now_ms += 2 * DAY_MS;
        self.clock.set(self.now_ms);
        self.engine.trim(self.now_ms - DAY_MS).await.expect("it trims");
    }
}

fn clock() -> ManualClock {
    let clock = ManualClock::default();
    clock.set(START_MS);
    clock
}

#[tokio::test]
async fn the_memory_engines_log_keeps_the_contract() {
    run_all(async || {
        let clock = clock();
        Written::new(MemoryEngine::open(&MemoryDisk::default(), clock.clock()), clock)
    })
    .await;
}

#[tokio::test]
async fn the_disks_log_keeps_the_contract() {
    run_all(async || {
        let clock = clock();
        Written::new(FjallEngine::open(&Settings::in_memory(), clock.clock()).unwrap(), clock)
    })
    .await;
}

#[tokio::test]
async fn a_log_that_another_process_writes_keeps_the_contract() {
    run_all(async || {
        let clock = clock();
        let engine = MemoryEngine::open(&MemoryDisk::default(), clock.clock());
        Written::read_by(engine, clock, |engine, _| Polled::new(engine))
    })
    .await;
}
