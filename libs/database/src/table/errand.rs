//! An operation on its way to its partition's owner, wherever that is and wherever it moves meanwhile.
//!
//! What is forwarded names the epoch it is meant for: an owner that has another says which, and nothing was done. Sent again
//! is only what was surely not done. A write whose answer was lost is in doubt: the owner is asked for it, and only one that
//! says under which epoch it was not done may be given it again, under that epoch. So it is never done twice, whatever is
//! late, frozen or dead.

use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Epoch, Sequence};
use tradewind_wire::ApiError;
use uuid::Uuid;

use super::{Table, Unowned, gone};
use crate::cluster::{Done, ForwardError, Forwarded, Inquiry, NodeId, Outcome, RequestId, Seat};
use crate::partition::group::{Answer, Op};
use crate::partition::owner::{Unanswered, explain};

/// Attempts even where nobody may wait: a partition that is opened again takes the next one.
const ATTEMPTS: u32 = 3;
/// Attempts without a pause at an owner that has said its epoch.
const AT_ONCE: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// An attempt that began in time may last so much longer: an owner whose database stands still finds out only step by step
/// what became of its commits.
pub(crate) const LATE: Duration = Duration::from_secs(10);

pub(super) struct Errand<'a, E> {
    table: &'a Table<E>,
    position: usize,
    op: Box<Op>,
    request: RequestId,
    deadline: Instant,
    /// The log had come so far before the operation was sent first.
    after: Option<Sequence>,
    /// Where it was sent that it may be carried out still.
    sent_to: Option<SentTo>,
    /// It may have been done: nothing else is said before that is known.
    in_doubt: bool,
    /// The epoch under which it was found not to be done.
    not_done_under: Option<Epoch>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SentTo {
    Only(NodeId),
    Several,
}

/// Why an attempt was not the last.
enum Missed {
    /// The owner has another epoch, which is known now.
    Stale,
    /// Again, from wherever the partition is then.
    Again(ApiError),
    Stop(ApiError),
}

impl<'a, E: Engine + Documents> Errand<'a, E> {
    pub fn new(table: &'a Table<E>, position: usize, op: Op) -> Errand<'a, E> {
        let request = *Uuid::new_v4().as_bytes();
        let mut op = Box::new(op);
        if let Op::Write(write) = &mut *op
            && !table.shared.alone
        {
            write.request = Some(request);
        }
        let deadline = Instant::now() + table.shared.cluster.patience();
        Errand {
            table,
            position,
            op,
            request,
            deadline,
            after: None,
            sent_to: None,
            in_doubt: false,
            not_done_under: None,
        }
    }

    pub async fn run(mut self) -> Result<Answer, ApiError> {
        let mut changed = self.table.shared.cluster.changed();
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let cause = match self.attempt_in_time().await {
                Ok(answer) => return Ok(answer),
                Err(Missed::Stop(error)) => return Err(error),
                Err(Missed::Stale) if attempt <= AT_ONCE => continue,
                Err(Missed::Stale) => moved(),
                Err(Missed::Again(cause)) => cause,
            };
            let waits = Instant::now() + pause < self.deadline;
            if !waits && (attempt >= ATTEMPTS || !self.table.shared.alone) {
                return Err(if self.in_doubt { undecidable() } else { cause });
            }
            tokio::select! {
                // An error means that the cluster is gone, and the sleep goes on.
                Ok(()) = changed.changed() => (),
                () = tokio::time::sleep(pause) => (),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last attempt returns")
    }

    /// A region of one node waits for its disk, however long that takes; elsewhere a client is told in time that nobody knows.
    async fn attempt_in_time(&mut self) -> Result<Answer, Missed> {
        if self.table.shared.alone {
            return self.attempt().await;
        }
        let end = self.deadline + LATE;
        let attempted = tokio::time::timeout_at(end, self.attempt()).await;
        attempted.unwrap_or_else(|_| Err(Missed::Stop(undecidable())))
    }

    async fn attempt(&mut self) -> Result<Answer, Missed> {
        if self.table.is_gone() {
            return Err(Missed::Stop(gone()));
        }
        let seat = match self.table.running(self.position) {
            Some(_) => Seat::Here,
            None => self.table.shared.cluster.seat(self.table.partition_id(self.position)),
        };
        if self.in_doubt
            && let Some(answer) = self.inquire(seat).await?
        {
            return Ok(answer);
        }
        let answer = match seat {
            Seat::Here => self.submit_here().await?,
            Seat::At(node) => self.forward(node).await?,
            Seat::Nowhere => return Err(nowhere()),
        };
        match answer {
            Answer::Stale => Err(Missed::Stale),
            answer => Ok(answer),
        }
    }

    async fn submit_here(&mut self) -> Result<Answer, Missed> {
        let owner = match self.table.own(self.position).await {
            Ok(owner) => owner,
            Err(Unowned::Closed(error)) if self.table.shared.alone => {
                return Err(Missed::Stop(explain(&error)));
            }
            Err(Unowned::Gone) => return Err(Missed::Stop(gone())),
            Err(unowned) => return Err(Missed::Again(unowned.explain())),
        };
        let next = owner.state().next;
        self.table.learn_next(self.position, next);
        self.begin(next);
        let op = std::mem::replace(&mut *self.op, Op::Barrier);
        // Here nothing is late.
        let op = match self.not_done_under {
            Some(epoch) => op.under(epoch),
            None => op.anytime(),
        };
        match owner.submit(Box::new(op)).await {
            Ok(answer) => Ok(answer),
            Err(Unanswered::Failed(error)) => Err(Missed::Stop(error)),
            Err(Unanswered::Returned(op)) => {
                self.op = op;
                Err(Missed::Again(moved()))
            }
            Err(Unanswered::Unknown(op, error)) => {
                self.op = op;
                self.doubt();
                match self.table.shared.alone {
                    true => Err(Missed::Stop(error)),
                    false => Err(Missed::Again(error)),
                }
            }
        }
    }

    async fn forward(&mut self, node: NodeId) -> Result<Answer, Missed> {
        self.begin(self.table.known_next(self.position));
        let shared = &self.table.shared;
        let epoch = self.not_done_under.unwrap_or_else(|| self.table.known_epoch(self.position));
        let op = std::mem::replace(&mut *self.op, Op::Barrier).under(epoch);
        let forwarded = Forwarded { to: self.table.address(self.position), request: self.request, op };
        let submitted = shared.cluster.submit(node, &forwarded).await;
        *self.op = forwarded.op;
        match submitted {
            Ok(done) => Ok(self.learn(done)),
            Err(ForwardError::Refused(error)) => Err(Missed::Stop(error)),
            Err(ForwardError::Moved) => Err(Missed::Again(moved())),
            Err(ForwardError::NotSent(cause)) => {
                shared.cluster.suspect();
                Err(Missed::Again(unreached(&cause)))
            }
            Err(ForwardError::Unknown(cause)) => {
                shared.cluster.suspect();
                self.sent_to = match self.sent_to {
                    None => Some(SentTo::Only(node)),
                    Some(SentTo::Only(other)) if other == node => Some(SentTo::Only(node)),
                    Some(_) => Some(SentTo::Several),
                };
                self.in_doubt |= !self.op.is_repeatable();
                Err(Missed::Again(unreached(&cause)))
            }
        }
    }

    fn begin(&mut self, next: Sequence) {
        self.after.get_or_insert(Sequence(next.0.saturating_sub(1)));
    }

    /// What was done here may only be found in the log.
    fn doubt(&mut self) {
        self.sent_to = Some(SentTo::Several);
        self.in_doubt |= !self.op.is_repeatable();
    }

    fn learn(&self, done: Done) -> Answer {
        self.table.learn_next(self.position, done.next);
        self.table.learn_epoch(self.position, done.epoch);
        done.answer
    }

    /// The answer, if it was done; otherwise the operation may be given to the owner that said so.
    async fn inquire(&mut self, seat: Seat) -> Result<Option<Answer>, Missed> {
        let to = self.table.address(self.position);
        let after = self.after.unwrap_or_default();
        let only_you = |node| self.sent_to == Some(SentTo::Only(node));
        let outcome = match seat {
            Seat::Here => {
                let inquiry = Inquiry { to, request: self.request, after, only_you: false };
                self.table.look_for(self.position, &inquiry).await
            }
            Seat::At(node) => {
                let inquiry = Inquiry { to, request: self.request, after, only_you: only_you(node) };
                self.table.shared.cluster.inquire(node, &inquiry).await
            }
            Seat::Nowhere => return Err(nowhere()),
        };
        match outcome {
            Ok(Outcome::Answered(Ok(done))) => Ok(Some(self.learn(done))),
            Ok(Outcome::Answered(Err(error))) => Err(Missed::Stop(error)),
            Ok(Outcome::NotDone { under }) => {
                self.not_done_under = Some(under);
                Ok(None)
            }
            Ok(Outcome::Undecidable) => Err(Missed::Stop(undecidable())),
            Err(ForwardError::Refused(error)) => Err(Missed::Stop(error)),
            Err(error) => {
                self.table.shared.cluster.suspect();
                Err(Missed::Again(unreached(&error.to_string())))
            }
        }
    }
}

fn moved() -> ApiError {
    ApiError::unavailable("the partition moves to another node; try again")
}

fn nowhere() -> Missed {
    Missed::Again(ApiError::unavailable("no node of the region can take the request now; try again"))
}

fn unreached(cause: &str) -> ApiError {
    ApiError::unavailable(format!("the partition's node does not answer; try again: {cause}"))
}

fn undecidable() -> ApiError {
    ApiError::internal(
        "It is not known whether the write was done: the node that was to do it has gone, or does not answer",
    )
}
