//! Another region, as this region's replicator sees it.

use std::future::Future;

use tradewind_database::partition::arrival::{Arrival, SnapshotRow};
use tradewind_database::question::{Question, Reply, Unanswered};
use tradewind_database::replica::{Pin, Pushed, Snapshot};
use tradewind_database::table::document::TableDocument;
use tradewind_model::{Hlc, Region};

#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// May be tried again; nothing is known of the outcome.
    #[error("region {region} cannot be reached: {cause}")]
    Unreachable { region: Region, cause: String },
    /// The region answered, and will answer so again.
    #[error("region {region} refused: {cause}")]
    Refused { region: Region, cause: String },
    /// The region has enough to do just now, and has done nothing of it.
    #[error("region {region} is busy")]
    Busy { region: Region },
}

impl From<PeerError> for Unanswered {
    fn from(error: PeerError) -> Unanswered {
        match error {
            PeerError::Unreachable { cause, .. } => Unanswered::Unreachable(cause),
            PeerError::Refused { cause, .. } => Unanswered::Refused(cause),
            PeerError::Busy { .. } => Unanswered::Unreachable(error.to_string()),
        }
    }
}

/// A region that replicates tables with this one. Every call may be repeated: each is idempotent at the destination.
///
/// - [`PeerError::Unreachable`]: the call may or may not have taken effect; repeat it.
/// - [`PeerError::Refused`]: it has not; something must change first (the table is gone, say).
/// - [`PeerError::Busy`]: it has not; repeat it after a pause.
pub trait Peer: Send + Sync + 'static {
    fn region(&self) -> Region;

    /// Delivers a batch: applied durably when this returns, up to the cursor it answers.
    fn push(&self, table: &str, arrival: Arrival) -> impl Future<Output = Result<Pushed, PeerError>> + Send;

    /// Everything else that regions ask each other; what was asked to be done is durable when this returns.
    fn ask(&self, table: &str, question: Question) -> impl Future<Output = Result<Reply, PeerError>> + Send;
}

/// A reply to another question: a peer of another release.
fn unexpected<P: Peer>(peer: &P) -> PeerError {
    PeerError::Refused { region: peer.region(), cause: "it answered something else".to_owned() }
}

pub async fn done<P: Peer>(peer: &P, table: &str, question: Question) -> Result<(), PeerError> {
    match peer.ask(table, question).await? {
        Reply::Done => Ok(()),
        _ => Err(unexpected(peer)),
    }
}

pub async fn pins<P: Peer>(peer: &P, table: &str) -> Result<Vec<Pin>, PeerError> {
    match peer.ask(table, Question::Pins).await? {
        Reply::Pins(pins) => Ok(pins),
        _ => Err(unexpected(peer)),
    }
}

/// The peer takes nothing more under a lower term; answers the greatest that it knows.
pub async fn fence<P: Peer>(peer: &P, table: &str, pins: Vec<Pin>) -> Result<u64, PeerError> {
    match peer.ask(table, Question::FenceLinks(pins)).await? {
        Reply::Term(term) => Ok(term),
        _ => Err(unexpected(peer)),
    }
}

/// Gives the peer this region's settings; answers the peer's.
pub async fn exchange<P: Peer>(
    peer: &P,
    from: Region,
    document: &TableDocument,
) -> Result<TableDocument, PeerError> {
    let question = Question::Adopt { from, document: Box::new(document.clone()) };
    match peer.ask(&document.name, question).await? {
        Reply::Document(theirs) => Ok(*theirs),
        _ => Err(unexpected(peer)),
    }
}

pub async fn raise<P: Peer>(peer: &P, table: &str) -> Result<Hlc, PeerError> {
    match peer.ask(table, Question::Raise).await? {
        Reply::Hlc(hlc) => Ok(hlc),
        _ => Err(unexpected(peer)),
    }
}

pub async fn seen<P: Peer>(peer: &P, table: &str, of: Region) -> Result<Hlc, PeerError> {
    match peer.ask(table, Question::Seen(of)).await? {
        Reply::Hlc(hlc) => Ok(hlc),
        _ => Err(unexpected(peer)),
    }
}

pub async fn snapshot<P: Peer>(
    peer: &P,
    table: &str,
    from: Option<Vec<u8>>,
    origins: &[Region],
) -> Result<Snapshot, PeerError> {
    match peer.ask(table, Question::Snapshot { from, origins: origins.to_vec() }).await? {
        Reply::Snapshot(snapshot) => Ok(snapshot),
        _ => Err(unexpected(peer)),
    }
}

pub async fn seed<P: Peer>(peer: &P, table: &str, rows: Vec<SnapshotRow>) -> Result<(), PeerError> {
    if rows.is_empty() {
        return Ok(());
    }
    done(peer, table, Question::Seed(rows)).await
}
