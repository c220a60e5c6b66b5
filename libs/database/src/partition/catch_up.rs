//! What the old changes of other regions may take of a partition while its own clients write.
//!
//! After a long outage a link has far more to bring than clients write, and would fill every group. Its batches wait aside,
//! in their order, and of what is committed while clients write, at most the configured share is theirs. Once no client has
//! written for [`QUIET`] they go on at once: a client that writes one item after the other comes back sooner than that.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::arrival::Arrival;
use super::group::Op;

/// The share that is taken where nothing else is said, in percent.
pub const SHARE: u8 = 30;
/// Local writes go first in no way.
pub const WHOLE: u8 = 100;

/// Clients that write one item after the other are heard of again within this time.
const QUIET: Duration = Duration::from_millis(5);

/// Batches that wait aside, each with what is needed to answer it.
pub(super) struct CatchUp<T> {
    /// In percent.
    share: usize,
    waiting: VecDeque<(Op, T)>,
    /// Local writes that no change has been set against, times the share.
    credit: usize,
    /// When a client's write was last seen.
    last_write: Option<Instant>,
}

impl<T> CatchUp<T> {
    pub fn new(share: u8) -> CatchUp<T> {
        CatchUp { share: share.min(WHOLE).into(), waiting: VecDeque::new(), credit: 0, last_write: None }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// After how long it may be that no client writes any more; at once, if none does.
    pub fn quiet_in(&self, now: Instant) -> Duration {
        self.last_write.map_or(Duration::ZERO, |last| (last + QUIET).saturating_duration_since(now))
    }

    /// Whether the operation has to wait aside: an old batch, or one that follows on one that waits.
    pub fn takes(&self, op: &Op, now_ms: u64) -> bool {
        self.share < WHOLE.into()
            && op.arrival().is_some_and(|arrival| arrival.is_old(now_ms) || self.has_of_source(arrival))
    }

    fn has_of_source(&self, arrival: &Arrival) -> bool {
        self.waiting.iter().filter_map(|(op, _)| op.arrival()).any(|waiting| waiting.source == arrival.source)
    }

    pub fn push(&mut self, op: Op, answer: T) {
        self.waiting.push_back((op, answer));
    }

    /// Adds to a group what it may have of what waits.
    pub fn fill(&mut self, group: &mut Vec<(Op, T)>, now: Instant) {
        let local: usize = group.iter().map(|(op, _)| op.local_writes()).sum();
        if local > 0 {
            self.last_write = Some(now);
        } else if self.quiet_in(now).is_zero() {
            self.credit = 0;
            group.extend(self.waiting.pop_front());
            return;
        }
        self.credit += self.share * local;
        while let Some((op, _)) = self.waiting.front() {
            let changes = op.arrival().map_or(0, |arrival| arrival.changes.len());
            let price = changes * (usize::from(WHOLE) - self.share);
            if price > self.credit {
                return;
            }
            self.credit -= price;
            group.extend(self.waiting.pop_front());
        }
        // Nothing is saved up for the next outage.
        self.credit = 0;
    }

    pub fn drain(&mut self) -> impl Iterator<Item = (Op, T)> + '_ {
        self.waiting.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tradewind_model::{Change, Hlc, Incarnation, ItemKey, Region, Sequence, Vector, Version};

    use super::*;
    use crate::partition::arrival::OLD_MS;
    use crate::partition::decide::{Action, Write};
    use crate::partition::state::Source;

    const NOW_MS: u64 = 1_000_000;

    fn batch(ms: u64, changes: usize, number: u32) -> Op {
        let origin = Region::new("eu-west-1").unwrap();
        let change = Change {
            version: Version { hlc: Hlc::from_ms(ms), origin },
            stable: Hlc::ZERO,
            vector: Vector::default(),
            key: ItemKey::new(b"k", b""),
            existed: false,
            exists: true,
            old: None,
            new: None,
            same: false,
            expired: false,
            request: None,
            trace: None,
        };
        Op::Arrive(Arrival {
            source: Source { region: origin, incarnation: Incarnation(uuid::Uuid::from_u128(7)), number },
            from: 0,
            to: u64::MAX,
            after: Sequence::ZERO,
            through: Sequence(changes as u64),
            at: None,
            changes: (0..changes).map(|nth| (Sequence(nth as u64 + 1), change.clone())).collect(),
            watermark: Hlc::ZERO,
            seen: BTreeMap::new(),
            generation: 0,
            term: 0,
        })
    }

    fn write() -> (Op, u32) {
        let (key, action) = (ItemKey::new(b"k", b""), Action::Delete);
        (
            Op::Write(Write {
                key,
                action,
                condition: None,
                item_on_failure: false,
                request: None,
                trace: None,
            }),
            0,
        )
    }

    #[test]
    fn old_batches_wait_and_what_follows_them_of_their_source() {
        let mut catch_up = CatchUp::new(SHARE);
        let (old, new) = (batch(NOW_MS - OLD_MS - 1, 1, 0), batch(NOW_MS, 1, 0));
        assert!(catch_up.takes(&old, NOW_MS) && !catch_up.takes(&new, NOW_MS));
        assert!(!catch_up.takes(&write().0, NOW_MS) && !CatchUp::<()>::new(WHOLE).takes(&old, NOW_MS));
        catch_up.push(old, 0);
        assert!(catch_up.takes(&new, NOW_MS) && !catch_up.takes(&batch(NOW_MS, 1, 1), NOW_MS));
    }

    #[test]
    fn of_what_is_committed_beside_local_writes_the_share_is_theirs() {
        let mut catch_up = CatchUp::new(SHARE);
        (0..1000).for_each(|nth| catch_up.push(batch(0, 10, nth), nth));
        let (mut local, mut remote, mut order, began) = (0, 0, Vec::new(), Instant::now());
        for round in 0..2000 {
            // Clients need a while to come back: every other time there is nobody but what waits.
            let writes = if round % 2 == 0 { 1 + round % 7 } else { 0 };
            let mut group: Vec<_> = (0..writes).map(|_| write()).collect();
            local += group.len();
            let wrote = group.len();
            catch_up.fill(&mut group, began + Duration::from_millis(round));
            remote += (group.len() - wrote) * 10;
            order.extend(group[wrote..].iter().map(|(_, nth)| *nth));
        }
        let share = remote as f64 / (local + remote) as f64;
        assert!(share <= 0.30 && share > 0.28, "{remote} beside {local}");
        assert!(order.is_sorted());
    }

    #[test]
    fn where_nobody_else_waits_they_go_on_at_once() {
        let (mut catch_up, now) = (CatchUp::new(1), Instant::now());
        (0..3).for_each(|nth| catch_up.push(batch(0, 1, nth), nth));
        for left in [2, 1, 0] {
            let mut group = Vec::new();
            catch_up.fill(&mut group, now);
            assert_eq!((group.len(), catch_up.waiting.len()), (1, left));
        }
        catch_up.push(batch(0, 1, 0), 0);
        catch_up.fill(&mut vec![write()], now);
        assert_eq!(catch_up.quiet_in(now), QUIET);
        catch_up.fill(&mut Vec::new(), now + QUIET / 2);
        assert!(!catch_up.is_empty());
        catch_up.fill(&mut Vec::new(), now + QUIET);
        assert!(catch_up.is_empty());
    }
}
