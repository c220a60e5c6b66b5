//! A region over several databases. A partition lives in one of them with its index rows and its log, so most commits touch
//! one; those that touch more are prepared in each and decided by a row in the first.
//!
//! ```text
//! commit ─► parts by database ─┬ one: its committer
//!                              └ more: PREPARE in each ─► decision row ─► COMMIT PREPARED in each
//! read   ─► the databases that may have the key; range ─► merged in order
//! ```
//!
//! **What is different from one database**: a range over several sees one state of each, so it may see a transaction over two of
//! them in one and not yet in the other. Reads see it in all or in none (see [`together`]).

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tradewind_engine::{
    Batch, Clock, Document, Documents, Engine, Error, Member, Members, MembersError, Opened, Space,
    assert_well_formed,
};
use tradewind_model::{Epoch, Incarnation, PartitionId, Sequence};
use uuid::Uuid;

use crate::error::OpenError;
use crate::identity::Identity;
use crate::places::Places;
use crate::range::Scan;
use crate::{PostgresEngine, Settings, answer, coordinator, identity, recovery, standby, together};

/// An eventual read waits no longer for the catalogue.
const LOOK_UP: Duration = Duration::from_millis(500);

/// An engine on one database or more. The first has the catalogue and the leases.
pub struct Several {
    shared: Arc<Shared>,
    /// Batches whose partitions' places have to be looked up first.
    unplaced: UnboundedSender<(Batch, oneshot::Sender<Result<(), Error>>)>,
    recovery: Option<AbortHandle>,
    /// Those who watch standbys.
    watching: Vec<AbortHandle>,
    region: Uuid,
}

pub(crate) struct Shared {
    pub engines: Vec<PostgresEngine>,
    pub places: Places,
    /// How many batches are on their way through `unplaced`. While there are any, all go that way: the order of the calls
    /// is the order of commits.
    waiting: Mutex<usize>,
}

impl Drop for Several {
    fn drop(&mut self) {
        self.recovery.iter().chain(&self.watching).for_each(AbortHandle::abort);
    }
}

impl Several {
    /// Opens all; the order of the settings does not matter once each has its number.
    pub async fn open(settings: Vec<Settings>, clock: Clock) -> Result<Several, OpenError> {
        if settings.is_empty() {
            return Err(OpenError::BadUrl("none was given".to_owned()));
        }
        let mut engines = Vec::new();
        for settings in settings {
            engines.push(PostgresEngine::open(settings, clock.clone()).await?);
        }
        let (region, engines) = identity::ordered(engines).await?;
        let places = Places::new(engines.len());
        let shared = Arc::new(Shared { engines, places, waiting: Mutex::new(0) });
        let (unplaced, received) = unbounded_channel();
        tokio::spawn(place_and_commit(shared.clone(), received));
        let recovery = (shared.engines.len() > 1)
            .then(|| tokio::spawn(recovery::run(Arc::downgrade(&shared))).abort_handle());
        Ok(Several { shared, unplaced, recovery, watching: Vec::new(), region })
    }

    /// From now on eventual reads are answered by standbys too. Each says itself which of the databases it follows; one that
    /// is away is asked again.
    ///
    /// # Errors
    /// A URL, or the certificates, are not what they should be.
    pub fn with_standbys(mut self, standbys: &[Settings]) -> Result<Several, OpenError> {
        let region = self.region;
        let identify = |(number, engine): (usize, &PostgresEngine)| {
            (Identity { region, number }, Arc::downgrade(&engine.database))
        };
        let databases: Vec<_> = self.shared.engines.iter().enumerate().map(identify).collect();
        for settings in standbys {
            self.watching.push(standby::follow(settings, databases.clone())?);
        }
        Ok(self)
    }

    /// How many databases there are.
    pub fn count(&self) -> usize {
        self.shared.engines.len()
    }

    fn catalogue(&self) -> &PostgresEngine {
        &self.shared.engines[0]
    }

    async fn engine_of(&self, partition: PartitionId) -> Result<Option<&PostgresEngine>, Error> {
        let found = self.shared.places.find(self.catalogue(), partition).await?;
        Ok(found.map(|at| &self.shared.engines[at]))
    }

    /// While the catalogue is away, places that are not known are looked for everywhere.
    async fn candidates_eventual(&self, space: Space, key: &[u8]) -> Vec<usize> {
        let found = self.shared.places.candidates(self.catalogue(), space, key);
        match tokio::time::timeout(LOOK_UP, found).await {
            Ok(Ok(found)) => found,
            _ => (0..self.count()).collect(),
        }
    }

    async fn read_several_eventual(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        let mut asked: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            for engine in self.candidates_eventual(space, key).await {
                asked.entry(engine).or_default().push(at);
            }
        }
        let reads = asked.iter().map(|(engine, places)| async move {
            let keys: Vec<_> = places.iter().map(|at| keys[*at]).collect();
            self.shared.engines[*engine].read_eventual(space, &keys).await
        });
        let answers = try_join_all(reads).await?;
        let mut found = vec![None; keys.len()];
        for (places, values) in asked.values().zip(answers) {
            for (at, value) in places.iter().zip(values).filter(|(_, value)| value.is_some()) {
                found[*at] = value;
            }
        }
        Ok(found)
    }

    async fn range_several_eventual(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        let engines = self.candidates_eventual(space, routing_prefix(&keys)).await;
        if let [engine] = engines[..] {
            return self.shared.engines[engine].range_eventual(space, keys, reverse, visit).await;
        }
        let scans = engines.into_iter().map(|engine| {
            standby::begin(&self.shared.engines[engine].database, space, keys.clone(), reverse)
        });
        let mut runs = Vec::new();
        for scan in try_join_all(scans).await? {
            runs.push(Run { scan, rows: VecDeque::new(), more: true });
        }
        merge(runs, reverse, visit).await
    }

    async fn read_several(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        let shared = &self.shared;
        let mut asked: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            for engine in shared.places.candidates(self.catalogue(), space, key).await? {
                asked.entry(engine).or_default().push(at);
            }
        }
        if asked.len() == 1 && asked.values().all(|places| places.len() == keys.len()) {
            let engine = asked.into_keys().next().unwrap_or(0);
            return shared.engines[engine].read(space, keys).await;
        }
        let keys_of =
            asked.iter().map(|(engine, places)| (*engine, places.iter().map(|at| keys[*at]).collect()));
        let answers = together::read(shared, space, &keys_of.collect()).await?;
        let mut found = vec![None; keys.len()];
        for (places, values) in asked.into_values().zip(answers) {
            for (at, value) in places.into_iter().zip(values).filter(|(_, value)| value.is_some()) {
                found[at] = value;
            }
        }
        Ok(found)
    }

    /// The databases that a range may have rows in.
    async fn engines_of(&self, space: Space, keys: &Range<&[u8]>) -> Result<Vec<usize>, Error> {
        self.shared.places.candidates(self.catalogue(), space, routing_prefix(keys)).await
    }

    async fn range_several(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        let engines = self.engines_of(space, &keys).await?;
        if let [engine] = engines[..] {
            return self.shared.engines[engine].range(space, keys, reverse, visit).await;
        }
        let scans = engines.into_iter().map(|engine| {
            Scan::begin(&self.shared.engines[engine].database.primary, space, keys.clone(), reverse)
        });
        let mut runs = Vec::new();
        for scan in try_join_all(scans).await? {
            runs.push(Run { scan, rows: VecDeque::new(), more: true });
        }
        merge(runs, reverse, visit).await
    }
}

/// The table of a range's keys, if they are of one.
fn routing_prefix<'a>(keys: &Range<&'a [u8]>) -> &'a [u8] {
    let common = keys.start.iter().zip(keys.end).take_while(|(a, b)| a == b).count();
    // The end of a whole table's range differs in the table's last byte.
    let one_table =
        keys.end == tradewind_model::key::after_prefix(&keys.start[..keys.start.len().min(Incarnation::LEN)]);
    let prefix = if one_table { keys.start } else { &keys.start[..common] };
    &prefix[..prefix.len().min(Incarnation::LEN)]
}

/// The rows of one database that were read and not visited yet.
struct Run {
    scan: Scan,
    rows: VecDeque<(Bytes, Bytes)>,
    more: bool,
}

impl Run {
    async fn fill(&mut self) -> Result<(), Error> {
        while self.rows.is_empty() && self.more {
            let rows = &mut self.rows;
            let mut keep = |key: &[u8], value: &[u8]| {
                rows.push_back((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
                true
            };
            self.more = self.scan.step(&mut keep).await?;
        }
        Ok(())
    }
}

async fn merge(
    mut runs: Vec<Run>,
    reverse: bool,
    mut visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
) -> Result<(), Error> {
    loop {
        for filled in join_all(runs.iter_mut().map(Run::fill)).await {
            filled?;
        }
        runs.retain(|run| !run.rows.is_empty());
        // Until one runs out, the next row is known without asking.
        while !runs.is_empty() && runs.iter().all(|run| !run.rows.is_empty()) {
            let key = |run: &Run| run.rows.front().map(|(key, _)| key.clone());
            let next = if reverse {
                runs.iter_mut().max_by_key(|run| key(run))
            } else {
                runs.iter_mut().min_by_key(|run| key(run))
            };
            let Some((key, value)) = next.and_then(|run| run.rows.pop_front()) else { return Ok(()) };
            if !visit(&key, &value) {
                return Ok(());
            }
        }
        if runs.is_empty() {
            return Ok(());
        }
    }
}

impl Shared {
    /// Hands the batch out if every partition's place is known, in the order of calls.
    fn commit(
        self: &Arc<Self>,
        batch: Batch,
        done: oneshot::Sender<Result<(), Error>>,
    ) -> Result<(), (Batch, oneshot::Sender<Result<(), Error>>)> {
        let places: Option<Vec<usize>> = batch.iter().map(|part| self.places.known(part.partition)).collect();
        let Some(places) = places else { return Err((batch, done)) };
        if places.iter().all(|place| *place == places[0]) {
            let engine = places.first().copied().unwrap_or(0);
            self.engines[engine].submit(batch, done);
        } else {
            coordinator::commit(self, batch, &places, done);
        }
        Ok(())
    }

    /// The place of every partition of a batch, or the part that nobody ever opened.
    async fn look_up(&self, batch: &Batch) -> Result<(), Error> {
        for part in batch {
            if self.places.find(&self.engines[0], part.partition).await?.is_none() {
                return Err(Error::Fenced { partition: part.partition, epoch: part.epoch });
            }
        }
        Ok(())
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn place_and_commit(
    shared: Arc<Shared>,
    mut unplaced: tokio::sync::mpsc::UnboundedReceiver<(Batch, oneshot::Sender<Result<(), Error>>)>,
) {
    while let Some((batch, done)) = unplaced.recv().await {
        let looked_up = shared.look_up(&batch).await;
        let mut waiting = shared.waiting();
        match looked_up {
            Ok(()) => {
                if let Err((_, done)) = shared.commit(batch, done) {
                    done.send(Err(Error::Unavailable("a partition's place was forgotten".to_owned()))).ok();
                }
            }
            Err(error) => _ = done.send(Err(error)),
        }
        *waiting -= 1;
    }
}

impl Engine for Several {
    async fn open(&self, partition: PartitionId) -> Result<Opened, Error> {
        let at = self.shared.places.assign(self.catalogue(), partition).await?;
        self.shared.engines[at].open(partition).await
    }

    async fn peek(&self, partition: PartitionId) -> Result<Opened, Error> {
        match self.engine_of(partition).await? {
            Some(engine) => engine.peek(partition).await,
            None => Ok(Opened { epoch: Epoch(0), next: Sequence(1), max_hlc: 0 }),
        }
    }

    async fn read(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        match &self.shared.engines[..] {
            [engine] => engine.read(space, keys).await,
            _ => self.read_several(space, keys).await,
        }
    }

    async fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        match &self.shared.engines[..] {
            [engine] => engine.range(space, keys, reverse, visit).await,
            _ if keys.start >= keys.end => Ok(()),
            _ => self.range_several(space, keys, reverse, visit).await,
        }
    }

    async fn read_eventual(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        match &self.shared.engines[..] {
            _ if self.watching.is_empty() => self.read(space, keys).await,
            [engine] => engine.read_eventual(space, keys).await,
            _ => self.read_several_eventual(space, keys).await,
        }
    }

    async fn range_eventual(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> Result<(), Error> {
        match &self.shared.engines[..] {
            _ if self.watching.is_empty() => self.range(space, keys, reverse, visit).await,
            [engine] => engine.range_eventual(space, keys, reverse, visit).await,
            _ if keys.start >= keys.end => Ok(()),
            _ => self.range_several_eventual(space, keys, reverse, visit).await,
        }
    }

    async fn troubles(&self) -> Vec<String> {
        let databases = self.shared.engines.iter().map(|engine| engine.database.trouble.now()).enumerate();
        databases.filter_map(|(number, trouble)| Some(format!("database {number}: {}", trouble?))).collect()
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        assert_well_formed(&batch);
        let (done, committed) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        let left = if *waiting > 0 { Err((batch, done)) } else { self.shared.commit(batch, done) };
        if let Err(left) = left {
            *waiting += 1;
            self.unplaced.send(left).ok();
        }
        drop(waiting);
        answer(committed)
    }

    async fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        match self.engine_of(partition).await? {
            Some(engine) => engine.changes(partition, after, limit, max_bytes).await,
            None => Ok(Vec::new()),
        }
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        match self.engine_of(partition).await? {
            Some(engine) => engine.kept(partition).await,
            None => Ok(Sequence(1)..Sequence(1)),
        }
    }

    async fn trim(&self, before_ms: u64) -> Result<(), Error> {
        try_join_all(self.shared.engines.iter().map(|engine| engine.trim(before_ms))).await.map(drop)
    }

    fn place(&self, incarnation: Incarnation, last_hashes: &[(u32, u64)]) {
        self.shared.places.tell(incarnation, last_hashes);
    }

    async fn clear(&self, space: Space, prefix: &[u8]) -> Result<(), Error> {
        try_join_all(self.shared.engines.iter().map(|engine| engine.clear(space, prefix))).await.map(drop)
    }
}

impl Documents for Several {
    async fn get(&self, collection: &str, name: &str) -> Result<Option<Document>, Error> {
        self.catalogue().get(collection, name).await
    }

    async fn list(&self, collection: &str) -> Result<Vec<(String, Document)>, Error> {
        self.catalogue().list(collection).await
    }

    async fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> Result<Option<u64>, Error> {
        self.catalogue().compare_and_set(collection, name, expected, body).await
    }

    async fn generation(&self, collection: &str) -> Result<u64, Error> {
        self.catalogue().generation(collection).await
    }
}

impl Members for Several {
    async fn renew(&self, group: &str, member: &Member, ttl: Duration) -> Result<Vec<Member>, MembersError> {
        self.catalogue().renew(group, member, ttl).await
    }

    async fn members(&self, group: &str) -> Result<Vec<Member>, Error> {
        self.catalogue().members(group).await
    }

    async fn leave(&self, group: &str, member: &Member) -> Result<(), Error> {
        self.catalogue().leave(group, member).await
    }
}
