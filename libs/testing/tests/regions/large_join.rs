//! A replica joins a table of many items with an index, while it is written. A small number by default;
//! `TRADEWIND_JOIN_ITEMS=1000000` is what has to work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tradewind_database::table::document::ReplicaStatus;
use tradewind_engine::{Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_wire::Operation;

use super::ALL;
use super::cluster::{Cluster, TABLE, region};

const DEFAULT_ITEMS: usize = 5_000;
const BATCH: usize = 25;
/// Batches that are written at the same time.
const TOGETHER: usize = 16;
const PATIENT: Duration = Duration::from_secs(60);

fn item(at: usize, written: &str) -> Value {
    json!({
        "id": {"S": format!("item-{at:08}")},
        "group": {"S": format!("group-{}", at % 1_000)},
        "v": {"S": written},
        "filler": {"S": "x".repeat(100)},
    })
}

impl Cluster {
    async fn create_indexed_table(&self) {
        let body = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "group", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-group",
                "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }],
        });
        self.execute(0, Operation::CreateTable, body).await.expect("the table is new");
    }

    async fn fill(&self, items: usize) {
        let batch = |first: usize| async move {
            let puts = (first..(first + BATCH).min(items))
                .map(|at| json!({"PutRequest": {"Item": item(at, "filled")}}));
            let body = json!({"RequestItems": {TABLE: puts.collect::<Vec<_>>()}});
            self.execute(0, Operation::BatchWriteItem, body).await.expect("a batch is written");
        };
        let firsts: Vec<_> = (0..items).step_by(BATCH).collect();
        for together in firsts.chunks(TOGETHER) {
            futures_util::future::join_all(together.iter().map(|first| batch(*first))).await;
        }
    }

    /// Puts and deletes, of old items and new ones, until told to stop.
    async fn write_until(&self, here: usize, items: usize, stop: &AtomicBool) -> usize {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let at = (written * 7_919 + here) % (items + items / 10);
            let id = json!({"id": {"S": format!("item-{at:08}")}});
            let (operation, body) = match written % 4 {
                3 => (Operation::DeleteItem, json!({"TableName": TABLE, "Key": id})),
                _ => (
                    Operation::PutItem,
                    json!({"TableName": TABLE, "Item": item(at, &format!("{here} {written}"))}),
                ),
            };
            self.execute(here, operation, body).await.expect("a write is done");
            written += 1;
        }
        written
    }

    async fn join(&self, of: usize) {
        self.update_replica(0, "Create", of).await;
        let active = || self.replicas(0).get(&region(of)) == Some(&ReplicaStatus::Active);
        while !active() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn index_rows(&self, of: usize) -> usize {
        let table = self.databases[of].table(TABLE).expect("it has the table").document();
        let index = table.index("by-group").expect("it has the index").id;
        let (end, mut rows) = (after_prefix(index.as_bytes()), 0);
        let counted = self.databases[of].engine().range(
            Space::Index,
            &index.as_bytes()[..]..&end[..],
            false,
            |_, _| {
                rows += 1;
                true
            },
        );
        counted.await.expect("the index can be read");
        rows
    }
}

#[test]
fn a_large_table_with_an_index_is_joined_while_it_is_written() {
    let items =
        std::env::var("TRADEWIND_JOIN_ITEMS").map_or(DEFAULT_ITEMS, |items| items.parse().expect("a number"));
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.create_indexed_table().await;
        cluster.add_replica(0, 1).await;
        let begun = Instant::now();
        cluster.fill(items).await;
        eprintln!("{items} items were written in {:?}", begun.elapsed());
        let stop = AtomicBool::new(false);
        let join = async {
            let begun = Instant::now();
            cluster.join(2).await;
            let took = begun.elapsed();
            stop.store(true, Ordering::Relaxed);
            took
        };
        let load = |here| cluster.write_until(here, items, &stop);
        let (took, here, there) = tokio::join!(join, load(0), load(1));
        eprintln!("the join took {took:?}, with {} writes meanwhile", here + there);
        assert!(here > 0 && there > 0);
        let begun = Instant::now();
        let verified = cluster.verify(0, PATIENT).await;
        eprintln!("{} items were compared in {:?}", verified.items, begun.elapsed());
        assert!(verified.is_equal() && verified.behind.is_empty(), "{verified:?}");
        assert!(verified.items as usize > items / 2);
        for of in ALL {
            assert_eq!(cluster.index_rows(of).await as u64, verified.items, "the index of region {of}");
        }
    });
}
