//! Another region, as this region's replicator sees it.

use std::future::Future;

use tradewind_database::partition::arrival::{Arrival, SnapshotRow};
use tradewind_database::partition::state::Source;
use tradewind_database::replica::{Pin, Position, Pushed};
use tradewind_database::table::document::{Replica, TableDocument};
use tradewind_model::{Hlc, Region};

#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// May be tried again; nothing is known of the outcome.
    #[error("region {region} cannot be reached: {cause}")]
    Unreachable { region: Region, cause: String },
    /// The region answered, and will answer so again.
    #[error("region {region} refused: {cause}")]
    Refused { region: Region, cause: String },
}

/// A region that replicates tables with this one. Every call may be repeated: each is idempotent at the destination.
///
/// - [`PeerError::Unreachable`]: the call may or may not have taken effect; repeat it.
/// - [`PeerError::Refused`]: it has not; something must change first (the table is gone, say).
pub trait Peer: Send + Sync + 'static {
    fn region(&self) -> Region;

    /// Where a link from `source`, whose hashes are `from..=to`, is to go on.
    fn position(
        &self,
        table: &str,
        source: Source,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Position, PeerError>> + Send;

    /// Delivers a batch: applied durably when this returns, up to the cursor it answers.
    fn push(&self, table: &str, arrival: Arrival) -> impl Future<Output = Result<Pushed, PeerError>> + Send;

    /// Delivers rows of a snapshot.
    fn seed(&self, table: &str, rows: Vec<SnapshotRow>)
    -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Makes the table there as `document` describes it, in its own incarnation, which is answered; what it has stays.
    fn create_replica(
        &self,
        document: &TableDocument,
    ) -> impl Future<Output = Result<Replica, PeerError>> + Send;

    /// Tells the region what `replica` is now (`None`: no replica any more).
    fn set_replica(
        &self,
        table: &str,
        region: Region,
        replica: Option<Replica>,
    ) -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Drops the region's replica.
    fn drop_replica(&self, table: &str) -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Shared settings; the newest of all regions' are kept.
    fn adopt(&self, document: &TableDocument) -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Where the region's partitions' logs end now. Every later write there counts the replicas it knows.
    fn pins(&self, table: &str) -> impl Future<Output = Result<Vec<Pin>, PeerError>> + Send;

    /// Begins links in a region that joins.
    fn begin_links(&self, table: &str, pins: Vec<Pin>) -> impl Future<Output = Result<(), PeerError>> + Send;

    /// Raises the clocks of all partitions and answers the greatest.
    fn raise(&self, table: &str) -> impl Future<Output = Result<Hlc, PeerError>> + Send;

    /// What the region has applied of `of`, in the partition furthest behind.
    fn seen(&self, table: &str, of: Region) -> impl Future<Output = Result<Hlc, PeerError>> + Send;

    /// The joiner's stable and clock start at the common watermark.
    fn finish_join(&self, table: &str, watermark: Hlc) -> impl Future<Output = Result<(), PeerError>> + Send;
}
