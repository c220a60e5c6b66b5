//! What a stream, or a function, was shown: judged change by change.
//!
//! Every change carries its old image. In a stream each one has to follow what was shown of its item before: then none is
//! missing, repeated or out of order. A function may be given a change again, but nothing may be left out either.

use std::collections::HashMap;

use crate::keys::Key;
use crate::ledger::written::Written;
use crate::ledger::{LOADED, Violations, WriteId};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeats {
    Forbidden,
    Allowed,
}

pub struct History {
    repeats: Repeats,
    /// What each item was when it was last shown.
    last: HashMap<Key, Option<WriteId>>,
    /// By the region that wrote.
    seen: Vec<Written>,
    pub changes: u64,
    pub repeated: u64,
    pub violations: Violations,
}

impl History {
    pub fn new(regions: usize, repeats: Repeats) -> History {
        History {
            repeats,
            last: HashMap::new(),
            seen: vec![Written::default(); regions],
            changes: 0,
            repeated: 0,
            violations: Violations::default(),
        }
    }

    /// The next change that was shown.
    pub fn change(&mut self, key: Key, old: Option<WriteId>, new: Option<WriteId>) {
        self.changes += 1;
        let last = self.last.get(&key).copied().flatten();
        // An item is loaded once, before anything else is written to it.
        let loaded_again = new == Some(LOADED) && self.last.contains_key(&key);
        if old == last && !loaded_again {
            self.note(key, new);
        } else if self.repeats == Repeats::Allowed && self.was_seen(&key, old, new) {
            self.repeated += 1;
        } else {
            self.violations
                .add(|| format!("of {key:?}, {old:?} became {new:?}; what was shown before was {last:?}"));
            self.note(key, new);
        }
    }

    /// A delete has no id: it is taken for a repeat if what it deleted was seen.
    fn was_seen(&self, key: &Key, old: Option<WriteId>, new: Option<WriteId>) -> bool {
        let is_known = |id: WriteId| match id.region() {
            Some(region) => self.seen.get(region).is_some_and(|seen| seen.contains(id.sequence())),
            None => self.last.contains_key(key),
        };
        new.or(old).is_some_and(is_known)
    }

    fn note(&mut self, key: Key, new: Option<WriteId>) {
        self.last.insert(key, new);
        let Some((id, region)) = new.and_then(|id| Some((id, id.region()?))) else { return };
        let Some(seen) = self.seen.get_mut(region) else { return };
        if !seen.insert(id.sequence()) && self.repeats == Repeats::Forbidden {
            self.violations.add(|| format!("write {id:?} of {key:?} was shown twice"));
        }
    }

    pub fn has_all(&self, region: usize, written: &Written) -> bool {
        written.without(&self.seen[region]).next().is_none()
    }

    /// After the last change: every acknowledged write of `region` was shown.
    pub fn end(&mut self, region: usize, written: &Written) {
        for sequence in written.without(&self.seen[region]) {
            self.violations.add(|| format!("write {:?} was never shown", WriteId::new(region, sequence)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Space;
    use proptest::prelude::*;

    const KEY: Key = Key { space: Space::Region(0), index: 1 };

    fn id(sequence: u64) -> Option<WriteId> {
        (sequence > 0).then(|| WriteId::new(0, sequence))
    }

    fn shown(repeats: Repeats, changes: &[(u64, u64)]) -> History {
        let mut history = History::new(1, repeats);
        changes.iter().for_each(|(old, new)| history.change(KEY, id(*old), id(*new)));
        history
    }

    #[test]
    fn a_chain_passes_with_its_deletes() {
        let history = shown(Repeats::Forbidden, &[(0, 1), (1, 2), (2, 0), (0, 3)]);
        assert_eq!(history.violations.count, 0, "{:?}", history.violations);
    }

    #[test]
    fn a_gap_a_repeat_and_a_wrong_order_are_found() {
        for changes in [[(0, 1), (2, 3)], [(0, 1), (0, 1)], [(1, 2), (0, 1)]] {
            assert!(shown(Repeats::Forbidden, &changes).violations.count > 0, "{changes:?}");
        }
    }

    #[test]
    fn a_function_may_see_a_change_again_but_must_not_miss_one() {
        let again = shown(Repeats::Allowed, &[(0, 1), (1, 2), (0, 1), (1, 2), (2, 3)]);
        assert_eq!((again.violations.count, again.repeated), (0, 2));
        assert_eq!(shown(Repeats::Allowed, &[(0, 1), (2, 3)]).violations.count, 1);
    }

    #[test]
    fn an_acknowledged_write_that_was_never_shown_is_found() {
        let mut written = Written::default();
        (1..=2).for_each(|sequence| _ = written.insert(sequence));
        let mut complete = shown(Repeats::Forbidden, &[(0, 1), (1, 2)]);
        complete.end(0, &written);
        assert_eq!(complete.violations.count, 0);
        let mut cut_off = shown(Repeats::Forbidden, &[(0, 1)]);
        assert!(!cut_off.has_all(0, &written));
        cut_off.end(0, &written);
        assert_eq!(cut_off.violations.count, 1);
    }

    proptest! {
        /// Leave any change but the last out of a chain, or show any again, and it is found.
        #[test]
        fn any_change_left_out_or_repeated_is_found(length in 3u64..40, at in 0usize..38, twice: bool) {
            let mut changes: Vec<_> = (0..length).map(|nth| (nth, nth + 1)).collect();
            prop_assert_eq!(shown(Repeats::Forbidden, &changes).violations.count, 0);
            let at = at % (changes.len() - 1);
            if twice {
                changes.insert(at, changes[at]);
            } else {
                changes.remove(at);
            }
            prop_assert!(shown(Repeats::Forbidden, &changes).violations.count > 0);
        }
    }
}
