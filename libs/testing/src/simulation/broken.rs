//! Rules broken on purpose, around the real code: the simulation must notice each.

use std::collections::HashMap;

use bytes::Bytes;
use tradewind_database::partition::arrival::Arrival;
use tradewind_database::partition::decide::Action;
use tradewind_database::partition::group::Op;
use tradewind_database::partition::state::State;
use tradewind_engine::{PartitionCommit, Space};
use tradewind_model::{Change, Hlc, ItemKey, StoredItem};
use tradewind_replication::link::Announcement;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// Of two writes with equal clocks each region keeps its own.
    TieKeepsLocal,
    /// A delete that meets a tombstone does not advance it.
    DeleteKeepsTombstone,
    /// The winner does not learn that it has met the loser.
    UnionForgetsLoser,
    /// A watermark is announced with any batch.
    WatermarkBeforeItsSequence,
    /// A batch that begins beyond the cursor is applied.
    GapIsApplied,
    /// An idle partition announces its clock without having raised it durably.
    IdleWatermarkIsNotCommitted,
    /// Tombstones go before every region has applied what they cover.
    TombstonesGoAtOnce,
    /// A put that leaves the item as it is commits nothing.
    SameIsNoChange,
    /// Changes do not carry their writer's stable.
    ChangesForgetStable,
    /// A joiner is linked and seeded, and nobody's stable waits for it.
    JoinerIsNotCounted,
    /// A snapshot has no tombstones.
    SnapshotForgetsTombstones,
    /// Rows that travel do not carry their sender's stable.
    RowsForgetStable,
    /// A joiner's stable does not start at the common watermark.
    JoinerStartsAtZero,
    /// Links of a region that is being evicted are taken to the last.
    EvictedIsStillTaken,
    /// Replicas that stay do not give each other what they have of the evicted one.
    SurvivorsAreNotLevelled,
}

impl Broken {
    pub const ALL: [Broken; 15] = [
        Broken::TieKeepsLocal,
        Broken::DeleteKeepsTombstone,
        Broken::UnionForgetsLoser,
        Broken::WatermarkBeforeItsSequence,
        Broken::GapIsApplied,
        Broken::IdleWatermarkIsNotCommitted,
        Broken::TombstonesGoAtOnce,
        Broken::SameIsNoChange,
        Broken::ChangesForgetStable,
        Broken::JoinerIsNotCounted,
        Broken::SnapshotForgetsTombstones,
        Broken::RowsForgetStable,
        Broken::JoinerStartsAtZero,
        Broken::EvictedIsStillTaken,
        Broken::SurvivorsAreNotLevelled,
    ];

    /// Before a group is decided.
    pub(super) fn op(self, op: Op, state: &mut State, current: &HashMap<ItemKey, Option<StoredItem>>) -> Op {
        match (self, op) {
            (Broken::TieKeepsLocal | Broken::DeleteKeepsTombstone, Op::Arrive(mut arrival)) => {
                arrival.changes.retain(|(_, change)| {
                    let stored = current.get(&change.key).and_then(Option::as_ref);
                    !stored.is_some_and(|stored| self.keeps(stored, change))
                });
                Op::Arrive(arrival)
            }
            (Broken::GapIsApplied, Op::Arrive(arrival)) => {
                let cursor = state.links.get(&arrival.source).map(|link| link.cursor).unwrap_or_default();
                Op::Arrive(Arrival { after: arrival.after.min(cursor), ..arrival })
            }
            (Broken::TombstonesGoAtOnce, Op::Prune(tombstones)) => {
                state.stable = state.max_hlc;
                Op::Prune(tombstones)
            }
            (Broken::SameIsNoChange, Op::Write(mut write)) => {
                let stored = current.get(&write.key).and_then(Option::as_ref);
                if matches!(&write.action, Action::Put(new) if stored.and_then(|row| row.item.as_ref()) == Some(new))
                {
                    write.action = Action::Check;
                }
                Op::Write(write)
            }
            (_, op) => op,
        }
    }

    fn keeps(self, stored: &StoredItem, change: &Change) -> bool {
        match self {
            Broken::TieKeepsLocal => {
                stored.version.hlc == change.version.hlc && stored.version.origin != change.version.origin
            }
            _ => stored.item.is_none() && change.new.is_none(),
        }
    }

    /// Before a commit is made.
    pub(super) fn commit(self, commit: &mut PartitionCommit, before: &HashMap<ItemKey, Option<StoredItem>>) {
        if self != Broken::UnionForgetsLoser {
            return;
        }
        for row in commit.rows.iter_mut().filter(|row| row.space == Space::Items) {
            let stored = ItemKey::from_stored(&row.key).and_then(|key| before.get(&key)?.clone());
            let Some((stored, value)) = stored.zip(row.value.as_ref()) else { continue };
            let Some(mut new) = StoredItem::decode(value) else { continue };
            let forgotten = (stored.version.origin, stored.version.hlc);
            new.vector = new.vector.iter().filter(|entry| *entry != forgotten).collect();
            row.value = Some(Bytes::from(new.encode()));
        }
    }

    pub(super) fn announcement(self, announcement: &mut Announcement, now_ms: u64) {
        if self == Broken::IdleWatermarkIsNotCommitted {
            announcement.watermark = announcement.watermark.max(Hlc::from_ms(now_ms));
        }
    }

    /// Before a batch is sent.
    pub(super) fn batch(self, batch: &mut Arrival, announcement: &Announcement) {
        match self {
            Broken::WatermarkBeforeItsSequence => {
                batch.watermark = batch.watermark.max(announcement.watermark)
            }
            Broken::ChangesForgetStable => {
                batch.changes.iter_mut().for_each(|(_, change)| change.stable = Hlc::ZERO);
            }
            _ => (),
        }
    }
}
