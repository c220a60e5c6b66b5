//! Who writes when: merges the batches that wait into one transaction per session that writes.
//!
//! ```text
//! requests ─► pending, in the order of the calls ─► group ─► session 1: BEGIN … COMMIT ─► answers
//!                │ skipped while its partition is busy   └──► session 2: BEGIN … COMMIT ─► answers
//!                └──────────────────────────────────────────► takeover, on a session of the pool
//! ```
//!
//! A partition is busy from when one of its requests is handed out until its outcome is known, and a request waits behind
//! every earlier one of the same partition: so batches take effect in the order of the calls, whatever the sessions do. A
//! group is what queued while the sessions were busy; there is no timer.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tradewind_engine::{Batch, Error, Opened};
use tradewind_model::PartitionId;

use crate::branch::{Branch, Prepared};
use crate::database::Database;
use crate::error::refused;
use crate::group::{Fences, Waiting, Writes};
use crate::source::RETRY;
use crate::statements::COMMIT;
use crate::takeover;
use crate::write::{Failure, Writer};

/// Sessions that write: while one waits for its COMMIT, the other gathers and sends.
const WRITERS: usize = 2;

/// A group that grows beyond either would keep its first request waiting for nothing.
const MAX_GROUP_REQUESTS: usize = 4096;
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// How often the queue is looked through for requests that waited too long.
const TICK: Duration = Duration::from_millis(250);

pub enum Request {
    Commit(Waiting),
    Open {
        partition: PartitionId,
        done: oneshot::Sender<Result<Opened, Error>>,
    },
    /// This database's part of a transaction over several.
    Branch(Branch),
}

impl Request {
    fn partitions(&self) -> Vec<PartitionId> {
        match self {
            Request::Commit(waiting) => waiting.partitions().collect(),
            Request::Open { partition, .. } => vec![*partition],
            Request::Branch(branch) => branch.partitions().collect(),
        }
    }
}

/// A session that writes, if it is connected.
type Slot = Option<Writer>;

enum Done {
    Group {
        slot: Slot,
        group: Vec<Waiting>,
        outcome: Result<(), Failure>,
    },
    Branch {
        slot: Slot,
        partitions: Vec<PartitionId>,
        prepared: Option<Prepared>,
    },
    /// A takeover or a branch is over.
    Free(Vec<PartitionId>),
}

pub struct Committer {
    database: Arc<Database>,
    requests: UnboundedReceiver<Request>,
    pending: VecDeque<Request>,
    busy: HashSet<PartitionId>,
    idle: Vec<Slot>,
    jobs: JoinSet<Done>,
}

impl Committer {
    pub async fn open(
        database: Arc<Database>,
        requests: UnboundedReceiver<Request>,
    ) -> Result<Committer, tokio_postgres::Error> {
        let mut idle = Vec::new();
        for _ in 0..WRITERS {
            idle.push(Some(Writer::open(&database.primary.connector).await?));
        }
        let (pending, busy, jobs) = (VecDeque::new(), HashSet::new(), JoinSet::new());
        Ok(Committer { database, requests, pending, busy, idle, jobs })
    }

    /// Runs until every sender is gone and all that was sent has an outcome.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while open || !self.pending.is_empty() || !self.jobs.is_empty() {
            tokio::select! {
                request = self.requests.recv(), if open => {
                    open = request.is_some();
                    self.pending.extend(request);
                    while let Ok(request) = self.requests.try_recv() {
                        self.pending.push_back(request);
                    }
                }
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                _ = tick.tick(), if !self.pending.is_empty() => self.expire(),
            }
            self.dispatch();
        }
    }

    /// Hands out what can begin now.
    fn dispatch(&mut self) {
        loop {
            let slot = self.idle.pop();
            let selected = self.select(slot.is_some());
            for (partition, done) in selected.takeovers {
                let database = self.database.clone();
                self.jobs.spawn(async move {
                    done.send(takeover::open(&database, partition).await).ok();
                    Done::Free(vec![partition])
                });
            }
            let database = self.database.clone();
            match (slot, selected.work) {
                (Some(slot), Some(Work::Group(group, fences))) => {
                    self.jobs.spawn(commit(database, slot, group, fences));
                }
                (Some(slot), Some(Work::Branch(branch))) => {
                    self.jobs.spawn(prepare(database, slot, branch));
                }
                (slot, _) => {
                    self.idle.extend(slot);
                    return;
                }
            }
        }
    }

    /// What can begin: all that waits, but what has to wait behind something else, and what would not fit.
    fn select(&mut self, can_write: bool) -> Selected {
        let (mut left, mut blocked) = (VecDeque::new(), HashSet::new());
        let (mut group, mut fences, mut bytes) = (Vec::new(), Fences::default(), 0);
        let (mut takeovers, mut branch) = (Vec::new(), None);
        while let Some(request) = self.pending.pop_front() {
            let partitions = request.partitions();
            let waits = partitions.iter().any(|id| self.busy.contains(id) || blocked.contains(id));
            let full = group.len() >= MAX_GROUP_REQUESTS || bytes >= MAX_GROUP_BYTES;
            let writes = can_write && !waits && !full && branch.is_none();
            match request {
                Request::Commit(waiting) if writes && fences.admit(&waiting.batch) => {
                    bytes += waiting.bytes;
                    group.push(waiting);
                }
                Request::Open { partition, done } if !waits && !fences.contains(partition) => {
                    self.busy.insert(partition);
                    takeovers.push((partition, done));
                }
                Request::Branch(found) if writes && group.is_empty() => branch = Some(found),
                request => {
                    blocked.extend(partitions);
                    left.push_back(request);
                }
            }
        }
        self.pending = left;
        self.busy.extend(group.iter().flat_map(Waiting::partitions));
        self.busy.extend(branch.iter().flat_map(Branch::partitions));
        let group = (!group.is_empty()).then_some(Work::Group(group, fences));
        Selected { takeovers, work: branch.map(Work::Branch).or(group) }
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Group { slot, group, outcome } => {
                group.iter().flat_map(Waiting::partitions).for_each(|id| _ = self.busy.remove(&id));
                self.idle.push(slot);
                self.answer(group, outcome);
            }
            Done::Branch { slot, partitions, prepared } => {
                self.idle.push(slot);
                let database = self.database.clone();
                match prepared {
                    Some(prepared) => _ = self.jobs.spawn(settle(database, prepared, partitions)),
                    None => self.free(&partitions),
                }
            }
            Done::Free(partitions) => self.free(&partitions),
        }
    }

    fn free(&mut self, partitions: &[PartitionId]) {
        partitions.iter().for_each(|id| _ = self.busy.remove(id));
    }

    fn answer(&mut self, group: Vec<Waiting>, outcome: Result<(), Failure>) {
        let all = |group: Vec<Waiting>, answer: Result<(), Error>| {
            group.into_iter().for_each(|waiting| waiting.answer(answer.clone()));
        };
        match outcome {
            Ok(()) => all(group, Ok(())),
            Err(Failure::Unknown(reason)) => all(group, Err(Error::Unknown(reason))),
            Err(Failure::Refused(error)) => all(group, Err(error)),
            Err(Failure::Passing(error)) => self.again(group, &error),
            Err(Failure::NoPiece) => {
                self.again(group, &Error::Unavailable("the log has no piece for now".to_owned()))
            }
            Err(Failure::Stale(stale)) => {
                let left = refuse_stale(group, &stale);
                self.again(left, &Error::Unavailable("another commit of its group was fenced".to_owned()));
            }
        }
    }

    /// Puts back, in their order and before all others, those that can still wait.
    fn again(&mut self, group: Vec<Waiting>, refusal: &Error) {
        let now = Instant::now();
        for waiting in group.into_iter().rev() {
            if waiting.until > now {
                self.pending.push_front(Request::Commit(waiting));
            } else {
                waiting.answer(Err(refusal.clone()));
            }
        }
    }

    /// Refuses what waited too long. Later requests of the same partition find that their first sequence is not the next.
    fn expire(&mut self) {
        let now = Instant::now();
        let pending = std::mem::take(&mut self.pending);
        for request in pending {
            match request {
                Request::Commit(waiting) if waiting.until <= now => {
                    waiting.answer(Err(Error::Unavailable("PostgreSQL does not answer".to_owned())));
                }
                Request::Branch(branch) if branch.until <= now => {
                    branch.refuse(Error::Unavailable("PostgreSQL does not answer".to_owned()));
                }
                request => self.pending.push_back(request),
            }
        }
    }
}

struct Selected {
    takeovers: Vec<(PartitionId, oneshot::Sender<Result<Opened, Error>>)>,
    work: Option<Work>,
}

enum Work {
    Group(Vec<Waiting>, Fences),
    Branch(Branch),
}

/// Answers the first batch of each stale partition; what followed upon it will be found stale by itself.
fn refuse_stale(group: Vec<Waiting>, stale: &[PartitionId]) -> Vec<Waiting> {
    let mut stale: HashSet<PartitionId> = stale.iter().copied().collect();
    let mut left = Vec::new();
    for waiting in group {
        let Some(part) = waiting.batch.iter().find(|part| stale.contains(&part.partition)) else {
            left.push(waiting);
            continue;
        };
        let fenced = Error::Fenced { partition: part.partition, epoch: part.epoch };
        waiting.partitions().for_each(|id| _ = stale.remove(&id));
        waiting.answer(Err(fenced));
    }
    left
}

async fn commit(database: Arc<Database>, mut slot: Slot, group: Vec<Waiting>, fences: Fences) -> Done {
    let batches: Vec<&Batch> = group.iter().map(|waiting| &waiting.batch).collect();
    let outcome = transact(&database, &mut slot, &fences, &batches, &[COMMIT.to_owned()]).await;
    Done::Group { slot, group, outcome }
}

async fn prepare(database: Arc<Database>, mut slot: Slot, branch: Branch) -> Done {
    let (mut fences, partitions) = (Fences::default(), branch.partitions().collect());
    if !fences.admit(&branch.batch) {
        branch.refuse_fenced();
        return Done::Branch { slot, partitions, prepared: None };
    }
    let outcome = transact(&database, &mut slot, &fences, &[&branch.batch], &branch.prepare()).await;
    Done::Branch { slot, partitions, prepared: branch.prepared(outcome) }
}

async fn settle(database: Arc<Database>, prepared: Prepared, partitions: Vec<PartitionId>) -> Done {
    prepared.settle(&database).await;
    Done::Free(partitions)
}

/// One transaction, and what it says of the database.
async fn transact(
    database: &Database,
    slot: &mut Slot,
    fences: &Fences,
    batches: &[&Batch],
    end: &[String],
) -> Result<(), Failure> {
    let outcome = attempt(database, slot, fences, batches, end).await;
    match &outcome {
        Ok(()) | Err(Failure::Stale(_)) => database.trouble.committed(None),
        Err(Failure::Refused(error) | Failure::Passing(error)) => {
            database.trouble.committed(Some(error.to_string()));
        }
        Err(Failure::Unknown(reason)) => database.trouble.committed(Some(reason.clone())),
        Err(Failure::NoPiece) => (),
    }
    outcome
}

/// The session is given up unless it is certainly fit for the next.
async fn attempt(
    database: &Database,
    slot: &mut Slot,
    fences: &Fences,
    batches: &[&Batch],
    end: &[String],
) -> Result<(), Failure> {
    let writer = match slot.take().filter(|writer| !writer.is_closed()) {
        Some(writer) => writer,
        None => connect(database).await?,
    };
    let writes = Writes::of(fences, batches.iter().copied());
    let hour = if writes.log.changes.is_empty() { 0 } else { database.log.hour_to_write(database).await? };
    let run = writer.transact(&writes, hour, end);
    let outcome = match tokio::time::timeout(database.settings.commit_timeout, run).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::Unknown("the commit was not answered in time".to_owned())),
    };
    match &outcome {
        Ok(()) | Err(Failure::Stale(_)) => *slot = Some(writer),
        Err(Failure::NoPiece) => {
            *slot = Some(writer);
            database.log.refresh(database).await.map_err(Failure::Passing)?;
        }
        Err(Failure::Passing(error)) => {
            tracing::debug!("a commit will be tried again: {error}");
            tokio::time::sleep(RETRY).await;
        }
        Err(Failure::Refused(_) | Failure::Unknown(_)) => {}
    }
    outcome
}

async fn connect(database: &Database) -> Result<Writer, Failure> {
    match Writer::open(&database.primary.connector).await {
        Ok(writer) => Ok(writer),
        Err(error) => {
            tokio::time::sleep(RETRY).await;
            Err(Failure::Passing(refused(&error)))
        }
    }
}
