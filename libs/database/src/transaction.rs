//! TransactWriteItems: all actions or none, over partitions and tables.
//!
//! The partitions are held in one fixed order, so that two transactions never wait for each other in a circle; each then
//! decides its part on what is committed, and one engine commit carries them all. A partition that only checks a
//! condition takes part like the others: its epoch is checked with theirs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine, Error, PartitionCommit, Row, Space};
use tradewind_model::PartitionId;
use tradewind_wire::ApiError;
use tradewind_wire::error::{CancellationReason, Code};
use tradewind_wire::request::item::{TableRef, TransactAction, TransactWrite, TransactWriteItems};
use tradewind_wire::response::item::{Capacity, TransactWriteOutput};

use crate::capacity;
use crate::item;
use crate::partition::decide::{Action, Write};
use crate::partition::group::{Answer, Group, Op, Refusals, Written};
use crate::partition::owner::{Held, explain, read_items};
use crate::partition::state::State;
use crate::read::merge_capacity;
use crate::region::Database;
use crate::table::Table;
use crate::write::{collection_metrics, cost};

/// A repeated ClientRequestToken is known for this long. (API reference, TransactWriteItems.)
const TOKEN_MS: u64 = 10 * 60 * 1000;

/// What the items of one request may have together. (API reference, TransactWriteItems.)
const MAX_BYTES: usize = 4 * 1024 * 1024;

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
        let held = hold(parts).await?;
        match self.decide(parts, &held, token).await {
            Ok((groups, outcome @ Outcome::Committed(_))) => {
                self.commit(held, groups, token).await?;
                if let Outcome::Committed(written) = &outcome {
                    parts.iter().zip(written).for_each(|(part, written)| {
                        let document = part.table.document();
                        self.charge(&document, || cost(&document, &part.write.key, written, true));
                    });
                }
                Ok(outcome)
            }
            Ok((_, outcome)) => {
                release_unchanged(held);
                Ok(outcome)
            }
            Err(error) => {
                release_unchanged(held);
                Err(error)
            }
        }
    }

    /// Each held partition's part, on the items as they are.
    async fn decide(
        &self,
        parts: &[Part<E>],
        held: &BTreeMap<PartitionId, Held>,
        token: Option<&Token>,
    ) -> Result<(Vec<(Option<PartitionCommit>, State)>, Outcome), ApiError> {
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
            let mut group = Group::new(&held.table, self.region(), now_ms, &held.state, current);
            match group.take(op) {
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
        held: BTreeMap<PartitionId, Held>,
        groups: Vec<(Option<PartitionCommit>, State)>,
        token: Option<&Token>,
    ) -> Result<(), ApiError> {
        let (commits, states): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        let mut batch: Vec<_> = commits
            .into_iter()
            .zip(&states)
            .map(|(commit, state)| commit.unwrap_or_else(|| nothing(state)))
            .collect();
        if let (Some(token), Some(first)) = (token, batch.first_mut()) {
            first.rows.push(token.row(self.shared.clock.now_ms()));
        }
        match self.shared.engine.commit(batch).await {
            Ok(()) => {
                held.into_values().zip(states).for_each(|(held, state)| held.release(Some(state)));
                Ok(())
            }
            Err(error @ Error::Unavailable(_)) => {
                release_unchanged(held);
                Err(explain(&error))
            }
            Err(error) => {
                held.into_values().for_each(|held| held.release(None));
                Err(explain(&error))
            }
        }
    }

    /// Whether a request with this token has been carried out.
    pub(crate) async fn known_token(&self, token: &Token) -> Result<bool, ApiError> {
        let now_ms = self.shared.clock.now_ms();
        let (key, before) = (token.key(now_ms), token.key(now_ms.saturating_sub(TOKEN_MS)));
        let rows = self.shared.engine.read(Space::Tokens, &[&key, &before]).await;
        let rows = rows.map_err(|error| explain(&error))?;
        let Some((at_ms, digest)) = rows.into_iter().flatten().find_map(|row| decode_token(&row)) else {
            return Ok(false);
        };
        if at_ms + TOKEN_MS < now_ms {
            return Ok(false);
        }
        if digest != token.digest {
            return Err(ApiError::new(
                Code::IdempotentParameterMismatch,
                "The request uses the same client token as a previous, but non-identical request. Do not reuse a client \
                 token with different requests, unless the requests are identical",
            ));
        }
        Ok(true)
    }

    /// The items as they are, for a request that was carried out before.
    pub(crate) async fn unchanged(&self, parts: &[Part<E>]) -> Result<Vec<Written>, ApiError> {
        let keys: Vec<Bytes> =
            parts.iter().map(|part| part.write.key.stored(part.table.document().incarnation)).collect();
        let refs: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let rows = self.rows(&refs).await?;
        let item = |row: &Option<Bytes>| {
            row.as_deref().and_then(tradewind_model::StoredItem::item_of).map(|item| item.to_item())
        };
        Ok(rows.iter().map(|row| Written { old: item(row), new: item(row) }).collect())
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

fn part<E: Engine>(action: TransactWrite, table: Arc<Table<E>>) -> Result<Part<E>, ApiError> {
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
    };
    Ok(Part { named: action.table, table, write })
}

fn partition<E: Engine>(part: &Part<E>) -> PartitionId {
    let document = part.table.document();
    document.partition_id(document.partitions[part.table.position(part.write.key.hash())].number)
}

/// In the order of (incarnation, partition), which is the same for everybody.
async fn hold<E: Engine>(parts: &[Part<E>]) -> Result<BTreeMap<PartitionId, Held>, ApiError> {
    let wanted: BTreeMap<_, _> = parts.iter().map(|part| (partition(part), part)).collect();
    let mut held = BTreeMap::new();
    for (id, part) in wanted {
        let owner = part.table.owner(part.table.position(part.write.key.hash())).await;
        let one = match owner {
            Ok(owner) => owner.hold().await,
            Err(error) => Err(error),
        };
        match one {
            Ok(one) => held.insert(id, one),
            Err(error) => {
                release_unchanged(held);
                return Err(error);
            }
        };
    }
    Ok(held)
}

fn release_unchanged(held: BTreeMap<PartitionId, Held>) {
    for held in held.into_values() {
        let state = held.state.clone();
        held.release(Some(state));
    }
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
                    code: Some(reason(refused.error.code)),
                    message: Some(refused.error.message),
                    item: refused.error.item,
                },
                None => CancellationReason::default(),
            })
            .collect(),
    )
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
        CancellationReason { code: Some("ValidationError"), message: Some(error.message), item: None };
    ApiError::transaction_canceled(reasons)
}

impl<E: Engine + Documents> Database<E> {
    /// Removes tokens that nobody asks for any more, in whole pieces.
    pub(crate) async fn trim_tokens(&self) -> Result<(), ApiError> {
        let kept_from = piece(self.shared.clock.now_ms().saturating_sub(TOKEN_MS));
        loop {
            let mut oldest = None;
            let first = |key: &[u8], _: &[u8]| {
                oldest = key.get(..8).map(<[u8]>::to_vec);
                false
            };
            let read = self.shared.engine.range(Space::Tokens, &[0][..]..&kept_from[..], false, first).await;
            read.map_err(|error| explain(&error))?;
            let Some(oldest) = oldest else { return Ok(()) };
            self.shared.engine.clear(Space::Tokens, &oldest).await.map_err(|error| explain(&error))?;
        }
    }
}

/// What the keys of tokens begin with that were used at this time.
fn piece(at_ms: u64) -> [u8; 8] {
    (at_ms / TOKEN_MS).to_be_bytes()
}

/// A ClientRequestToken and what it was used for.
///
/// ```text
/// key    time:8 (in ten minutes)  token        value   time:8 (Unix ms)  digest:16
/// ```
///
/// A token that is known lies in this piece of time or the one before; older pieces go as a whole.
pub(crate) struct Token {
    pub name: String,
    pub digest: u128,
}

impl Token {
    fn key(&self, at_ms: u64) -> Bytes {
        [&piece(at_ms)[..], self.name.as_bytes()].concat().into()
    }

    fn row(&self, now_ms: u64) -> Row {
        let value = [&now_ms.to_be_bytes()[..], &self.digest.to_be_bytes()].concat();
        Row { space: Space::Tokens, key: self.key(now_ms), value: Some(value.into()) }
    }
}

fn decode_token(value: &[u8]) -> Option<(u64, u128)> {
    let at_ms = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    Some((at_ms, u128::from_be_bytes(value.get(8..24)?.try_into().ok()?)))
}
