//! What regions ask each other about a table, beside the batches of links: plain data both ways, so that it can travel by
//! any transport. Every question may be asked again: its answer is the same, or says what has changed meanwhile.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin as Pinned;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Hlc, Incarnation, ItemKey, Region, Tokens, Version};
use tradewind_wire::ApiError;

use crate::control::Vacancy;
use crate::digest::{Cut, Digests, Standing, Standings};
use crate::partition::arrival::SnapshotRow;
use crate::partition::state::Source;
use crate::region::Database;
use crate::replica::{Pin, Position, Snapshot};
use crate::table::document::{Replica, TableDocument};
use crate::table::global::Level;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// Where a link is to go on, whose source has hashes `from..=to`.
    Position { source: Source, from: u64, to: u64 },
    /// Makes the table as the document describes it, in an incarnation of its own; what is there stays.
    CreateReplica(Box<TableDocument>),
    /// The asker's document: its newer settings are taken over. Answered with the region's own.
    Adopt { from: Region, document: Box<TableDocument> },
    /// Whether the region's table of one region can make way for a replica of this one; with `now` it does.
    Vacate { document: Box<TableDocument>, now: bool },
    /// The replica becomes a table of its own, with what it has.
    Detach,
    /// Drops the replica without telling others.
    DropReplica,
    /// The asker has dropped its replica.
    Leave { region: Region, incarnation: Incarnation },
    /// Where the region's logs end now. Every later write there counts the replicas it knows.
    Pins,
    /// Begins links in a region that joins.
    BeginLinks(Vec<Pin>),
    /// Takes nothing more of these sources under a lower term than these; answers the greatest that is known of them.
    FenceLinks(Vec<Pin>),
    /// Begins links whatever was there: after a repair.
    ResetLinks(Vec<Pin>),
    /// Raises the clocks of all partitions.
    Raise,
    /// What the region has applied of another, in the partition furthest behind.
    Seen(Region),
    /// A joiner's stable and clock start at the common watermark.
    FinishJoin(Hlc),
    /// A control operation begins at the asker: none is to begin here.
    Claim { id: uuid::Uuid, by: Region },
    /// It is over.
    Release { id: uuid::Uuid },
    /// A piece of the region's rows, of all origins where none are named.
    Snapshot { from: Option<Vec<u8>>, origins: Vec<Region> },
    /// Rows of the asker's snapshot.
    Seed(Vec<SnapshotRow>),
    /// The same from a region that is repaired: a row that the region knows to be deleted is refused.
    Mend(Vec<SnapshotRow>),
    /// Deletes items that are still these versions.
    Forget(Vec<(ItemKey, Version)>),
    /// Takes nothing more from these regions, and answers what it has of them.
    Levels(Vec<Region>),
    /// The asker was evicted, has set its rows aside, and would be a replica again.
    Readmit { region: Region, incarnation: Incarnation },
    /// For how many milliseconds the region has not heard of each other one.
    Sight,
    /// Digests of the region's items.
    Digests(Cut),
    /// What the region has of the keys with hashes `from..=to`, after a key.
    Standings { from: u64, to: u64, after: Option<ItemKey> },
    /// What the region has of these keys.
    StandingsOf(Vec<ItemKey>),
    /// Whether the region has applied these writes, after waiting for them.
    Applied { tokens: Tokens, wait_ms: u64 },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Position(Position),
    Replica(Replica),
    /// The region has another table of that name.
    Occupied,
    Document(Box<TableDocument>),
    Pins(Vec<Pin>),
    Term(u64),
    Hlc(Hlc),
    Snapshot(Snapshot),
    /// Whether the region has no other claim.
    Claimed(bool),
    /// Of the rows, those that were refused.
    Late(Vec<(ItemKey, Version)>),
    Levels(BTreeMap<Region, Vec<Level>>),
    Sight(BTreeMap<Region, u64>),
    Digests(Digests),
    Standings(Standings),
    StandingsOf(Vec<Option<Standing>>),
    Applied(bool),
    Vacancy(Vacancy),
}

/// Why there is no reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswered {
    /// May be tried again; nothing is known of the outcome.
    #[error("{0}")]
    Unreachable(String),
    /// The region answered, and will answer so again.
    #[error("{0}")]
    Refused(String),
}

pub type Asked<'a> = Pinned<Box<dyn Future<Output = Result<Reply, Unanswered>> + Send + 'a>>;

/// The other regions, as far as this one can ask them.
pub trait Neighbours: Send + Sync {
    fn ask<'a>(&'a self, region: Region, table: &'a str, question: Question) -> Asked<'a>;

    /// For how many milliseconds each region has not answered.
    fn sight(&self) -> BTreeMap<Region, u64>;
}

impl<E: Engine + Documents> Database<E> {
    /// What this region answers another.
    pub async fn answer(&self, table: &str, question: Question) -> Result<Reply, ApiError> {
        Ok(match question {
            Question::Position { source, from, to } => {
                Reply::Position(self.link_position(table, source, from, to).await?)
            }
            Question::CreateReplica(document) => match self.create_replica(&document).await? {
                Some(replica) => Reply::Replica(replica),
                None => Reply::Occupied,
            },
            Question::Adopt { from, document } => {
                Reply::Document(Box::new(self.adopt(from, &document).await?))
            }
            Question::Vacate { document, now } => Reply::Vacancy(self.make_way(&document, now).await?),
            Question::Detach => done(self.detach(table).await)?,
            Question::DropReplica => done(self.drop_replica(table).await)?,
            Question::Leave { region, incarnation } => done(self.left_by(table, region, incarnation).await)?,
            Question::Pins => Reply::Pins(self.pins(table).await?),
            Question::BeginLinks(pins) => done(self.begin_links(table, pins).await)?,
            Question::FenceLinks(pins) => Reply::Term(self.fence_links(table, pins).await?),
            Question::ResetLinks(pins) => done(self.reset_links(table, pins).await)?,
            Question::Raise => Reply::Hlc(self.raise(table).await?),
            Question::Seen(region) => Reply::Hlc(self.seen(table, region).await?),
            Question::FinishJoin(watermark) => done(self.finish_join(table, watermark).await)?,
            Question::Claim { id, by } => Reply::Claimed(self.take_claim(table, id, by).await?),
            Question::Release { id } => done(self.drop_claim(table, id).await)?,
            other => self.answer_about_rows(table, other).await?,
        })
    }

    async fn answer_about_rows(&self, table: &str, question: Question) -> Result<Reply, ApiError> {
        Ok(match question {
            Question::Snapshot { from, origins } => {
                Reply::Snapshot(self.snapshot(table, from, &origins).await?)
            }
            Question::Seed(rows) => done(self.seed(table, rows).await)?,
            Question::Mend(rows) => Reply::Late(self.mend(table, rows).await?),
            Question::Forget(items) => done(self.forget(table, items).await)?,
            Question::Levels(of) => Reply::Levels(self.levels(table, &of).await?),
            Question::Readmit { region, incarnation } => {
                done(self.readmit(table, region, incarnation).await)?
            }
            other => self.answer_about_state(table, other).await?,
        })
    }
}

impl<E: Engine + Documents> Database<E> {
    async fn answer_about_state(&self, table: &str, question: Question) -> Result<Reply, ApiError> {
        Ok(match question {
            Question::Digests(cut) => Reply::Digests(self.digests(table, cut).await?),
            Question::Standings { from, to, after } => {
                Reply::Standings(self.standings(table, from, to, after).await?)
            }
            Question::StandingsOf(keys) => Reply::StandingsOf(self.standings_of(table, &keys).await?),
            Question::Applied { tokens, wait_ms } => Reply::Applied(self.applied(&tokens, wait_ms).await?),
            _ => Reply::Sight(self.sight()),
        })
    }
}

fn done(outcome: Result<(), ApiError>) -> Result<Reply, ApiError> {
    outcome.map(|()| Reply::Done)
}
