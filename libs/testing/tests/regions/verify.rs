//! Comparing regions: equal while they are written, different where they are, whatever links suffer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tradewind_database::partition::arrival::SnapshotRow;
use tradewind_model::{Hlc, Item, ItemKey, Region, StoredItem, Vector, Version};
use tradewind_replication::verify::{Verified, Why, Wish};
use tradewind_replication::{Chaos, LocalPeer};
use tradewind_wire::Operation;

use super::ALL;
use super::cluster::{Cluster, TABLE, region};

impl Cluster {
    /// Compares the regions as an operator would who goes there, beside the links.
    pub async fn verify(&self, here: usize, wait: Duration) -> Verified {
        let peer = |there: usize| {
            Arc::new(LocalPeer::new(region(here), self.databases[there].clone(), Chaos::default()))
        };
        let peers = ALL.into_iter().filter(|there| *there != here).map(peer).collect();
        let wish = Wish { table: TABLE.to_owned(), wait, limit: 10 };
        let verified = self.replicators[here].verify(&wish, Some(peers), |_| ()).await;
        verified.expect("the regions can be asked")
    }

    /// Puts a row into one region below everything that would tell the others: born elsewhere, it travels no further.
    async fn plant(&self, of: usize, key: &ItemKey, value: &str) {
        let item = Item::build(|out| {
            out.name("id");
            out.string(std::str::from_utf8(key.partition_key()).expect("a string"));
            out.name("v");
            out.string(value);
        });
        let version = Version { hlc: Hlc::from_ms(1_000), origin: Region::new("elsewhere").unwrap() };
        let row =
            StoredItem { version, vector: Vector::default(), stable: None, expired: false, item: Some(item) };
        let rows = vec![SnapshotRow { key: key.clone(), row }];
        self.databases[of].seed(TABLE, rows).await.expect("a row can be planted");
    }
}

const PATIENT: Duration = Duration::from_secs(30);

fn keys(verified: &Verified) -> BTreeSet<String> {
    let name = |key: &ItemKey| String::from_utf8(key.partition_key().to_vec()).expect("a string");
    verified.differences.iter().map(|difference| name(&difference.key)).collect()
}

#[test]
fn regions_are_equal_while_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        for at in 0..2_000 {
            cluster.put(at % 3, &format!("k{at}"), "first").await;
        }
        let stop = AtomicBool::new(false);
        let writer = async |here: usize| {
            let mut written = 0usize;
            while !stop.load(Ordering::Relaxed) {
                // A few keys all the time, from everywhere, deleted too; and others now and then.
                let id = if written.is_multiple_of(2) {
                    format!("k{}", written % 6)
                } else {
                    format!("k{written}")
                };
                match written % 5 {
                    4 => cluster.delete(here, &id).await,
                    _ => cluster.put(here, &id, &format!("{here} {written}")).await,
                }
                written += 1;
            }
            written
        };
        let look = async {
            for here in [0, 1, 2, 0, 1] {
                let verified = cluster.verify(here, PATIENT).await;
                assert!(verified.is_equal(), "{verified:?}");
                assert_eq!(verified.regions.len(), 3);
                assert!(verified.items > 1_000 && verified.behind.is_empty(), "{verified:?}");
            }
            stop.store(true, Ordering::Relaxed);
        };
        let ((), a, b, c) = tokio::join!(look, writer(0), writer(1), writer(2));
        assert!(a + b + c > 100, "there was a load: {a} {b} {c}");
        cluster.until_equal(&ALL).await;
        let verified = cluster.verify(0, PATIENT).await;
        assert!(verified.is_equal(), "{verified:?}");
        assert_eq!(verified.items, cluster.items(1).await.len() as u64);
    });
}

#[test]
fn a_planted_difference_is_found_among_many_equal_items() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        for at in 0..3_000 {
            cluster.put(0, &format!("k{at}"), "same").await;
        }
        cluster.until_equal(&ALL).await;
        let planted = |name: &str| ItemKey::new(name.as_bytes(), b"");
        cluster.plant(1, &planted("only there"), "x").await;
        for of in ALL {
            // Of one version, and not the same.
            cluster.plant(of, &planted("two values"), if of == 2 { "b" } else { "a" }).await;
        }
        let verified = cluster.verify(0, PATIENT).await;
        assert!(!verified.is_equal());
        assert_eq!(keys(&verified), BTreeSet::from(["only there".to_owned(), "two values".to_owned()]));
        assert!(
            verified.differences.iter().all(|difference| difference.why == Why::Diverged),
            "{verified:?}"
        );
        let alone = verified.differences.iter().find(|each| each.key == planted("only there")).unwrap();
        let has: Vec<_> = alone.standings.iter().filter(|(_, standing)| standing.is_some()).collect();
        assert_eq!(has.len(), 1);
        assert_eq!(*has[0].0, region(1));
        cluster.put(0, "only there", "mended").await;
        cluster.put(0, "two values", "mended").await;
        assert!(cluster.verify(2, PATIENT).await.is_equal());
    });
}

#[test]
fn what_a_cut_link_keeps_back_is_told_as_behind() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        for at in 0..100 {
            cluster.put(0, &format!("k{at}"), "before").await;
        }
        cluster.until_equal(&ALL).await;
        cluster.cut_off(2, true);
        cluster.put(0, "k7", "not there").await;
        cluster.put(2, "kept back", "x").await;
        cluster.delete(0, "k8").await;
        let verified = cluster.verify(0, Duration::from_millis(500)).await;
        let wanted = ["k7", "k8", "kept back"].map(str::to_owned);
        assert_eq!(keys(&verified), BTreeSet::from(wanted));
        assert!(verified.differences.iter().all(|difference| difference.why == Why::Behind), "{verified:?}");
        assert!(verified.behind.contains(&(region(2), region(0))), "{verified:?}");
        assert!(!verified.behind.contains(&(region(1), region(0))), "{verified:?}");
        cluster.cut_off(2, false);
        assert!(cluster.verify(0, PATIENT).await.is_equal());
    });
}

/// Ranges with more items than are listed at once are cut again; one partition key cannot be.
#[test]
fn one_large_collection_is_compared_too() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        let body = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
        });
        cluster.execute(0, Operation::CreateTable, body).await.expect("the table is new");
        cluster.add_replica(0, 1).await;
        for batch in 0..200 {
            let put = |at: usize| {
                json!({"PutRequest": {"Item": {
                    "id": {"S": "one"}, "at": {"S": format!("{:05}", batch * 25 + at)}, "v": {"S": "x"},
                }}})
            };
            let body = json!({"RequestItems": {TABLE: (0..25).map(put).collect::<Vec<_>>()}});
            cluster.execute(0, Operation::BatchWriteItem, body).await.expect("a batch is written");
        }
        cluster.until_equal(&[0, 1]).await;
        let verified = cluster.verify(1, PATIENT).await;
        assert!(verified.is_equal() && verified.items == 5_000, "{verified:?}");
        cluster.plant(1, &ItemKey::new(b"one", b"04711x"), "planted").await;
        let verified = cluster.verify(0, PATIENT).await;
        assert_eq!(verified.differences.len(), 1, "{verified:?}");
        assert_eq!(verified.differences[0].key.sort_key(), b"04711x");
    });
}
