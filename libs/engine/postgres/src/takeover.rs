//! Taking a partition over: epoch + 1, after whatever a lost owner still has under way has ended.
//!
//! The statement waits on the partition's row while a transaction of another session holds it. After a moment that session
//! is ended: whoever holds the row so long is frozen or gone. Two holders are left alone: one that itself waits for a lock, and
//! one that waits for a synchronous standby, since its transaction has happened and ending the wait would show what a
//! failover may take back.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::Instant;
use tradewind_engine::{Error, Opened};
use tradewind_model::{Epoch, PartitionId, Sequence};

use crate::database::Database;
use crate::error::{is_passing, is_statement_error, refused, written};
use crate::pipeline::pipeline;
use crate::source::RETRY;
use crate::statements;
use crate::write::{hlc_of, sorted_hlc};

/// How long a takeover waits for a holder before it ends it.
const GRACE: Duration = Duration::from_millis(500);

/// How long a takeover tries.
const PATIENCE: Duration = Duration::from_secs(10);

const END_HOLDERS: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(holder.pid)) \
     FROM unnest(pg_blocking_pids($1)) AS blocking(pid) JOIN pg_stat_activity AS holder USING (pid) \
     WHERE holder.wait_event IS DISTINCT FROM 'SyncRep' AND holder.wait_event_type IS DISTINCT FROM 'Lock'";

pub async fn open(database: &Database, partition: PartitionId) -> Result<Opened, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        match try_open(database, partition).await {
            Ok(opened) => return Ok(opened),
            Err(Attempt::Again(error)) if Instant::now() < until => {
                tracing::debug!(%partition, "the takeover waits: {error}");
                tokio::time::sleep(RETRY).await;
            }
            Err(Attempt::Again(error) | Attempt::Failed(error)) => return Err(error),
        }
    }
}

enum Attempt {
    Again(Error),
    Failed(Error),
}

async fn try_open(database: &Database, partition: PartitionId) -> Result<Opened, Attempt> {
    let session = database.primary.session().await.map_err(Attempt::Again)?;
    let pid = backend_pid(&session).await.map_err(|error| Attempt::Again(refused(&error)))?;
    let taken = {
        let taking = take(database, &session, partition);
        let mut taking = std::pin::pin!(tokio::time::timeout(database.settings.commit_timeout, taking));
        loop {
            tokio::select! {
                taken = &mut taking => break taken,
                () = tokio::time::sleep(GRACE) => end_holders(database, pid, partition).await,
            }
        }
    };
    match taken {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) if is_statement_error(&error) && !is_passing(&error) => {
            Err(Attempt::Failed(refused(&error)))
        }
        // If it happened after all, the next try gives one more epoch, which harms nobody.
        Ok(Err(error)) => Err(Attempt::Again(written(&error))),
        Err(_) => {
            // Whether it was carried out is open, and so must be the session's end.
            drop(Object::take(session));
            Err(Attempt::Failed(Error::Unknown("the takeover was not answered in time".to_owned())))
        }
    }
}

async fn backend_pid(session: &Object) -> Result<i32, tokio_postgres::Error> {
    let statement = session.prepare_cached("SELECT pg_backend_pid()").await?;
    session.query_one(&statement, &[]).await?.try_get(0)
}

async fn take(
    database: &Database,
    session: &Object,
    partition: PartitionId,
) -> Result<Opened, tokio_postgres::Error> {
    let open = session.prepare_cached(statements::OPEN).await?;
    let newest = session.prepare_cached(statements::NEWEST_HOUR).await?;
    let (id, zero, owner) = (&partition.to_bytes()[..], sorted_hlc(0), &database.settings.name);
    // The hour is asked for after the row is ours: then it is no less than any that a former owner filed under.
    let opened = async { session.query_one(&open, &[&id, &zero, owner]).await };
    let hour = async { session.query_one(&newest, &[]).await };
    let mut rows = pipeline(vec![Box::pin(opened), Box::pin(hour)]).await.into_iter();
    let mut next = || rows.next().expect("of two steps");
    let (opened, hour) = (next()?, next()?);
    database.log.raise(hour.try_get::<_, Option<i32>>(0)?.unwrap_or(0));
    decode(&opened)
}

pub fn decode(row: &tokio_postgres::Row) -> Result<Opened, tokio_postgres::Error> {
    Ok(Opened {
        epoch: Epoch(row.try_get::<_, i64>(0)? as u64),
        next: Sequence(row.try_get::<_, i64>(1)? as u64),
        max_hlc: hlc_of(row.try_get(2)?),
    })
}

async fn end_holders(database: &Database, pid: i32, partition: PartitionId) {
    let ended = async {
        let session = database.primary.session().await?;
        let row = session.query_one(END_HOLDERS, &[&pid]).await.map_err(|error| refused(&error))?;
        row.try_get::<_, i64>(0).map_err(|error| refused(&error))
    };
    match ended.await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(%partition, count, "ended sessions of a lost owner"),
        Err(error) => tracing::debug!(%partition, "cannot end a lost owner's session: {error}"),
    }
}
