//! Standbys, for readers who do not mind what was true a second ago.
//!
//! ```text
//! five times a second:  primary ─ how far its log has come ──┐
//!                       standby ─ how far it has replayed it ─┴► fresh until a second after the sample it has reached
//!
//! read ─► a fresh standby ─► else the primary ─► while that is away, any standby that answers
//! ```
//!
//! A standby is believed to be fresh by this process's own clock and by positions in the log only: clocks of servers, and how long
//! nothing was written, say nothing. After a failover positions count on the new primary's timeline: who is still on another one may
//! have what was lost, and lack what was written since. Which database a standby follows it says itself.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;
use tradewind_engine::{Error, Space};

use crate::connect::{Connection, Connector};
use crate::database::Database;
use crate::error::{OpenError, reason};
use crate::identity::{self, Identity};
use crate::range::{self, Scan};
use crate::settings::Settings;
use crate::source::Source;

/// What is read may be so old.
const BEHIND: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_millis(200);
/// A server that does not answer a sample in this time is away.
const ANSWER: Duration = Duration::from_secs(1);
/// Connecting tries every host, each for two seconds.
const CONNECT: Duration = Duration::from_secs(5);
/// How often who waits for the primary looks whether it is known to be away.
const LOOK: Duration = Duration::from_millis(100);

/// The timeline and how far the log has come on it. The name of a piece of the log begins with its timeline.
const WRITTEN: &str = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int, \
     pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint";
/// The timeline that is replayed, and how far. Who was promoted replays nothing any more, and writes a timeline of its own:
/// the primary's, if it is that now.
const REPLAYED: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_control_checkpoint()).timeline_id \
         ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END, \
     pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
         ELSE pg_current_wal_flush_lsn() END, '0/0')::bigint";

/// The standbys of one database.
#[derive(Default)]
pub struct Standbys {
    known: RwLock<Vec<Arc<Standby>>>,
    turn: AtomicUsize,
}

struct Standby {
    source: Arc<Source>,
    fresh_until: Mutex<Option<Instant>>,
    answers: AtomicBool,
    primary_is_away: AtomicBool,
}

impl Standby {
    fn is_fresh(&self) -> bool {
        let until = self.fresh_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, fresh_until: Option<Instant>, answers: bool, primary_is_away: bool) {
        *self.fresh_until.lock().unwrap_or_else(PoisonError::into_inner) = fresh_until;
        self.answers.store(answers, Relaxed);
        self.primary_is_away.store(primary_is_away, Relaxed);
    }
}

impl Standbys {
    /// They take turns.
    fn find(&self, wanted: impl Fn(&Standby) -> bool) -> Option<Arc<Source>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let first = self.turn.fetch_add(1, Relaxed);
        let mut in_turn = (0..known.len()).map(|step| &known[(first + step) % known.len()]);
        in_turn.find(|standby| wanted(standby)).map(|standby| standby.source.clone())
    }

    fn fresh(&self) -> Option<Arc<Source>> {
        self.find(Standby::is_fresh)
    }

    fn any(&self) -> Option<Arc<Source>> {
        self.find(|standby| standby.answers.load(Relaxed))
    }

    /// One that answers, if the primary is known not to.
    fn instead(&self) -> Option<Arc<Source>> {
        self.find(|standby| standby.answers.load(Relaxed) && standby.primary_is_away.load(Relaxed))
    }

    fn add(&self, standby: Arc<Standby>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).push(standby);
    }
}

pub async fn read(database: &Database, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
    let standbys = &database.standbys;
    if let Some(standby) = standbys.fresh().or_else(|| standbys.instead())
        && let Some(values) = ask(&standby, space, keys).await
    {
        return Ok(values);
    }
    let mut reading = pin!(database.primary.reader.read(space, keys));
    loop {
        tokio::select! {
            answer = &mut reading => match (answer, standbys.any()) {
                (Err(error @ Error::Unavailable(_)), Some(standby)) => {
                    return ask(&standby, space, keys).await.ok_or(error);
                }
                (answer, _) => return answer,
            },
            () = tokio::time::sleep(LOOK) => if let Some(standby) = standbys.instead()
                && let Some(values) = ask(&standby, space, keys).await
            {
                return Ok(values);
            },
        }
    }
}

async fn ask(standby: &Source, space: Space, keys: &[&[u8]]) -> Option<Vec<Option<Bytes>>> {
    timeout(ANSWER, standby.reader.read(space, keys)).await.ok()?.ok()
}

pub async fn range(
    database: &Database,
    space: Space,
    keys: Range<&[u8]>,
    reverse: bool,
    mut visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
) -> Result<(), Error> {
    let mut scan = begin(database, space, keys.clone(), reverse).await?;
    let visited = AtomicBool::new(false);
    let mut visit = |key: &[u8], value: &[u8]| {
        visited.store(true, Relaxed);
        visit(key, value)
    };
    let mut outcome = scan.step(&mut visit).await;
    while let Ok(true) = outcome {
        outcome = scan.step(&mut visit).await;
    }
    match outcome {
        // A standby may end a statement that is in the way of what it replays.
        Err(_) if !visited.load(Relaxed) => {
            range::range(&database.primary, space, keys, reverse, &mut visit).await
        }
        outcome => outcome.map(drop),
    }
}

/// A scan of a fresh standby, or of the primary, or, while that is away, of any standby.
pub async fn begin(
    database: &Database,
    space: Space,
    keys: Range<&[u8]>,
    reverse: bool,
) -> Result<Scan, Error> {
    let standbys = &database.standbys;
    if let Some(standby) = standbys.fresh().or_else(|| standbys.instead())
        && let Ok(Ok(scan)) = timeout(ANSWER, Scan::begin(&standby, space, keys.clone(), reverse)).await
    {
        return Ok(scan);
    }
    let mut beginning = pin!(Scan::begin(&database.primary, space, keys.clone(), reverse));
    loop {
        tokio::select! {
            begun = &mut beginning => match (begun, standbys.any()) {
                (Err(error), Some(standby)) => {
                    let instead = timeout(ANSWER, Scan::begin(&standby, space, keys, reverse)).await;
                    return instead.ok().and_then(Result::ok).ok_or(error);
                }
                (begun, _) => return begun,
            },
            () = tokio::time::sleep(LOOK) => if let Some(standby) = standbys.instead()
                && let Ok(Ok(scan)) = timeout(ANSWER, Scan::begin(&standby, space, keys.clone(), reverse)).await
            {
                return Ok(scan);
            },
        }
    }
}

/// Watches a standby of one of these databases, for as long as they are open. It may be away for now.
///
/// # Errors
/// The URL, or the certificates, are not what they should be.
pub fn follow(
    settings: &Settings,
    databases: Vec<(Identity, Weak<Database>)>,
) -> Result<AbortHandle, OpenError> {
    let connector = Connector::to_any(&settings.url, settings)?;
    let settings = settings.clone();
    let watching = async move {
        let mut replica = Probe { connector: connector.clone(), sql: REPLAYED, connection: None };
        let database = find(&mut replica, &databases).await;
        let Some(primary) = database.upgrade().map(|database| database.primary.connector.clone()) else {
            return;
        };
        let standby = Arc::new(Standby {
            source: Arc::new(Source::new(connector, &settings)),
            fresh_until: Mutex::default(),
            answers: AtomicBool::new(true),
            primary_is_away: AtomicBool::new(false),
        });
        if let Some(database) = database.upgrade() {
            database.standbys.add(standby.clone());
        }
        let primary = Probe { connector: primary, sql: WRITTEN, connection: None };
        watch(&standby, primary, replica).await;
    };
    Ok(tokio::spawn(watching).abort_handle())
}

/// Which database the standby follows. A new region's standby may not know it yet.
async fn find(replica: &mut Probe, databases: &[(Identity, Weak<Database>)]) -> Weak<Database> {
    let mut is_told = false;
    loop {
        let trouble = match replica.identity().await {
            Ok(found) => match databases.iter().find(|(identity, _)| Some(*identity) == found) {
                Some((_, database)) => return database.clone(),
                None => "it follows none of the databases of --postgres".to_owned(),
            },
            Err(trouble) => trouble,
        };
        if !is_told {
            tracing::warn!(trouble, "a standby cannot be read from yet; trying again");
            is_told = true;
        }
        tokio::time::sleep(ANSWER).await;
    }
}

async fn watch(standby: &Standby, mut primary: Probe, mut replica: Probe) {
    let mut samples: VecDeque<(Instant, Position)> = VecDeque::new();
    loop {
        let at = Instant::now();
        let (written, replayed) = tokio::join!(primary.position(), replica.position());
        samples.extend(written.as_ref().ok().map(|position| (at, *position)));
        while samples.front().is_some_and(|(at, _)| at.elapsed() > BEHIND) {
            samples.pop_front();
        }
        let reached = |replayed: &Position| samples.iter().rev().find(|(_, written)| written.is_in(replayed));
        let fresh_until = replayed.as_ref().ok().and_then(reached).map(|(at, _)| *at + BEHIND);
        if standby.answers.load(Relaxed) != replayed.is_ok() {
            match &replayed {
                Ok(_) => tracing::info!("a standby answers again"),
                Err(trouble) => tracing::warn!(trouble, "a standby does not answer"),
            }
        }
        standby.set(fresh_until, replayed.is_ok(), written.is_err());
        tokio::time::sleep(SAMPLE).await;
    }
}

/// A place in a server's log.
#[derive(Clone, Copy)]
struct Position {
    timeline: i32,
    bytes: i64,
}

impl Position {
    /// Whether who has come to `other` has all that was written up to here.
    fn is_in(&self, other: &Position) -> bool {
        self.timeline == other.timeline && self.bytes <= other.bytes
    }
}

/// A session of its own, so that it does not wait behind anybody's reads.
struct Probe {
    connector: Connector,
    sql: &'static str,
    connection: Option<Connection>,
}

impl Probe {
    async fn position(&mut self) -> Result<Position, String> {
        let sql = self.sql;
        let row = self.ask(async |client| client.query_one(sql, &[]).await).await?;
        let read = || Ok(Position { timeline: row.try_get(0)?, bytes: row.try_get(1)? });
        read().map_err(|error| reason(&error))
    }

    async fn identity(&mut self) -> Result<Option<Identity>, String> {
        self.ask(async |client| identity::of(client).await).await
    }

    async fn ask<T>(
        &mut self,
        ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, String> {
        let away = |_| "it does not answer in time".to_owned();
        let connection = match self.connection.take().filter(|connection| !connection.client.is_closed()) {
            Some(connection) => connection,
            None => {
                let connected = timeout(CONNECT, self.connector.connect()).await.map_err(away)?;
                connected.map_err(|error| reason(&error))?
            }
        };
        let answer = timeout(ANSWER, ask(&connection.client)).await.map_err(away)?;
        let answer = answer.map_err(|error| reason(&error))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}
