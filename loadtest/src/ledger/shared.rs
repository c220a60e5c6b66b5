//! Keys that all regions write: what became of every write, by the answers of those that overwrote it.

use std::collections::{HashMap, HashSet};

use super::{Attempt, LOADED, Old, Standing, Violations, WriteId};

/// So many overwritten writes are remembered, and as many before them; a second overwriting of an older one is not noticed.
const MAX_OVERWRITTEN: usize = 5_000_000;

#[derive(Default)]
pub struct Shared {
    /// Acknowledged, and not known to be overwritten: id to key.
    open: HashMap<WriteId, u64>,
    /// Deletes that nothing was seen to follow, by key.
    deletes: HashMap<u64, u64>,
    /// What was overwritten, perhaps before its own acknowledgement was read, and in which regions: one bit for each. The
    /// second map has the older ones.
    overwritten: [HashMap<WriteId, u64>; 2],
    /// Keys with writes whose outcome is not known.
    unknown: HashMap<u64, u64>,
    /// Writes that overwrote what another one of the same region had overwritten already.
    forks: Violations,
    acknowledged: u64,
}

/// What became of the acknowledged writes.
#[derive(Debug, Default, PartialEq)]
pub struct Fates {
    pub overwritten: u64,
    pub standing: u64,
    pub in_conflict_log: u64,
    /// Perhaps overwritten by a write whose own outcome is not known.
    pub undecided: u64,
    pub lost: Violations,
}

impl Shared {
    pub fn acknowledged(&mut self, attempt: &Attempt, old: Old) {
        self.acknowledged += 1;
        let index = attempt.key.index;
        match old {
            Old::Item(old) => self.overwrite(attempt, old),
            // Whatever deleted it came before.
            Old::Nothing => _ = self.deletes.remove(&index),
            Old::NotAsked => (),
        }
        if attempt.is_delete {
            *self.deletes.entry(index).or_default() += 1;
        } else if self.overwritten_in(attempt.id) == 0 {
            self.open.insert(attempt.id, index);
        }
    }

    fn overwrite(&mut self, attempt: &Attempt, old: WriteId) {
        if old == LOADED {
            return;
        }
        self.open.remove(&old);
        let here = 1 << attempt.region;
        if self.overwritten_in(old) & here != 0 {
            let id = attempt.id;
            self.forks.add(|| {
                format!("{id:?} overwrote {old:?}, which another write of its region had overwritten")
            });
        }
        if self.overwritten[0].len() >= MAX_OVERWRITTEN {
            self.overwritten.swap(0, 1);
            self.overwritten[0].clear();
        }
        *self.overwritten[0].entry(old).or_default() |= here;
    }

    fn overwritten_in(&self, id: WriteId) -> u64 {
        self.overwritten.iter().filter_map(|some| some.get(&id)).fold(0, |regions, more| regions | more)
    }

    pub fn unknown(&mut self, attempt: &Attempt) {
        *self.unknown.entry(attempt.key.index).or_default() += 1;
    }

    pub fn is_unused(&self) -> bool {
        self.acknowledged == 0
    }

    /// `standing`: the shared items at the end; `losers`: what the conflict logs of all regions hold, by write;
    /// `lost_deletes`: keys for which they hold a delete.
    pub fn fates(self, standing: &Standing, losers: &HashSet<WriteId>, lost_deletes: &HashSet<u64>) -> Fates {
        let mut fates = Fates { lost: self.forks, ..Fates::default() };
        let unsettled = self.open.len() as u64 + self.deletes.len() as u64;
        for (id, index) in &self.open {
            if standing.get(index) == Some(id) {
                fates.standing += 1;
            } else if losers.contains(id) {
                fates.in_conflict_log += 1;
            } else if self.unknown.contains_key(index) {
                fates.undecided += 1;
            } else {
                fates.lost.add(|| {
                    format!("write {id:?} of s-{index} does not stand, nobody overwrote it, and no conflict log has it")
                });
            }
        }
        for index in self.deletes.keys() {
            if !standing.contains_key(index) {
                fates.standing += 1;
            } else if lost_deletes.contains(index) {
                fates.in_conflict_log += 1;
            } else if self.unknown.contains_key(index) {
                fates.undecided += 1;
            } else {
                fates.lost.add(|| format!("a delete of s-{index} was undone, and no conflict log has it"));
            }
        }
        fates.overwritten = self.acknowledged.saturating_sub(unsettled);
        fates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, Space};

    fn attempt(region: usize, sequence: u64, is_delete: bool) -> Attempt {
        let key = Key { space: Space::Shared, index: 7 };
        Attempt { id: WriteId::new(region, sequence), key, region, is_delete, began_us: 0 }
    }

    fn id(region: usize, sequence: u64) -> Old {
        Old::Item(WriteId::new(region, sequence))
    }

    fn fates(shared: Shared, standing: Option<WriteId>, losers: &[WriteId]) -> Fates {
        let standing = standing.map(|id| (7, id)).into_iter().collect();
        shared.fates(&standing, &losers.iter().copied().collect(), &HashSet::new())
    }

    /// Both regions write over what was loaded; the second one's wins.
    fn two_regions() -> Shared {
        let mut shared = Shared::default();
        shared.acknowledged(&attempt(0, 1, false), Old::Item(LOADED));
        shared.acknowledged(&attempt(1, 1, false), Old::Item(LOADED));
        shared
    }

    #[test]
    fn a_loser_in_the_conflict_log_is_not_lost() {
        let found = fates(two_regions(), Some(WriteId::new(1, 1)), &[WriteId::new(0, 1)]);
        assert_eq!((found.standing, found.in_conflict_log, found.lost.count), (1, 1, 0));
    }

    #[test]
    fn a_loser_in_no_log_is_a_lost_write() {
        let found = fates(two_regions(), Some(WriteId::new(1, 1)), &[]);
        assert_eq!(found.lost.count, 1);
        assert!(found.lost.first[0].contains("s-7"), "{:?}", found.lost);
    }

    #[test]
    fn a_write_that_another_overwrote_knowingly_is_settled_in_whatever_order_answers_come() {
        for order in [[0, 1], [1, 0]] {
            let answers = [(attempt(0, 1, false), Old::Item(LOADED)), (attempt(1, 1, false), id(0, 1))];
            let mut shared = Shared::default();
            order.iter().for_each(|nth: &usize| shared.acknowledged(&answers[*nth].0, answers[*nth].1));
            let found = fates(shared, Some(WriteId::new(1, 1)), &[]);
            assert_eq!((found.overwritten, found.standing, found.lost.count), (1, 1, 0));
        }
    }

    #[test]
    fn two_writes_of_a_region_that_overwrote_the_same_one_lost_an_update() {
        let mut shared = Shared::default();
        shared.acknowledged(&attempt(0, 1, false), Old::Nothing);
        shared.acknowledged(&attempt(0, 2, false), id(0, 1));
        shared.acknowledged(&attempt(0, 3, false), id(0, 1));
        let found = fates(shared, Some(WriteId::new(0, 3)), &[WriteId::new(0, 2)]);
        assert_eq!(found.lost.count, 1);
    }

    #[test]
    fn two_regions_may_overwrite_the_same_write() {
        let mut shared = Shared::default();
        shared.acknowledged(&attempt(0, 1, false), Old::Nothing);
        shared.acknowledged(&attempt(0, 2, false), id(0, 1));
        shared.acknowledged(&attempt(1, 3, false), id(0, 1));
        let found = fates(shared, Some(WriteId::new(1, 3)), &[WriteId::new(0, 2)]);
        assert_eq!((found.lost.count, found.in_conflict_log, found.overwritten), (0, 1, 1));
    }

    #[test]
    fn an_unknown_write_may_have_overwritten_another() {
        let mut shared = two_regions();
        shared.unknown(&attempt(1, 2, false));
        let found = fates(shared, Some(WriteId::new(1, 2)), &[WriteId::new(0, 1)]);
        assert_eq!((found.undecided, found.lost.count), (1, 0));
    }

    #[test]
    fn a_delete_that_is_undone_is_lost_unless_a_log_has_it() {
        let deleted = || {
            let mut shared = Shared::default();
            shared.acknowledged(&attempt(0, 1, false), Old::Nothing);
            shared.acknowledged(&attempt(0, 2, true), id(0, 1));
            shared
        };
        assert_eq!(fates(deleted(), Some(WriteId::new(1, 9)), &[]).lost.count, 1);
        assert_eq!(fates(deleted(), None, &[]).lost.count, 0);
        let standing = Standing::from([(7, WriteId::new(1, 9))]);
        let logged = deleted().fates(&standing, &HashSet::new(), &HashSet::from([7]));
        assert_eq!((logged.lost.count, logged.in_conflict_log), (0, 1));
    }
}
