//! One database's branch of a transaction over several: prepared, then committed or rolled back as the decision row says.
//!
//! ```text
//! name of the transaction   tradewind:<uuid>             decisions (in the first database): name → commit?
//! name of a branch          tradewind:<uuid>:<number>    number of its database: names are unique in a whole server
//! ```
//!
//! A prepared branch holds its partitions' rows, so no owner can take them over before it is settled.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tradewind_engine::{Batch, Error};
use tradewind_model::PartitionId;
use uuid::Uuid;

use crate::database::Database;
use crate::error::{has_code, is_statement_error, reason, written};
use crate::settings::PATIENCE;
use crate::write::Failure;

const PREFIX: &str = "tradewind:";

/// Time between tries to settle what is decided.
const RETRY: Duration = Duration::from_millis(200);

/// The name of a transaction over several databases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Name(pub Uuid);

impl Name {
    pub fn parse(name: &str) -> Option<Name> {
        Uuid::try_parse(name.strip_prefix(PREFIX)?).ok().map(Name)
    }
}

/// The name of its branch in one database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BranchName {
    pub transaction: Name,
    pub database: usize,
}

impl BranchName {
    fn parse(name: &str) -> Option<BranchName> {
        let (transaction, database) = name.rsplit_once(':')?;
        Some(BranchName { transaction: Name::parse(transaction)?, database: database.parse().ok()? })
    }
}

impl std::fmt::Display for BranchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.transaction, self.database)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

pub struct Branch {
    pub name: BranchName,
    /// The numbers of all databases that take part.
    pub databases: Vec<usize>,
    pub batch: Batch,
    pub until: Instant,
    /// Hears whether it is prepared.
    pub voted: oneshot::Sender<Result<(), Error>>,
    /// Says whether to commit; if nobody says it, whoever recovers decides.
    pub decision: oneshot::Receiver<bool>,
    pub settled: oneshot::Sender<Result<(), Error>>,
}

/// A branch that is prepared, or may be.
pub struct Prepared {
    name: BranchName,
    decision: oneshot::Receiver<bool>,
    settled: oneshot::Sender<Result<(), Error>>,
}

impl Branch {
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.batch.iter().map(|part| part.partition)
    }

    /// The end of its transaction. PREPARE TRANSACTION goes by itself.
    pub fn prepare(&self) -> [String; 2] {
        let databases: Vec<String> = self.databases.iter().map(usize::to_string).collect();
        let (name, databases) = (self.name, databases.join(","));
        [
            format!(
                "INSERT INTO branches (transaction, databases) VALUES ('{}', '{{{databases}}}')",
                name.transaction
            ),
            format!("PREPARE TRANSACTION '{name}'"),
        ]
    }

    pub fn refuse(self, error: Error) {
        self.voted.send(Err(error)).ok();
    }

    pub fn refuse_fenced(self) {
        let part = self.batch.first().expect("a branch has a part");
        let fenced = Error::Fenced { partition: part.partition, epoch: part.epoch };
        self.refuse(fenced);
    }

    /// Votes. `None` if surely nothing is prepared.
    pub fn prepared(self, outcome: Result<(), Failure>) -> Option<Prepared> {
        let fenced = |stale: &[PartitionId]| {
            let part = self.batch.iter().find(|part| stale.contains(&part.partition));
            let part = part.or(self.batch.first()).expect("a branch has a part");
            Error::Fenced { partition: part.partition, epoch: part.epoch }
        };
        let (vote, is_prepared) = match outcome {
            Ok(()) => (Ok(()), true),
            Err(Failure::Unknown(reason)) => (Err(Error::Unknown(reason)), true),
            Err(Failure::Stale(stale)) => (Err(fenced(&stale)), false),
            Err(Failure::Passing(error) | Failure::Refused(error)) => (Err(error), false),
            Err(Failure::NoPiece) => {
                (Err(Error::Unavailable("the log has no piece for now".to_owned())), false)
            }
        };
        self.voted.send(vote).ok();
        is_prepared.then_some(Prepared { name: self.name, decision: self.decision, settled: self.settled })
    }
}

impl Prepared {
    /// Waits for the decision and carries it out. What cannot be carried out in time is left to recovery.
    pub async fn settle(self, database: &Database) {
        let Ok(commit) = self.decision.await else { return };
        let until = Instant::now() + PATIENCE;
        let outcome = loop {
            match end(database, self.name, commit).await {
                Err(error) if Instant::now() < until => {
                    tracing::debug!(name = %self.name, "not settled yet: {error}");
                    tokio::time::sleep(RETRY).await;
                }
                outcome => break outcome,
            }
        };
        self.settled.send(outcome).ok();
    }
}

/// Commits or rolls back a prepared transaction; one that is not there any more has been settled before.
pub async fn end(database: &Database, name: BranchName, commit: bool) -> Result<(), Error> {
    let session = database.primary.session().await?;
    let verb = if commit { "COMMIT" } else { "ROLLBACK" };
    match session.batch_execute(&format!("{verb} PREPARED '{name}'")).await {
        Err(error) if has_code(&error, &SqlState::UNDEFINED_OBJECT) => Ok(()),
        Err(error) if is_statement_error(&error) => Err(written(&error)),
        Err(error) => Err(Error::Unavailable(reason(&error))),
        Ok(()) => Ok(()),
    }
}

/// The prepared transactions of this database that have been waiting for so long.
pub async fn prepared_before(database: &Database, age: Duration) -> Result<Vec<BranchName>, Error> {
    const SQL: &str = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() \
         AND prepared < clock_timestamp() - make_interval(secs => $1)";
    let session = database.primary.session().await?;
    let rows = session.query(SQL, &[&age.as_secs_f64()]).await.map_err(|e| crate::error::refused(&e))?;
    Ok(rows.iter().filter_map(|row| BranchName::parse(row.try_get(0).ok()?)).collect())
}

/// Decides, unless it is decided; answers what stands. Only for the first database.
pub async fn decide(catalogue: &Database, name: Name, commit: bool) -> Result<bool, Error> {
    const SQL: &str = "WITH mine AS (INSERT INTO decisions (name, is_commit) VALUES ($1, $2) ON CONFLICT DO NOTHING \
         RETURNING is_commit) SELECT is_commit FROM mine UNION ALL SELECT is_commit FROM decisions WHERE name = $1 LIMIT 1";
    let session = catalogue.primary.session().await?;
    loop {
        let row =
            session.query_opt(SQL, &[&name.to_string(), &commit]).await.map_err(|error| written(&error))?;
        // Nothing comes when another one inserted at the same moment: it is there for the next statement.
        if let Some(row) = row {
            return row.try_get(0).map_err(|error| written(&error));
        }
    }
}

/// Forgets the decision about a transaction of which every branch is settled.
pub async fn forget(catalogue: &Database, name: Name) -> Result<(), Error> {
    let session = catalogue.primary.session().await?;
    session
        .execute("DELETE FROM decisions WHERE name = $1", &[&name.to_string()])
        .await
        .map(drop)
        .map_err(|error| written(&error))
}

/// Decisions made so long ago.
pub async fn decided_before(catalogue: &Database, age: Duration) -> Result<Vec<Name>, Error> {
    const SQL: &str = "SELECT name FROM decisions WHERE decided_at < clock_timestamp() - make_interval(secs => $1) LIMIT 1000";
    let session = catalogue.primary.session().await?;
    let rows = session.query(SQL, &[&age.as_secs_f64()]).await.map_err(|e| crate::error::refused(&e))?;
    Ok(rows.iter().filter_map(|row| Name::parse(row.try_get(0).ok()?)).collect())
}

/// Forgets branches that no reader can come in between of any more.
pub async fn prune(database: &Database) -> Result<(), Error> {
    const SQL: &str = "DELETE FROM branches WHERE committed_at < clock_timestamp() - interval '10 minutes'";
    let session = database.primary.session().await?;
    session.execute(SQL, &[]).await.map(drop).map_err(|error| written(&error))
}
