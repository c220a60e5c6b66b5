//! The properties that every run must have.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Property {
    /// After heal and drain all regions hold the same items and versions.
    Converged,
    /// An item is the greatest write its region has applied, or nothing if that is a delete.
    NewestWins,
    /// Every acknowledged write is final, causally overwritten, or in a conflict log.
    NoSilentLoss,
    /// In a table with replicas every acknowledged write is a change.
    EveryWriteIsAChange,
    /// A conflict is logged exactly where two writes meet of which neither knew the other.
    ConflictsAreTrue,
    /// Nothing travels or is stored that was not committed.
    OnlyDurableIsSeen,
    /// A link's cursor has passed no change that was not applied.
    NothingSkipped,
    /// Sequences of a log have no gap and no repeat.
    Gapless,
    /// Versions of a region ascend in its log, above everything it has applied.
    VersionsGrow,
    /// No change with a version up to a link's watermark follows its cursor.
    WatermarkHolds,
    /// What is at or below stable is applied in every region.
    StableHolds,
    /// A partition that is opened again knows what it knew; an earlier owner writes nothing.
    Reopened,
    /// Once idle watermarks have passed no tombstone is left.
    TombstonesGo,
    /// A link's position is in the log it follows.
    SameLog,
    /// The real code panicked.
    NoPanic,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{property:?}: {detail}")]
pub struct Violation {
    pub property: Property,
    pub detail: String,
}

impl Property {
    /// The violation, unless `holds`.
    pub fn check(self, holds: bool, detail: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(Violation { property: self, detail: detail() }) }
    }
}
