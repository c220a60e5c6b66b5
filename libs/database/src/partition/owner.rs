//! The owner of a partition: the handle to the task through whose queue all of its writes go (`task.rs`).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tradewind_changelog::Tail;
use tradewind_engine::{Engine, Error, Opened, Space};
use tradewind_model::{Clock, Hlc, ItemKey, PartitionId, Region};
use tradewind_telemetry::metrics::RegionMeters;
use tradewind_wire::ApiError;

use super::group::{Answer, Op};
use super::held::{Held, Holding, Reserved};
use super::rows::Recent;
use super::state::State;
use super::task::Task;
use crate::cluster::{Cluster, RequestId};
use crate::table::document::{Range, TableDocument};

/// Operations that may wait for a partition; more are refused, so that memory is bounded.
const QUEUE: usize = 8192;

/// What the owner of a partition needs to know of its surroundings.
pub struct Setting<E> {
    pub engine: Arc<E>,
    pub clock: Arc<dyn Clock>,
    pub tail: Tail,
    pub cluster: Arc<dyn Cluster>,
    pub here: Region,
    pub meters: Arc<RegionMeters>,
    pub table: Arc<ArcSwap<TableDocument>>,
    pub recent: Recent,
    pub id: PartitionId,
    pub range: Range,
    /// What old changes of other regions may take of the commits while clients write, in percent.
    pub catch_up_share: u8,
    /// Where the owner's task runs.
    pub runtime: Handle,
}

/// Why an owner did not carry an operation out.
#[derive(Debug)]
pub enum Unanswered {
    /// Surely nothing was done: the partition has another owner, or cannot be written now.
    Returned(Box<Op>),
    /// It may have been done, and this owner cannot find out.
    Unknown(Box<Op>, ApiError),
    /// The answer to the client.
    Failed(ApiError),
}

/// Why an owner did not hold its partition for a transaction.
#[derive(Debug)]
pub enum NotHeld {
    /// Another transaction is about these items.
    Conflict(Vec<ItemKey>),
    /// The partition has another owner.
    Returned,
}

pub(super) type Reply = oneshot::Sender<Result<Answer, Unanswered>>;

pub(super) enum Job {
    Op(Box<Op>, Reply),
    Hold(Wanted),
    Close,
}

/// A hold that waits for its turn.
pub(super) struct Wanted {
    pub reserved: Reserved,
    /// For how long at most, where the transaction is not of this process.
    pub limit: Option<Duration>,
    pub reply: oneshot::Sender<Held>,
}

/// A handle to an owner, which may have ended.
#[derive(Clone)]
pub struct Owner {
    queue: mpsc::Sender<Job>,
    state: watch::Receiver<Arc<State>>,
    holding: Holding,
}

/// An operation that waits for its answer.
pub struct Ticket(oneshot::Receiver<Result<Answer, Unanswered>>);

impl Ticket {
    pub async fn answer(self) -> Result<Answer, Unanswered> {
        // Only a runtime that shuts down drops what waits.
        self.0.await.unwrap_or_else(|_| {
            Err(Unanswered::Failed(ApiError::internal(
                "The service is shutting down; the outcome is not known",
            )))
        })
    }
}

impl Owner {
    /// Starts the task of a partition that was opened: `state` is what [`open`] answered.
    pub fn start<E: Engine>(setting: Setting<E>, state: State) -> Owner {
        setting.tail.advance(setting.id, state.next);
        let (publish, published) = watch::channel(Arc::new(state.clone()));
        let (queue, jobs) = mpsc::channel(QUEUE);
        let runtime = setting.runtime.clone();
        let task = runtime.spawn(Task::new(setting, state, publish, jobs).run());
        runtime.spawn(end_with_process(task));
        Owner { queue, state: published, holding: Holding::default() }
    }

    /// Queues the operation; its answer comes when it is durable.
    pub fn enqueue(&self, op: Box<Op>) -> Result<Ticket, Unanswered> {
        let (reply, answer) = oneshot::channel();
        match self.queue.try_send(Job::Op(op, reply)) {
            Ok(()) => Ok(Ticket(answer)),
            Err(mpsc::error::TrySendError::Closed(Job::Op(op, _))) => Err(Unanswered::Returned(op)),
            Err(_) => Err(Unanswered::Failed(ApiError::unavailable(
                "too many writes wait for this partition; try again",
            ))),
        }
    }

    pub async fn submit(&self, op: Box<Op>) -> Result<Answer, Unanswered> {
        self.enqueue(op)?.answer().await
    }

    /// Waits until nothing else is decided here. A transaction that meets another one's item does not wait.
    pub async fn hold(
        &self,
        keys: Vec<ItemKey>,
        request: RequestId,
        limit: Option<Duration>,
    ) -> Result<Held, NotHeld> {
        let reserved = self.holding.reserve(keys, request).map_err(NotHeld::Conflict)?;
        let (reply, held) = oneshot::channel();
        let wanted = Job::Hold(Wanted { reserved, limit, reply });
        self.queue.send(wanted).await.map_err(|_| NotHeld::Returned)?;
        held.await.map_err(|_| NotHeld::Returned)
    }

    /// Ends the task once what waits before is answered; whatever comes later is returned.
    pub async fn close(&self) {
        if self.queue.send(Job::Close).await.is_ok() {
            self.queue.closed().await;
        }
    }

    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// The state as of the last durable commit.
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }
}

/// An owner that panics has lost its invariants, and a partition without one would refuse writes for ever: the process
/// ends, and whatever starts it starts it again.
async fn end_with_process(owner: tokio::task::JoinHandle<()>) {
    if owner.await.is_err_and(|error| error.is_panic()) {
        tracing::error!("the owner of a partition panicked; the process ends");
        std::process::abort();
    }
}

/// Takes the partition over, fencing every earlier owner, and reads what is known of it.
pub async fn open<E: Engine>(engine: &E, id: PartitionId, range: Range) -> Result<State, Error> {
    let opened = engine.open(id).await?;
    read_state(engine, id, range, opened).await
}

/// What an owner that began at `opened` knows of the partition, from its rows.
async fn read_state<E: Engine>(
    engine: &E,
    id: PartitionId,
    range: Range,
    opened: Opened,
) -> Result<State, Error> {
    let prefix = id.to_bytes();
    let end = tradewind_model::key::after_prefix(&prefix);
    let mut rows = Vec::new();
    engine
        .range(Space::Cursors, &prefix[..]..&end[..], false, |key, value| {
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            true
        })
        .await?;
    let mut state = State::restore(id, range, opened, &rows)
        .ok_or_else(|| Error::Corrupt(format!("what partition {id} knows of other regions")))?;
    engine
        .range(Space::Tombstones, &prefix[..]..&end[..], false, |_, _| {
            state.tombstones += 1;
            true
        })
        .await?;
    Ok(state)
}

/// Attempts at a state from between two commits.
const PEEKS: usize = 4;

/// The partition's durable state, without taking it over. It is the state after one commit; where a partition is written
/// so fast that none is met, what is known of other regions may be older than the counters, which understates it.
pub async fn peek<E: Engine>(engine: &E, id: PartitionId, range: Range) -> Result<State, Error> {
    let mut before = engine.peek(id).await?;
    for _ in 1..PEEKS {
        let state = read_state(engine, id, range, before).await?;
        let after = engine.peek(id).await?;
        if after == before {
            return Ok(state);
        }
        before = after;
    }
    let rows = read_state(engine, id, range, before).await?;
    let after = engine.peek(id).await?;
    Ok(State { epoch: after.epoch, next: after.next, max_hlc: Hlc(after.max_hlc), ..rows })
}

/// What clients are told when a commit fails.
pub fn explain(error: &Error) -> ApiError {
    match error {
        Error::Unavailable(cause) => ApiError::internal(format!("The write was not done: {cause}")),
        Error::Unknown(cause) => {
            ApiError::internal(format!("It is not known whether the write was done: {cause}"))
        }
        Error::Fenced { .. } => ApiError::internal("The partition has a new owner; try again"),
        Error::Corrupt(what) => ApiError::internal(format!("Stored data cannot be read: {what}")),
    }
}
