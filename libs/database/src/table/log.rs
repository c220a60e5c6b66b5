//! Whether this region's log of a table is the one that other regions have followed. Pure; it stands in the table's document, so
//! that every replicator of the region obeys it, also one that starts later.
//!
//! ```text
//! Sound ──(a link finds another log there)──► Diverged ──(a repair begins)──► Repairing ──(it is through)──► Sound
//!   └────────(a repair begins: what a link needs is not kept)────────────────────▲ └──(another takes over)──┘
//! ```
//!
//! Each step but the last raises the term. Batches carry their source's term, and a destination takes none of a lower one than
//! it has heard of: so nothing arrives that was sent in ignorance of a step, whoever sends it and however late.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnLog {
    pub term: u64,
    pub state: LogState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogState {
    /// Links may send it.
    #[default]
    Sound,
    /// Others have followed another log: this database was restored from a backup.
    Diverged,
    /// Its rows and those of the others are being given to each other.
    Repairing,
}

impl OwnLog {
    pub fn is_sound(&self) -> bool {
        self.state == LogState::Sound
    }

    /// What a link has found that knew the log under `term`, while its destination knew of `there`. Of no weight once a
    /// repair has begun since: what was found may be repaired.
    pub fn found_diverged(&mut self, term: u64, there: u64) {
        if self.term == term && self.is_sound() {
            *self = OwnLog { term: term.max(there) + 1, state: LogState::Diverged };
        }
    }

    /// A repair takes over, from another one too. `there` is the greatest term that other regions know of: greater than this
    /// one, if the catalogue was restored as well.
    pub fn begin_repair(&mut self, there: u64) {
        *self = OwnLog { term: self.term.max(there) + 1, state: LogState::Repairing };
    }

    /// Whether the repair that began this term still is the last.
    pub fn is_repaired_under(&self, term: u64) -> bool {
        *self == OwnLog { term, state: LogState::Repairing }
    }

    /// The term stays: what was sent before it is refused for ever.
    pub fn end_repair(&mut self) {
        self.state = LogState::Sound;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: OwnLog = OwnLog { term: 3, state: LogState::Sound };

    #[test]
    fn what_is_found_twice_counts_once() {
        let mut log = SOUND;
        log.found_diverged(3, 0);
        let found = log;
        assert_eq!(found, OwnLog { term: 4, state: LogState::Diverged });
        log.found_diverged(3, 0);
        log.found_diverged(4, 0);
        assert_eq!(log, found);
    }

    /// A link asked where its destination stands, a repair began and ended, and only then the link looked at its log.
    #[test]
    fn what_was_found_before_a_repair_counts_no_more() {
        let mut log = SOUND;
        log.begin_repair(0);
        assert!(log.is_repaired_under(4));
        log.end_repair();
        log.found_diverged(3, 0);
        assert_eq!(log, OwnLog { term: 4, state: LogState::Sound });
    }

    #[test]
    fn a_repair_takes_over_from_another() {
        let mut log = SOUND;
        log.begin_repair(0);
        log.begin_repair(0);
        assert!(log.is_repaired_under(5) && !log.is_repaired_under(4));
    }

    /// The catalogue was restored too, and does not know of the repair that others remember.
    #[test]
    fn a_new_term_is_greater_than_any_that_others_know() {
        let mut found = SOUND;
        found.found_diverged(3, 9);
        let mut repaired = SOUND;
        repaired.begin_repair(9);
        assert_eq!((found.term, repaired.term), (10, 10));
    }
}
