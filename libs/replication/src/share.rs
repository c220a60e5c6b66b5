//! How several replicators of a region share its links: each computes alike which are whose, from who is alive
//! ([`share_out`]). Two that believe differently for a while both push; a destination takes every batch once.

use tokio::sync::watch;
use tradewind_engine::share_out;

/// Who is alive, as this replicator believes.
pub struct Share(watch::Sender<Believed>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Believed {
    /// There can be no other.
    Alone,
    /// By name; nobody where this one has lost its lease.
    Among { me: String, living: Vec<String> },
}

impl Default for Share {
    fn default() -> Share {
        Share(watch::Sender::new(Believed::Alone))
    }
}

impl Share {
    /// From now on this replicator is one of `living`; of none, while it has no lease.
    pub fn set(&self, me: &str, living: Vec<String>) {
        let believed = Believed::Among { me: me.to_owned(), living };
        self.0.send_if_modified(|known| std::mem::replace(known, believed.clone()) != believed);
    }

    /// Changes when shares may have changed.
    pub fn changed(&self) -> watch::Receiver<impl Send + Sync + use<>> {
        self.0.subscribe()
    }

    /// Whether this replicator does what one of them has to do for all.
    pub fn leads(&self) -> bool {
        match &*self.0.borrow() {
            Believed::Alone => true,
            Believed::Among { me, living } => living.iter().min() == Some(me),
        }
    }

    /// How many replicators there are.
    pub fn count(&self) -> usize {
        match &*self.0.borrow() {
            Believed::Alone => 1,
            Believed::Among { living, .. } => living.len(),
        }
    }

    /// Of all links of the region, those of this replicator.
    pub fn mine<L: AsRef<[u8]>>(&self, links: Vec<L>) -> Vec<L> {
        match &*self.0.borrow() {
            Believed::Alone => links,
            Believed::Among { me, living } => {
                let here = living.iter().position(|name| name == me);
                let shared = share_out(living, &links);
                let kept = links.into_iter().zip(shared).filter(|(_, at)| here.is_some() && *at == here);
                kept.map(|(link, _)| link).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(count: u8) -> Vec<Vec<u8>> {
        (0..count).map(|nth| vec![nth, nth.wrapping_mul(37)]).collect()
    }

    fn shares(living: &[&str], count: u8) -> Vec<Vec<Vec<u8>>> {
        let share_of = |me: &&str| {
            let share = Share::default();
            share.set(me, living.iter().map(|name| (*name).to_owned()).collect());
            share.mine(links(count))
        };
        living.iter().map(share_of).collect()
    }

    #[test]
    fn every_link_is_one_replicators_and_shares_are_even() {
        for count in [1, 7, 8, 100] {
            let shares = shares(&["a", "b", "c"], count);
            let mut all: Vec<_> = shares.iter().flatten().cloned().collect();
            all.sort();
            let mut expected = links(count);
            expected.sort();
            assert_eq!(all, expected);
            let most = usize::from(count).div_ceil(3);
            assert!(shares.iter().all(|share| share.len() <= most), "{count}");
        }
    }

    #[test]
    fn those_of_a_dead_one_are_taken_over_and_without_a_lease_none_are_pushed() {
        let (three, two) = (shares(&["a", "b", "c"], 60), shares(&["a", "c"], 60));
        let stay = three[0].iter().filter(|link| two[0].contains(link)).count();
        assert_eq!(two.iter().map(Vec::len).sum::<usize>(), 60);
        assert!(stay >= 15, "most of a's links stay where they were: {stay} of 20");
        let share = Share::default();
        assert!(share.leads() && share.mine(links(3)).len() == 3, "alone it has all");
        share.set("a", Vec::new());
        assert!(!share.leads() && share.mine(links(3)).is_empty());
    }
}
