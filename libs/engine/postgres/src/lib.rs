//! A region's store on PostgreSQL: the contract of [`Engine`], [`Documents`] and [`Members`] by one database, or by several
//! ([`Several`]).
//!
//! Any number of processes may have the same database open: what each may write is decided by the fence in its
//! transaction, never by who is connected. Only this crate knows SQL.
//!
//! ```text
//! commit, open ─► committer ─► sessions that write        read ─► readers ─► sessions that read
//! range, changes, documents, members ─► sessions of a pool
//! ```
//!
//! Sessions live on the runtime in which the engine was opened.

mod branch;
mod clear;
mod committer;
mod connect;
mod coordinator;
mod database;
mod documents;
mod error;
mod group;
mod identity;
mod json;
mod log;
mod long;
mod members;
mod migrate;
mod pipeline;
mod places;
#[cfg(test)]
mod plans;
mod range;
mod read;
mod recovery;
mod settings;
mod several;
mod source;
mod standby;
mod statements;
mod takeover;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod together;
mod trouble;
mod write;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tradewind_engine::{
    Batch, Clock, Document, Documents, Engine, Error, Member, Members, MembersError, Opened, Space,
    assert_well_formed,
};
use tradewind_model::{Epoch, PartitionId, Sequence};

pub use error::OpenError;
pub use settings::{PATIENCE, Settings};
pub use several::Several;

use branch::Branch;
use committer::{Committer, Request};
use connect::{Connector, check_server};
use database::Database;
use error::refused;
use group::{Waiting, bytes_of, contradiction};
use log::{Log, hour_of};
use members::assert_text;
use source::Source;
use standby::Standbys;
use trouble::Trouble;

/// An engine on one database.
pub struct PostgresEngine {
    database: Arc<Database>,
    requests: UnboundedSender<Request>,
}

impl PostgresEngine {
    /// Connects, refuses servers that would lose what they acknowledge, and brings the schema up to date.
    pub async fn open(settings: Settings, clock: Clock) -> Result<PostgresEngine, OpenError> {
        let connector = Connector::new(&settings.url, &settings)?;
        let first = connector.connect().await?;
        check_server(&first.client).await?;
        migrate::migrate(&first.client).await?;
        drop(first);
        let primary = Arc::new(Source::new(connector, &settings));
        let database = Arc::new(Database {
            settings,
            clock,
            primary,
            log: Log::default(),
            standbys: Standbys::default(),
            trouble: Trouble::default(),
        });
        let (requests, received) = unbounded_channel();
        let committer = Committer::open(database.clone(), received).await?;
        tokio::spawn(committer.run());
        tokio::spawn(trouble::watch(Arc::downgrade(&database), database.primary.connector.clone()));
        Ok(PostgresEngine { database, requests })
    }

    fn submit(&self, batch: Batch, done: oneshot::Sender<Result<(), Error>>) {
        let (bytes, until) = (bytes_of(&batch), Instant::now() + PATIENCE);
        if batch.is_empty() {
            done.send(Ok(())).ok();
        } else if let Some(part) = contradiction(&batch) {
            done.send(Err(Error::Fenced { partition: part.partition, epoch: part.epoch })).ok();
        } else {
            self.requests.send(Request::Commit(Waiting { batch, bytes, until, done })).ok();
        }
    }

    fn submit_branch(&self, branch: Branch) {
        self.requests.send(Request::Branch(branch)).ok();
    }

    async fn peek_now(&self, partition: PartitionId) -> Result<Opened, Error> {
        let session = self.database.primary.session().await?;
        let read = async {
            let statement = session.prepare_cached(statements::PEEK).await?;
            let row = session.query_opt(&statement, &[&&partition.to_bytes()[..]]).await?;
            row.map(|row| takeover::decode(&row)).transpose()
        };
        let unseen = Opened { epoch: Epoch(0), next: Sequence(1), max_hlc: 0 };
        read.await.map(|opened| opened.unwrap_or(unseen)).map_err(|error| refused(&error))
    }
}

async fn answer<T>(answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
    answer.await.unwrap_or_else(|_| Err(Error::Unknown("the committer stopped".to_owned())))
}

impl Engine for PostgresEngine {
    /// Waits behind the partition's earlier requests of this process.
    fn open(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        let (done, opened) = oneshot::channel();
        self.requests.send(Request::Open { partition, done }).ok();
        answer(opened)
    }

    fn peek(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send {
        self.peek_now(partition)
    }

    fn read(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        self.database.primary.reader.read(space, keys)
    }

    fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        range::range(&self.database.primary, space, keys, reverse, visit)
    }

    fn read_eventual(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        standby::read(&self.database, space, keys)
    }

    fn range_eventual(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        standby::range(&self.database, space, keys, reverse, visit)
    }

    async fn troubles(&self) -> Vec<String> {
        self.database.trouble.now().into_iter().collect()
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send {
        assert_well_formed(&batch);
        let (done, committed) = oneshot::channel();
        self.submit(batch, done);
        answer(committed)
    }

    fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<(Sequence, Bytes)>, Error>> + Send {
        self.database.log.changes(&self.database.primary, partition, after, limit, max_bytes)
    }

    fn kept(&self, partition: PartitionId) -> impl Future<Output = Result<Range<Sequence>, Error>> + Send {
        log::kept(&self.database.primary, partition)
    }

    fn trim(&self, before_ms: u64) -> impl Future<Output = Result<(), Error>> + Send {
        log::trim(&self.database, hour_of(before_ms))
    }

    fn clear(&self, space: Space, prefix: &[u8]) -> impl Future<Output = Result<(), Error>> + Send {
        clear::clear(&self.database.primary, space, prefix)
    }
}

impl Documents for PostgresEngine {
    fn get(
        &self,
        collection: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Document>, Error>> + Send {
        documents::get(&self.database, collection, name)
    }

    fn list(&self, collection: &str) -> impl Future<Output = Result<Vec<(String, Document)>, Error>> + Send {
        documents::list(&self.database, collection)
    }

    fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send {
        assert_text(collection);
        assert_text(name);
        documents::compare_and_set(&self.database, collection, name, expected, body)
    }

    fn generation(&self, collection: &str) -> impl Future<Output = Result<u64, Error>> + Send {
        documents::generation(&self.database, collection)
    }
}

impl Members for PostgresEngine {
    fn renew(
        &self,
        group: &str,
        member: &Member,
        ttl: Duration,
    ) -> impl Future<Output = Result<Vec<Member>, MembersError>> + Send {
        [group, &member.name, &member.address].into_iter().for_each(assert_text);
        members::renew(&self.database, group, member, ttl)
    }

    fn members(&self, group: &str) -> impl Future<Output = Result<Vec<Member>, Error>> + Send {
        assert_text(group);
        members::alive(&self.database, group)
    }

    fn leave(&self, group: &str, member: &Member) -> impl Future<Output = Result<(), Error>> + Send {
        members::leave(&self.database, group, member)
    }
}
