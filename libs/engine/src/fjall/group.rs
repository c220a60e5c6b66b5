//! What is asked of the committer, and the group that one durable commit of fjall carries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::sync::oneshot;
use tradewind_model::{PartitionId, Sequence};

use crate::{Batch, Error, Opened, PartitionCommit, Row, Space};

pub enum Request {
    Commit {
        batch: Batch,
        done: oneshot::Sender<Told>,
    },
    Open {
        partition: PartitionId,
        done: oneshot::Sender<Result<Opened, Error>>,
    },
    Document {
        key: Vec<u8>,
        generation: Vec<u8>,
        expected: Option<u64>,
        body: Option<Vec<u8>>,
        done: oneshot::Sender<Result<Option<u64>, Error>>,
    },
    Remove {
        space: Space,
        keys: Vec<::fjall::UserKey>,
        done: oneshot::Sender<Result<(), Error>>,
    },
    /// Appends nothing to keyspaces of hours before this any more, and answers them.
    Seal {
        before_hour: u64,
        done: oneshot::Sender<Result<Vec<(u64, Keyspace)>, Error>>,
    },
    /// Drops sealed hours, once it is durable that changes up to the named ones may be gone.
    Forget {
        hours: Vec<u64>,
        last_changes: Vec<(PartitionId, Sequence)>,
        done: oneshot::Sender<Result<(), Error>>,
    },
}

impl Request {
    pub fn bytes(&self) -> u64 {
        let bytes = match self {
            Request::Commit { batch, .. } => batch.iter().map(part_bytes).sum(),
            Request::Document { body, .. } => body.as_ref().map_or(0, Vec::len),
            Request::Remove { keys, .. } => keys.iter().map(|key| key.len()).sum(),
            Request::Open { .. } | Request::Seal { .. } | Request::Forget { .. } => 0,
        };
        bytes as u64
    }

    pub fn has_changes(&self) -> bool {
        matches!(self, Request::Commit { batch, .. } if batch.iter().any(|part| !part.changes.is_empty()))
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let parts = if let Request::Commit { batch, .. } = self { &batch[..] } else { &[] };
        parts.iter().flat_map(|part| &part.rows)
    }

    pub fn seals_before(&self) -> Option<u64> {
        match self {
            Request::Seal { before_hour, .. } => Some(*before_hour),
            _ => None,
        }
    }

    pub fn refuse(self, error: Error) {
        // Whoever asked may have gone; then nobody needs the answer.
        match self {
            Request::Commit { done, .. } => _ = done.send(Told::alone(Err(error))),
            Request::Remove { done, .. } | Request::Forget { done, .. } => _ = done.send(Err(error)),
            Request::Open { done, .. } => _ = done.send(Err(error)),
            Request::Document { done, .. } => _ = done.send(Err(error)),
            Request::Seal { done, .. } => _ = done.send(Err(error)),
        }
    }
}

fn part_bytes(part: &PartitionCommit) -> usize {
    let rows = part.rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, |value| value.len()));
    rows.sum::<usize>() + part.changes.iter().map(|(_, change)| change.len()).sum::<usize>()
}

/// How a commit ended. Who is told first tells the others of its group: it wakes tasks of its own thread, all before the
/// first of them writes again, and without a system call for each.
pub struct Told {
    outcome: Result<(), Error>,
    others: Option<Arc<Others>>,
}

impl Told {
    fn alone(outcome: Result<(), Error>) -> Told {
        Told { outcome, others: None }
    }

    pub fn heard(mut self) -> Result<(), Error> {
        std::mem::replace(&mut self.outcome, Ok(()))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.others.iter().for_each(|others| others.tell());
    }
}

/// Who waits for a commit, and how it ended for them: the disk's word, or a refusal.
type Waiting = Vec<(oneshot::Sender<Told>, Result<(), Error>)>;

/// The others of a group, until somebody tells them.
#[derive(Default)]
pub struct Others(Mutex<Waiting>);

impl Others {
    pub fn tell(&self) {
        for (done, outcome) in std::mem::take(&mut *self.waiting()) {
            done.send(Told::alone(outcome)).ok();
        }
    }

    pub fn are_told(&self) -> bool {
        self.waiting().is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends an answer that is not a commit's, given how the group's commit ended.
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// The writes of several requests and their answers, which are all held back until the writes are durable: also a
/// refusal tells of a state that another request of the same group made.
pub struct Group {
    pub writes: OwnedWriteBatch,
    answers: Answers,
    /// Partitions whose counter row must be written.
    pub touched: Vec<PartitionId>,
    /// Revisions of documents as this group leaves them.
    pub revisions: HashMap<Vec<u8>, Option<u64>>,
    pub forgotten_hours: Vec<u64>,
}

impl Group {
    pub fn new(db: &Database, durability: Option<PersistMode>, requests: usize) -> Group {
        Group {
            // A request is seldom less than an item, its change and a counter.
            writes: OwnedWriteBatch::with_capacity(db.clone(), requests * 4).durability(durability),
            answers: Answers { commits: Vec::with_capacity(requests), others: Vec::new() },
            touched: Vec::new(),
            revisions: HashMap::new(),
            forgotten_hours: Vec::new(),
        }
    }

    pub fn write(&mut self, keyspace: &Keyspace, row: &Row) {
        match &row.value {
            Some(value) => self.writes.insert(keyspace, &row.key[..], &value[..]),
            None => self.writes.remove(keyspace, &row.key[..]),
        }
    }

    pub fn tell(&mut self, done: oneshot::Sender<Told>, verdict: Result<(), Error>) {
        self.answers.commits.push((done, verdict));
    }

    pub fn answer<T: Send + 'static>(
        &mut self,
        done: oneshot::Sender<Result<T, Error>>,
        verdict: Result<T, Error>,
    ) {
        let (value, verdict) = match verdict {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let send = move |outcome: Result<(), Error>| {
            let answer = outcome.map(|()| value.expect("a request with a verdict of Ok has its value"));
            done.send(answer).ok();
        };
        self.answers.others.push((Box::new(send), verdict));
    }

    pub fn split(self) -> (OwnedWriteBatch, Answers, Vec<u64>) {
        (self.writes, self.answers, self.forgotten_hours)
    }
}

pub struct Answers {
    commits: Waiting,
    others: Vec<(Answer, Result<(), Error>)>,
}

impl Answers {
    /// Who was refused hears that, and the rest how the commit ended. Of the commits the first is told, and is to tell
    /// those that this gives back.
    pub fn send(self, outcome: &Result<(), Error>) -> Arc<Others> {
        let answered = |verdict: Result<(), Error>| verdict.and_then(|()| outcome.clone());
        for (send, verdict) in self.others {
            send(answered(verdict));
        }
        let mut told = self.commits.into_iter().map(|(done, verdict)| (done, answered(verdict)));
        let first = told.next();
        let others = Arc::new(Others(Mutex::new(told.collect())));
        if let Some((done, outcome)) = first {
            done.send(Told { outcome, others: Some(others.clone()) }).ok();
        }
        others
    }
}
