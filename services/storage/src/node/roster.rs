//! What a process knows of a group's members, and whether it may act as one.
//!
//! Read on the path of every request; written by the membership loop only, or, in a process that is no member itself, by
//! the loop of its view.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tradewind_database::cluster::{NodeId, Seat};
use tradewind_engine::Member;
use tradewind_model::PartitionId;

use super::lease::{Lease, Moment};
use super::placement::{Seed, best};

/// A live member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seated {
    pub id: NodeId,
    pub address: String,
    name: String,
    seed: Seed,
}

pub struct Roster {
    /// The name of the group.
    pub group: &'static str,
    pub me: Member,
    lease: Lease,
    seated: ArcSwap<Vec<Seated>>,
    changed: watch::Sender<u64>,
    /// Somebody wants the members to be read again before their time.
    suspicion: Notify,
    /// Why the last renewal failed.
    trouble: Mutex<Option<String>>,
}

impl Roster {
    pub fn new(group: &'static str, me: Member) -> Roster {
        Roster {
            group,
            me,
            lease: Lease::default(),
            seated: ArcSwap::default(),
            changed: watch::Sender::new(0),
            suspicion: Notify::new(),
            trouble: Mutex::default(),
        }
    }

    pub fn seat(&self, partition: PartitionId) -> Seat {
        let seated = self.seated.load();
        let Some(best) = best(seated.iter().map(|node| node.seed), partition) else { return Seat::Nowhere };
        match seated[best].id {
            id if id.0 != self.me.id => Seat::At(id),
            _ if self.lease.holds() => Seat::Here,
            _ => Seat::Nowhere,
        }
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    pub fn address_of(&self, node: NodeId) -> Option<String> {
        self.seated.load().iter().find(|seated| seated.id == node).map(|seated| seated.address.clone())
    }

    /// Every live member but this one.
    pub fn others(&self) -> Vec<Seated> {
        self.seated.load().iter().filter(|seated| seated.id.0 != self.me.id).cloned().collect()
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub async fn suspected(&self) {
        self.suspicion.notified().await;
    }

    /// A renewal sent at `sent` answered these members; says whether they are others than before.
    pub fn renewed(&self, sent: Moment, members: Vec<Member>) -> bool {
        let held = self.lease.holds();
        self.lease.renewed(sent);
        self.set_trouble(None);
        let is_news = self.found(members);
        if !is_news && !held {
            self.tell();
        }
        is_news
    }

    /// These are the members now; says whether they are others than before.
    pub fn found(&self, members: Vec<Member>) -> bool {
        let seated: Vec<_> = members.into_iter().map(seated).collect();
        let is_news = **self.seated.load() != seated;
        if is_news {
            self.seated.store(Arc::new(seated));
            self.tell();
        }
        is_news
    }

    /// The names of all living members, as far as this one may act as one; else nobody's.
    pub fn living(&self) -> Vec<String> {
        match self.lease.holds() {
            true => self.seated.load().iter().map(|node| node.name.clone()).collect(),
            false => Vec::new(),
        }
    }

    /// This node is no member any more, and knows where everything belongs now.
    pub fn left(&self) {
        self.lease.give_up();
        self.seated.store(Arc::new(self.others()));
        self.tell();
    }

    /// Seats may have changed.
    pub fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn seated(member: Member) -> Seated {
    Seated { id: NodeId(member.id), seed: Seed::of(&member.name), address: member.address, name: member.name }
}

#[cfg(test)]
mod tests {
    use tradewind_model::Incarnation;
    use uuid::Uuid;

    use super::*;

    fn member(name: &str) -> Member {
        Member { name: name.to_owned(), id: Uuid::new_v4(), address: format!("{name}:1") }
    }

    fn partitions() -> impl Iterator<Item = PartitionId> {
        (0..64).map(|number| PartitionId { incarnation: Incarnation(Uuid::from_u128(7)), number })
    }

    #[test]
    fn a_partition_sits_at_one_node_whoever_is_asked() {
        let (a, b) = (member("a"), member("b"));
        let (at_a, at_b) = (Roster::new("nodes", a.clone()), Roster::new("nodes", b.clone()));
        for roster in [&at_a, &at_b] {
            assert!(partitions().all(|partition| roster.seat(partition) == Seat::Nowhere));
            roster.renewed(Moment::now(), vec![a.clone(), b.clone()]);
        }
        for partition in partitions() {
            let seats = (at_a.seat(partition), at_b.seat(partition));
            let one_of = [(Seat::Here, Seat::At(NodeId(a.id))), (Seat::At(NodeId(b.id)), Seat::Here)];
            assert!(one_of.contains(&seats), "{seats:?}");
        }
    }

    #[test]
    fn without_a_lease_nothing_sits_here_and_after_leaving_all_sits_elsewhere() {
        let (a, b) = (member("a"), member("b"));
        let roster = Roster::new("nodes", a.clone());
        let news = roster.subscribe();
        assert!(roster.renewed(Moment::now(), vec![a.clone(), b.clone()]));
        assert!(news.has_changed().unwrap());
        assert!(!roster.renewed(Moment::now(), vec![a, b.clone()]), "the same members are no news");
        roster.lease().give_up();
        assert!(partitions().all(|partition| roster.seat(partition) != Seat::Here));
        assert!(partitions().any(|partition| roster.seat(partition) == Seat::Nowhere));
        roster.left();
        assert!(partitions().all(|partition| roster.seat(partition) == Seat::At(NodeId(b.id))));
    }
}
