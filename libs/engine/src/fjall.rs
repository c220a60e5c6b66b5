//! The embedded engine: one fjall database (a log-structured merge tree) per region, in a directory of its own.
//!
//! Writes go to the [`committer`], one thread that merges what waits into one fdatasync. Reads run on the caller's thread,
//! against the snapshot that the committer published last (see [`tables`]); their futures are ready at once.

mod catalogue;
mod committer;
mod counters;
mod directory;
mod free_space;
mod group;
mod journal;
mod log;
mod queue;
mod settings;
mod tables;
mod trim;

use std::future::{Future, ready};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use ::fjall::{Guard, PersistMode, Readable};
use bytes::Bytes;
use tokio::sync::oneshot;
use tradewind_model::{PartitionId, Sequence};

pub use directory::{FORMAT, OpenError};
pub use settings::Settings;

use crate::bounds::{assert_document, assert_well_formed};
use crate::{Batch, Clock, Document, Documents, Engine, Error, Opened, Space};
use catalogue::{document_key, generation_key};
use committer::Committer;
use counters::Counter;
use directory::Directory;
use free_space::FreeSpace;
use group::{Request, Told};
use journal::cut_torn_batch;
use log::hour_of;
use queue::{Requests, queue};
use tables::{Tables, broken, open_database, reason};

pub struct FjallEngine {
    /// `None` only while it is dropped: the committer ends when the last sender has gone.
    requests: Option<Requests>,
    committer: Option<JoinHandle<()>>,
    tables: Arc<Tables>,
}

impl FjallEngine {
    /// Opens the directory, or makes it. It stays locked until the engine is dropped.
    pub fn open(settings: &Settings, clock: Clock) -> Result<FjallEngine, OpenError> {
        let damaged = |reason| OpenError::Damaged { dir: settings.dir.clone(), reason };
        let directory = Directory::open(settings)?;
        let free_space = FreeSpace::of(directory.path(), settings.reserve_bytes);
        let durability = (!settings.in_memory).then_some(PersistMode::SyncData);
        let tables = Arc::new(open_tables(directory, settings)?);
        let committer = Committer::new(tables.clone(), clock, free_space, durability)
            .map_err(|e| damaged(e.to_string()))?;
        let (requests, line) = queue();
        let thread = spawn("tradewind-commit", move || committer.run(line));
        Ok(FjallEngine {
            requests: Some(requests),
            committer: Some(thread.map_err(|e| damaged(e.to_string()))?),
            tables,
        })
    }

    fn requests(&self) -> &Requests {
        self.requests.as_ref().expect("taken only by drop")
    }

    /// Stands in line now, so that the order of calls is the order of commits; the future only waits.
    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let answer = self.wait_for(request);
        async move { answer.await? }
    }

    fn wait_for<T: Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let (done, answer) = oneshot::channel();
        let call = self.requests().push(request(done));
        async move {
            call.ok_or_else(stopped)?.after_others().await;
            answer.await.map_err(|_| Error::Unknown("the committer stopped".to_owned()))
        }
    }

    /// Runs what may take long (scans, removing files) on a thread of its own. What `work` owns is dropped before the
    /// answer, so that nothing holds the database open after it.
    fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let (done, answer) = oneshot::channel();
        let started = spawn("tradewind-log", move || {
            let answer = work();
            done.send(answer).ok();
        });
        async move {
            started.map_err(|e| Error::Unavailable(e.to_string()))?;
            answer.await.unwrap_or_else(|_| Err(stopped()))
        }
    }

    fn visit_range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        let keyspace = self.tables.space(space).filter(|_| keys.start < keys.end);
        let Some(keyspace) = keyspace else { return Ok(()) };
        let rows = self.tables.published().range(keyspace, keys);
        if reverse { visit_rows(rows.rev(), visit) } else { visit_rows(rows, visit) }
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(committer) = self.committer.take() {
            // A panic there was reported by its own thread.
            committer.join().ok();
        }
    }
}

impl Engine for FjallEngine {
    fn open(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        self.ask(move |done| Request::Open { partition, done })
    }

    fn peek(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        let opened =
            |counter: Counter| Opened { epoch: counter.epoch, next: counter.next, max_hlc: counter.max_hlc };
        ready(self.tables.counter(partition).map(opened))
    }

    fn read(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        ready(self.tables.get_many(space, keys))
    }

    fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        ready(self.visit_range(space, keys, reverse, visit))
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        assert_well_formed(&batch);
        let told = self.wait_for(move |done| Request::Commit { batch, done });
        async move { told.await.and_then(Told::heard) }
    }

    fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<(Sequence, Bytes)>, Error>> + Send {
        ready(self.tables.changes(partition, after, limit, max_bytes))
    }

    fn kept(&self, partition: PartitionId) -> impl Future<Output = Result<Range<Sequence>, Error>> + Send {
        ready(self.tables.counter(partition).map(|counter| counter.kept_from..counter.next))
    }

    fn committed_before(
        &self,
        partition: PartitionId,
        unix_ms: u64,
    ) -> impl Future<Output = Result<Sequence, Error>> + Send {
        ready(self.tables.committed_before(partition, unix_ms))
    }

    fn trim(&self, before_ms: u64) -> impl Future<Output = Result<(), Error>> + Send {
        let (tables, requests) = (self.tables.clone(), self.requests().clone());
        self.apart(move || trim::trim(&tables, &requests, hour_of(before_ms)))
    }

    fn clear(&self, space: Space, prefix: &[u8]) -> impl Future<Output = Result<(), Error>> + Send {
        let (tables, requests, prefix) = (self.tables.clone(), self.requests().clone(), prefix.to_vec());
        self.apart(move || trim::clear(&tables, &requests, space, &prefix))
    }
}

impl Documents for FjallEngine {
    fn get(
        &self,
        collection: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Document>, Error>> + Send {
        ready(self.tables.document(collection, name))
    }

    fn list(&self, collection: &str) -> impl Future<Output = Result<Vec<(String, Document)>, Error>> + Send {
        ready(self.tables.documents(collection))
    }

    fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send {
        assert_document(collection, name);
        let (key, body) = (document_key(collection, name), body.map(<[u8]>::to_vec));
        let generation = generation_key(collection);
        self.ask(move |done| Request::Document { key, generation, expected, body, done })
    }

    fn generation(&self, collection: &str) -> impl Future<Output = Result<u64, Error>> + Send {
        ready(self.tables.generation(collection))
    }
}

fn open_tables(directory: Directory, settings: &Settings) -> Result<Tables, OpenError> {
    let database = match open_database(&directory, settings) {
        Err(error @ ::fjall::Error::JournalRecovery(_)) => match cut_torn_batch(&directory.database()) {
            Ok(true) => open_database(&directory, settings),
            _ => Err(error),
        },
        opened => opened,
    };
    let tables = database.and_then(|db| Tables::open(db, directory, settings));
    tables.map_err(|e| refused(settings, &e))
}

fn visit_rows(
    rows: impl Iterator<Item = Guard>,
    mut visit: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), Error> {
    for row in rows {
        let (key, value) = row.into_inner().map_err(broken)?;
        if !visit(&key, &value) {
            break;
        }
    }
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

fn stopped() -> Error {
    Error::Unavailable("the committer stopped".to_owned())
}

fn refused(settings: &Settings, error: &::fjall::Error) -> OpenError {
    let dir = settings.dir.clone();
    match error {
        ::fjall::Error::Locked => OpenError::InUse { dir },
        ::fjall::Error::InvalidVersion(found) => {
            OpenError::OtherFormat { dir, found: format!("fjall {found:?}") }
        }
        ::fjall::Error::Io(e) => {
            OpenError::NotWritable { dir, source: std::io::Error::new(e.kind(), e.to_string()) }
        }
        e => OpenError::Damaged { dir, reason: reason(e) },
    }
}
