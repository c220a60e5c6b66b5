//! One transaction of a group, on a session that writes: BEGIN, fence, rows, changes and COMMIT in one flush.
//!
//! A frozen process thus leaves no open transaction behind, except while the kernel has sent only a part of the flush. Every
//! statement's answer counts: the COMMIT of a failed transaction is a ROLLBACK and no error.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::FutureExt;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use tradewind_engine::{Error, Space};
use tradewind_model::{Incarnation, PartitionId};

use crate::connect::{Connection, Connector};
use crate::error::{STALE, has_code, is_passing, is_statement_error, reason, refused};
use crate::group::{Fence, LogWrites, LongRow, LongWrites, SpaceWrites, Writes};
use crate::pipeline::{Step, pipeline};
use crate::statements::{self, BEGIN};

type Result<T> = std::result::Result<T, tokio_postgres::Error>;

/// Why a transaction did not happen, or what is not known about it.
#[derive(Debug)]
pub enum Failure {
    /// These partitions have another epoch or next sequence.
    Stale(Vec<PartitionId>),
    /// The piece of the log for this hour is gone or was never made.
    NoPiece,
    /// Nothing was written, and another try may well succeed.
    Passing(Error),
    /// Nothing was written.
    Refused(Error),
    /// It may have happened. The session is of no more use.
    Unknown(String),
}

/// A session that writes.
pub struct Writer {
    connection: Connection,
    fence: Statement,
    log: Statement,
    put_long: Statement,
    mark_long: Statement,
    remove_long: Statement,
    spaces: Vec<SpaceStatements>,
}

struct SpaceStatements {
    put: Statement,
    mark: Statement,
    remove: Statement,
}

impl Writer {
    pub async fn open(connector: &Connector) -> Result<Writer> {
        let connection = connector.connect().await?;
        let mut spaces = Vec::new();
        for sql in Space::ALL.map(statements::of) {
            spaces.push(SpaceStatements {
                put: connection.prepare(&sql.put).await?,
                mark: connection.prepare(&sql.mark).await?,
                remove: connection.prepare(&sql.remove).await?,
            });
        }
        let writer = Writer {
            fence: connection.prepare(statements::FENCE).await?,
            log: connection.prepare(statements::LOG).await?,
            put_long: connection.prepare(statements::PUT_LONG).await?,
            mark_long: connection.prepare(statements::MARK_LONG).await?,
            remove_long: connection.prepare(statements::REMOVE_LONG).await?,
            spaces,
            connection,
        };
        writer.connection.guard().await?;
        Ok(writer)
    }

    pub fn is_closed(&self) -> bool {
        self.connection.client.is_closed()
    }

    /// Runs everything, and whatever `end` says last: a COMMIT, or what prepares a branch.
    pub async fn transact(
        &self,
        writes: &Writes<'_>,
        hour: i32,
        end: &[String],
    ) -> std::result::Result<(), Failure> {
        self.connection.doubt.store(false, Relaxed);
        let client = &self.connection.client;
        let mut steps: Vec<Step<'_, Result<()>>> = vec![client.batch_execute(BEGIN).boxed()];
        steps.push(self.fence(&writes.fences).boxed());
        for (space, rows) in &writes.spaces {
            self.write_space(*space, rows, &mut steps);
        }
        self.write_long(&writes.long, &mut steps);
        if !writes.log.changes.is_empty() {
            steps.push(self.log(&writes.log, hour).boxed());
        }
        steps.extend(end.iter().map(|sql| client.batch_execute(sql).boxed()));
        self.verdict(pipeline(steps).await)
    }

    /// The first error of a statement is the cause; anything but such an error leaves the outcome open.
    fn verdict(&self, answers: Vec<Result<()>>) -> std::result::Result<(), Failure> {
        let errors: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        if let Some(lost) = errors.iter().find(|error| !is_statement_error(error)) {
            return Err(Failure::Unknown(reason(lost)));
        }
        match errors.into_iter().next() {
            Some(error) => Err(failure(&error)),
            None if self.connection.doubt.load(Relaxed) => {
                Err(Failure::Unknown("the server committed with a warning".to_owned()))
            }
            None => Ok(()),
        }
    }

    async fn fence(&self, fences: &[(PartitionId, Fence)]) -> Result<()> {
        let ids: Vec<[u8; PartitionId::LEN]> = fences.iter().map(|(id, _)| id.to_bytes()).collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id[..]).collect();
        let column = |of: fn(&Fence) -> i64| fences.iter().map(|(_, fence)| of(fence)).collect::<Vec<i64>>();
        let epochs = column(|fence| fence.epoch.0 as i64);
        let firsts = column(|fence| fence.first.0 as i64);
        let nexts = column(|fence| fence.next.0 as i64);
        let clocks = column(|fence| sorted_hlc(fence.max_hlc));
        self.execute(&self.fence, &[&ids, &epochs, &firsts, &nexts, &clocks]).await
    }

    fn write_space<'a>(
        &'a self,
        space: Space,
        rows: &'a SpaceWrites<'a>,
        steps: &mut Vec<Step<'a, Result<()>>>,
    ) {
        let of_space = &self.spaces[space as usize];
        if !rows.put_keys.is_empty() {
            let put = async { self.execute(&of_space.put, &[&rows.put_keys, &rows.put_values]).await };
            steps.push(put.boxed());
        }
        if !rows.marks.is_empty() {
            steps.push(async { self.execute(&of_space.mark, &[&rows.marks]).await }.boxed());
        }
        if !rows.removed.is_empty() {
            steps.push(async { self.execute(&of_space.remove, &[&rows.removed]).await }.boxed());
        }
    }

    fn write_long<'a>(&'a self, long: &'a LongWrites<'a>, steps: &mut Vec<Step<'a, Result<()>>>) {
        let with_values = [(&self.put_long, &long.puts, true)];
        let without = [(&self.mark_long, &long.marks, false), (&self.remove_long, &long.removed, false)];
        for (statement, rows, values) in with_values.into_iter().chain(without) {
            if !rows.is_empty() {
                steps.push(self.write_long_rows(statement, rows, values).boxed());
            }
        }
    }

    async fn write_long_rows(&self, statement: &Statement, rows: &[LongRow<'_>], values: bool) -> Result<()> {
        let spaces: Vec<i16> = rows.iter().map(|row| row.space).collect();
        let heads: Vec<&[u8]> = rows.iter().map(|row| &row.head[..]).collect();
        let rests: Vec<&[u8]> = rows.iter().map(|row| row.rest).collect();
        if values {
            let values: Vec<&[u8]> = rows.iter().map(|row| row.value).collect();
            self.execute(statement, &[&spaces, &heads, &rests, &values]).await
        } else {
            self.execute(statement, &[&spaces, &heads, &rests]).await
        }
    }

    async fn log(&self, log: &LogWrites<'_>, hour: i32) -> Result<()> {
        let partitions: Vec<&[u8]> = log.partitions.iter().map(|partition| &partition[..]).collect();
        self.execute(&self.log, &[&hour, &partitions, &log.sequences, &log.changes]).await
    }

    async fn execute(
        &self,
        statement: &Statement,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<()> {
        self.connection.client.execute(statement, values).await.map(drop)
    }
}

/// As a signed number that sorts as the clock does.
pub fn sorted_hlc(max_hlc: u64) -> i64 {
    (max_hlc ^ 1 << 63) as i64
}

pub fn hlc_of(sorted: i64) -> u64 {
    sorted as u64 ^ 1 << 63
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    if error.code().is_some_and(|code| code.code() == STALE) {
        return Failure::Stale(stale_partitions(error));
    }
    if has_code(error, &SqlState::CHECK_VIOLATION) {
        return Failure::NoPiece;
    }
    if is_passing(error) { Failure::Passing(refused(error)) } else { Failure::Refused(refused(error)) }
}

fn stale_partitions(error: &tokio_postgres::Error) -> Vec<PartitionId> {
    let detail = error.as_db_error().and_then(|db| db.detail()).unwrap_or_default();
    detail.split(',').filter_map(partition_of_hex).collect()
}

fn partition_of_hex(hex: &str) -> Option<PartitionId> {
    let (incarnation, number) = hex.split_at_checked(Incarnation::LEN * 2)?;
    let incarnation = u128::from_str_radix(incarnation, 16).ok()?;
    let number = u32::from_str_radix(number, 16).ok()?;
    Some(PartitionId { incarnation: Incarnation(uuid::Uuid::from_u128(incarnation)), number })
}
