//! What the owner of a partition does.
//!
//! ```text
//! queue ─► drain what waits ─► read items ─► decide (group) ─► commit ─► publish the state ─► answer
//!   ▲                                                           │
//!   └────────────── meanwhile the next group gathers ◄──────────┘
//! ```
//!
//! No answer leaves before the group's commit returned. After a commit with an unknown outcome the owner opens the
//! partition again, under a new epoch, and reads what really happened before it says anything more. An owner that was
//! fenced has written nothing, hands back what waits, and ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tradewind_engine::{Engine, Error};
use tradewind_wire::ApiError;

use super::catch_up::CatchUp;
use super::group::{Answer, Group, Op};
use super::held::Held;
use super::owner::{Job, Reply, Setting, Unanswered, Wanted, explain, open};
use super::rows::Recent;
use super::state::State;
use crate::cluster::Seat;
use crate::meters::Committed;
use crate::table::document::TableDocument;

/// Operations decided together. Larger groups gain nothing: the commit is amortised long before.
const GROUP: usize = 512;

pub(super) struct Task<E> {
    setting: Setting<E>,
    state: State,
    publish: watch::Sender<Arc<State>>,
    jobs: mpsc::Receiver<Job>,
    catch_up: CatchUp<Reply>,
    /// Whether it has to end: it was told to, or the partition is another node's.
    ended: bool,
}

type Waiting = Vec<(Op, Reply)>;

/// How a group ended.
enum Attempt {
    Done(Vec<Answer>),
    /// Nothing was written.
    Failed(Error),
    /// What would be answered, and the state, if the commit has happened.
    Unknown(Vec<Answer>, State, Error),
}

impl<E: Engine> Task<E> {
    pub fn new(
        setting: Setting<E>,
        state: State,
        publish: watch::Sender<Arc<State>>,
        jobs: mpsc::Receiver<Job>,
    ) -> Task<E> {
        let catch_up = CatchUp::new(setting.catch_up_share);
        Task { setting, state, publish, jobs, catch_up, ended: false }
    }

    pub async fn run(mut self) {
        while let Some((mut group, then)) = self.gather().await {
            self.catch_up.fill(&mut group, Instant::now());
            if !group.is_empty() {
                self.group(group).await;
            }
            match then {
                Some(Job::Hold(wanted)) if !self.ended => self.hold(wanted).await,
                Some(Job::Close) => self.ended = true,
                _ => (),
            }
            if self.ended {
                return self.hand_back();
            }
        }
    }

    /// What waits, up to a job that is not decided in a group; nothing, if something waits aside and nobody else comes.
    /// `None`: nobody will come any more.
    async fn gather(&mut self) -> Option<(Waiting, Option<Job>)> {
        let mut group = Vec::new();
        let mut next = if self.catch_up.is_empty() {
            Some(self.jobs.recv().await?)
        } else {
            match self.catch_up.quiet_in(Instant::now()) {
                Duration::ZERO => self.jobs.try_recv().ok(),
                wait => tokio::time::timeout(wait, self.jobs.recv()).await.ok().flatten(),
            }
        };
        let now_ms = self.setting.clock.now_ms();
        while let Some(job) = next {
            match job {
                Job::Op(op, reply) if self.catch_up.takes(&op, now_ms) => self.catch_up.push(*op, reply),
                Job::Op(op, reply) => group.push((*op, reply)),
                other => return Some((group, Some(other))),
            }
            next = if group.len() < GROUP { self.jobs.try_recv().ok() } else { None };
        }
        Some((group, None))
    }

    /// What waits goes to the next owner, wherever that is.
    fn hand_back(mut self) {
        self.jobs.close();
        self.catch_up.drain().for_each(|(op, reply)| give_back(op, reply));
        while let Ok(job) = self.jobs.try_recv() {
            if let Job::Op(op, reply) = job {
                give_back(*op, reply);
            }
        }
    }

    async fn group(&mut self, waiting: Waiting) {
        let table = self.setting.table.load_full();
        let (ops, replies): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        match self.decide_and_commit(&table, &ops).await {
            Attempt::Done(answers) => answer_all(replies, answers),
            Attempt::Failed(error) => self.not_written(error, ops, replies).await,
            Attempt::Unknown(answers, decided, error) => {
                tracing::error!(partition = %self.setting.id, %error, "opening the partition again");
                self.find_out(answers, decided, &error, ops, replies).await;
            }
        }
    }

    async fn decide_and_commit(&mut self, table: &TableDocument, ops: &[Op]) -> Attempt {
        let Setting { engine, recent, .. } = &self.setting;
        let current = match recent.read_items(&**engine, self.state.epoch, table, ops).await {
            Ok(current) => current,
            Err(Error::Unknown(cause)) => return Attempt::Failed(Error::Unavailable(cause)),
            Err(error) => return Attempt::Failed(error),
        };
        if self.state.is_behind(&current) {
            return Attempt::Failed(self.fenced());
        }
        let now_ms = self.setting.clock.now_ms();
        let mut group = Group::new(table, self.setting.here, now_ms, &self.state, current);
        let answers = ops.iter().map(|op| group.take(op)).collect();
        let (commit, state) = group.finish();
        let Some(commit) = commit else {
            // No epoch was checked: only the lease tells that what was read is not another owner's past.
            return match self.setting.cluster.holds_lease() {
                true => Attempt::Done(answers),
                false => Attempt::Failed(self.fenced()),
            };
        };
        let committed = Committed::begin(&commit, table, ops);
        let written = Recent::written(&commit);
        match self.setting.engine.commit(vec![commit]).await {
            Ok(()) => {
                committed.count(&self.setting.meters, table);
                self.setting.recent.remember(state.epoch, written);
                self.advance(state);
                Attempt::Done(answers)
            }
            Err(error @ Error::Unknown(_)) => Attempt::Unknown(answers, state, error),
            Err(error) => Attempt::Failed(error),
        }
    }

    fn fenced(&self) -> Error {
        Error::Fenced { partition: self.setting.id, epoch: self.state.epoch }
    }

    fn advance(&mut self, state: State) {
        self.setting.tail.advance(self.setting.id, state.next);
        self.state = state;
        self.publish.send_replace(Arc::new(self.state.clone()));
    }

    /// After a group that surely wrote nothing: the state in memory is as it was, and so is the log.
    async fn not_written(&mut self, error: Error, ops: Vec<Op>, replies: Vec<Reply>) {
        match error {
            Error::Fenced { .. } => {
                tracing::info!(partition = %self.setting.id, "the partition has another owner");
                self.setting.cluster.suspect();
                self.ended = true;
                ops.into_iter().zip(replies).for_each(|(op, reply)| give_back(op, reply));
            }
            Error::Unavailable(cause) => {
                tracing::warn!(partition = %self.setting.id, cause, "a commit was refused");
                let answer = explain(&Error::Unavailable(cause));
                ops.into_iter().zip(replies).for_each(|(op, reply)| self.put_off(op, reply, &answer));
            }
            Error::Corrupt(_) | Error::Unknown(_) => {
                tracing::error!(partition = %self.setting.id, %error, "opening the partition again");
                let answer = explain(&error);
                replies.into_iter().for_each(|reply| fail(reply, &answer));
                if !self.reopen(Instant::now()).await {
                    self.keep_reopening().await;
                }
            }
        }
    }

    /// Whoever may wait tries again; others are told at once.
    fn put_off(&self, op: Op, reply: Reply, answer: &ApiError) {
        match self.setting.cluster.patience().is_zero() {
            true => fail(reply, answer),
            false => give_back(op, reply),
        }
    }

    /// After a commit with an unknown outcome: the sequence tells it, if nobody else has had the partition since.
    async fn find_out(
        &mut self,
        answers: Vec<Answer>,
        decided: State,
        error: &Error,
        ops: Vec<Op>,
        replies: Vec<Reply>,
    ) {
        let (epoch, first) = (self.state.epoch, self.state.next);
        let reopened = self.reopen(Instant::now() + self.setting.cluster.patience()).await;
        let undisturbed = reopened && self.state.epoch.0 == epoch.0 + 1;
        let next = self.state.next;
        if undisturbed && next == first {
            // A group that uses no sequence writes what may be written twice.
            ops.into_iter().zip(replies).for_each(|(op, reply)| give_back(op, reply));
        } else if undisturbed && next == decided.next {
            answer_all(replies, answers);
        } else {
            let answer = explain(error);
            for (op, reply) in ops.into_iter().zip(replies) {
                // A caller that has gone away does not want its answer.
                let _ = reply.send(Err(Unanswered::Unknown(Box::new(op), answer.clone())));
            }
        }
        if !reopened {
            self.keep_reopening().await;
        }
    }

    async fn hold(&mut self, wanted: Wanted) {
        let (release, released) = oneshot::channel();
        let table = self.setting.table.load_full();
        let (reserved, incarnation) = (Arc::new(wanted.reserved), table.incarnation);
        let held = Held { state: self.state.clone(), table, release, reserved: reserved.clone() };
        if wanted.reply.send(held).is_err() {
            return;
        }
        let state = match wanted.limit {
            Some(limit) => tokio::time::timeout(limit, released).await.ok().and_then(Result::ok).flatten(),
            None => released.await.ok().flatten(),
        };
        reserved.end();
        self.setting.recent.forget(incarnation, reserved.keys());
        match state.filter(|state| state.epoch == self.state.epoch) {
            Some(state) => self.advance(state),
            None => {
                tracing::warn!(partition = %self.setting.id, "a transaction did not say how it ended");
                if !self.reopen(Instant::now()).await {
                    self.keep_reopening().await;
                }
            }
        }
    }

    /// Opens the partition again, until `deadline` and at least once; `false` if it could not be, or is another node's now.
    async fn reopen(&mut self, deadline: Instant) -> bool {
        let mut pause = Duration::from_millis(10);
        loop {
            if self.setting.cluster.seat(self.setting.id) != Seat::Here {
                self.ended = true;
                return false;
            }
            match open(&*self.setting.engine, self.setting.id, self.setting.range).await {
                Ok(state) => {
                    self.advance(state);
                    return true;
                }
                Err(error) => {
                    tracing::warn!(partition = %self.setting.id, %error, "cannot be opened yet");
                    self.refuse_waiting(&explain(&error));
                }
            }
            if self.ended || Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn keep_reopening(&mut self) {
        while !self.ended && !self.reopen(Instant::now() + Duration::from_secs(60)).await {}
    }

    /// Nobody waits longer for a partition that cannot be written than it takes to find that out.
    fn refuse_waiting(&mut self, answer: &ApiError) {
        while let Ok(job) = self.jobs.try_recv() {
            match job {
                Job::Op(op, reply) => self.put_off(*op, reply, answer),
                // Its transaction is told by the reply that is dropped.
                Job::Hold(_) => (),
                Job::Close => {
                    self.ended = true;
                    return;
                }
            }
        }
    }
}

// A caller that has gone away does not want its answer: what cannot be sent is dropped.

fn answer_all(replies: Vec<Reply>, answers: Vec<Answer>) {
    for (reply, answer) in replies.into_iter().zip(answers) {
        let _ = reply.send(Ok(answer));
    }
}

fn give_back(op: Op, reply: Reply) {
    let _ = reply.send(Err(Unanswered::Returned(Box::new(op))));
}

fn fail(reply: Reply, answer: &ApiError) {
    let _ = reply.send(Err(Unanswered::Failed(answer.clone())));
}
