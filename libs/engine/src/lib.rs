//! The one door to disk: an ordered store of bytes with fenced, atomic, durable commits and a change log.
//!
//! An engine knows keys, bytes, batches, epochs and sequences, and no rule of DynamoDB. [`Engine`] is the contract;
//! [`suite`] runs on every implementation.

mod bounds;
pub mod faults;
pub mod fjall;
mod members;
pub mod memory;
mod share;
pub mod suite;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tradewind_model::{Epoch, Incarnation, PartitionId, Sequence};

pub use bounds::{assert_document, assert_well_formed};
pub use members::{Member, Members, MembersError};
pub use share::share_out;

/// Unix milliseconds, which the engine only compares with those it got before: it decides in which piece of the log a
/// change is kept, so that [`Engine::trim`] can drop whole pieces. It may go back; the log's order does not.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Keys have at least one byte and at most this many. The longest index key has 19.1 KiB: four partition key attributes of
/// 2 KiB, four sort key attributes of 1 KiB that escaping doubles, and the item's own key of 3 KiB.
pub const MAX_KEY_BYTES: usize = 32 * 1024;

/// What kind of row a key belongs to. Each space is ordered by key by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Space {
    /// Items and tombstones.
    Items,
    /// Rows of secondary indexes.
    Index,
    /// The losers of conflicts.
    Conflicts,
    /// What a partition knows of other regions: cursors of links, watermarks, stable.
    Cursors,
    /// Idempotency tokens of transactions.
    Tokens,
    /// Items that will expire, by time.
    Expiry,
    /// Tombstones that wait to be removed, by version.
    Tombstones,
}

impl Space {
    pub const ALL: [Space; 7] = [
        Space::Items,
        Space::Index,
        Space::Conflicts,
        Space::Cursors,
        Space::Tokens,
        Space::Expiry,
        Space::Tombstones,
    ];
}

/// What a partition's new owner starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    pub epoch: Epoch,
    /// The sequence the next change must have.
    pub next: Sequence,
    /// The greatest hybrid logical clock ever committed with [`PartitionCommit::max_hlc`].
    pub max_hlc: u64,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub space: Space,
    pub key: Bytes,
    /// `None` removes the row; removing a missing row is no error.
    pub value: Option<Bytes>,
}

/// One partition's part of a commit. Changes, if any, have the sequences `first`, `first + 1`, …
#[derive(Clone, Debug)]
pub struct PartitionCommit {
    pub partition: PartitionId,
    pub epoch: Epoch,
    /// What the writer believes the next sequence is; checked like the epoch.
    pub first: Sequence,
    /// The next sequence after this commit: at least `first` plus the number of changes. It may be greater, where
    /// sequences were used by changes that nobody reads and that are therefore not written.
    pub next: Sequence,
    /// Never less than at the last commit; the greater of the two stays.
    pub max_hlc: u64,
    pub rows: Vec<Row>,
    /// Encoded changes with their sequences, ascending, each in `first..next`.
    pub changes: Vec<(Sequence, Bytes)>,
}

/// Commits all of its partitions or none.
pub type Batch = Vec<PartitionCommit>;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another owner has opened the partition, or the sequence is not the next: nothing was written.
    #[error("partition {partition} has a newer owner: epoch {epoch:?} is stale")]
    Fenced { partition: PartitionId, epoch: Epoch },
    /// Nothing was written, and the same commit may be tried again.
    #[error("storage is not available: {0}")]
    Unavailable(String),
    /// The commit may or may not have happened. The partitions must be opened again before anything else is said
    /// about them.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// Stored bytes make no sense, or belong to another version of this program.
    #[error("storage is damaged or of another version: {0}")]
    Corrupt(String),
}

/// An ordered, durable store with one writer per partition.
///
/// ```text
/// partition's log:   1 2 3 … trimmed │ n … next-1 │ next
///                                     └ changes ──┘ └ commit(first = next)
/// ```
///
/// - **Atomic**: a batch's rows, changes and counters are all there or none is, over all of its partitions.
/// - **Durable before visible**: no read, range or change shows anything of a batch before it would survive a crash of
///   the machine; `commit` returns after that.
/// - **Fenced**: a batch in which any partition's epoch is not the newest, or `first` is not its next sequence, writes
///   nothing and answers [`Error::Fenced`].
/// - **Ordered**: batches that name the same partition take effect in the order in which `commit` was called, whether
///   or not its future has been polled. A dropped future does not take its batch back.
/// - **Bounded by the caller**: a commit in flight holds its batch in memory; callers bound how many they start.
/// - Within one batch, of several rows with the same space and key the last counts.
/// - Keys have 1 to [`MAX_KEY_BYTES`] bytes; another length is a caller's mistake and panics in `commit`.
/// - Reads see the newest committed state, and never an older one than a read that ended before; one call of
///   [`Engine::read`] or [`Engine::range`] sees one state, never half of a batch.
pub trait Engine: Send + Sync + 'static {
    /// Takes the partition over: its epoch grows by one (durably, before this returns) and earlier owners are fenced.
    /// A partition never seen before starts at epoch 1, sequence 1 and clock 0.
    fn open(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send;

    /// What [`Engine::open`] would answer, as committed, without taking the partition over: the epoch is that of its
    /// present owner, 0 if nobody ever opened it.
    fn peek(&self, partition: PartitionId) -> impl Future<Output = Result<Opened, Error>> + Send;

    /// The values of `keys`, in their order, all from one state.
    fn read(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send;

    /// Rows with keys in `keys` in ascending order, or descending from its end with `reverse`, handed one after another
    /// to `visit` until it returns `false` or there are no more. Costs what is visited, not what is left.
    fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// As [`Engine::read`], for who does not mind what was true up to a second ago: not all values need be of one state, and
    /// an older state may follow a newer one. It may go on, and then show what is older, while nothing can be written.
    fn read_eventual(
        &self,
        space: Space,
        keys: &[&[u8]],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        self.read(space, keys)
    }

    /// As [`Engine::range`], with the freedoms of [`Engine::read_eventual`].
    fn range_eventual(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
        visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        self.range(space, keys, reverse, visit)
    }

    /// What is known to keep it from serving now, in a line for people each; answers at once.
    fn troubles(&self) -> impl Future<Output = Vec<String>> + Send {
        std::future::ready(Vec::new())
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), Error>> + Send;

    /// Committed changes with sequences greater than `after`, ascending; stops at `limit` changes, or earlier once at
    /// least `max_bytes` are gathered. Trimmed changes are left out without a word: compare with [`Engine::kept`].
    fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<(Sequence, Bytes)>, Error>> + Send;

    /// The sequences the log answers for: from the first that was surely not trimmed up to the next to be assigned. In
    /// between, a sequence without a change was never written.
    fn kept(&self, partition: PartitionId) -> impl Future<Output = Result<Range<Sequence>, Error>> + Send;

    /// A sequence up to which every change was committed before `unix_ms`, by the clock the engine was opened with: as late
    /// a one as can be told at once, 0 where nothing can.
    fn committed_before(
        &self,
        _partition: PartitionId,
        _unix_ms: u64,
    ) -> impl Future<Output = Result<Sequence, Error>> + Send {
        std::future::ready(Ok(Sequence::ZERO))
    }

    /// Removes whole pieces of the log of which every change was committed before `before_ms` (Unix milliseconds, by
    /// the clock the engine was opened with). What is left may begin earlier than asked, never later.
    fn trim(&self, before_ms: u64) -> impl Future<Output = Result<(), Error>> + Send;

    /// Tells which hashes lie in which partition of a table: partition numbers with their last hash, ascending. In
    /// [`Space::Items`] keys are the incarnation and eight bytes of hash before all else. Nobody has to call it; an engine
    /// over several databases that was told asks one of them for an item, and all of them otherwise. An empty list: the table
    /// is gone, and nothing needs to be remembered of it.
    fn place(&self, _incarnation: Incarnation, _last_hashes: &[(u32, u64)]) {}

    /// Removes every row whose key begins with `prefix` (a dropped table or index). Not atomic: readers may see a part;
    /// it is meant for keys nobody asks for any more, and may be called again after a crash. An empty prefix means all.
    fn clear(&self, space: Space, prefix: &[u8]) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A catalogue document with the revision that a compare-and-set must name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    pub revision: u64,
    /// JSON. It comes back with the same meaning; white space and the order of an object's names may differ.
    pub body: Vec<u8>,
}

/// The catalogue: few small JSON documents by collection and name, changed by compare-and-set. Durable before visible,
/// like a commit. Neither collections nor documents have a zero byte in their names.
pub trait Documents: Send + Sync + 'static {
    fn get(
        &self,
        collection: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<Document>, Error>> + Send;

    /// All documents of a collection, by name.
    fn list(&self, collection: &str) -> impl Future<Output = Result<Vec<(String, Document)>, Error>> + Send;

    /// Sets the document to `body` (`None` removes it) if its revision is `expected` (`None`: it does not exist).
    /// Answers the new revision, or `None` if another came first and nothing was written. No revision is given twice,
    /// also not to a document that was removed and made again.
    fn compare_and_set(
        &self,
        collection: &str,
        name: &str,
        expected: Option<u64>,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Grows with every set and removal in the collection and never goes back, so that a copy of the collection is still
    /// good while this stays what it was before the copy was made. 0 if nothing was ever set.
    fn generation(&self, collection: &str) -> impl Future<Output = Result<u64, Error>> + Send;
}
