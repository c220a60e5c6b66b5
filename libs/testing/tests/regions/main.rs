//! Three regions with real engines, links and joins: what users see of a global table.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cluster;
mod conflicts;
mod eviction;
mod large_join;
mod repair;
mod repair_by_several;
mod settings;
mod verify;

use std::time::Duration;

use cluster::{Cluster, region};
use tradewind_database::merge::Kind;
use tradewind_replication::{LinkState, Trouble};

const ALL: [usize; 3] = [0, 1, 2];

fn cut(cluster: &Cluster, cut: bool) {
    for from in ALL {
        for to in ALL {
            cluster.chaos.set(region(from), region(to), Trouble { cut, ..Trouble::default() });
        }
    }
}

#[test]
fn writes_in_any_region_appear_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "a", "from the first").await;
        cluster.put(1, "b", "from the second").await;
        cluster.put(2, "c", "from the third").await;
        cluster.until_equal(&ALL).await;
        for region in ALL {
            assert_eq!(cluster.items(region).await.len(), 3);
            assert!(cluster.conflicts(region).await.is_empty());
        }
        assert_eq!(cluster.get(2, "a").await.as_deref(), Some("from the first"));
    });
}

/// Two regions write the same item while they cannot see each other: the newer write is the item everywhere, and the older
/// one is in the conflict log, with both images.
#[test]
fn concurrent_writes_leave_a_conflict_record() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "a", "common").await;
        cluster.until_equal(&ALL).await;
        cut(&cluster, true);
        cluster.put(0, "a", "one side").await;
        cluster.put(1, "a", "the other").await;
        assert_eq!(cluster.get(0, "a").await.as_deref(), Some("one side"), "a region cut off goes on");
        cut(&cluster, false);
        cluster.until_equal(&ALL).await;
        // The loser may reach the winner's region last of all.
        cluster
            .until("both sides have met the other write", async || {
                !cluster.conflicts(0).await.is_empty() && !cluster.conflicts(1).await.is_empty()
            })
            .await;
        let winner = cluster.get(2, "a").await.unwrap();
        for region in [0, 1] {
            let conflicts = cluster.conflicts(region).await;
            let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
            let kept = conflict.winner.as_ref().and_then(|row| row.item.clone()).unwrap();
            let lost = conflict.loser.item.clone().unwrap();
            let text = |item: &tradewind_model::Item| item.get("v").unwrap().as_str().unwrap().to_owned();
            assert_eq!((conflict.kind, text(&kept)), (Kind::Conflict, winner.clone()));
            let other = if winner == "one side" { "the other" } else { "one side" };
            assert_eq!(text(&lost), other);
        }
    });
}

#[test]
fn deletes_stay_deleted_and_their_tombstones_go() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        for id in ["a", "b", "c", "d"] {
            cluster.put(0, id, "soon gone").await;
        }
        cluster.until_equal(&ALL).await;
        for (at, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            cluster.delete(at % 3, id).await;
        }
        cluster
            .until("nothing is left", async || {
                let mut left = 0;
                for region in ALL {
                    left += cluster.items(region).await.len();
                }
                left == 0
            })
            .await;
        cluster.until_no_tombstones(&ALL).await;
        cluster.put(1, "a", "again").await;
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(0, "a").await.as_deref(), Some("again"));
        for region in ALL {
            assert!(
                cluster.conflicts(region).await.is_empty(),
                "a put that knows of the delete is no conflict"
            );
        }
    });
}

/// The joiner has every item of a table that two regions go on writing and deleting in meanwhile.
#[test]
fn seeding_under_write_load() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&[0, 1]).await;
        for at in 0..600 {
            cluster.put(at % 2, &format!("old{at}"), "before").await;
        }
        let write = async |region: usize| {
            for at in 0..300 {
                cluster.put(region, &format!("new{region}-{at}"), "meanwhile").await;
                cluster.delete(region, &format!("old{}", 2 * at + region)).await;
            }
        };
        tokio::join!(cluster.add_replica(0, 2), write(0), write(1));
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.items(2).await.len(), 600, "every old item is deleted, every new one there");
        cluster.put(2, "from the joiner", "it writes as well").await;
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(0, "from the joiner").await.as_deref(), Some("it writes as well"));
    });
}

/// One region put k, another deleted it, and no tombstone is left of it when a third joins. Whatever of the logs the joiner
/// reads, the put must not come alone; slow links from the region that deleted make room for it.
#[test]
fn a_joiner_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&[0, 1]).await;
        for at in 0..8 {
            cluster.put(0, &format!("k{at}"), "gone").await;
        }
        cluster.until_equal(&[0, 1]).await;
        for at in 0..8 {
            cluster.delete(1, &format!("k{at}")).await;
        }
        cluster.until_equal(&[0, 1]).await;
        cluster.until_no_tombstones(&[0, 1]).await;
        let slow = Trouble { delay: Duration::from_millis(300), ..Trouble::default() };
        cluster.chaos.set(region(1), region(2), slow);
        cluster.add_replica(0, 2).await;
        cluster.put(0, "last", "marks the end of the log").await;
        cluster.until("the joiner follows", async || cluster.get(2, "last").await.is_some()).await;
        assert_eq!(cluster.items(2).await.len(), 1);
        for region in ALL {
            let conflicts = cluster.conflicts(region).await;
            assert!(conflicts.is_empty(), "{conflicts:?}");
        }
    });
}

#[test]
fn a_dropped_replica_is_gone_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "a", "1").await;
        cluster.until_equal(&ALL).await;
        cluster.update_replica(0, "Delete", 2).await;
        cluster
            .until("the replica is gone everywhere", async || {
                cluster.databases[2].table(cluster::TABLE).is_none()
                    && [0, 1].iter().all(|at| !cluster.replicas(*at).contains_key(&region(2)))
            })
            .await;
        cluster.put(1, "b", "2").await;
        cluster.delete(0, "a").await;
        cluster.until_equal(&[0, 1]).await;
        cluster.until_no_tombstones(&[0, 1]).await;
        assert_eq!(cluster.items(0).await.len(), 1);
        cluster.add_replica(1, 2).await;
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(2, "b").await.as_deref(), Some("2"), "it may come back, seeded anew");
    });
}

/// Two lives of the process on one directory. What was under way when the first ended arrives in the second.
#[test]
fn a_restart_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "a", "seen by all").await;
        cluster.until_equal(&ALL).await;
        cut(&cluster, true);
        cluster.put(0, "b", "not sent yet").await;
        cluster.put(1, "a", "overwritten on one side").await;
        cluster.delete(2, "a").await;
    });
    drop(cluster);
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(2, "b").await.as_deref(), Some("not sent yet"));
        let mut lost = 0;
        for region in ALL {
            lost += cluster.conflicts(region).await.len();
        }
        assert!(lost > 0, "of a put and a delete that did not know each other one is in the log");
        cluster.put(1, "a", "in the second life").await;
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(0, "a").await.as_deref(), Some("in the second life"));
    });
}

/// An emulator once had one table, to which every region's calls were redirected.
#[test]
fn regions_hold_their_own_data() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cut(&cluster, true);
        for at in ALL {
            cluster.put(at, "a", &format!("of {at}")).await;
            cluster.put(at, &format!("only {at}"), "here").await;
        }
        for at in ALL {
            assert_eq!(cluster.get(at, "a").await, Some(format!("of {at}")));
            assert_eq!(cluster.items(at).await.len(), 2);
        }
        cut(&cluster, false);
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.items(0).await.len(), 4);
    });
}

/// A metric that says how far behind a link is must not read zero because the link stands still.
#[test]
fn stall_is_not_zero_lag() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&[0, 1]).await;
        cluster.put(0, "a", "1").await;
        cluster.until_equal(&[0, 1]).await;
        let links = || cluster.replicators[0].status().into_iter();
        cluster.until("all is confirmed", async || links().all(|status| status.pending == 0)).await;
        cut(&cluster, true);
        for at in 0..40 {
            cluster.put(0, &format!("k{at}"), "not sent").await;
        }
        cluster
            .until("every link says that it stands still, and how far behind", async || {
                let stalled =
                    links().all(|status| status.state == LinkState::Stalled && status.error.is_some());
                let pending: u64 = links().map(|status| status.pending).sum();
                stalled && pending >= 40 && links().any(|status| status.oldest_age_ms.is_some())
            })
            .await;
        cut(&cluster, false);
        cluster.until_equal(&[0, 1]).await;
        cluster
            .until("nothing is behind", async || {
                links().all(|status| status.pending == 0 && status.oldest_age_ms.is_none())
            })
            .await;
    });
}

/// What a store does with its files must never change a version: rows are what they were after restarts, and an older write
/// that comes only now does not beat a newer one.
#[test]
fn compaction_never_changes_version() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    let before = cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cut(&cluster, true);
        cluster.put(0, "a", "older").await;
        cluster.put(1, "a", "newer").await;
        cluster.put(1, "b", "deleted").await;
        cluster.delete(1, "b").await;
        cluster.rows(1).await
    });
    drop(cluster);
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.until_equal(&ALL).await;
        let after = cluster.rows(1).await;
        for (key, row) in before.iter().filter(|(_, row)| row.item.is_some()) {
            assert_eq!(after[key].version, row.version);
        }
        assert_eq!(cluster.get(1, "a").await.as_deref(), Some("newer"));
    });
}
