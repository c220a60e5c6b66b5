//! Keys that only one region writes: the writes that no later one has followed.

use std::collections::{HashMap, HashSet};

use super::{Attempt, LOADED, Violations, WriteId};

#[derive(Default)]
pub struct Owned {
    /// By index. Never more than the writes that were under way together, and those with an unknown outcome.
    last: HashMap<u64, Vec<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    id: WriteId,
    is_delete: bool,
    ended_us: u64,
}

/// It may happen at any later time.
const NEVER: u64 = u64::MAX;

impl Owned {
    pub fn acknowledged(&mut self, attempt: &Attempt, ended_us: u64) {
        let last = self.last.entry(attempt.key.index).or_default();
        last.retain(|earlier| earlier.ended_us >= attempt.began_us);
        last.push(Last { id: attempt.id, is_delete: attempt.is_delete, ended_us });
    }

    pub fn unknown(&mut self, attempt: &Attempt) {
        let last = Last { id: attempt.id, is_delete: attempt.is_delete, ended_us: NEVER };
        self.last.entry(attempt.key.index).or_default().push(last);
    }

    pub fn keys(&self) -> usize {
        self.last.len()
    }

    pub fn finish(&self, loaded: u64) -> Finish<'_> {
        let violations = Violations::default();
        Finish { owned: self, loaded, seen: HashSet::new(), loaded_seen: 0, violations }
    }
}

/// Goes over the end state of one region's keys, in any order.
pub struct Finish<'a> {
    owned: &'a Owned,
    /// Keys below this one were loaded.
    loaded: u64,
    /// Written keys that were there; the others that were loaded are only counted.
    seen: HashSet<u64>,
    loaded_seen: u64,
    violations: Violations,
}

impl Finish<'_> {
    /// An item that is there.
    pub fn item(&mut self, index: u64, found: WriteId) {
        let Some(last) = self.owned.last.get(&index) else {
            self.loaded_seen += u64::from(index < self.loaded);
            if found != LOADED || index >= self.loaded {
                self.violations.add(|| format!("item {index} is write {found:?}, which nobody acknowledged"));
            }
            return;
        };
        self.seen.insert(index);
        let stands = last.iter().any(|write| write.id == found && !write.is_delete);
        let untouched = found == LOADED && index < self.loaded && all_unknown(last);
        if !stands && !untouched {
            self.violations.add(|| {
                let ids: Vec<_> = last.iter().map(|write| write.id).collect();
                format!("item {index} is write {found:?}, which was overwritten; its last writes are {ids:?}")
            });
        }
    }

    /// After the last item.
    pub fn end(mut self) -> Violations {
        for (index, last) in &self.owned.last {
            let may_be_gone =
                last.iter().any(|write| write.is_delete) || (all_unknown(last) && *index >= self.loaded);
            if !may_be_gone && !self.seen.contains(index) {
                let id = last[0].id;
                self.violations.add(|| format!("item {index} is gone; write {id:?} was acknowledged"));
            }
        }
        let touched = self.owned.last.keys().filter(|index| **index < self.loaded).count() as u64;
        let missing = self.loaded.saturating_sub(touched).saturating_sub(self.loaded_seen);
        if missing > 0 {
            self.violations
                .add(|| format!("{missing} items that were loaded and never written again are gone"));
        }
        self.violations
    }
}

fn all_unknown(last: &[Last]) -> bool {
    last.iter().all(|write| write.ended_us == NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, Space};
    use proptest::prelude::*;

    fn attempt(sequence: u64, began_us: u64, is_delete: bool) -> Attempt {
        let key = Key { space: Space::Region(0), index: 0 };
        Attempt { id: WriteId::new(0, sequence), key, region: 0, is_delete, began_us }
    }

    fn put(sequence: u64, began_us: u64) -> Attempt {
        attempt(sequence, began_us, false)
    }

    fn wrong(owned: &Owned, loaded: u64, found: Option<WriteId>) -> u64 {
        let mut finish = owned.finish(loaded);
        found.into_iter().for_each(|found| finish.item(0, found));
        finish.end().count
    }

    #[test]
    fn the_last_write_stands_and_an_overwritten_one_is_a_lost_write() {
        let mut owned = Owned::default();
        owned.acknowledged(&put(1, 10), 20);
        owned.acknowledged(&put(2, 21), 30);
        assert_eq!(wrong(&owned, 1, Some(WriteId::new(0, 2))), 0);
        assert_eq!(wrong(&owned, 1, Some(WriteId::new(0, 1))), 1);
        assert_eq!(wrong(&owned, 1, Some(LOADED)), 1);
        assert_eq!(wrong(&owned, 1, None), 1);
    }

    #[test]
    fn either_of_two_writes_at_a_time_may_stand() {
        let mut owned = Owned::default();
        owned.acknowledged(&put(1, 10), 30);
        owned.acknowledged(&put(2, 20), 25);
        for standing in [1, 2] {
            assert_eq!(wrong(&owned, 1, Some(WriteId::new(0, standing))), 0);
        }
        assert_eq!(wrong(&owned, 1, Some(LOADED)), 1);
    }

    #[test]
    fn an_unknown_outcome_excuses_both_ends_but_no_third() {
        let mut owned = Owned::default();
        owned.acknowledged(&put(1, 10), 20);
        owned.unknown(&put(2, 30));
        owned.acknowledged(&put(3, 40), 50);
        assert_eq!(wrong(&owned, 0, Some(WriteId::new(0, 2))), 0);
        assert_eq!(wrong(&owned, 0, Some(WriteId::new(0, 3))), 0);
        assert_eq!(wrong(&owned, 0, Some(WriteId::new(0, 1))), 1);
    }

    #[test]
    fn a_deleted_item_may_be_gone_and_must_not_come_back() {
        let mut owned = Owned::default();
        owned.acknowledged(&put(1, 10), 20);
        owned.acknowledged(&attempt(2, 30, true), 40);
        assert_eq!(wrong(&owned, 1, None), 0);
        assert_eq!(wrong(&owned, 1, Some(WriteId::new(0, 1))), 1);
    }

    #[test]
    fn loaded_items_that_nobody_wrote_are_counted() {
        let owned = Owned::default();
        assert_eq!(wrong(&owned, 1, Some(LOADED)), 0);
        assert_eq!(wrong(&owned, 1, None), 1);
        assert_eq!(wrong(&owned, 0, Some(LOADED)), 1);
    }

    proptest! {
        /// A register that is written one write at a time: only its last write passes.
        #[test]
        fn only_the_last_of_writes_in_a_row_passes(writes in 1u64..50, found in 0u64..50) {
            let mut owned = Owned::default();
            (1..=writes).for_each(|nth| owned.acknowledged(&put(nth, nth * 10), nth * 10 + 5));
            let wrong = wrong(&owned, 1, Some(if found == 0 { LOADED } else { WriteId::new(0, found) }));
            prop_assert_eq!(wrong == 0, found == writes);
        }
    }
}
