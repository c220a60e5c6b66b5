//! A restored region whose links several replicators run: what one of them finds stops all, and a repair may die, hang and be
//! begun again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tradewind_database::partition::arrival::Arrival;
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::Pushed;
use tradewind_database::table::log::LogState;
use tradewind_model::Region;
use tradewind_replication::{Chaos, LinkState, LocalPeer, Peer, PeerError, Replicator, Trouble};

use super::ALL;
use super::cluster::{Cluster, Store, TABLE, region};
use super::repair::Backup;

/// Of four partitions to two regions.
const LINKS: usize = 8;

/// How the links of the first region stand, whichever replicator has them.
fn states(cluster: &Cluster) -> Vec<LinkState> {
    let second = cluster.second.as_ref().map(|second| second.status()).unwrap_or_default();
    let all = cluster.replicators[0].status().into_iter().chain(second);
    all.map(|link| link.state).collect()
}

async fn until_all_stand_still(cluster: &Cluster) {
    let stopped = |states: Vec<LinkState>| {
        states.len() == LINKS && states.iter().all(|state| *state == LinkState::Diverged)
    };
    cluster.until("every link of the region stands still", async || stopped(states(cluster))).await;
}

/// Writes into every partition of the first region.
async fn write_everywhere(cluster: &Cluster, name: &str) {
    for at in 0..32 {
        cluster.put(0, &format!("{name}{at}"), name).await;
    }
}

async fn nothing_came_of(cluster: &Cluster, name: &str) {
    // What comes the other way shows that the regions reach each other, and takes as long.
    for at in [1, 2] {
        let back = format!("back of {name}{at}");
        cluster.put(at, &back, "still taken").await;
        cluster.until("it is taken", async || cluster.get(0, &back).await.is_some()).await;
        for nth in 0..32 {
            assert_eq!(cluster.get(at, &format!("{name}{nth}")).await, None, "in region {at}");
        }
    }
}

/// A's database goes back to before its last write, which one other region has: of its eight links a single one can find that
/// out.
fn go_back_by_one_write(dir: &Path) {
    let cluster = Cluster::open(dir);
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        cluster.put(0, "old", "before the backup").await;
        cluster.until_equal(&ALL).await;
    });
    drop(cluster);
    let backup = Backup::of(dir);
    let cluster = Cluster::open(dir);
    cluster.block_on(async {
        cluster.cut_way(0, 2, true);
        cluster.put(0, "lost", "after the backup").await;
        cluster.until("it is there", async || cluster.get(1, "lost").await.is_some()).await;
    });
    drop(cluster);
    backup.restore(dir);
}

#[test]
fn what_one_replicator_finds_stops_the_links_of_all_until_a_repair() {
    let dir = tempfile::tempdir().unwrap();
    go_back_by_one_write(dir.path());
    let cluster = Cluster::with_two_replicators(dir.path(), Chaos::default());
    cluster.block_on(async {
        until_all_stand_still(&cluster).await;
        write_everywhere(&cluster, "between").await;
        nothing_came_of(&cluster, "between").await;
    });
    drop(cluster);
    // The one region that knows better is away, and the region starts again: it remembers.
    let chaos = Chaos::default();
    chaos.set(region(0), region(1), Trouble { cut: true, ..Trouble::default() });
    let cluster = Cluster::with_two_replicators(dir.path(), chaos);
    cluster.block_on(async {
        until_all_stand_still(&cluster).await;
        write_everywhere(&cluster, "later").await;
        nothing_came_of(&cluster, "later").await;
        let unreached = cluster.replicators[0].repair(TABLE, false).await.unwrap_err().to_string();
        assert!(unreached.contains("cut"), "{unreached}");
        until_all_stand_still(&cluster).await;
        cluster.cut_way(0, 1, false);
        // Any of them may be asked.
        cluster.second.as_ref().unwrap().repair(TABLE, false).await.unwrap();
        let go_on = |states: Vec<LinkState>| {
            states.iter().all(|state| matches!(state, LinkState::Running | LinkState::Idle))
        };
        cluster.until("every link goes on", async || go_on(states(&cluster))).await;
        write_everywhere(&cluster, "after").await;
        cluster.until_equal(&ALL).await;
        for at in ALL {
            for id in ["between0", "later0", "after0", "lost"] {
                assert!(cluster.get(at, id).await.is_some(), "{id} in region {at}");
            }
        }
    });
}

/// The catalogue is restored with the database, and its log may look right. That others remember a repair of which it knows
/// nothing gives it away.
#[test]
fn a_region_that_has_forgotten_a_repair_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_two_replicators(dir.path(), Chaos::default());
    cluster.block_on(async {
        cluster.global_table(&ALL).await;
        let pins = cluster.databases[0].pins(TABLE).await.unwrap();
        let remembered = pins.into_iter().map(|pin| pin.under(5)).collect();
        assert_eq!(cluster.databases[1].fence_links(TABLE, remembered).await.unwrap(), 5);
        write_everywhere(&cluster, "between").await;
        until_all_stand_still(&cluster).await;
        assert_eq!(cluster.get(1, "between0").await, None);
        cluster.replicators[0].repair(TABLE, false).await.unwrap();
        write_everywhere(&cluster, "after").await;
        cluster.until_equal(&ALL).await;
        assert!(cluster.get(1, "between0").await.is_some());
    });
}

/// Another region that is reached only so many times more: as if who asks had died.
struct Mortal {
    peer: LocalPeer<Store>,
    left: Arc<AtomicUsize>,
}

impl Peer for Mortal {
    fn region(&self) -> Region {
        self.peer.region()
    }

    async fn push(&self, table: &str, arrival: Arrival) -> Result<Pushed, PeerError> {
        self.peer.push(table, arrival).await
    }

    async fn ask(&self, table: &str, question: Question) -> Result<Reply, PeerError> {
        let lives = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match lives {
            Ok(_) => self.peer.ask(table, question).await,
            Err(_) => Err(PeerError::Unreachable { region: self.region(), cause: "dead".to_owned() }),
        }
    }
}

/// A replicator that is asked to repair and nothing else, with peers of another kind.
fn repairer<P: Peer>(cluster: &Cluster, peer: impl Fn(LocalPeer<Store>) -> P) -> Arc<Replicator<Store, P>> {
    let replicator = Replicator::new(cluster.databases[0].clone());
    for at in [1, 2] {
        replicator.add_peer(peer(LocalPeer::new(region(0), cluster.databases[at].clone(), Chaos::default())));
    }
    Arc::new(replicator)
}

#[test]
fn a_repair_that_died_anywhere_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    go_back_by_one_write(dir.path());
    let cluster = Cluster::with_two_replicators(dir.path(), Chaos::default());
    cluster.block_on(async {
        until_all_stand_still(&cluster).await;
        let mut deaths = 0;
        loop {
            let left = Arc::new(AtomicUsize::new(deaths));
            let mortal = repairer(&cluster, |peer| Mortal { peer, left: left.clone() });
            if mortal.repair(TABLE, false).await.is_ok() {
                break;
            }
            let log = cluster.databases[0].table(TABLE).unwrap().document().global.log;
            assert_ne!(log.state, LogState::Sound, "after {deaths} questions");
            until_all_stand_still(&cluster).await;
            for at in ALL {
                cluster.put(at, &format!("between{at}"), &format!("after {deaths} deaths")).await;
            }
            deaths += 1;
        }
        assert!(deaths >= 10, "every other region is asked more than {deaths} things");
        cluster.until_equal(&ALL).await;
        write_everywhere(&cluster, "after").await;
        cluster.until_equal(&ALL).await;
        assert_eq!(cluster.get(0, "lost").await.as_deref(), Some("after the backup"));
        assert_eq!(cluster.get(2, "lost").await.as_deref(), Some("after the backup"));
    });
}

/// Another region whose first rows are on their way until they are let go; then it is reached no more.
struct Slow {
    peer: LocalPeer<Store>,
    pace: Arc<Pace>,
}

#[derive(Default)]
struct Pace {
    reached: Notify,
    goes_on: Notify,
    went_on: AtomicBool,
}

impl Peer for Slow {
    fn region(&self) -> Region {
        self.peer.region()
    }

    async fn push(&self, table: &str, arrival: Arrival) -> Result<Pushed, PeerError> {
        self.peer.push(table, arrival).await
    }

    async fn ask(&self, table: &str, question: Question) -> Result<Reply, PeerError> {
        if self.pace.went_on.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let rows = matches!(question, Question::Snapshot { .. });
        let answer = self.peer.ask(table, question).await;
        if rows && self.region() == region(1) {
            self.pace.reached.notify_one();
            self.pace.goes_on.notified().await;
            self.pace.went_on.store(true, Ordering::SeqCst);
        }
        answer
    }
}

/// The first repair hangs with rows in its hands; a second one does it all; an item that they show is deleted, and everybody
/// forgets that it was. Were the rows of the first still taken, it would be back.
#[test]
fn a_repair_that_was_overtaken_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    go_back_by_one_write(dir.path());
    let cluster = Cluster::with_two_replicators(dir.path(), Chaos::default());
    cluster.block_on(async {
        until_all_stand_still(&cluster).await;
        let pace = Arc::<Pace>::default();
        let slow = repairer(&cluster, |peer| Slow { peer, pace: pace.clone() });
        let first = tokio::spawn(async move { slow.repair(TABLE, false).await });
        pace.reached.notified().await;
        cluster.replicators[0].repair(TABLE, false).await.unwrap();
        cluster.until_equal(&ALL).await;
        cluster.delete(1, "lost").await;
        cluster.until_equal(&ALL).await;
        cluster.until_no_tombstones(&ALL).await;
        pace.goes_on.notify_one();
        let first = tokio::time::timeout(Duration::from_secs(30), first).await;
        let overtaken = first.expect("it takes nothing more").unwrap().unwrap_err().to_string();
        assert!(overtaken.contains("another repair"), "{overtaken}");
        write_everywhere(&cluster, "after").await;
        cluster.until_equal(&ALL).await;
        for at in ALL {
            assert_eq!(cluster.get(at, "lost").await, None, "in region {at}");
        }
    });
}
