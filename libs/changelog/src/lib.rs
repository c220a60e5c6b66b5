//! The change log of a region as its readers see it: links, streams and functions.
//!
//! [`ChangeLog`] is the contract and [`suite`] its checks. [`Embedded`] serves the engine's own log; another crate serves
//! Kafka. [`Log`] is either.

mod embedded;
mod log;
mod polled;
pub mod suite;

pub use embedded::{Embedded, Tail};
pub use log::Log;
pub use polled::Polled;

use std::future::Future;
use std::ops::Range;

use tokio::sync::watch;
use tradewind_model::{Change, PartitionId, Sequence};

/// Changes of one partition, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// Ascending. A sequence that is missing in between has no change: nobody was to read it when it was written.
    pub changes: Vec<(Sequence, Change)>,
    /// The page answers for all sequences up to this one; reading goes on after it.
    pub through: Sequence,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Changes after the wanted one are gone: retention has passed them.
    #[error("the log of {partition} begins at {first}, after the wanted position")]
    Trimmed { partition: PartitionId, first: Sequence },
    /// May be tried again.
    #[error("the change log is not available: {0}")]
    Unavailable(String),
    #[error("the change log of {0} is damaged at {1}")]
    Corrupt(PartitionId, Sequence),
}

/// An ordered log of changes per partition.
///
/// ```text
/// 1 2 3 … trimmed │ first … next-1 │ next
///                   └── kept ──────┘
/// ```
///
/// - **Ordered and gapless**: a page begins right after the wanted position and leaves out no change that was written.
/// - **Durable**: nothing is shown that a crash could take back.
/// - **Complete**: a committed change is shown as soon as it is durable; [`ChangeLog::wait`] says when to look.
/// - A position that retention has passed is an [`Error::Trimmed`], never a silent jump.
pub trait ChangeLog: Send + Sync + 'static {
    /// Changes after `after`: at most `limit`, and no more once `max_bytes` are gathered.
    fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// The sequences the log answers for: from the first that is kept up to the next to be written.
    fn kept(&self, partition: PartitionId) -> impl Future<Output = Result<Range<Sequence>, Error>> + Send;

    /// Returns when there may be something after `after`; at once if there already is. It may return too early.
    fn wait(&self, partition: PartitionId, after: Sequence) -> impl Future<Output = ()> + Send;

    /// The partition's next sequence as far as this process has heard of it, from now on: 0 as long as it has not. For
    /// those who wait for several things at once.
    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64>;
}
