//! What a group of writes costs to commit, from the batch to the answer: the embedded engine, with and without waiting for the
//! disk. Divided by the operations of a group, the latter is what the committer takes of a write's CPU time.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::{Engine, PartitionCommit, Row, Space};
use tradewind_model::{Incarnation, PartitionId, Sequence};

const ITEM_BYTES: usize = 300;
const ITEMS: u64 = 20_000;
const GROUPS: [u64; 3] = [1, 16, 256];

struct Partition {
    engine: FjallEngine,
    next: PartitionCommit,
    item: u64,
}

impl Partition {
    async fn open(settings: &Settings) -> Partition {
        let engine = FjallEngine::open(settings, Arc::new(|| 1_772_280_000_000)).expect("a new directory");
        let partition = PartitionId { incarnation: Incarnation(uuid::Uuid::nil()), number: 0 };
        let opened = engine.open(partition).await.expect("a partition");
        let next = PartitionCommit {
            partition,
            epoch: opened.epoch,
            first: opened.next,
            next: opened.next,
            max_hlc: 0,
            rows: Vec::new(),
            changes: Vec::new(),
        };
        Partition { engine, next, item: 0 }
    }

    /// Commits as many items, each one that is there already from the second time around.
    async fn commit(&mut self, count: u64) {
        let value = Bytes::from_static(&[7; ITEM_BYTES]);
        let rows = (0..count).map(|_| {
            self.item = (self.item + 7919) % ITEMS;
            let key = [&[0; 16][..], &self.item.to_be_bytes(), b"item"].concat();
            Row { space: Space::Items, key: key.into(), value: Some(value.clone()) }
        });
        let rows = rows.collect();
        let next = Sequence(self.next.first.0 + count);
        let commit = PartitionCommit { rows, next, max_hlc: next.0, ..self.next.clone() };
        self.engine.commit(vec![commit]).await.expect("a commit");
        self.next.first = next;
    }
}

fn commit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder on a disk");
    for (name, settings) in
        [("durable", Settings::new(folder.path().join("durable"))), ("in memory", Settings::in_memory())]
    {
        let mut partition = runtime.block_on(Partition::open(&settings));
        let mut group = criterion.benchmark_group(format!("commit, {name}"));
        for count in GROUPS {
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::from_parameter(count), |bench| {
                bench.iter(|| runtime.block_on(partition.commit(count)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, commit);
criterion_main!(benches);
