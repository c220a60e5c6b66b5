//! The change log: one table per hour, attached to `log`, so that trimming is dropping tables.
//!
//! A partition's changes never go back to an earlier piece: this process files under the greatest hour it has seen, and sees
//! the newest piece whenever it takes a partition over. A piece is made by who first needs it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;
use tokio_postgres::Transaction;
use tradewind_engine::Error;
use tradewind_model::{PartitionId, Sequence};

use crate::database::Database;
use crate::error::{is_passing, refused, written};
use crate::settings::PATIENCE;
use crate::source::{RETRY, Source};
use crate::statements;
use crate::write::Failure;

const HOUR_MS: u64 = 3_600_000;

/// Making and dropping pieces is done by one at a time.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7265610002)";

/// Changes asked for in one statement.
const PAGE_ROWS: usize = 1000;

/// Hints kept at most; without one a read looks into every piece.
const MAX_HINTS: usize = 100_000;

#[derive(Default)]
pub struct Log {
    /// The hour changes are filed under.
    newest: AtomicI32,
    /// The newest piece that is known to be there.
    made: AtomicI32,
    hints: Mutex<HashMap<PartitionId, Hint>>,
}

/// Changes after this sequence lie in this hour or later.
#[derive(Clone, Copy)]
struct Hint {
    after: Sequence,
    hour: i32,
}

pub fn hour_of(unix_ms: u64) -> i32 {
    i32::try_from(unix_ms / HOUR_MS).unwrap_or(i32::MAX)
}

impl Log {
    /// Files nothing under an earlier hour any more.
    pub fn raise(&self, hour: i32) {
        self.newest.fetch_max(hour, SeqCst);
    }

    /// The hour to file changes under, whose piece is there.
    pub async fn hour_to_write(&self, database: &Database) -> Result<i32, Failure> {
        let now = hour_of((database.clock)());
        let hour = self.newest.fetch_max(now, SeqCst).max(now);
        if self.made.load(SeqCst) != hour {
            make(database, hour).await.map_err(Failure::Passing)?;
            self.made.store(hour, SeqCst);
        }
        Ok(hour)
    }

    /// Looks again, after the piece that was thought to be there was not.
    pub async fn refresh(&self, database: &Database) -> Result<(), Error> {
        let session = database.primary.session().await?;
        let row = session.query_one(statements::NEWEST_HOUR, &[]).await.map_err(|e| refused(&e))?;
        self.raise(row.try_get::<_, Option<i32>>(0).map_err(|e| refused(&e))?.unwrap_or(0));
        self.made.store(0, SeqCst);
        Ok(())
    }

    fn hints(&self) -> MutexGuard<'_, HashMap<PartitionId, Hint>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hint(&self, partition: PartitionId, after: Sequence) -> i32 {
        self.hints().get(&partition).filter(|hint| hint.after <= after).map_or(0, |hint| hint.hour)
    }

    fn remember(&self, partition: PartitionId, hint: Hint) {
        let mut hints = self.hints();
        if hints.len() >= MAX_HINTS {
            hints.clear();
        }
        hints.insert(partition, hint);
    }

    pub async fn changes(
        &self,
        source: &Source,
        partition: PartitionId,
        mut after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        let session = source.session().await?;
        let statement = session.prepare_cached(statements::CHANGES).await.map_err(|e| refused(&e))?;
        let (mut changes, mut gathered) = (Vec::new(), 0);
        let mut hour = self.hint(partition, after);
        while changes.len() < limit && gathered < max_bytes {
            let rows = (limit - changes.len()).min(PAGE_ROWS);
            let bytes = i64::try_from(max_bytes - gathered).unwrap_or(i64::MAX);
            let (id, from) = (&partition.to_bytes()[..], i64::try_from(after.0).unwrap_or(i64::MAX));
            let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&id, &from, &hour, &(rows as i64), &bytes];
            let page = session.query(&statement, &asked).await.map_err(|e| refused(&e))?;
            for row in &page {
                let (sequence, change): (i64, &[u8]) =
                    (row.try_get(0).map_err(|e| refused(&e))?, row.try_get(1).map_err(|e| refused(&e))?);
                after = Sequence(sequence as u64);
                hour = row.try_get(2).map_err(|e| refused(&e))?;
                gathered += change.len();
                changes.push((after, Bytes::copy_from_slice(change)));
            }
            if page.len() < rows {
                break;
            }
        }
        if !changes.is_empty() {
            self.remember(partition, Hint { after, hour });
        }
        Ok(changes)
    }
}

pub async fn kept(source: &Source, partition: PartitionId) -> Result<Range<Sequence>, Error> {
    let session = source.session().await?;
    let read = async {
        let statement = session.prepare_cached(statements::KEPT).await?;
        let row = session.query_one(&statement, &[&&partition.to_bytes()[..]]).await?;
        let sequence = |at| row.try_get(at).map(|number: i64| Sequence(number as u64));
        Ok(sequence(0)?..sequence(1)?)
    };
    read.await.map_err(|error: tokio_postgres::Error| refused(&error))
}

/// Makes the hour's piece, unless it is there. If the hour is sealed the commit will find no piece, and look again.
async fn make(database: &Database, hour: i32) -> Result<(), Error> {
    let mut session = database.primary.session().await?;
    let made = async {
        let transaction = session.transaction().await?;
        transaction.batch_execute(LOCK).await?;
        const NEW: &str = "INSERT INTO log_pieces (hour) SELECT $1 FROM log_sealed WHERE before_hour <= $1 \
             ON CONFLICT DO NOTHING";
        if transaction.execute(NEW, &[&hour]).await? == 1 {
            // Attached, since making it as a part of `log` would lock out those who read and write.
            let sql = format!(
                "CREATE TABLE log_{hour} (LIKE log, PRIMARY KEY (partition, sequence), CHECK (hour = {hour})); \
                 ALTER TABLE log ATTACH PARTITION log_{hour} FOR VALUES FROM ({hour}) TO ({hour} + 1)"
            );
            transaction.batch_execute(&sql).await?;
        }
        transaction.commit().await
    };
    made.await.map_err(|error| refused(&error))
}

/// Drops the pieces of hours before `before_hour`, oldest first, each with what it takes from `kept` in one transaction.
pub async fn trim(database: &Database, before_hour: i32) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        match trim_oldest(database, before_hour).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if is_passing(&error) && Instant::now() < until => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(written(&error)),
        }
    }
    database.log.raise(before_hour);
    Ok(())
}

async fn trim_oldest(database: &Database, before_hour: i32) -> Result<bool, tokio_postgres::Error> {
    let Ok(mut session) = database.primary.pool.get().await else { return Ok(false) };
    let transaction = session.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    const SEAL: &str = "UPDATE log_sealed SET before_hour = $1 WHERE before_hour < $1";
    transaction.execute(SEAL, &[&before_hour]).await?;
    const OLDEST: &str = "SELECT min(hour) FROM log_pieces WHERE hour < $1";
    let oldest: Option<i32> = transaction.query_one(OLDEST, &[&before_hour]).await?.try_get(0)?;
    if let Some(hour) = oldest {
        drop_piece(&transaction, hour).await?;
    }
    transaction.commit().await?;
    Ok(oldest.is_some())
}

/// The lock keeps late changes out of the piece while its last ones are looked for: by one step per partition, from the end
/// of the index, so that dropping takes as long for a full piece as for an empty one.
async fn drop_piece(transaction: &Transaction<'_>, hour: i32) -> Result<(), tokio_postgres::Error> {
    let sql = format!(
        "LOCK TABLE log_{hour} IN ACCESS EXCLUSIVE MODE; \
         WITH RECURSIVE last AS ( \
           (SELECT partition, sequence FROM log_{hour} ORDER BY partition DESC, sequence DESC LIMIT 1) \
           UNION ALL \
           SELECT next.partition, next.sequence FROM last CROSS JOIN LATERAL ( \
             SELECT partition, sequence FROM log_{hour} AS piece WHERE piece.partition < last.partition \
             ORDER BY partition DESC, sequence DESC LIMIT 1) AS next) \
         INSERT INTO log_kept (partition, kept_from) SELECT partition, sequence + 1 FROM last \
         ON CONFLICT (partition) DO UPDATE SET kept_from = greatest(log_kept.kept_from, EXCLUDED.kept_from); \
         DROP TABLE log_{hour}; \
         DELETE FROM log_pieces WHERE hour = {hour}"
    );
    transaction.batch_execute(&sql).await
}
