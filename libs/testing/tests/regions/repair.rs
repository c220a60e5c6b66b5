//! A region whose database is restored from a backup.

use std::path::Path;

use tradewind_database::merge::Kind;
use tradewind_replication::LinkState;

use super::ALL;
use super::cluster::{Cluster, NAMES, TABLE, region};

/// The first region's data as they were, while no process had them.
pub struct Backup(tempfile::TempDir);

impl Backup {
    pub fn of(dir: &Path) -> Backup {
        let backup = Backup(tempfile::tempdir().unwrap());
        copy(&dir.join(NAMES[0]), backup.0.path());
        backup
    }

    pub fn restore(&self, dir: &Path) {
        std::fs::remove_dir_all(dir.join(NAMES[0])).unwrap();
        copy(self.0.path(), &dir.join(NAMES[0]));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

fn is_diverged(cluster: &Cluster, from: usize, to: usize) -> bool {
    let links = cluster.replicators[from].status();
    links.iter().any(|link| link.to == region(to) && link.state == LinkState::Diverged)
}

/// A's database goes back to a backup. The others have what it lost; what was deleted since stays deleted; what only one of
/// them had got of A's lost log reaches the third too. Some time passes before the repair, as it does where people run it: then
/// what the others say they have seen of the lost log is stable to A, and its own lost writes looked deleted.
#[test]
fn a_restored_region_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        for at in 0..20 {
            cluster.put(at % 3, &format!("old{at}"), "before the backup").await;
        }
        cluster.until_equal(&ALL).await;
    });
    drop(cluster);
    let backup = Backup::of(dir.path());
    let cluster = Cluster::open(dir.path());
    let told = cluster.block_on(async {
        for at in 0..20 {
            cluster.put(0, &format!("new{at}"), "after the backup").await;
        }
        cluster.put(1, "old1", "changed since").await;
        cluster.delete(0, "old0").await;
        cluster.delete(1, "old2").await;
        cluster.until_equal(&ALL).await;
        cluster.until_no_tombstones(&ALL).await;
        let told = cluster.items(1).await.values().map(|(version, _)| version.hlc).max();
        cluster.cut_way(0, 2, true);
        cluster.put(0, "reached one", "of two").await;
        cluster.until("it has", async || cluster.get(1, "reached one").await.is_some()).await;
        told.expect("there are items")
    });
    drop(cluster);
    backup.restore(dir.path());
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster
            .until("the links have stopped", async || {
                is_diverged(&cluster, 0, 1) && is_diverged(&cluster, 0, 2)
            })
            .await;
        // While deletes wait for a region, watermarks are told, of every partition that has one.
        for at in 0..24 {
            cluster.put(1, &format!("passing{at}"), "to be deleted").await;
            cluster.delete(1, &format!("passing{at}")).await;
        }
        for other in [region(1), region(2)] {
            let has_told = async || cluster.databases[0].seen(TABLE, other).await.unwrap() >= told;
            cluster.until("the others have told what they have seen", has_told).await;
        }
        assert!(cluster.get(0, "old0").await.is_some(), "the backup has what was deleted since");
        cluster.put(0, "between", "restored and not repaired").await;
        let repaired = cluster.replicators[0].repair(TABLE, false).await.unwrap();
        assert!(repaired.received > 0 && repaired.sent > 0 && repaired.late > 0, "{repaired:?}");
        cluster.until_equal(&ALL).await;
        for at in ALL {
            assert_eq!(cluster.get(at, "old0").await, None, "what was deleted stays so, in region {at}");
            assert_eq!(cluster.get(at, "old2").await, None);
            assert_eq!(cluster.get(at, "old1").await.as_deref(), Some("changed since"));
            assert_eq!(cluster.get(at, "new7").await.as_deref(), Some("after the backup"));
            assert_eq!(cluster.get(at, "reached one").await.as_deref(), Some("of two"));
            assert_eq!(cluster.get(at, "between").await.as_deref(), Some("restored and not repaired"));
        }
        // Of the two the other one's delete came by its link; this one only the lost log of A had.
        let conflicts = cluster.conflicts(0).await;
        let late: Vec<_> = conflicts.iter().filter(|conflict| conflict.kind == Kind::Late).collect();
        let [late] = &late[..] else { panic!("{late:?}") };
        assert_eq!(late.key.partition_key(), b"old0", "and is kept");
        cluster.put(0, "again", "links go on").await;
        cluster.put(2, "back", "both ways").await;
        cluster.until_equal(&ALL).await;
        cluster.delete(0, "again").await;
        cluster.until_no_tombstones(&ALL).await;
        let refused = cluster.replicators[0].repair(TABLE, false).await.unwrap_err().to_string();
        assert!(refused.contains("nothing to repair"), "{refused}");
    });
}
