//! Regions that are away too long, and those that come back.

use std::time::Duration;

use tradewind_database::merge::Kind;

use super::ALL;
use super::cluster::{Cluster, TABLE, region, value_of};

impl Cluster {
    /// Whether both regions that stay have evicted the third.
    fn has_evicted(&self, stay: &[usize], gone: usize) -> bool {
        stay.iter().all(|at| !self.replicas(*at).contains_key(&region(gone)))
    }

    async fn evict(&self, by: usize, gone: usize) -> Result<(), String> {
        self.replicators[by].evict(TABLE, region(gone)).await.map_err(|error| error.to_string())
    }

    async fn evicted(&self, region: usize) -> Vec<String> {
        let conflicts = self.conflicts(region).await;
        let evicted = conflicts.iter().filter(|conflict| conflict.kind == Kind::Evicted);
        evicted.filter_map(|conflict| conflict.loser.item.as_ref().map(value_of)).collect()
    }
}

/// C puts k; it reaches A and not B, and C is lost. Without levelling A would have k for ever, and B never.
#[test]
fn eviction_levels_survivors() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(2, "old", "known to all").await;
        cluster.put(1, "overwritten", "by the lost region").await;
        cluster.until_equal(&ALL).await;
        cluster.cut_way(2, 1, true);
        cluster.put(2, "k", "reached one").await;
        cluster.put(2, "overwritten", "later").await;
        cluster.delete(2, "old").await;
        cluster
            .until("the first has it", async || {
                cluster.get(0, "k").await.is_some() && cluster.get(0, "old").await.is_none()
            })
            .await;
        cluster.cut_off(2, true);
        assert_eq!(cluster.get(1, "k").await, None);
        cluster.evict(0, 2).await.unwrap();
        cluster.until("it is evicted", async || cluster.has_evicted(&[0, 1], 2)).await;
        assert_eq!(cluster.get(1, "k").await.as_deref(), Some("reached one"));
        cluster.until_equal(&[0, 1]).await;
        assert_eq!(cluster.get(1, "old").await, None, "deletes are levelled like puts");
        // Stable waits for the lost region no longer.
        cluster.delete(0, "k").await;
        cluster.until_no_tombstones(&[0, 1]).await;
    });
}

/// What only the lost region wrote: into no table, and into the conflict log, from where it can be restored. Merged into the
/// survivors it would be inserted in one and refused in the other.
#[test]
fn leftovers_are_not_merged_twice() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "shared", "before").await;
        cluster.put(2, "own", "seen by all").await;
        cluster.until_equal(&ALL).await;
        cluster.cut_off(2, true);
        cluster.put(2, "alone", "only here").await;
        cluster.put(2, "shared", "also only here").await;
        cluster.evict(1, 2).await.unwrap();
        cluster.until("it is evicted", async || cluster.has_evicted(&[0, 1], 2)).await;
        cluster.put(0, "shared", "after").await;
        cluster.put(1, "new", "without it").await;
        cluster.cut_off(2, false);
        cluster
            .until("it is a replica again", async || {
                ALL.iter().all(|at| cluster.replicas(*at).len() == 3)
                    && cluster.get_if_served(2, "new").await.is_some()
            })
            .await;
        cluster.until_equal(&ALL).await;
        cluster.until("what was left is kept", async || cluster.evicted(2).await.len() == 2).await;
        let mut evicted = cluster.evicted(2).await;
        evicted.sort();
        assert_eq!(evicted, ["also only here", "only here"]);
        for at in ALL {
            assert_eq!(cluster.get(at, "alone").await, None);
            assert_eq!(cluster.get(at, "shared").await.as_deref(), Some("after"));
            assert_eq!(cluster.get(at, "own").await.as_deref(), Some("seen by all"), "that was no leftover");
        }
        let listed = cluster.databases[2].conflicts(TABLE, &Default::default(), 100).await.unwrap().conflicts;
        let lost = listed.iter().find(|(_, conflict)| {
            conflict.kind == Kind::Evicted
                && conflict.loser.item.as_ref().map(value_of).as_deref() == Some("only here")
        });
        cluster.databases[2].restore_conflict(TABLE, &lost.unwrap().0).await.unwrap();
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(0, "alone").await.as_deref(), Some("only here"));
    });
}

/// A region that sees nobody evicts nobody; nor does anybody evict one that is there.
#[test]
fn only_a_majority_that_sees_itself_evicts() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        let refused = cluster.evict(0, 2).await.unwrap_err();
        assert!(refused.contains("answers"), "{refused}");
        cluster.cut_off(0, true);
        let refused = cluster.evict(0, 2).await.unwrap_err();
        assert!(refused.contains("cannot be reached"), "{refused}");
        assert_eq!(cluster.replicas(0).len(), 3);
        cluster.cut_off(0, false);
        cluster.put(0, "a", "goes on").await;
        cluster.until_equal(&ALL).await;
    });
}

/// Nobody hears of a region for long: the two others evict it by themselves, and it comes back by itself.
#[test]
fn a_region_away_too_long_is_evicted_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_eviction(dir.path(), Duration::from_secs(15));
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "a", "1").await;
        cluster.until_equal(&ALL).await;
        cluster.cut_off(2, true);
        cluster.until("it is evicted", async || cluster.has_evicted(&[0, 1], 2)).await;
        cluster.delete(0, "a").await;
        cluster.until_no_tombstones(&[0, 1]).await;
        cluster.cut_off(2, false);
        cluster
            .until("it is a replica again", async || {
                ALL.iter().all(|at| cluster.replicas(*at).len() == 3)
                    && cluster.replicas(0) == cluster.replicas(2)
            })
            .await;
        cluster.until_equal(&ALL).await;
        assert!(cluster.items(2).await.is_empty(), "what was deleted meanwhile is not brought back");
    });
}

/// Of two replicas neither is a majority: time evicts none, an operator may.
#[test]
fn of_two_replicas_only_an_operator_evicts_one() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_eviction(dir.path(), Duration::from_secs(1));
    cluster.block_on(async {
        cluster.global_table(&[0, 1]).await;
        cluster.put(0, "a", "1").await;
        cluster.until_equal(&[0, 1]).await;
        cluster.cut_off(1, true);
        cluster
            .until("it was away long enough", async || {
                cluster.databases[0].sight().get(&region(1)).is_some_and(|ms| *ms > 6_000)
            })
            .await;
        assert_eq!(cluster.replicas(0).len(), 2, "time evicts nobody here");
        cluster.put(1, "b", "only there").await;
        cluster.evict(0, 1).await.unwrap();
        cluster.until("it is evicted", async || cluster.replicas(0).is_empty()).await;
        cluster.put(0, "a", "2").await;
        cluster.cut_off(1, false);
        cluster.until("both are replicas again", async || cluster.replicas(1).len() == 2).await;
        cluster.until_equal(&[0, 1]).await;
        cluster.until("what was left is kept", async || cluster.evicted(1).await == ["only there"]).await;
        assert_eq!(cluster.get(1, "a").await.as_deref(), Some("2"));
    });
}
