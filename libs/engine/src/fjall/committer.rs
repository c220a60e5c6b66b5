//! The one thread that writes.
//!
//! ```text
//! call ─► drain what waits ─► may we write? ─► check epochs and sequences in order ─► one fjall batch
//!                                                       journal write, fdatasync, memtables (all in commit)
//!                                                                                         │
//!                                               publish a snapshot ─► answer everybody ◄──┘
//! ```
//!
//! fjall commits one batch at a time whoever calls, so one thread that merges what waits is as fast as it can be: the
//! fdatasync of one group is the time in which the next one gathers. The counters in memory run ahead of the disk only
//! within one group, and a group that fails ends all writing, so they never lead to a wrong answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ::fjall::{Keyspace, PersistMode, Readable};
use tradewind_model::{Epoch, PartitionId, Sequence};

use super::catalogue::decode_revision;
use super::counters::{COUNTERS, Counter, counter_key, decode_counter_key};
use super::free_space::FreeSpace;
use super::group::{Group, Others, Request};
use super::log::{change_key, hour_of};
use super::queue::Line;
use super::tables::{Tables, broken, reason};
use crate::{Batch, Clock, Error, Opened, PartitionCommit};

/// When nothing was committed for so long, the snapshot is renewed: an old one keeps the tables from before a
/// compaction on disk and their memtables in memory.
const IDLE: Duration = Duration::from_secs(1);

/// Who does not look after its commit does not tell others in this time; then they are told here.
const TELLING: Duration = Duration::from_millis(5);

/// The key of the last revision given to a document.
const REVISION_KEY: &[u8] = b"r";

pub struct Committer {
    tables: Arc<Tables>,
    counters: HashMap<PartitionId, Counter>,
    revision: u64,
    clock: Clock,
    free_space: FreeSpace,
    durability: Option<PersistMode>,
    /// Where changes go, and its hour.
    log: Option<(u64, Keyspace)>,
    /// The first hour that is not sealed.
    earliest_hour: u64,
    /// Why nothing can be written until the process starts again.
    broken: Option<String>,
    /// Those of the last group whom the first of them tells.
    last: Arc<Others>,
}

impl Committer {
    pub fn new(
        tables: Arc<Tables>,
        clock: Clock,
        free_space: FreeSpace,
        durability: Option<PersistMode>,
    ) -> Result<Committer, Error> {
        Ok(Committer {
            counters: load_counters(&tables)?,
            revision: load_revision(&tables)?,
            log: tables.log.newest(),
            tables,
            clock,
            free_space,
            durability,
            earliest_hour: 0,
            broken: None,
            last: Arc::default(),
        })
    }

    /// Runs until every sender is gone.
    pub fn run(mut self, mut line: Line) {
        while let Some(requests) = line.next(if self.last.are_told() { IDLE } else { TELLING }) {
            match (requests.is_empty(), self.last.are_told()) {
                (false, _) => self.commit(requests),
                (true, false) => self.last.tell(),
                (true, true) => self.tables.publish(),
            }
        }
    }

    fn commit(&mut self, requests: Vec<Request>) {
        if let Err(error) = self.prepare(&requests) {
            requests.into_iter().for_each(|request| request.refuse(error.clone()));
            return;
        }
        let mut group = Group::new(&self.tables.db, self.durability, requests.len());
        for request in requests {
            self.stage(request, &mut group);
        }
        self.stage_counters(&mut group);
        let (writes, answers, forgotten_hours) = group.split();
        let outcome = self.write(writes);
        if outcome.is_ok() {
            self.tables.publish();
            self.forget(forgotten_hours);
        }
        let last = std::mem::replace(&mut self.last, answers.send(&outcome));
        last.tell();
    }

    /// Everything that can refuse a group while nothing of it has happened yet.
    fn prepare(&mut self, requests: &[Request]) -> Result<(), Error> {
        if let Some(reason) = &self.broken {
            return Err(Error::Unavailable(reason.clone()));
        }
        // First, so that the changes of this group already go where the trim will not look.
        requests.iter().filter_map(Request::seals_before).for_each(|hour| self.seal(hour));
        let bytes = requests.iter().map(Request::bytes).sum();
        self.free_space.check(bytes, || self.tables.pending_bytes()).map_err(Error::Unavailable)?;
        self.make_keyspaces(requests).map_err(|e| Error::Unavailable(reason(&e)))
    }

    fn make_keyspaces(&mut self, requests: &[Request]) -> ::fjall::Result<()> {
        for row in requests.iter().flat_map(Request::rows) {
            self.tables.make_space(row.space)?;
        }
        if requests.iter().any(Request::has_changes) {
            self.roll_log()?;
        }
        Ok(())
    }

    fn roll_log(&mut self) -> ::fjall::Result<()> {
        let newest = self.log.as_ref().map_or(0, |(hour, _)| *hour);
        let hour = hour_of((self.clock)()).max(newest).max(self.earliest_hour);
        if self.log.as_ref().is_none_or(|(newest, _)| *newest < hour) {
            let keyspace = self.tables.log.begin(&self.tables.db, hour)?;
            self.tables.directory.sync_keyspaces()?;
            self.log = Some((hour, keyspace));
        }
        Ok(())
    }

    fn stage(&mut self, request: Request, group: &mut Group) {
        match request {
            Request::Commit { batch, done } => {
                let verdict = self.admit(&batch, group);
                if verdict.is_ok() {
                    self.stage_batch(&batch, group);
                }
                group.tell(done, verdict);
            }
            Request::Open { partition, done } => {
                let opened = self.open(partition, group);
                group.answer(done, Ok(opened));
            }
            Request::Document { key, generation, expected, body, done } => {
                let verdict = self.compare_and_set(key, expected, body, group);
                if let Ok(Some(revision)) = verdict {
                    group.writes.insert(&self.tables.state, generation, &revision.to_be_bytes()[..]);
                }
                group.answer(done, verdict);
            }
            Request::Remove { space, keys, done } => {
                let keyspace = self.tables.space(space).expect("its keys were read there");
                keys.into_iter().for_each(|key| group.writes.remove(keyspace, key));
                group.answer(done, Ok(()));
            }
            Request::Seal { before_hour, done } => {
                group.answer(done, Ok(self.tables.log.before(before_hour)));
            }
            Request::Forget { hours, last_changes, done } => {
                self.raise_kept(&last_changes, group);
                group.forgotten_hours.extend(hours);
                group.answer(done, Ok(()));
            }
        }
    }

    /// Moves the counters of all partitions on, or of none.
    fn admit(&mut self, batch: &Batch, group: &mut Group) -> Result<(), Error> {
        let mut before = Vec::with_capacity(batch.len());
        for part in batch {
            let counter = self.counter(part.partition);
            if part.epoch != counter.epoch || part.first != counter.next || counter.epoch == Epoch(0) {
                // Backwards, as a batch may name a partition twice.
                before.into_iter().rev().for_each(|(partition, counter)| self.set(partition, counter));
                return Err(Error::Fenced { partition: part.partition, epoch: part.epoch });
            }
            before.push((part.partition, counter));
            let max_hlc = counter.max_hlc.max(part.max_hlc);
            self.set(part.partition, Counter { next: part.next, max_hlc, ..counter });
        }
        let changed = before.iter().filter(|(partition, before)| self.counter(*partition) != *before);
        group.touched.extend(changed.map(|(partition, _)| *partition));
        Ok(())
    }

    fn counter(&self, partition: PartitionId) -> Counter {
        self.counters.get(&partition).copied().unwrap_or(Counter::UNSEEN)
    }

    fn set(&mut self, partition: PartitionId, counter: Counter) {
        self.counters.insert(partition, counter);
    }

    fn stage_batch(&self, batch: &Batch, group: &mut Group) {
        for part in batch {
            for row in &part.rows {
                group.write(self.tables.space(row.space).expect("made for this group"), row);
            }
            self.stage_changes(part, group);
        }
    }

    fn stage_changes(&self, part: &PartitionCommit, group: &mut Group) {
        if part.changes.is_empty() {
            return;
        }
        let (_, log) = self.log.as_ref().expect("prepared for a group with changes");
        for (sequence, change) in &part.changes {
            group.writes.insert(log, &change_key(part.partition, *sequence)[..], &change[..]);
        }
    }

    fn open(&mut self, partition: PartitionId, group: &mut Group) -> Opened {
        let counter = self.counter(partition);
        let epoch = Epoch(counter.epoch.0 + 1);
        self.set(partition, Counter { epoch, ..counter });
        group.touched.push(partition);
        Opened { epoch, next: counter.next, max_hlc: counter.max_hlc }
    }

    fn compare_and_set(
        &mut self,
        key: Vec<u8>,
        expected: Option<u64>,
        body: Option<Vec<u8>>,
        group: &mut Group,
    ) -> Result<Option<u64>, Error> {
        if self.document_revision(&key, group)? != expected {
            return Ok(None);
        }
        self.revision += 1;
        let revision = self.revision.to_be_bytes();
        group.writes.insert(&self.tables.state, REVISION_KEY, &revision[..]);
        match &body {
            Some(body) => group.writes.insert(&self.tables.state, &key[..], [&revision[..], body].concat()),
            None => group.writes.remove(&self.tables.state, &key[..]),
        }
        group.revisions.insert(key, body.map(|_| self.revision));
        Ok(Some(self.revision))
    }

    fn document_revision(&self, key: &[u8], group: &Group) -> Result<Option<u64>, Error> {
        if let Some(staged) = group.revisions.get(key) {
            return Ok(*staged);
        }
        let stored = self.tables.get(&self.tables.state, key)?;
        stored.map(|document| decode_revision(&document).map(|(revision, _)| revision)).transpose()
    }

    fn seal(&mut self, before_hour: u64) {
        self.earliest_hour = self.earliest_hour.max(before_hour);
        self.log.take_if(|(hour, _)| *hour < before_hour);
    }

    fn raise_kept(&mut self, last_changes: &[(PartitionId, Sequence)], group: &mut Group) {
        for (partition, last) in last_changes {
            let counter = self.counter(*partition);
            self.set(*partition, Counter { kept_from: counter.kept_from.max(last.next()), ..counter });
            group.touched.push(*partition);
        }
    }

    fn stage_counters(&self, group: &mut Group) {
        let touched: HashSet<PartitionId> = group.touched.drain(..).collect();
        for partition in touched {
            let row = self.counter(partition).encode();
            group.writes.insert(&self.tables.state, &counter_key(partition)[..], &row[..]);
        }
    }

    fn write(&mut self, writes: ::fjall::OwnedWriteBatch) -> Result<(), Error> {
        let Err(error) = writes.commit() else { return Ok(()) };
        let reason = self.free_space.explain().unwrap_or_else(|| reason(&error));
        tracing::error!(?error, "writing ends until the next start: {reason}");
        self.broken = Some(reason.clone());
        match error {
            // A flush in the background failed before, so this batch was not begun.
            ::fjall::Error::Poisoned => Err(Error::Unavailable(reason)),
            _ => Err(Error::Unknown(reason)),
        }
    }

    /// Not an error of the trim: what is left over will be listed again after a start, and trimmed then.
    fn forget(&self, hours: Vec<u64>) {
        for hour in hours {
            if let Err(error) = self.tables.log.forget(&self.tables.db, hour) {
                tracing::warn!(?error, hour, "a trimmed piece of the log could not be removed");
            }
        }
    }
}

fn load_counters(tables: &Tables) -> Result<HashMap<PartitionId, Counter>, Error> {
    let decode = |entry: ::fjall::Guard| {
        let (key, row) = entry.into_inner().map_err(broken)?;
        Ok((decode_counter_key(&key)?, Counter::decode(&row)?))
    };
    tables.published().prefix(&tables.state, COUNTERS).map(decode).collect()
}

fn load_revision(tables: &Tables) -> Result<u64, Error> {
    let row = tables.get(&tables.state, REVISION_KEY)?;
    row.map_or(Ok(0), |row| decode_revision(&row).map(|(revision, _)| revision))
}
