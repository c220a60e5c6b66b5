//! A group of operations on one partition, decided one after another and committed together.
//!
//! Pure: it is given the partition's state, the rows the operations need, and the time; it gives back one commit, the
//! state after it, and the answers, none of which may be seen before the commit has returned. Later operations of a
//! group see what earlier ones decided.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tradewind_engine::{PartitionCommit, Row, Space};
use tradewind_model::change::Trace;
use tradewind_model::{Change, Epoch, Hlc, Item, ItemKey, Region, Sequence, StoredItem, Version};
use tradewind_wire::request::table::StreamView;

use super::arrival::{Arrival, Arrived, SnapshotRow};
use super::decide::{Action, Decision, Refusal, Write, decide};
use super::state::{LinkState, Source, State};
use crate::conflict::Conflict;
use crate::merge::{self, Kind, Loser, Merged};
use crate::table::document::{ReplicaStatus, TableDocument};
use crate::{expiry, index, tombstone};

/// What an operation may be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    Write(Write),
    /// The operation, if the owner still has this epoch. So does everything travel that comes from another node: what is
    /// late finds that the partition has moved on, and what was found not to be done under an epoch is done under it or not
    /// at all.
    Under(Epoch, Box<Op>),
    /// All of them or none: distinct items.
    Transact(Vec<Write>),
    /// A link's batch.
    Arrive(Arrival),
    /// Rows of another region's snapshot.
    Seed(Vec<SnapshotRow>),
    /// Raises the clock of an idle partition, so that it can announce it.
    Raise,
    /// Raises stable and removes these tombstones, if they still stand and stable allows.
    Prune(Vec<(Hlc, ItemKey)>),
    /// Where links from other regions begin, in a region that joins.
    Begin(Vec<(Source, LinkState)>),
    /// A region that joined has all that any replica had at this clock.
    Joined(Hlc),
    /// Links of a region that is no replica any more end.
    Leave(Region),
    /// Takes nothing more of these sources under a lower term than these.
    Fence(Vec<(Source, LinkState)>),
    /// Where links go on after a repair, whatever was there before, unless a later one has begun.
    Reset(Vec<(Source, LinkState)>),
    /// Rows of a region that is repaired: those that stable knows to be deleted are refused.
    Mend(Vec<SnapshotRow>),
    /// Rows of this region's origin that others have, while it is repaired under this term. What others say they have seen of
    /// them counts into its stable, but its database may have lost them: none is refused.
    Recover {
        term: u64,
        rows: Vec<SnapshotRow>,
    },
    /// Deletes items that are still these versions: another region refused them.
    Forget(Vec<(ItemKey, Version)>),
    /// What a region wrote before it was evicted and nobody else had, in its new life: into the conflict log.
    Leftovers {
        at_ms: u64,
        rows: Vec<SnapshotRow>,
    },
    /// Conflicts of a former life of the table.
    Record(Vec<Conflict>),
    /// Removes conflicts by their keys.
    Unrecord(Vec<Vec<u8>>),
    /// Writes the rows these items have in an index that is being filled.
    Fill {
        index: String,
        keys: Vec<ItemKey>,
    },
    /// Records when these items expire, in a table that has just got a TTL.
    Expiring(Vec<ItemKey>),
    /// Nothing; it answers when all before it is durable.
    Barrier,
}

impl Op {
    /// Whether carrying it out twice does what once does. Of a write, others may have seen the first and followed it.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Op::Write(_) | Op::Transact(_) => false,
            Op::Under(_, op) => op.is_repeatable(),
            _ => true,
        }
    }

    /// The same under this epoch, and no other.
    #[must_use]
    pub fn under(self, epoch: Epoch) -> Op {
        Op::Under(epoch, Box::new(self.anytime()))
    }

    /// The same under any epoch.
    #[must_use]
    pub fn anytime(self) -> Op {
        match self {
            Op::Under(_, op) => op.anytime(),
            op => op,
        }
    }

    /// The traces its writes are parts of.
    pub fn traces(&self) -> impl Iterator<Item = Trace> + '_ {
        let writes: &[Write] = match self.anyway() {
            Op::Write(write) => std::slice::from_ref(write),
            Op::Transact(writes) => writes,
            _ => &[],
        };
        writes.iter().filter_map(|write| write.trace)
    }

    fn anyway(&self) -> &Op {
        match self {
            Op::Under(_, op) => op.anyway(),
            op => op,
        }
    }

    pub(super) fn arrival(&self) -> Option<&Arrival> {
        match self.anyway() {
            Op::Arrive(arrival) => Some(arrival),
            _ => None,
        }
    }

    /// How many writes of this region's clients it is.
    pub(super) fn local_writes(&self) -> usize {
        match self.anyway() {
            Op::Write(_) => 1,
            Op::Transact(writes) => writes.len(),
            _ => 0,
        }
    }

    /// The items whose current rows it needs.
    pub fn keys(&self) -> Vec<&ItemKey> {
        match self {
            Op::Write(write) => vec![&write.key],
            Op::Under(_, op) => op.keys(),
            Op::Transact(writes) => writes.iter().map(|write| &write.key).collect(),
            Op::Arrive(arrival) => arrival.changes.iter().map(|(_, change)| &change.key).collect(),
            Op::Seed(rows) | Op::Mend(rows) | Op::Recover { rows, .. } | Op::Leftovers { rows, .. } => {
                rows.iter().map(|row| &row.key).collect()
            }
            Op::Forget(items) => items.iter().map(|(key, _)| key).collect(),
            Op::Prune(tombstones) => tombstones.iter().map(|(_, key)| key).collect(),
            Op::Fill { keys, .. } | Op::Expiring(keys) => keys.iter().collect(),
            Op::Begin(_) | Op::Joined(_) | Op::Leave(_) | Op::Raise | Op::Barrier => Vec::new(),
            Op::Fence(_) | Op::Reset(_) | Op::Record(_) | Op::Unrecord(_) => Vec::new(),
        }
    }
}

/// The images around a write.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// Where the partition's log stood after it.
    pub sequence: Sequence,
    pub old: Option<Item>,
    pub new: Option<Item>,
}

/// Of each action of a transaction, why it was refused, or `None`.
pub type Refusals = Vec<Option<Box<Refusal>>>;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Answer {
    Written(Result<Written, Box<Refusal>>),
    Transacted(Result<Vec<Written>, Refusals>),
    Arrived(Arrived),
    /// Of rows, those that were refused.
    Late(Vec<(ItemKey, Version)>),
    /// The greatest term that is known now. Greater than the operation's: nothing was done.
    Term(u64),
    /// The epoch is not the one that the operation named; nothing was done.
    Stale,
    /// The sequence and clock after the operation.
    Done {
        next: Sequence,
        max_hlc: Hlc,
    },
}

/// What a change says of the request that made it.
#[derive(Clone, Copy, Default)]
struct Cause {
    request: Option<[u8; 16]>,
    trace: Option<Trace>,
}

fn has_new(view: StreamView) -> bool {
    matches!(view, StreamView::NewImage | StreamView::NewAndOldImages)
}

fn has_old(view: StreamView) -> bool {
    matches!(view, StreamView::OldImage | StreamView::NewAndOldImages)
}

/// Whether changes of the source are taken. Decided with each group, so that nothing is after all owners have heard of an
/// eviction.
fn takes_from(table: &TableDocument, source: &Source) -> bool {
    let replica = table.replicas.get(&source.region);
    let stays = replica.is_some_and(|replica| replica.status != ReplicaStatus::Evicting);
    stays && table.counts(source.region, source.incarnation)
}

fn greatest(links: &[(Source, LinkState)], mut term_after: impl FnMut(&Source, &LinkState) -> u64) -> u64 {
    links.iter().map(|(source, link)| term_after(source, link)).max().unwrap_or_default()
}

pub struct Group<'a> {
    table: &'a TableDocument,
    here: Region,
    now_ms: u64,
    /// The items' current rows, earlier operations of this group included.
    current: HashMap<ItemKey, Option<StoredItem>>,
    state: State,
    commit: PartitionCommit,
    must_commit: bool,
}

impl<'a> Group<'a> {
    /// `current` has an entry for every key that the operations name.
    pub fn new(
        table: &'a TableDocument,
        here: Region,
        now_ms: u64,
        state: &State,
        current: HashMap<ItemKey, Option<StoredItem>>,
    ) -> Group<'a> {
        let commit = PartitionCommit {
            partition: state.id,
            epoch: state.epoch,
            first: state.next,
            next: state.next,
            max_hlc: state.max_hlc.0,
            rows: Vec::new(),
            changes: Vec::new(),
        };
        Group { table, here, now_ms, current, state: state.clone(), commit, must_commit: false }
    }

    pub fn take(&mut self, op: &Op) -> Answer {
        match op {
            Op::Write(write) => return Answer::Written(self.write(write)),
            Op::Under(epoch, op) => return self.take_under(*epoch, op),
            Op::Transact(writes) => return Answer::Transacted(self.transact(writes)),
            Op::Arrive(arrival) => return Answer::Arrived(self.arrive(arrival)),
            Op::Seed(rows) => rows.iter().for_each(|row| self.merge_row(row.clone())),
            Op::Raise => self.raise(Hlc::from_ms(self.now_ms)),
            Op::Begin(links) => {
                links.iter().for_each(|(source, link)| self.begin(*source, link.clone()));
            }
            Op::Joined(watermark) => self.joined(*watermark),
            Op::Leave(region) => self.leave(*region),
            Op::Fence(links) => {
                return Answer::Term(greatest(links, |source, link| self.fence(*source, link.clone())));
            }
            Op::Reset(links) => {
                return Answer::Term(greatest(links, |source, link| self.reset(*source, link.clone())));
            }
            Op::Recover { term, rows } => return Answer::Term(self.recover(*term, rows)),
            Op::Mend(rows) => {
                return Answer::Late(rows.iter().filter_map(|row| self.mend(row.clone())).collect());
            }
            Op::Forget(items) => items.iter().for_each(|(key, version)| self.forget(key, *version)),
            Op::Leftovers { at_ms, rows } => {
                rows.iter().for_each(|row| self.leftover(*at_ms, row.clone()));
            }
            Op::Record(conflicts) => conflicts.iter().for_each(|conflict| self.record(conflict)),
            Op::Unrecord(keys) => keys.iter().for_each(|key| self.unrecord(key.clone())),
            Op::Prune(tombstones) => self.prune(tombstones),
            Op::Fill { index, keys } => keys.iter().for_each(|key| self.fill(index, key)),
            Op::Expiring(keys) => keys.iter().for_each(|key| self.note_expiry(key)),
            Op::Barrier => (),
        }
        self.done()
    }

    /// The commit, if there is anything to write, and the state once it has happened.
    pub fn finish(mut self) -> (Option<PartitionCommit>, State) {
        self.commit.next = self.state.next;
        self.commit.max_hlc = self.state.max_hlc.0;
        (self.must_commit.then_some(self.commit), self.state)
    }

    fn done(&self) -> Answer {
        Answer::Done { next: self.state.next, max_hlc: self.state.max_hlc }
    }

    fn take_under(&mut self, epoch: Epoch, op: &Op) -> Answer {
        match epoch == self.state.epoch {
            true => self.take(op),
            false => Answer::Stale,
        }
    }

    fn write(&mut self, write: &Write) -> Result<Written, Box<Refusal>> {
        let old = self.item(&write.key);
        match decide(self.table, write, old.as_ref().map(Item::as_ref)) {
            Ok(decision) => Ok(self.accept(write, decision, old)),
            Err(error) => Err(Box::new(Refusal { error, old })),
        }
    }

    /// Every action is decided on the items as they were before the transaction.
    fn transact(&mut self, writes: &[Write]) -> Result<Vec<Written>, Refusals> {
        let decided: Vec<_> = writes
            .iter()
            .map(|write| {
                let old = self.item(&write.key);
                let decision = decide(self.table, write, old.as_ref().map(Item::as_ref));
                (decision, old)
            })
            .collect();
        if decided.iter().any(|(decision, _)| decision.is_err()) {
            return Err(decided
                .into_iter()
                .map(|(decision, old)| decision.err().map(|error| Box::new(Refusal { error, old })))
                .collect());
        }
        let accepted = decided
            .into_iter()
            .zip(writes)
            .map(|((decision, old), write)| self.accept(write, decision.unwrap_or(Decision::Nothing), old));
        Ok(accepted.collect())
    }

    fn item(&self, key: &ItemKey) -> Option<Item> {
        self.current.get(key).and_then(|row| row.as_ref()).and_then(|row| row.item.clone())
    }

    /// Makes a decision part of the commit. Without replicas a write that changes nothing commits nothing; with them it
    /// is a change all the same, or a concurrent older write would undo it later.
    fn accept(&mut self, write: &Write, decision: Decision, old: Option<Item>) -> Written {
        let new = match decision {
            Decision::Nothing => return self.written(old.clone(), old),
            Decision::Set(new) => new,
        };
        let same = new == old;
        if same && !self.table.is_replicated() {
            return self.written(old, new);
        }
        let hlc = Hlc::tick(self.now_ms, self.state.max_hlc);
        let version = Version { hlc, origin: self.here };
        let stored = self.current.remove(&write.key).flatten();
        let expired = matches!(write.action, Action::Expire { .. });
        let row = merge::written(stored.as_ref(), version, new.clone(), expired, self.state.stable);
        self.store(&write.key, stored, row, Cause { request: write.request, trace: write.trace });
        self.written(old, new)
    }

    fn written(&self, old: Option<Item>, new: Option<Item>) -> Written {
        Written { sequence: Sequence(self.state.next.0.saturating_sub(1)), old, new }
    }

    /// Puts `row` in the place of `stored`: the item, its index rows, its change. The only place that does.
    fn store(&mut self, key: &ItemKey, stored: Option<StoredItem>, row: StoredItem, cause: Cause) {
        self.raise(row.version.hlc);
        let old = stored.as_ref().and_then(|stored| stored.item.as_ref());
        let new = row.item.as_ref();
        let rows = &mut self.commit.rows;
        index::changes(self.table, key, old, new, rows);
        expiry::changes(self.table, key, old.map(Item::as_ref), new.map(Item::as_ref), rows);
        if self.table.is_replicated() {
            self.state.tombstones += i64::from(row.item.is_none());
            self.state.tombstones -= i64::from(stored.as_ref().is_some_and(|stored| stored.item.is_none()));
            tombstone::changes(self.state.id, key, stored.as_ref(), &row, rows);
        }
        self.log(key, old, &row, cause);
        self.put_row(key, row);
    }

    fn put_row(&mut self, key: &ItemKey, row: StoredItem) {
        let keep = row.item.is_some() || self.table.is_replicated();
        let value = keep.then(|| Bytes::from(row.encode()));
        self.commit.rows.push(Row { space: Space::Items, key: key.stored(self.table.incarnation), value });
        self.current.insert(key.clone(), keep.then_some(row));
        self.must_commit = true;
    }

    /// Sequences advance with every change; a record is written only where a stream or a replica reads it, with the
    /// images they need.
    fn log(&mut self, key: &ItemKey, old: Option<&Item>, row: &StoredItem, cause: Cause) {
        let sequence = self.state.next;
        self.state.next = sequence.next();
        let stream = self.table.stream().map(|stream| stream.view);
        let replicated = self.table.is_replicated();
        if stream.is_none() && !replicated {
            return;
        }
        let old_image = old.filter(|_| stream.is_some_and(has_old));
        let new_image = row.item.as_ref().filter(|_| replicated || stream.is_some_and(has_new));
        let change = Change {
            version: row.version,
            stable: self.state.stable.max(row.stable.unwrap_or_default()),
            vector: row.vector.clone(),
            key: key.clone(),
            existed: old.is_some(),
            exists: row.item.is_some(),
            old: old_image.cloned(),
            new: new_image.cloned(),
            same: old == row.item.as_ref(),
            expired: row.expired,
            request: cause.request,
            trace: cause.trace,
        };
        self.commit.changes.push((sequence, Bytes::from(change.encode())));
    }

    fn raise(&mut self, hlc: Hlc) {
        if hlc > self.state.max_hlc {
            self.state.max_hlc = hlc;
            self.must_commit = true;
        }
    }

    /// Applies the part of a batch that may be applied: from the cursor on, up to a version from the future.
    fn arrive(&mut self, arrival: &Arrival) -> Arrived {
        let mut link = self.state.links.get(&arrival.source).cloned().unwrap_or_else(|| arrival.fresh());
        // A source that knows of an eviction that this region does not counts what stays: what its changes leave unsaid
        // may be of the evicted region, which this one may be.
        let unheard = arrival.generation > self.table.global.generation;
        // One whose sender does not know that its log is not the one that was followed.
        let fenced = arrival.term < link.term;
        if unheard || fenced || !takes_from(self.table, &arrival.source) {
            return Arrived::Stranger { cursor: link.cursor };
        }
        if arrival.after > link.cursor {
            return Arrived::Gap { cursor: link.cursor };
        }
        if arrival.through < link.cursor {
            return Arrived::Through { cursor: link.cursor };
        }
        for (sequence, change) in &arrival.changes {
            if *sequence <= link.cursor {
                continue;
            }
            if let Some(ahead_ms) = arrival.ahead_ms(change.version, self.now_ms) {
                let cursor = link.cursor;
                self.save_link(arrival.source, link);
                return Arrived::Ahead { cursor, ahead_ms };
            }
            self.merge_change(change);
            link.cursor = *sequence;
            link.at = Some(change.version);
        }
        arrival.arrived(&mut link, self.table.global.generation);
        let cursor = link.cursor;
        self.save_link(arrival.source, link);
        Arrived::Through { cursor }
    }

    fn save_link(&mut self, source: Source, link: LinkState) {
        if self.state.links.get(&source) != Some(&link) {
            self.state.links.insert(source, link);
            self.commit.rows.push(self.state.link_row(&source));
            self.must_commit = true;
        }
    }

    /// A link that is further already stays: joining may run again after a crash.
    fn begin(&mut self, source: Source, link: LinkState) {
        let term = self.term_of(&source).max(link.term);
        if self.state.links.get(&source).is_none_or(|known| known.cursor < link.cursor) {
            self.save_link(source, LinkState { term, ..link });
        }
    }

    fn term_of(&self, source: &Source) -> u64 {
        self.state.links.get(source).map_or(0, |link| link.term)
    }

    /// Whatever else is known of the link stays.
    fn fence(&mut self, source: Source, link: LinkState) -> u64 {
        let term = self.term_of(&source).max(link.term);
        let known = self.state.links.get(&source).cloned();
        let fresh = || LinkState::begin(Sequence::ZERO, link.from, link.to);
        self.save_link(source, LinkState { term, ..known.unwrap_or_else(fresh) });
        term
    }

    /// What was promised still holds: a source that was repaired writes above it.
    fn reset(&mut self, source: Source, link: LinkState) -> u64 {
        let known = self.term_of(&source);
        if known > link.term {
            return known;
        }
        let before = self.state.links.get(&source);
        let (watermark, seen) =
            before.map(|before| (before.watermark, before.seen.clone())).unwrap_or_default();
        let term = link.term;
        self.save_link(source, LinkState { watermark, seen, ..link });
        term
    }

    /// Only while the repair goes on that has read them: as long as links rest nothing newer becomes stable here, and so they
    /// meet whatever has deleted them since.
    fn recover(&mut self, term: u64, rows: &[SnapshotRow]) -> u64 {
        let log = self.table.global.log;
        if !log.is_repaired_under(term) {
            return log.term.max(term + 1);
        }
        rows.iter().for_each(|row| self.merge_row(row.clone()));
        term
    }

    fn joined(&mut self, watermark: Hlc) {
        self.raise(watermark);
        self.set_stable(watermark);
    }

    fn leave(&mut self, region: Region) {
        let left: Vec<_> =
            self.state.links.keys().filter(|source| source.region == region).copied().collect();
        for source in left {
            self.state.links.remove(&source);
            self.commit.rows.push(self.state.link_row(&source));
            self.must_commit = true;
        }
    }

    /// Stable never goes back.
    fn set_stable(&mut self, stable: Hlc) {
        if stable > self.state.stable {
            self.state.stable = stable;
            self.commit.rows.push(self.state.stable_row());
            self.must_commit = true;
        }
    }

    fn merge_change(&mut self, change: &Change) {
        let incoming = StoredItem {
            version: change.version,
            vector: change.vector.clone(),
            stable: Some(change.stable),
            expired: change.expired,
            item: change.new.clone(),
        };
        let stored = self.current.remove(&change.key).flatten();
        let merged = merge::merge(stored.as_ref(), incoming.clone(), self.state.stable);
        self.settle(
            &change.key,
            stored,
            incoming,
            merged,
            Cause { request: change.request, trace: change.trace },
        );
    }

    /// A row at or below stable that is not here was deleted everywhere: its sender does not know that any more.
    fn mend(&mut self, row: SnapshotRow) -> Option<(ItemKey, Version)> {
        let stored = self.current.remove(&row.key).flatten();
        let merged = merge::merge(stored.as_ref(), row.row.clone(), self.state.stable);
        let late = matches!(merged.lost, Some((_, Kind::Late))).then(|| (row.key.clone(), row.row.version));
        self.settle(&row.key, stored, row.row, merged, Cause::default());
        late
    }

    /// An ordinary delete, which the other regions hear of; what it deletes is kept as `late`.
    fn forget(&mut self, key: &ItemKey, version: Version) {
        let stands = self.current.get(key).and_then(Option::as_ref);
        let Some(stored) = stands.filter(|row| row.version == version && row.item.is_some()).cloned() else {
            return;
        };
        let conflict = Conflict {
            at_ms: self.now_ms,
            kind: Kind::Late,
            key: key.clone(),
            winner: None,
            loser: stored.clone(),
        };
        self.record(&conflict);
        let hlc = Hlc::tick(self.now_ms, self.state.max_hlc);
        let version = Version { hlc, origin: self.here };
        let row = merge::written(Some(&stored), version, None, false, self.state.stable);
        self.store(key, Some(stored), row, Cause::default());
    }

    /// A write whose region was evicted before anybody else had it. One that an item here names in its past was had.
    fn leftover(&mut self, at_ms: u64, old: SnapshotRow) {
        let stands = self.current.get(&old.key).and_then(Option::as_ref);
        if stands.is_some_and(|row| merge::names(row, old.row.version)) {
            return;
        }
        let conflict =
            Conflict { at_ms, kind: Kind::Evicted, key: old.key, winner: stands.cloned(), loser: old.row };
        self.record(&conflict);
    }

    fn record(&mut self, conflict: &Conflict) {
        self.commit.rows.push(conflict.row(self.table.incarnation));
        self.must_commit = true;
    }

    fn unrecord(&mut self, key: Vec<u8>) {
        self.commit.rows.push(Row { space: Space::Conflicts, key: key.into(), value: None });
        self.must_commit = true;
    }

    fn merge_row(&mut self, row: SnapshotRow) {
        let stored = self.current.remove(&row.key).flatten();
        let merged = merge::merge_snapshot(stored.as_ref(), row.row.clone(), self.state.stable);
        self.settle(&row.key, stored, row.row, merged, Cause::default());
    }

    fn settle(
        &mut self,
        key: &ItemKey,
        stored: Option<StoredItem>,
        incoming: StoredItem,
        merged: Merged,
        cause: Cause,
    ) {
        // Raised by every remote version, also by one that loses: what is written here later is later.
        self.raise(incoming.version.hlc);
        if let Some((loser, kind)) = merged.lost {
            self.record_conflict(key, stored.as_ref(), &incoming, loser, kind);
        }
        match merged.row {
            Some(row) if merged.applied => self.store(key, stored, row, cause),
            Some(row) => self.put_row(key, row),
            None => {
                self.current.insert(key.clone(), stored);
            }
        }
    }

    fn record_conflict(
        &mut self,
        key: &ItemKey,
        stored: Option<&StoredItem>,
        incoming: &StoredItem,
        loser: Loser,
        kind: Kind,
    ) {
        let (winner, loser) = match loser {
            Loser::Incoming => (stored, incoming),
            Loser::Stored => (Some(incoming), stored.unwrap_or(incoming)),
        };
        let conflict = Conflict {
            at_ms: self.now_ms,
            kind,
            key: key.clone(),
            winner: winner.cloned(),
            loser: loser.clone(),
        };
        self.record(&conflict);
    }

    fn prune(&mut self, tombstones: &[(Hlc, ItemKey)]) {
        let stable = self.state.stable_now(self.table, self.here);
        self.set_stable(stable);
        for (hlc, key) in tombstones {
            let row = self.current.get(key).and_then(|row| row.as_ref());
            let stands = row.is_some_and(|row| row.item.is_none() && row.version.hlc == *hlc);
            if *hlc > stable {
                continue;
            }
            if stands {
                let key_on_disk = key.stored(self.table.incarnation);
                self.commit.rows.push(Row { space: Space::Items, key: key_on_disk, value: None });
                self.current.insert(key.clone(), None);
                self.state.tombstones -= 1;
            }
            self.commit.rows.push(tombstone::row(self.state.id, *hlc, key, false));
            self.must_commit = true;
        }
    }

    fn fill(&mut self, index_name: &str, key: &ItemKey) {
        let Some(index) = self.table.index(index_name) else { return };
        let Some(item) = self.item(key) else { return };
        if let Some(row) = index::row(index, &self.table.keys, key, &item) {
            let value = Some(row.item.to_bytes());
            self.commit.rows.push(Row { space: Space::Index, key: row.key, value });
            self.must_commit = true;
        }
    }

    fn note_expiry(&mut self, key: &ItemKey) {
        let item = self.item(key);
        let before = self.commit.rows.len();
        expiry::changes(self.table, key, None, item.as_ref().map(Item::as_ref), &mut self.commit.rows);
        self.must_commit |= self.commit.rows.len() > before;
    }
}
