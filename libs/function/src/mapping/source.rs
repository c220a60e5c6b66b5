//! What a mapping needs of a stream: its shards, their records, and to be woken when there are more.

use std::future::Future;

use bytes::Bytes;
use tokio::sync::watch;
use tradewind_model::change::Trace;
use tradewind_model::{Region, Sequence};

/// A shard as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardInfo {
    pub shard_id: String,
    /// Read to its end before this one, as long as it is listed itself.
    pub parent: Option<String>,
    /// The sequence of the newest record that can be read, or that was ever there: reading after it is LATEST.
    pub last: Sequence,
    /// Nothing will be added.
    pub closed: bool,
}

/// A record as functions get it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamRecord {
    pub sequence: Sequence,
    /// The `SequenceNumber` inside [`StreamRecord::event`]: what a function names to report this record.
    pub sequence_number: String,
    /// Equal for changes of one item.
    pub key_hash: u64,
    /// One element of `Records` in the Lambda event, as JSON, with `eventSourceARN`.
    pub event: Bytes,
    /// Unix milliseconds.
    pub approximate_time_ms: u64,
    /// The region that wrote the change.
    pub origin: Region,
    /// The trace that the change is part of.
    pub trace: Option<Trace>,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Ascending by sequence.
    pub records: Vec<StreamRecord>,
    /// Where to read on: every record up to here is in a page already, or is not shown. At least the sequence asked for.
    pub through: Sequence,
    /// The shard is closed, and this was the last of it.
    pub end: bool,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// No such stream or shard, now and for ever.
    #[error("stream not found: {0}")]
    NotFound(String),
    /// Try again.
    #[error("stream cannot be read: {0}")]
    Unavailable(String),
}

/// Streams, as mappings read them.
///
/// - Records of a shard come in ascending order and none is left out between two pages, but for those that are not kept
///   any more: reading after a sequence that was trimmed goes on at the oldest record kept.
/// - A record is shown only once it is durable.
/// - All changes of one item are in one shard, or in a child of it after it has ended.
pub trait ShardSource: Send + Sync + 'static {
    /// All shards of a stream, parents before their children.
    fn shards(&self, stream_arn: &str) -> impl Future<Output = Result<Vec<ShardInfo>, SourceError>> + Send;

    /// At most `limit` records after `after`, fewer once at least `max_bytes` of events are gathered. Does not wait.
    fn read(
        &self,
        stream_arn: &str,
        shard_id: &str,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;

    /// The sequence of a record's `SequenceNumber`; `None` if it cannot be one.
    fn sequence(&self, sequence_number: &str) -> Option<Sequence>;

    /// Changes whenever a read of the shard may find more than before, or the stream has other shards.
    fn wake(&self, stream_arn: &str, shard_id: &str) -> watch::Receiver<u64>;
}
