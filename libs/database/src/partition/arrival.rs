//! What arrives from other regions: batches of a link, and rows of a snapshot.
//!
//! A link walks the whole log of its source partition. A batch covers `(after, through]`, whether or not it carries a
//! change for each sequence: only changes born in the source's region travel, and of these only the ones whose keys lie
//! in the destination partition.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::{Change, Hlc, ItemKey, Region, Sequence, StoredItem, Version};

use super::state::{LinkState, Source};

/// A version further ahead than this of the destination's clock is not taken: a wrong clock must not spread.
pub const MAX_AHEAD_MS: u64 = 500;
/// A batch that begins with a change of so long ago is part of catching up after an outage.
pub const OLD_MS: u64 = 5_000;
/// Changes of an old batch that are applied at once: a local write waits for no more than these.
pub const PART: usize = 256;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Arrival {
    pub source: Source,
    /// The source partition's hashes.
    pub from: u64,
    pub to: u64,
    pub after: Sequence,
    pub through: Sequence,
    /// The version of the change at `through`, where there is one.
    pub at: Option<Version>,
    /// Ascending, in `(after, through]`.
    pub changes: Vec<(Sequence, Change)>,
    /// No change of the source's region with a version up to this follows `through`.
    pub watermark: Hlc,
    /// What the source partition had applied of each region at `through`.
    pub seen: BTreeMap<Region, Hlc>,
    /// How many evictions the source knows of.
    #[serde(default)]
    pub generation: u64,
    /// The source's log is sound under this term: see [`OwnLog`](crate::table::log::OwnLog).
    #[serde(default)]
    pub term: u64,
}

/// The destination's answer, with how far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Arrived {
    Through {
        cursor: Sequence,
    },
    /// The batch began beyond the cursor: nothing of it was taken.
    Gap {
        cursor: Sequence,
    },
    /// The change after the cursor is from the future; what was before it is applied.
    Ahead {
        cursor: Sequence,
        ahead_ms: u64,
    },
    /// The source is no replica here: it was evicted, has left, or lives another life. Or it does not know yet that its log is
    /// not to be followed any more. Nothing was taken.
    Stranger {
        cursor: Sequence,
    },
}

impl Arrived {
    pub fn cursor(&self) -> Sequence {
        match self {
            Arrived::Through { cursor }
            | Arrived::Gap { cursor }
            | Arrived::Ahead { cursor, .. }
            | Arrived::Stranger { cursor } => *cursor,
        }
    }
}

/// An item of another region's snapshot, tombstones included.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SnapshotRow {
    pub key: ItemKey,
    /// Carries the greater of its sender's stable and the one it carried there.
    pub row: StoredItem,
}

impl Arrival {
    /// The state of a link that never sent anything.
    pub(super) fn fresh(&self) -> LinkState {
        LinkState::begin(Sequence::ZERO, self.from, self.to)
    }

    pub(super) fn is_old(&self, now_ms: u64) -> bool {
        self.changes.first().is_some_and(|(_, change)| change.version.hlc.ms() + OLD_MS < now_ms)
    }

    /// The batch in pieces that follow on each other, if it is old. Only the last one announces anything: what is announced
    /// belongs to the end.
    pub fn in_parts(mut self, now_ms: u64) -> Vec<Arrival> {
        let mut parts = Vec::new();
        while self.is_old(now_ms) && self.changes.len() > PART {
            let rest = self.changes.split_off(PART);
            let changes = std::mem::replace(&mut self.changes, rest);
            let end = changes.last().map(|(sequence, change)| (*sequence, change.version));
            let through = end.map_or(self.after, |(sequence, _)| sequence);
            parts.push(Arrival {
                after: self.after,
                through,
                at: end.map(|(_, version)| version),
                changes,
                watermark: Hlc::ZERO,
                seen: BTreeMap::new(),
                ..self
            });
            self.after = through;
        }
        parts.push(self);
        parts
    }

    /// By how much `version` is from the future, if it is by too much.
    pub(super) fn ahead_ms(&self, version: Version, now_ms: u64) -> Option<u64> {
        Some(version.hlc.ms().saturating_sub(now_ms)).filter(|ahead| *ahead > MAX_AHEAD_MS)
    }

    /// Moves the link to the batch's end. What it announces holds only from there on: a watermark belongs to its
    /// sequence. A source that has not heard of an eviction announces nothing that counts: it may still have taken
    /// something of the evicted region that the others will never get.
    pub(super) fn arrived(&self, link: &mut LinkState, generation: u64) {
        link.cursor = link.cursor.max(self.through);
        link.at = self.at.or(link.at);
        (link.from, link.to, link.term) = (self.from, self.to, self.term.max(link.term));
        if self.generation < generation {
            return;
        }
        link.watermark = link.watermark.max(self.watermark);
        for (region, hlc) in &self.seen {
            let seen = link.seen.entry(*region).or_default();
            *seen = (*seen).max(*hlc);
        }
    }
}
