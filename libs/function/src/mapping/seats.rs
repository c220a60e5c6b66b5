//! Which node runs which shard of which mapping: rendezvous hashing over the nodes that are alive.
//!
//! Every node computes the same answer from the same list, so nobody assigns anything. This decides who *should* run a
//! shard; who *does* stands in its checkpoint, and taking over from a living owner waits until that has let go. A node
//! whose own lease has lapsed runs nothing: [`Seats::holds`] is by the monotonic clock, so that it is false as soon as a
//! frozen process goes on.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

/// The living nodes, as this one knows them.
#[derive(Clone, Debug, Default)]
struct Live {
    /// Sorted.
    nodes: Arc<[String]>,
    /// `None`: the lease needs no renewal.
    until: Option<Instant>,
}

pub struct Seats {
    me: String,
    live: watch::Sender<Live>,
}

impl Seats {
    /// One node for everything, as where all of a region is one process.
    pub fn alone(me: impl Into<String>) -> Arc<Seats> {
        let me = me.into();
        let live = Live { nodes: Arc::from([me.clone()]), until: None };
        Arc::new(Seats { me, live: watch::channel(live).0 })
    }

    /// A node of several, that runs nothing until it is told who is alive. `me` names this life of the process: another
    /// after each start.
    pub fn of(me: impl Into<String>) -> Arc<Seats> {
        let live = Live { nodes: Arc::from([]), until: Some(Instant::now()) };
        Arc::new(Seats { me: me.into(), live: watch::channel(live).0 })
    }

    pub fn me(&self) -> &str {
        &self.me
    }

    /// What a renewal answered: who is alive, and until when this node may count on being so.
    pub fn renew(&self, mut nodes: Vec<String>, until: Instant) {
        nodes.sort();
        self.live.send_if_modified(|live| {
            let changed = *live.nodes != nodes[..];
            *live = Live { nodes: nodes.into(), until: Some(until) };
            changed
        });
    }

    /// The lease has lapsed or was given back.
    pub fn lose(&self) {
        self.renew(Vec::new(), Instant::now());
    }

    /// Whether this node may start anything.
    pub fn holds(&self) -> bool {
        let live = self.live.borrow();
        live.until.is_none_or(|until| Instant::now() < until)
    }

    pub fn is_live(&self, node: &str) -> bool {
        self.live.borrow().nodes.iter().any(|known| known == node)
    }

    /// Whether this node should run the shard.
    pub fn is_mine(&self, mapping: &str, shard_id: &str) -> bool {
        if !self.holds() {
            return false;
        }
        let live = self.live.borrow();
        let best = live.nodes.iter().max_by_key(|node| (weight(node, mapping, shard_id), node.as_str()));
        best.is_some_and(|best| *best == self.me)
    }

    /// Signalled when others are alive than before.
    pub fn changed(&self) -> Changed {
        Changed(self.live.subscribe())
    }
}

pub struct Changed(watch::Receiver<Live>);

impl Changed {
    pub async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn weight(node: &str, mapping: &str, shard_id: &str) -> u64 {
    xxh3_64(&[node.as_bytes(), &[0], mapping.as_bytes(), &[0], shard_id.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seats(me: &str, nodes: &[&str]) -> Arc<Seats> {
        let seats = Seats::of(me);
        let until = Instant::now() + Duration::from_secs(60);
        seats.renew(nodes.iter().map(|node| (*node).to_owned()).collect(), until);
        seats
    }

    #[test]
    fn every_shard_has_one_node_and_a_node_that_goes_moves_only_its_own() {
        let nodes = ["a", "b", "c"];
        let all: Vec<_> = nodes.iter().map(|me| seats(me, &nodes)).collect();
        let rest: Vec<_> = ["a", "b"].iter().map(|me| seats(me, &["b", "a"])).collect();
        let mut counts = [0; 3];
        for shard in 0..300 {
            let shard = format!("shard-{shard}");
            let owners: Vec<_> = all.iter().filter(|seats| seats.is_mine("m", &shard)).collect();
            assert_eq!(owners.len(), 1, "{shard}");
            counts[nodes.iter().position(|node| *node == owners[0].me()).unwrap()] += 1;
            if owners[0].me() != "c" {
                let still = rest.iter().find(|seats| seats.is_mine("m", &shard)).unwrap();
                assert_eq!(still.me(), owners[0].me(), "{shard} moved for nothing");
            }
        }
        assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
    }

    #[test]
    fn a_node_without_a_lease_runs_nothing() {
        let seats = Seats::of("a");
        assert!(!seats.is_mine("m", "s"));
        seats.renew(vec!["a".to_owned()], Instant::now() + Duration::from_secs(60));
        assert!(seats.is_mine("m", "s"));
        seats.renew(vec!["a".to_owned()], Instant::now());
        assert!(!seats.is_mine("m", "s") && !seats.holds(), "its time is over though nobody said so");
        assert!(Seats::alone("x").is_mine("m", "s"));
    }
}
