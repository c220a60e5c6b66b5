//! The other nodes of a region, as its database sees them: who owns which partition, and how to reach them.
//!
//! A partition has its [`Seat`] at one node. Whatever a request needs of a partition that sits elsewhere goes there in
//! one hop. Who is believed to own a partition is only a hint: the epoch that every commit names is what keeps a former
//! owner from writing, so a cluster may be wrong about seats for a while, and loses time, not data.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tradewind_model::{Epoch, ItemKey, PartitionId, Sequence};
use tradewind_wire::ApiError;
use uuid::Uuid;

use crate::partition::group::{Answer, Op};
use crate::partition::state::State;
pub use crate::throttle::Spent;

/// A node for as long as its process lives: a node that was started again is another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

/// One operation or transaction, however often it is sent. The change it becomes carries it.
pub type RequestId = [u8; 16];

/// How long the owner keeps a partition held for a transaction of another node. A release that has not come by then
/// is not waited for: the partition is opened again, which fences what the transaction may still commit.
pub const HOLD: Duration = Duration::from_secs(1);

/// Where a partition is to be owned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seat {
    Here,
    At(NodeId),
    /// This node knows of no live one, or must not act because it has lost its lease.
    Nowhere,
}

/// A partition of a table as a node speaks of it to another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Address {
    pub table: String,
    pub partition: PartitionId,
    /// Of the table's document by which the sender decided: a receiver whose copy is older reads it again first.
    pub revision: u64,
}

/// An operation on its way to the partition's owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forwarded {
    pub to: Address,
    /// The same on every attempt: a receiver that has seen it does not do it twice.
    pub request: RequestId,
    /// As [`Op::Under`] the epoch that the owner is believed to have; one that has another answers
    /// [`Answer::Stale`] and its own.
    pub op: Op,
}

/// An answer on its way back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    pub answer: Answer,
    /// The partition's next sequence was at least this when the answer was made.
    pub next: Sequence,
    /// The owner's epoch, under which it takes the next operation.
    pub epoch: Epoch,
}

/// Asks an owner to decide nothing else while a transaction is under way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub to: Address,
    /// By which [`Release`] names this hold: every attempt has another.
    pub hold: Uuid,
    /// The transaction: the same on every attempt.
    pub request: RequestId,
    /// The items it is about.
    pub keys: Vec<ItemKey>,
}

/// A partition held at another node, for at most [`HOLD`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RemoteHold {
    pub state: State,
    /// Of the table's document by which the owner decided last.
    pub revision: u64,
}

/// The end of a hold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Release {
    pub hold: Uuid,
    /// From where the owner goes on; `None`: only the engine knows.
    pub state: Option<State>,
}

/// Asks what became of an operation whose answer was lost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Inquiry {
    pub to: Address,
    pub request: RequestId,
    /// The partition's log had come at least so far before the operation was sent first.
    pub after: Sequence,
    /// Whether it was sent to the node that is asked, and to no other.
    pub only_you: bool,
}

/// What became of an operation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It was carried out, with this answer.
    Answered(Result<Done, ApiError>),
    /// It was not, and will not be under this epoch unless it is sent again.
    NotDone { under: Epoch },
    /// It cannot be found out.
    Undecidable,
}

/// Why a node did not answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ForwardError {
    /// Surely nothing was done: that node does not own the partition, or lost it before it could.
    #[error("the partition is owned elsewhere")]
    Moved,
    /// Surely nothing was done: the request did not leave, or the other node refused the connection.
    #[error("the node was not reached: {0}")]
    NotSent(String),
    /// It may have been done: the connection broke, or no answer came in time.
    #[error("no answer came: {0}")]
    Unknown(String),
    /// The owner's answer to the client.
    #[error(transparent)]
    Refused(ApiError),
}

/// What a transport lets a call wait for.
pub type Pending<'a, T> = BoxFuture<'a, T>;

/// The nodes of a region.
///
/// - Nothing here blocks. [`Cluster::seat`] and [`Cluster::holds_lease`] are asked on the path of requests: they read
///   memory and are cheap.
/// - The calls to other nodes end in bounded time, a few seconds at most, with [`ForwardError::Unknown`] where no answer
///   came. A dropped future does not take a call back.
/// - The receiving side gives what arrives to `Database::serve_submit`, `serve_hold`, `serve_release`, `serve_inquiry`
///   `serve_spent` and `refresh_catalogue`, and sends back what they return. It may drop their futures when the sender is gone.
pub trait Cluster: Send + Sync + 'static {
    /// Where the partition is to be owned, as far as this node knows. A process that owns nothing is never the seat.
    fn seat(&self, partition: PartitionId) -> Seat;

    /// Whether nobody else can have taken this node's partitions over because its lease ran out: by a monotonic clock,
    /// counted from before the last renewal was sent.
    fn holds_lease(&self) -> bool;

    /// Changes when seats may have changed.
    fn changed(&self) -> watch::Receiver<u64>;

    /// Another node took a partition over, or one could not be reached: the members should be read again soon.
    fn suspect(&self);

    /// How long a request may wait for a partition that moves or cannot be written. Zero: it is told at once.
    fn patience(&self) -> Duration;

    /// Has the node carry an operation out.
    fn submit<'a>(
        &'a self,
        node: NodeId,
        forwarded: &'a Forwarded,
    ) -> Pending<'a, Result<Done, ForwardError>>;

    fn hold<'a>(&'a self, node: NodeId, hold: &'a Hold) -> Pending<'a, Result<RemoteHold, ForwardError>>;

    /// Sends the end of a hold, whether or not it is waited for until it has arrived; a lost one costs the partition
    /// [`HOLD`].
    fn release(&self, node: NodeId, release: Release) -> Pending<'static, ()>;

    fn inquire<'a>(
        &'a self,
        node: NodeId,
        inquiry: &'a Inquiry,
    ) -> Pending<'a, Result<Outcome, ForwardError>>;

    /// Tells the other nodes what this one has taken from buckets of throughput. They hear it or not; the next word says it
    /// again.
    fn spend(&self, spent: Spent) -> Pending<'_, ()>;

    /// The catalogue has changed: returns when every live node has read it again, or after a bounded time.
    fn announce(&self) -> Pending<'_, ()>;
}

/// A region of one node, which owns everything for as long as it lives.
#[derive(Debug)]
pub struct Alone {
    /// Never moves.
    changed: watch::Sender<u64>,
}

impl Default for Alone {
    fn default() -> Alone {
        Alone { changed: watch::Sender::new(0) }
    }
}

impl Cluster for Alone {
    fn seat(&self, _partition: PartitionId) -> Seat {
        Seat::Here
    }

    fn holds_lease(&self) -> bool {
        true
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn suspect(&self) {}

    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn submit<'a>(&'a self, _: NodeId, _: &'a Forwarded) -> Pending<'a, Result<Done, ForwardError>> {
        nobody()
    }

    fn hold<'a>(&'a self, _: NodeId, _: &'a Hold) -> Pending<'a, Result<RemoteHold, ForwardError>> {
        nobody()
    }

    fn release(&self, _: NodeId, _: Release) -> Pending<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn inquire<'a>(&'a self, _: NodeId, _: &'a Inquiry) -> Pending<'a, Result<Outcome, ForwardError>> {
        nobody()
    }

    fn spend(&self, _: Spent) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn announce(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn nobody<'a, T: Send + 'a>() -> Pending<'a, Result<T, ForwardError>> {
    Box::pin(std::future::ready(Err(ForwardError::NotSent("there is no other node".to_owned()))))
}
