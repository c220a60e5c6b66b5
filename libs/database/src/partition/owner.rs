//! The owner of a partition: the task through whose queue all of its writes go.
//!
//! ```text
//! queue ─► drain what waits ─► read items ─► decide (group) ─► commit ─► publish the state ─► answer
//!   ▲                                                           │
//!   └────────────── meanwhile the next group gathers ◄──────────┘
//! ```
//!
//! No answer leaves before the group's commit returned. After a commit with an unknown outcome the owner opens the
//! partition again, under a new epoch, and reads what really happened before it says anything more.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tradewind_changelog::Tail;
use tradewind_engine::{Engine, Error, Space};
use tradewind_model::{Clock, ItemKey, PartitionId, Region, StoredItem};
use tradewind_wire::ApiError;

use super::group::{Answer, Group, Op};
use super::state::State;
use crate::table::document::{Range, TableDocument};

/// Operations that may wait for a partition; more are refused, so that memory is bounded.
const QUEUE: usize = 8192;
/// Operations decided together. Larger groups gain nothing: the commit is amortised long before.
const GROUP: usize = 512;

/// What the owner of a partition needs to know of its surroundings.
pub struct Setting<E> {
    pub engine: Arc<E>,
    pub clock: Arc<dyn Clock>,
    pub tail: Tail,
    pub here: Region,
    pub table: Arc<ArcSwap<TableDocument>>,
    pub id: PartitionId,
    pub range: Range,
    /// Where the owner's task runs.
    pub runtime: Handle,
}

enum Job {
    Op(Box<Op>, oneshot::Sender<Result<Answer, ApiError>>),
    Hold(oneshot::Sender<Result<Held, ApiError>>),
    Close,
}

/// A handle to a running owner.
#[derive(Clone)]
pub struct Owner {
    queue: mpsc::Sender<Job>,
    state: watch::Receiver<Arc<State>>,
}

/// A partition held for a transaction over several: nothing else is decided there until it is released.
pub struct Held {
    pub state: State,
    pub table: Arc<TableDocument>,
    release: oneshot::Sender<Option<State>>,
}

impl Held {
    /// Lets the owner go on: from `state`, or, where the outcome of a commit is not known, from what it reads itself.
    pub fn release(self, state: Option<State>) {
        // An owner that is gone has been dropped with its table.
        let _ = self.release.send(state);
    }
}

impl Owner {
    /// Opens the partition, fencing every earlier owner, and starts its task.
    pub async fn start<E: Engine>(setting: Setting<E>) -> Result<Owner, Error> {
        let state = open(&*setting.engine, setting.id, setting.range).await?;
        setting.tail.advance(setting.id, state.next);
        let (publish, published) = watch::channel(Arc::new(state.clone()));
        let (queue, jobs) = mpsc::channel(QUEUE);
        let runtime = setting.runtime.clone();
        let owner = runtime.spawn(Task { setting, state, publish, jobs, closed: false }.run());
        runtime.spawn(end_with_process(owner));
        Ok(Owner { queue, state: published })
    }

    /// Waits until the operation is durable and answers it.
    pub async fn submit(&self, op: Op) -> Result<Answer, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job::Op(Box::new(op), reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                ApiError::unavailable("too many writes wait for this partition; try again")
            }
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub async fn hold(&self) -> Result<Held, ApiError> {
        let (reply, held) = oneshot::channel();
        self.queue.send(Job::Hold(reply)).await.map_err(|_| gone())?;
        held.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends the task once what waits before is answered; whatever comes later is told that the table is gone.
    pub async fn close(&self) {
        if self.queue.send(Job::Close).await.is_ok() {
            self.queue.closed().await;
        }
    }

    /// The state as of the last durable commit.
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }
}

fn gone() -> ApiError {
    ApiError::resource_not_found("Requested resource not found")
}

/// Takes the partition over, fencing every earlier owner, and reads what is known of it.
pub async fn open<E: Engine>(engine: &E, id: PartitionId, range: Range) -> Result<State, Error> {
    let opened = engine.open(id).await?;
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

struct Task<E> {
    setting: Setting<E>,
    state: State,
    publish: watch::Sender<Arc<State>>,
    jobs: mpsc::Receiver<Job>,
    /// Whether a [`Job::Close`] was met where no group could be decided.
    closed: bool,
}

/// An owner that panics has lost its invariants, and a partition without one would refuse writes for ever: the process
/// ends, and whatever starts it starts it again.
async fn end_with_process(owner: tokio::task::JoinHandle<()>) {
    if owner.await.is_err_and(|error| error.is_panic()) {
        tracing::error!("the owner of a partition panicked; the process ends");
        std::process::abort();
    }
}

type Waiting = Vec<(Op, oneshot::Sender<Result<Answer, ApiError>>)>;

impl<E: Engine> Task<E> {
    async fn run(mut self) {
        while let Some(job) = self.jobs.recv().await {
            let (group, then) = gather(job, &mut self.jobs);
            if !group.is_empty() {
                self.group(group).await;
            }
            match then {
                _ if self.closed => return,
                Some(Job::Hold(reply)) => self.hold(reply).await,
                Some(Job::Close) => return,
                Some(Job::Op(..)) | None => (),
            }
            if self.closed {
                return;
            }
        }
    }

    async fn group(&mut self, waiting: Waiting) {
        let table = self.setting.table.load_full();
        let (ops, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let outcome = self.decide_and_commit(&table, ops).await;
        match outcome {
            Ok(answers) => {
                replies.into_iter().zip(answers).for_each(|(reply, answer)| {
                    // A caller that has gone away does not want its answer.
                    let _ = reply.send(Ok(answer));
                });
            }
            Err(error) => {
                let answer = explain(&error);
                replies.into_iter().for_each(|reply| {
                    let _ = reply.send(Err(answer.clone()));
                });
                self.recover(error).await;
            }
        }
    }

    async fn decide_and_commit(&mut self, table: &TableDocument, ops: Vec<Op>) -> Result<Vec<Answer>, Error> {
        let current = read_items(&*self.setting.engine, table, &ops).await?;
        let now_ms = self.setting.clock.now_ms();
        let mut group = Group::new(table, self.setting.here, now_ms, &self.state, current);
        let answers = ops.into_iter().map(|op| group.take(op)).collect();
        let (commit, state) = group.finish();
        if let Some(commit) = commit {
            self.setting.engine.commit(vec![commit]).await?;
            self.advance(state);
        }
        Ok(answers)
    }

    fn advance(&mut self, state: State) {
        self.setting.tail.advance(self.setting.id, state.next);
        self.state = state;
        self.publish.send_replace(Arc::new(self.state.clone()));
    }

    async fn hold(&mut self, reply: oneshot::Sender<Result<Held, ApiError>>) {
        let (release, released) = oneshot::channel();
        let table = self.setting.table.load_full();
        if reply.send(Ok(Held { state: self.state.clone(), table, release })).is_err() {
            return;
        }
        match released.await {
            Ok(Some(state)) => self.advance(state),
            Ok(None) | Err(_) => {
                self.recover(Error::Unknown("a transaction did not say how it ended".into())).await
            }
        }
    }

    /// After a failed commit the state in memory is as it was, and so is the log, unless the outcome is unknown: then
    /// only the engine knows, and it is asked until it answers.
    async fn recover(&mut self, error: Error) {
        match error {
            Error::Unavailable(cause) => {
                tracing::warn!(partition = %self.setting.id, cause, "a commit was refused")
            }
            Error::Fenced { .. } | Error::Unknown(_) | Error::Corrupt(_) => {
                tracing::error!(partition = %self.setting.id, %error, "opening the partition again");
                self.reopen().await;
            }
        }
    }

    async fn reopen(&mut self) {
        let mut pause = std::time::Duration::from_millis(10);
        loop {
            match open(&*self.setting.engine, self.setting.id, self.setting.range).await {
                Ok(state) => return self.advance(state),
                Err(error) => {
                    tracing::warn!(partition = %self.setting.id, %error, "cannot be opened yet");
                    self.refuse_waiting(&explain(&error));
                }
            }
            if self.closed {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(std::time::Duration::from_secs(1));
        }
    }

    /// Nobody waits longer for a partition that cannot be written than it takes to find that out.
    fn refuse_waiting(&mut self, answer: &ApiError) {
        while let Ok(job) = self.jobs.try_recv() {
            // A caller that has gone away does not want its answer.
            match job {
                Job::Op(_, reply) => _ = reply.send(Err(answer.clone())),
                Job::Hold(reply) => _ = reply.send(Err(answer.clone())),
                Job::Close => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

/// The first job and those that wait behind it, up to one that is not decided in a group.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> (Waiting, Option<Job>) {
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Op(op, reply) => group.push((*op, reply)),
            other => return (group, Some(other)),
        }
        next = if group.len() < GROUP { jobs.try_recv().ok() } else { None };
    }
    (group, None)
}

/// The current rows of all items that the operations name, from one state.
pub async fn read_items<E: Engine>(
    engine: &E,
    table: &TableDocument,
    ops: &[Op],
) -> Result<HashMap<ItemKey, Option<StoredItem>>, Error> {
    let mut current = HashMap::new();
    ops.iter().flat_map(Op::keys).for_each(|key| {
        current.insert(key.clone(), None);
    });
    let keys: Vec<_> = current.keys().map(|key: &ItemKey| key.stored(table.incarnation)).collect();
    let refs: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    if refs.is_empty() {
        return Ok(current);
    }
    let rows = engine.read(Space::Items, &refs).await?;
    for (row, stored) in current.values_mut().zip(rows) {
        if let Some(bytes) = stored {
            let decoded = StoredItem::decode(&bytes).ok_or_else(|| Error::Corrupt("an item's row".into()))?;
            *row = Some(decoded);
        }
    }
    Ok(current)
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
