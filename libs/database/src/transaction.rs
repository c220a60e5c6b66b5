//! TransactWriteItems: all actions or none, over partitions and tables.
//!
//! The partitions are held in one fixed order, so that two transactions never wait for each other in a circle; each then
//! decides its part on what is committed, and one engine commit carries them all. A partition that only checks a
//! condition takes part like the others: its epoch is checked with theirs.

mod holds;
mod token;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tradewind_engine::{Documents, Engine, Error, PartitionCommit};
use tradewind_model::{PartitionId, Sequence};
use tradewind_telemetry::trace;
use tradewind_wire::ApiError;
use tradewind_wire::error::{CancellationReason, Code};
use tradewind_wire::request::item::{TableRef, TransactAction, TransactWrite, TransactWriteItems};
use tradewind_wire::response::item::{Capacity, TransactWriteOutput};

use uuid::Uuid;

use self::Uncommitted::{InDoubt, NotDone};
use self::holds::{HeldParts, hold, release, release_but, release_unchanged};
pub(crate) use self::token::Token;
use self::token::{Turn, is_of_tokens};
use crate::capacity;
use crate::cluster::RequestId;
use crate::item;
use crate::key_paths;
use crate::partition::decide::{Action, Write};
use crate::partition::group::{Answer, Group, Op, Refusals, Written};
use crate::partition::owner::explain;
use crate::partition::rows::read_items;
use crate::partition::state::State;
use crate::read::merge_capacity;
use crate::region::Database;
use crate::table::document::TableDocument;
use crate::table::{LATE, Table};
use crate::write::{collection_metrics, cost};

/// What the items of one request may have together. (API reference, TransactWriteItems.)
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Attempts that need no patience: a turn was another's, or a partition was opened again.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Why an attempt was not the last.
enum Missed {
    /// Nothing was done, or what was done will show.
    Again(ApiError),
    Stop(ApiError),
}

/// Why nothing could be decided.
enum Undecided {
    Error(ApiError),
    /// What was read shows that this partition has another owner.
    Behind(PartitionId),
}

impl From<ApiError> for Undecided {
    fn from(error: ApiError) -> Undecided {
        Undecided::Error(error)
    }
}

/// Why nothing is known to be committed.
enum Uncommitted {
    NotDone(Missed),
    InDoubt(ApiError),
}

/// An action, with the table it is about, ready to be decided.
pub(crate) struct Part<E> {
    pub named: TableRef,
    pub table: Arc<Table<E>>,
    pub write: Write,
}

/// What became of the actions, in their order.
pub(crate) enum Outcome {
    Committed(Vec<Written>),
    Refused(Refusals),
    /// A request with the same token was carried out before.
    Repeated,
}

impl<E: Engine + Documents> Database<E> {
    pub async fn transact_write_items(
        &self,
        request: TransactWriteItems,
    ) -> Result<TransactWriteOutput, ApiError> {
        let parts = self.parts(request.actions)?;
        let token = request.token.map(|token| Token { name: token, digest: request.digest });
        let (written, repeated) = match self.transact(&parts, token.as_ref()).await? {
            Outcome::Committed(written) => (written, false),
            Outcome::Repeated => (self.unchanged(&parts).await?, true),
            Outcome::Refused(refusals) => return Err(canceled(refusals)),
        };
        Ok(self.transaction_output(&parts, &written, repeated, request.capacity, request.metrics))
    }

    /// The actions checked against their tables. Errors of an item cancel the transaction; the first one counts.
    pub(crate) fn parts(&self, actions: Vec<TransactWrite>) -> Result<Vec<Part<E>>, ApiError> {
        let count = actions.len();
        let mut tables = Vec::with_capacity(count);
        for action in &actions {
            tables.push(self.find(&action.table)?);
        }
        let mut parts = Vec::with_capacity(count);
        let mut distinct = HashSet::new();
        for (at, (action, table)) in actions.into_iter().zip(tables).enumerate() {
            check_key_paths(&action, &table.document())?;
            let part = part(action, table).map_err(|error| canceled_by(error, at, count))?;
            if !distinct.insert(part.write.key.stored(part.table.document().incarnation)) {
                return Err(ApiError::validation(
                    "Transaction request cannot include multiple operations on one item",
                ));
            }
            parts.push(part);
        }
        if parts.iter().map(|part| part.write.size()).sum::<usize>() > MAX_BYTES {
            return Err(ApiError::validation("Collectively, the items of a transaction cannot exceed 4 MB"));
        }
        Ok(parts)
    }

    pub(crate) async fn transact(
        &self,
        parts: &[Part<E>],
        token: Option<&Token>,
    ) -> Result<Outcome, ApiError> {
        parts.iter().try_for_each(|part| self.admit_write(&part.table.document()))?;
        let request = token.map_or_else(|| *Uuid::new_v4().as_bytes(), Token::request);
        let deadline = Instant::now() + self.shared.cluster.patience();
        let (mut doubtful, mut pause) = (None, FIRST_PAUSE);
        for attempt in 1.. {
            let attempted = self.attempt(parts, token, request, &mut doubtful);
            let cause = match self.in_time(deadline, attempted).await {
                Ok(outcome) => return Ok(self.charged(parts, outcome)),
                Err(Missed::Stop(error)) => return Err(error),
                Err(Missed::Again(cause)) => cause,
            };
            if attempt >= ATTEMPTS && Instant::now() + pause >= deadline {
                return Err(doubtful.map_or(cause, |_| undecidable()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last attempt returns")
    }

    /// As for single writes: a region of one node waits for its disk, elsewhere a client is told in time that nobody knows.
    /// What an attempt holds that is given up is opened again by its owners, as after a coordinator's death.
    async fn in_time(
        &self,
        deadline: Instant,
        attempt: impl Future<Output = Result<Outcome, Missed>>,
    ) -> Result<Outcome, Missed> {
        if self.shared.alone {
            return attempt.await;
        }
        let attempted = tokio::time::timeout_at(deadline + LATE, attempt).await;
        attempted.unwrap_or_else(|_| Err(Missed::Stop(undecidable())))
    }

    fn charged(&self, parts: &[Part<E>], outcome: Outcome) -> Outcome {
        if let Outcome::Committed(written) = &outcome {
            parts.iter().zip(written).for_each(|(part, written)| {
                let document = part.table.document();
                self.charge(&document, || cost(&document, &part.write.key, written, true));
            });
        }
        outcome
    }

    /// `doubtful`: what an earlier attempt wrote, if its commit has happened after all. That has shown by the time its
    /// partitions are held again.
    async fn attempt(
        &self,
        parts: &[Part<E>],
        token: Option<&Token>,
        request: RequestId,
        doubtful: &mut Option<Vec<Written>>,
    ) -> Result<Outcome, Missed> {
        let held = hold(parts, request).await?;
        let turn = match token {
            Some(token) => match self.turn(token).await {
                Ok(turn) => Some((token, turn)),
                Err(error) => return Err(self.give_up(held, error).await),
            },
            None => None,
        };
        match self.decide(parts, &held, token).await {
            Ok((groups, outcome @ Outcome::Committed(_))) => match self.commit(held, groups, turn).await {
                Ok(()) => Ok(outcome),
                Err(InDoubt(cause)) => {
                    if let (Outcome::Committed(written), Some(_)) = (outcome, token) {
                        *doubtful = Some(written);
                        return Err(Missed::Again(cause));
                    }
                    Err(Missed::Stop(cause))
                }
                Err(NotDone(missed)) => Err(missed),
            },
            Ok((_, outcome)) => {
                release_unchanged(held).await;
                // Nothing was committed that would check whether what was read is another owner's past.
                if !self.shared.cluster.holds_lease() {
                    return Err(Missed::Again(ApiError::unavailable("this node has lost its lease")));
                }
                match (outcome, doubtful.take()) {
                    (Outcome::Repeated, Some(written)) => Ok(Outcome::Committed(written)),
                    (outcome, _) => Ok(outcome),
                }
            }
            Err(Undecided::Error(error)) => Err(self.give_up(held, error).await),
            Err(Undecided::Behind(partition)) => {
                release_but(held, partition).await;
                Err(Missed::Again(ApiError::unavailable("a partition has another owner; try again")))
            }
        }
    }

    /// After what could not be read. Whoever may wait tries again.
    async fn give_up(&self, held: HeldParts, error: ApiError) -> Missed {
        release_unchanged(held).await;
        match error.code == Code::InternalServerError && !self.shared.alone {
            true => Missed::Again(error),
            false => Missed::Stop(error),
        }
    }

    /// Each held partition's part, on the items as they are.
    async fn decide(
        &self,
        parts: &[Part<E>],
        held: &HeldParts,
        token: Option<&Token>,
    ) -> Result<(Vec<(Option<PartitionCommit>, State)>, Outcome), Undecided> {
        // Asked while the partitions are held: a request with the same token is either through or waits for them.
        if let Some(token) = token
            && self.known_token(token).await?
        {
            return Ok((Vec::new(), Outcome::Repeated));
        }
        let now_ms = self.shared.clock.now_ms();
        let mut slots: Vec<Option<Written>> = vec![None; parts.len()];
        let mut refusals: Refusals = vec![None; parts.len()];
        let mut groups = Vec::with_capacity(held.len());
        for (id, held) in held {
            let here: Vec<_> = (0..parts.len()).filter(|at| partition(&parts[*at]) == *id).collect();
            let op = Op::Transact(here.iter().map(|at| parts[*at].write.clone()).collect());
            let current = read_items(&*self.shared.engine, &held.table, std::slice::from_ref(&op)).await;
            let current: HashMap<_, _> = current.map_err(|error| explain(&error))?;
            if held.state.is_behind(&current) {
                return Err(Undecided::Behind(*id));
            }
            let mut group = Group::new(&held.table, self.region(), now_ms, &held.state, current);
            match group.take(&op) {
                Answer::Transacted(Ok(written)) => {
                    here.into_iter().zip(written).for_each(|(at, written)| slots[at] = Some(written));
                }
                Answer::Transacted(Err(refused)) => {
                    here.into_iter().zip(refused).for_each(|(at, refused)| refusals[at] = refused);
                }
                _ => unreachable!("a transaction answers as one"),
            }
            groups.push(group.finish());
        }
        let outcome = if refusals.iter().any(Option::is_some) {
            Outcome::Refused(refusals)
        } else {
            Outcome::Committed(slots.into_iter().map(Option::unwrap_or_default).collect())
        };
        Ok((groups, outcome))
    }

    /// One commit for all. Every partition takes part, so that each one's epoch is checked.
    async fn commit(
        &self,
        held: HeldParts,
        groups: Vec<(Option<PartitionCommit>, State)>,
        turn: Option<(&Token, Turn)>,
    ) -> Result<(), Uncommitted> {
        let (commits, states): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        let parts = commits.into_iter().zip(&states);
        let mut batch: Vec<_> =
            parts.map(|(commit, state)| commit.unwrap_or_else(|| nothing(state))).collect();
        batch.extend(turn.map(|(token, turn)| token.commit(&turn, self.shared.clock.now_ms())));
        let error = match self.shared.engine.commit(batch).await {
            Ok(()) => {
                release(held.into_values().zip(states.into_iter().map(Some))).await;
                return Ok(());
            }
            Err(error) => error,
        };
        let cause = explain(&error);
        match error {
            Error::Unavailable(_) => {
                release_unchanged(held).await;
                Err(NotDone(if self.shared.alone { Missed::Stop(cause) } else { Missed::Again(cause) }))
            }
            Error::Fenced { partition, .. } => {
                release_but(held, partition).await;
                if !is_of_tokens(partition) {
                    self.shared.cluster.suspect();
                }
                Err(NotDone(Missed::Again(cause)))
            }
            Error::Unknown(_) | Error::Corrupt(_) => {
                release(held.into_values().map(|part| (part, None))).await;
                Err(InDoubt(cause))
            }
        }
    }

    /// The items as they are, for a request that was carried out before.
    pub(crate) async fn unchanged(&self, parts: &[Part<E>]) -> Result<Vec<Written>, ApiError> {
        let keys: Vec<Bytes> =
            parts.iter().map(|part| part.write.key.stored(part.table.document().incarnation)).collect();
        let refs: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let rows = self.rows(&refs).await?;
        let item = |row: &Option<Bytes>| row.as_ref().and_then(tradewind_model::StoredItem::item_shared);
        let mut written = Vec::with_capacity(parts.len());
        for (part, row) in parts.iter().zip(&rows) {
            // What the earlier request did is not after the log's end.
            let position = part.table.position(part.write.key.hash());
            let next = self.partition_state(&part.table, position).await?.next;
            let sequence = Sequence(next.0.saturating_sub(1));
            written.push(Written { sequence, old: item(row), new: item(row) });
        }
        Ok(written)
    }

    pub(crate) fn transaction_output(
        &self,
        parts: &[Part<E>],
        written: &[Written],
        repeated: bool,
        asked: tradewind_wire::request::item::ReturnCapacity,
        metrics: bool,
    ) -> TransactWriteOutput {
        let mut output = TransactWriteOutput::default();
        for (part, written) in parts.iter().zip(written) {
            output.tokens.add(part.table.token(&part.write.key, written.sequence));
            let document = part.table.document();
            let used = if repeated {
                let size = written.old.as_ref().map_or(0, tradewind_model::Item::size);
                let read = capacity::read_units(size, capacity::Reading::Transactional);
                Capacity { read, split: true, ..Capacity::default() }
            } else {
                Capacity { split: true, ..cost(&document, &part.write.key, written, true) }
            };
            merge_capacity(&mut output.capacity, capacity::named(&part.named, asked, used));
            if metrics && let Some(collection) = collection_metrics(&document, &part.write.key) {
                match output.metrics.iter_mut().find(|(name, _)| *name == part.named.name) {
                    Some((_, collections)) => collections.push(collection),
                    None => output.metrics.push((part.named.name.clone(), vec![collection])),
                }
            }
        }
        output
    }
}

/// What no item could make right refuses the request as a whole.
fn check_key_paths(action: &TransactWrite, table: &TableDocument) -> Result<(), ApiError> {
    if let TransactAction::Update { update, .. } = &action.action
        && item::check_update_names(table, update.attribute_names()).is_ok()
    {
        key_paths::check_update(table, Some(update))?;
    }
    key_paths::check_condition(table, action.condition.as_ref())
}

fn part<E: Engine + Documents>(action: TransactWrite, table: Arc<Table<E>>) -> Result<Part<E>, ApiError> {
    let document = table.document();
    let (key, act) = match action.action {
        TransactAction::Put { item } => (item::check_put(&document, item.as_ref())?, Action::Put(item)),
        TransactAction::Update { key, update } => {
            let item_key = item::key_of_key(&document, key.as_ref())?;
            item::check_update_names(&document, update.attribute_names())?;
            (item_key, Action::Update { key, update: Some(update) })
        }
        TransactAction::Delete { key } => (item::key_of_key(&document, key.as_ref())?, Action::Delete),
        TransactAction::Check { key } => (item::key_of_key(&document, key.as_ref())?, Action::Check),
    };
    let write = Write {
        key,
        action: act,
        condition: action.condition,
        item_on_failure: action.item_on_failure,
        request: None,
        trace: trace::current(),
    };
    Ok(Part { named: action.table, table, write })
}

fn partition<E: Engine + Documents>(part: &Part<E>) -> PartitionId {
    let document = part.table.document();
    document.partition_id(document.partitions[part.table.position(part.write.key.hash())].number)
}

/// A commit that only checks the partition's epoch and sequence.
fn nothing(state: &State) -> PartitionCommit {
    PartitionCommit {
        partition: state.id,
        epoch: state.epoch,
        first: state.next,
        next: state.next,
        max_hlc: state.max_hlc.0,
        rows: Vec::new(),
        changes: Vec::new(),
    }
}

/// The reasons of refused actions, in the order of all.
pub(crate) fn canceled(refusals: Refusals) -> ApiError {
    let first_invalid = refusals
        .iter()
        .position(|refused| refused.as_ref().is_some_and(|refused| refused.error.code == Code::Validation));
    if let Some(at) = first_invalid {
        let count = refusals.len();
        let error = refusals.into_iter().nth(at).flatten().map(|refused| refused.error);
        return canceled_by(error.unwrap_or_else(|| ApiError::validation("")), at, count);
    }
    ApiError::transaction_canceled(
        refusals
            .into_iter()
            .map(|refused| match refused {
                Some(refused) => CancellationReason {
                    code: Some(reason(refused.error.code).into()),
                    message: Some(refused.error.message),
                    item: refused.error.item,
                },
                None => CancellationReason::default(),
            })
            .collect(),
    )
}

fn undecidable() -> ApiError {
    ApiError::internal("It is not known whether the transaction was done")
}

fn reason(code: Code) -> &'static str {
    match code {
        Code::DuplicateItem => "DuplicateItem",
        _ => "ConditionalCheckFailed",
    }
}

/// A validation error of one action: every other reason is `None`.
pub(crate) fn canceled_by(error: ApiError, at: usize, count: usize) -> ApiError {
    if error.code != Code::Validation {
        return error;
    }
    let mut reasons = vec![CancellationReason::default(); count];
    reasons[at] =
        CancellationReason { code: Some("ValidationError".into()), message: Some(error.message), item: None };
    ApiError::transaction_canceled(reasons)
}
