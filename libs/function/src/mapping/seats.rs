//! Which node runs which shard of which mapping: the nodes that are alive share each mapping's shards evenly, within one.
//!
//! Every node computes the same answer from the same lists ([`share_out`]), so nobody assigns anything. This decides who
//! *should* run a shard; who *does* stands in its checkpoint, and taking over from a living owner waits until that has let
//! go. A node whose own lease has lapsed runs nothing: [`Seats::tenure`] is by the monotonic clock, so that there is none as
//! soon as a frozen process goes on; and a lease that is had again is another tenure, since its shards may have been taken.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tradewind_engine::share_out;

/// The living nodes, as this one knows them.
#[derive(Clone, Debug, Default)]
struct Live {
    /// Sorted.
    nodes: Arc<[String]>,
    /// `None`: the lease needs no renewal.
    until: Option<Instant>,
    /// Counts how often the lease was had again after it had lapsed.
    tenure: u64,
}

/// Who is alive at this moment, by the store; `None` where it does not say.
pub type Roll = Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send>>;

pub struct Seats {
    me: String,
    live: watch::Sender<Live>,
    call: Box<dyn Fn() -> Roll + Send + Sync>,
}

impl Seats {
    /// One node for everything, as where all of a region is one process.
    pub fn alone(me: impl Into<String>) -> Arc<Seats> {
        let me = me.into();
        let live = Live { nodes: Arc::from([me.clone()]), until: None, tenure: 0 };
        let call = Box::new(|| -> Roll { Box::pin(async { Some(Vec::new()) }) });
        Arc::new(Seats { me, live: watch::channel(live).0, call })
    }

    /// A node of several, that runs nothing until it is told who is alive. `me` names this life of the process: another
    /// after each start. `call` asks the store who is alive, between two renewals.
    pub fn of(me: impl Into<String>, call: impl Fn() -> Roll + Send + Sync + 'static) -> Arc<Seats> {
        let live = Live { nodes: Arc::from([]), until: Some(Instant::now()), tenure: 0 };
        Arc::new(Seats { me: me.into(), live: watch::channel(live).0, call: Box::new(call) })
    }

    pub fn me(&self) -> &str {
        &self.me
    }

    /// What a renewal answered: who is alive, and until when this node may count on being so.
    pub fn renew(&self, mut nodes: Vec<String>, until: Instant) {
        nodes.sort();
        self.live.send_if_modified(|live| {
            let changed = *live.nodes != nodes[..];
            let lapsed = live.until.is_some_and(|until| until <= Instant::now());
            *live = Live { nodes: nodes.into(), until: Some(until), tenure: live.tenure + u64::from(lapsed) };
            changed
        });
    }

    /// The lease has lapsed or was given back.
    pub fn lose(&self) {
        self.renew(Vec::new(), Instant::now());
    }

    /// Whether this node may start anything.
    pub fn holds(&self) -> bool {
        self.tenure().is_some()
    }

    /// Which unbroken stretch of holding the lease this is; `None`: it is not held. What was taken in another one may be
    /// somebody else's by now.
    pub fn tenure(&self) -> Option<u64> {
        let live = self.live.borrow();
        live.until.is_none_or(|until| Instant::now() < until).then_some(live.tenure)
    }

    /// Whether the owner of a shard may still be running it. One that is not known here may have come since the last
    /// renewal: the store is asked, and where it does not answer nobody is taken for dead.
    pub async fn may_live(&self, node: &str) -> bool {
        if self.live.borrow().nodes.iter().any(|known| known == node) {
            return true;
        }
        (self.call)().await.is_none_or(|nodes| nodes.iter().any(|known| known == node))
    }

    /// Of all shards of a mapping, those that this node should run.
    pub fn mine<'a>(&self, mapping: &str, shards: impl IntoIterator<Item = &'a str>) -> HashSet<&'a str> {
        if !self.holds() {
            return HashSet::new();
        }
        let nodes = self.live.borrow().nodes.clone();
        let here = nodes.iter().position(|node| *node == self.me);
        let shards: Vec<_> = shards.into_iter().collect();
        // Mappings with few shards do not all begin at the same node.
        let things: Vec<_> =
            shards.iter().map(|shard| [mapping.as_bytes(), &[0], shard.as_bytes()].concat()).collect();
        let kept = shards
            .into_iter()
            .zip(share_out(&nodes, &things))
            .filter(|(_, at)| here.is_some() && *at == here);
        kept.map(|(shard, _)| shard).collect()
    }

    /// Whether this node does what one has to do for all of them.
    pub fn speaks_for(&self, mapping: &str) -> bool {
        !self.mine(mapping, [""]).is_empty()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seats(me: &str, nodes: &[&str]) -> Arc<Seats> {
        let seats = Seats::of(me, || Box::pin(async { None }));
        let until = Instant::now() + Duration::from_secs(60);
        seats.renew(nodes.iter().map(|node| (*node).to_owned()).collect(), until);
        seats
    }

    fn shares(nodes: &[&str], shards: &[String]) -> Vec<HashSet<String>> {
        let share = |me: &&str| {
            let seats = seats(me, nodes);
            seats.mine("m", shards.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
        };
        nodes.iter().map(share).collect()
    }

    #[test]
    fn every_shard_has_one_node_and_shares_are_even() {
        for count in [1usize, 2, 4, 7, 256] {
            let shards: Vec<_> = (0..count).map(|nth| format!("shard-{nth}")).collect();
            let shares = shares(&["a", "b", "c"], &shards);
            assert!(shares.iter().all(|share| share.len() <= count.div_ceil(3)), "{count}");
            let all: HashSet<_> = shares.iter().flatten().collect();
            assert_eq!((all.len(), shares.iter().map(HashSet::len).sum::<usize>()), (count, count));
        }
    }

    #[test]
    fn a_node_without_a_lease_runs_nothing() {
        let seats = Seats::of("a", || Box::pin(async { None }));
        assert!(seats.mine("m", ["s"]).is_empty() && !seats.speaks_for("m"));
        seats.renew(vec!["a".to_owned()], Instant::now() + Duration::from_secs(60));
        assert_eq!(seats.mine("m", ["s"]), HashSet::from(["s"]));
        seats.renew(vec!["a".to_owned()], Instant::now());
        assert!(
            seats.mine("m", ["s"]).is_empty() && !seats.holds(),
            "its time is over though nobody said so"
        );
        assert!(Seats::alone("x").speaks_for("m"));
    }

    #[test]
    fn a_lease_that_lapsed_and_is_had_again_is_another_tenure() {
        let seats = seats("a", &["a"]);
        let first = seats.tenure();
        let renew = |until| seats.renew(vec!["a".to_owned()], until);
        renew(Instant::now() + Duration::from_secs(60));
        assert!(first.is_some() && seats.tenure() == first);
        renew(Instant::now());
        assert_eq!(seats.tenure(), None);
        renew(Instant::now() + Duration::from_secs(60));
        assert!(seats.tenure().is_some() && seats.tenure() != first);
    }
}
