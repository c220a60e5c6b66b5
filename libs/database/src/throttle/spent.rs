//! What nodes tell each other of the units they have taken, so that a table's throughput holds for its region as a whole.
//!
//! Every node has a bucket of the whole rate, takes what it serves from it at once, and what the others serve when it hears of
//! it. What is told is a sum since the node started, so that a word that is lost, late or repeated does no harm; a bucket
//! is wrong by no more than what was served since the last word.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tradewind_model::Incarnation;

use super::Kind;
use crate::cluster::NodeId;

/// A sum that does not grow any more is told so often, lest the last word is lost.
const TELLINGS: u8 = 3;
/// A node that has said nothing for so long is forgotten, and met as a new one.
const FORGOTTEN_MS: u64 = 600_000;
/// Sums in one message; the others have their turn in the next.
const MOST: usize = 10_000;

/// What one node has taken from buckets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spent {
    pub by: NodeId,
    pub sums: Vec<Sum>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sum {
    /// The life of the table or index.
    pub(super) of: Incarnation,
    pub(super) kind: Kind,
    /// Units a second.
    pub(super) rate: f64,
    /// Since the node started.
    pub(super) units: f64,
    /// Of these, since the last word.
    pub(super) new: f64,
}

impl Sum {
    /// Whether another node can have meant this.
    pub(super) fn is_sound(&self) -> bool {
        [self.rate, self.units, self.new].into_iter().all(|number| number.is_finite() && number >= 0.0)
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    own: HashMap<(Incarnation, Kind), Own>,
    heard: HashMap<(NodeId, Incarnation, Kind), Heard>,
}

struct Own {
    rate: f64,
    units: f64,
    told: f64,
    tellings: u8,
}

struct Heard {
    units: f64,
    at_ms: u64,
}

impl Ledger {
    pub fn take(&mut self, of: Incarnation, kind: Kind, rate: f64, units: f64) {
        let own = self.own.entry((of, kind)).or_insert(Own { rate, units: 0.0, told: 0.0, tellings: 0 });
        own.units += units;
        (own.rate, own.tellings) = (rate, TELLINGS);
    }

    /// What the others have not been told often enough.
    pub fn tell(&mut self) -> Vec<Sum> {
        let due = self.own.iter_mut().filter(|(_, own)| own.tellings > 0).take(MOST);
        due.map(|((of, kind), own)| {
            let sum =
                Sum { of: *of, kind: *kind, rate: own.rate, units: own.units, new: own.units - own.told };
            own.told = own.units;
            own.tellings -= 1;
            sum
        })
        .collect()
    }

    /// How much of another node's sum is new here.
    pub fn hear(&mut self, by: NodeId, sum: &Sum, now_ms: u64) -> f64 {
        let known = self.heard.entry((by, sum.of, sum.kind));
        let heard = known.or_insert(Heard { units: sum.units - sum.new, at_ms: now_ms });
        let new = (sum.units - heard.units).max(0.0);
        heard.units += new;
        heard.at_ms = now_ms;
        new
    }

    pub fn forget_silent(&mut self, now_ms: u64) {
        self.heard.retain(|_, heard| heard.at_ms + FORGOTTEN_MS > now_ms);
    }

    pub fn forget(&mut self, life: Incarnation) {
        self.own.retain(|(of, _), _| *of != life);
        self.heard.retain(|(_, of, _), _| *of != life);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TABLE: Incarnation = Incarnation(Uuid::from_u128(1));
    const OTHER: NodeId = NodeId(Uuid::from_u128(2));

    fn hear(there: &mut Ledger, sums: &[Sum]) -> f64 {
        sums.iter().map(|sum| there.hear(OTHER, sum, 0)).sum()
    }

    #[test]
    fn words_may_be_lost_and_repeated() {
        let (mut here, mut there) = (Ledger::default(), Ledger::default());
        here.take(TABLE, Kind::Write, 5.0, 3.0);
        let first = here.tell();
        assert_eq!(hear(&mut there, &first), 3.0);
        assert_eq!(hear(&mut there, &first), 0.0, "it is heard once");
        here.take(TABLE, Kind::Write, 5.0, 1.0);
        let _lost = here.tell();
        here.take(TABLE, Kind::Write, 5.0, 2.0);
        let last = here.tell();
        assert_eq!(hear(&mut there, &last), 3.0, "with what was lost");
        assert_eq!(hear(&mut there, &first), 0.0, "what is late says nothing new");
    }

    #[test]
    fn the_last_word_is_said_again_and_then_no_more() {
        let mut here = Ledger::default();
        here.take(TABLE, Kind::Read, 5.0, 3.0);
        let told: Vec<_> = (0..5).map(|_| here.tell().len()).collect();
        assert_eq!(told, [1, 1, 1, 0, 0]);
    }

    #[test]
    fn who_comes_later_owes_nothing_of_the_past() {
        let (mut here, mut late) = (Ledger::default(), Ledger::default());
        here.take(TABLE, Kind::Write, 5.0, 1000.0);
        let _before = here.tell();
        here.take(TABLE, Kind::Write, 5.0, 2.0);
        assert_eq!(hear(&mut late, &here.tell()), 2.0);
    }
}
