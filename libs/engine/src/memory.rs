//! An engine in a `BTreeMap`, for the deterministic simulator only.
//!
//! The disk ([`MemoryDisk`]) is apart from the process ([`MemoryEngine`]): the simulator drops an engine to crash a node and
//! opens another on the same disk. A commit is durable when it has happened, every future is ready at once, and the same
//! calls always give the same answers. Two engines on one disk are allowed: that is a node that does not know yet that it
//! lost its partitions, and epochs must fence it.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tradewind_model::{Epoch, PartitionId, Sequence};

use crate::bounds::{assert_document, assert_well_formed};
use crate::{
    Batch, Clock, Document, Documents, Engine, Error, Member, Members, MembersError, Opened, PartitionCommit,
    Space,
};

/// Changes are kept by the hour, as on a real disk.
const HOUR_MS: u64 = 3_600_000;

/// What outlives its engines. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: BTreeMap<Space, BTreeMap<Bytes, Bytes>>,
    partitions: BTreeMap<PartitionId, Partition>,
    documents: BTreeMap<(String, String), Document>,
    revision: u64,
    /// By collection: the revision of its newest change.
    generations: BTreeMap<String, u64>,
    /// By group and name: the member, and when its lease ends.
    members: BTreeMap<(String, String), (Member, u64)>,
    /// The hour of the newest change: later ones are never filed under an earlier hour.
    newest_hour: u64,
}

#[derive(Clone)]
struct Partition {
    epoch: Epoch,
    next: Sequence,
    max_hlc: u64,
    kept_from: Sequence,
    /// By sequence: the hour it was committed in, and the change.
    log: BTreeMap<Sequence, (u64, Bytes)>,
}

static UNSEEN: Partition = Partition {
    epoch: Epoch(0),
    next: Sequence(1),
    max_hlc: 0,
    kept_from: Sequence(1),
    log: BTreeMap::new(),
};

impl Partition {
    fn trim(&mut self, before_hour: u64) {
        let Some(last) = self.log.iter().rfind(|(_, (hour, _))| *hour < before_hour) else { return };
        self.kept_from = last.0.next();
        self.log = self.log.split_off(&self.kept_from);
    }
}

impl State {
    fn commit(&mut self, batch: Batch, hour: u64) -> Result<(), Error> {
        self.admit(&batch)?;
        if batch.iter().any(|part| !part.changes.is_empty()) {
            self.newest_hour = self.newest_hour.max(hour);
        }
        batch.into_iter().for_each(|part| self.apply(part));
        Ok(())
    }

    /// Checks every part against what the parts before it leave, as a batch may name a partition twice.
    fn admit(&self, batch: &Batch) -> Result<(), Error> {
        let mut nexts = BTreeMap::new();
        for part in batch {
            let known = self.partitions.get(&part.partition).unwrap_or(&UNSEEN);
            let next = *nexts.get(&part.partition).unwrap_or(&known.next);
            if known.epoch == Epoch(0) || part.epoch != known.epoch || part.first != next {
                return Err(Error::Fenced { partition: part.partition, epoch: part.epoch });
            }
            nexts.insert(part.partition, part.next);
        }
        Ok(())
    }

    fn apply(&mut self, part: PartitionCommit) {
        let partition = self.partitions.entry(part.partition).or_insert_with(|| UNSEEN.clone());
        partition.next = part.next;
        partition.max_hlc = partition.max_hlc.max(part.max_hlc);
        let hour = self.newest_hour;
        partition.log.extend(part.changes.into_iter().map(|(sequence, change)| (sequence, (hour, change))));
        for row in part.rows {
            let rows = self.rows.entry(row.space).or_default();
            match row.value {
                Some(value) => rows.insert(row.key, value),
                None => rows.remove(&row.key),
            };
        }
    }

    fn open(&mut self, id: PartitionId) -> Opened {
        let partition = self.partitions.entry(id).or_insert_with(|| UNSEEN.clone());
        partition.epoch.0 += 1;
        Opened { epoch: partition.epoch, next: partition.next, max_hlc: partition.max_hlc }
    }

    fn read(&self, space: Space, keys: &[&[u8]]) -> Vec<Option<Bytes>> {
        let rows = self.rows.get(&space);
        keys.iter().map(|key| rows.and_then(|rows| rows.get(*key)).cloned()).collect()
    }

    fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Vec<(Sequence, Bytes)> {
        let Some(partition) = self.partitions.get(&partition) else { return Vec::new() };
        let mut gathered = 0;
        let fits = |(_, (_, change)): &(&Sequence, &(u64, Bytes))| {
            let fits = gathered < max_bytes;
            gathered += change.len();
            fits
        };
        let after = partition.log.range(after.next()..).take(limit).take_while(fits);
        after.map(|(sequence, (_, change))| (*sequence, change.clone())).collect()
    }

    fn compare_and_set(
        &mut self,
        key: (String, String),
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> Option<u64> {
        if self.documents.get(&key).map(|document| document.revision) != expected {
            return None;
        }
        self.revision += 1;
        self.generations.insert(key.0.clone(), self.revision);
        match body {
            Some(body) => {
                self.documents.insert(key, Document { revision: self.revision, body: body.to_vec() })
            }
            None => self.documents.remove(&key),
        };
        Some(self.revision)
    }

    fn renew(
        &mut self,
        group: &str,
        member: &Member,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<Member>, MembersError> {
        self.members.retain(|_, (_, until_ms)| *until_ms > now_ms);
        let key = (group.to_owned(), member.name.clone());
        if let Some((other, _)) = self.members.get(&key).filter(|(other, _)| other.id != member.id) {
            let (name, address) = (other.name.clone(), other.address.clone());
            return Err(MembersError::NameTaken { name, address });
        }
        self.members.insert(key, (member.clone(), until_ms));
        Ok(self.living(group, now_ms))
    }

    fn living(&mut self, group: &str, now_ms: u64) -> Vec<Member> {
        self.members.retain(|_, (_, until_ms)| *until_ms > now_ms);
        let of_group = self.members.iter().filter(|((of, _), _)| of == group);
        of_group.map(|(_, (member, _))| member.clone()).collect()
    }

    fn leave(&mut self, group: &str, member: &Member) {
        self.members.retain(|(of, _), (other, _)| of != group || other.id != member.id);
    }
}

fn visit_rows<'a>(
    rows: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
    mut visit: impl FnMut(&[u8], &[u8]) -> bool,
) {
    for (key, value) in rows {
        if !visit(key, value) {
            return;
        }
    }
}

/// A process that uses a [`MemoryDisk`].
#[derive(Clone)]
pub struct MemoryEngine {
    disk: MemoryDisk,
    clock: Clock,
}

impl MemoryEngine {
    pub fn open(disk: &MemoryDisk, clock: Clock) -> MemoryEngine {
        MemoryEngine { disk: disk.clone(), clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A visitor's panic cannot leave a batch half applied: visitors see rows, and change none.
        self.disk.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visit_range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) {
        let state = self.state();
        let Some(rows) = state.rows.get(&space).filter(|_| keys.start < keys.end) else { return };
        let rows = rows
            .range::<[u8], _>((std::ops::Bound::Included(keys.start), std::ops::Bound::Excluded(keys.end)));
        if reverse { visit_rows(rows.rev(), visit) } else { visit_rows(rows, visit) }
    }
}

impl Engine for MemoryEngine {
    fn open(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        ready(Ok(self.state().open(partition)))
    }

    fn peek(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        let state = self.state();
        let Partition { epoch, next, max_hlc, .. } = state.partitions.get(&partition).unwrap_or(&UNSEEN);
        ready(Ok(Opened { epoch: *epoch, next: *next, max_hlc: *max_hlc }))
    }

    fn read(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        ready(Ok(self.state().read(space, keys)))
    }

    fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.visit_range(space, keys, reverse, visit);
        ready(Ok(()))
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        assert_well_formed(&batch);
        let hour = (self.clock)() / HOUR_MS;
        ready(self.state().commit(batch, hour))
    }

    fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<(Sequence, Bytes)>, Error>> + Send {
        ready(Ok(self.state().changes(partition, after, limit, max_bytes)))
    }

    fn kept(&self, partition: PartitionId) -> impl Future<Output = Result<Range<Sequence>, Error>> + Send {
        let state = self.state();
        let partition = state.partitions.get(&partition).unwrap_or(&UNSEEN);
        ready(Ok(partition.kept_from..partition.next))
    }

    fn trim(&self, before_ms: u64) -> impl Future<Output = Result<(), Error>> + Send {
        let mut state = self.state();
        let before_hour = before_ms / HOUR_MS;
        state.newest_hour = state.newest_hour.max(before_hour);
        state.partitions.values_mut().for_each(|partition| partition.trim(before_hour));
        ready(Ok(()))
    }

    fn clear(&self, space: Space, prefix: &[u8]) -> impl Future<Output = Result<(), Error>> + Send {
        if let Some(rows) = self.state().rows.get_mut(&space) {
            rows.retain(|key, _| !key.starts_with(prefix));
        }
        ready(Ok(()))
    }
}

impl Documents for MemoryEngine {
    fn get(
        &self,
        collection: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Document>, Error>> + Send {
        let key = (collection.to_owned(), name.to_owned());
        ready(Ok(self.state().documents.get(&key).cloned()))
    }

    fn list(&self, collection: &str) -> impl Future<Output = Result<Vec<(String, Document)>, Error>> + Send {
        let state = self.state();
        let from = state.documents.range((collection.to_owned(), String::new())..);
        let within = from.take_while(|((of, _), _)| of == collection);
        ready(Ok(within.map(|((_, name), document)| (name.clone(), document.clone())).collect()))
    }

    fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send {
        assert_document(collection, name);
        let key = (collection.to_owned(), name.to_owned());
        ready(Ok(self.state().compare_and_set(key, expected, body)))
    }

    fn generation(&self, collection: &str) -> impl Future<Output = Result<u64, Error>> + Send {
        ready(Ok(self.state().generations.get(collection).copied().unwrap_or(0)))
    }
}

impl Members for MemoryEngine {
    fn renew(
        &self,
        group: &str,
        member: &Member,
        ttl: Duration,
    ) -> impl Future<Output = Result<Vec<Member>, MembersError>> + Send {
        let now_ms = (self.clock)();
        let until_ms = now_ms + ttl.as_millis() as u64;
        ready(self.state().renew(group, member, now_ms, until_ms))
    }

    fn members(&self, group: &str) -> impl Future<Output = Result<Vec<Member>, Error>> + Send {
        ready(Ok(self.state().living(group, (self.clock)())))
    }

    fn leave(&self, group: &str, member: &Member) -> impl Future<Output = Result<(), Error>> + Send {
        self.state().leave(group, member);
        ready(Ok(()))
    }
}
