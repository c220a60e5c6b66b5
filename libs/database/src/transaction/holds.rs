//! The partitions of a transaction, held wherever they are owned.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tradewind_engine::{Documents, Engine};
use tradewind_model::{ItemKey, PartitionId};
use tradewind_wire::ApiError;
use tradewind_wire::error::{CancellationReason, Code};
use uuid::Uuid;

use super::{Missed, Part, partition};
use crate::cluster::{Cluster, ForwardError, HOLD, Hold, NodeId, Pending, Release, RequestId, Seat};
use crate::partition::held::Held;
use crate::partition::owner::NotHeld;
use crate::partition::state::State;
use crate::serve::conflict;
use crate::table::document::TableDocument;
use crate::table::{Table, Unowned};

/// One partition of a transaction. Dropped without a release, its owner finds out by itself what has happened.
pub(super) struct HeldPart {
    pub state: State,
    pub table: Arc<TableDocument>,
    end: Option<End>,
}

enum End {
    Here(Held),
    At { cluster: Arc<dyn Cluster>, node: NodeId, hold: Uuid },
}

impl HeldPart {
    /// Lets the owner go on: from `state`, or, where the outcome of a commit is not known, from what it reads itself. Answers
    /// what is to be waited for, lest who is told of this transaction's end meets it in the next.
    fn let_go(&mut self, state: Option<State>) -> Option<Pending<'static, ()>> {
        match self.end.take()? {
            End::Here(held) => {
                held.release(state);
                None
            }
            End::At { cluster, node, hold } => Some(cluster.release(node, Release { hold, state })),
        }
    }
}

impl Drop for HeldPart {
    fn drop(&mut self) {
        // The release goes out by itself.
        drop(self.let_go(None));
    }
}

/// Lets all owners go on, each from its state.
pub(super) async fn release(held: impl Iterator<Item = (HeldPart, Option<State>)>) {
    let arriving: Vec<_> = held.filter_map(|(mut part, state)| part.let_go(state)).collect();
    if !arriving.is_empty() {
        futures_util::future::join_all(arriving).await;
    }
}

pub(super) type HeldParts = BTreeMap<PartitionId, HeldPart>;

pub(super) async fn release_unchanged(held: HeldParts) {
    let unchanged = held.into_values().map(|part| {
        let state = part.state.clone();
        (part, Some(state))
    });
    release(unchanged).await;
}

/// Lets all owners go on; one of them has to find out what has happened: it was fenced.
pub(super) async fn release_but(held: HeldParts, fenced: PartitionId) {
    let unchanged = held.into_iter().map(|(id, part)| {
        let state = (id != fenced).then(|| part.state.clone());
        (part, state)
    });
    release(unchanged).await;
}

/// In the order of (incarnation, partition), which is the same for everybody.
pub(super) async fn hold<E: Engine + Documents>(
    parts: &[Part<E>],
    request: RequestId,
) -> Result<HeldParts, Missed> {
    let mut wanted: BTreeMap<PartitionId, (&Part<E>, Vec<ItemKey>)> = BTreeMap::new();
    for part in parts {
        let entry = wanted.entry(partition(part)).or_insert_with(|| (part, Vec::new()));
        entry.1.push(part.write.key.clone());
    }
    let mut held = BTreeMap::new();
    // What is held first must not be given up for the wait for what comes later.
    let deadline = Instant::now() + HOLD / 2;
    for (id, (part, keys)) in wanted {
        let position = part.table.position(part.write.key.hash());
        match hold_one(&part.table, position, keys, request, deadline).await {
            Ok(one) => held.insert(id, one),
            Err(not) => {
                release_unchanged(held).await;
                return Err(match not {
                    Not::Conflict(met) => Missed::Stop(met_another(parts, id, &met)),
                    Not::Missed(missed) => missed,
                });
            }
        };
    }
    Ok(held)
}

enum Not {
    Conflict(Vec<ItemKey>),
    Missed(Missed),
}

async fn hold_one<E: Engine + Documents>(
    table: &Arc<Table<E>>,
    position: usize,
    keys: Vec<ItemKey>,
    request: RequestId,
    deadline: Instant,
) -> Result<HeldPart, Not> {
    let seat = match table.running(position) {
        Some(_) => Seat::Here,
        None => table.shared().cluster.seat(table.partition_id(position)),
    };
    match seat {
        Seat::Here if table.shared().alone => hold_here(table, position, keys, request).await,
        Seat::Here => {
            let holding = hold_here(table, position, keys, request);
            tokio::time::timeout_at(deadline, holding).await.unwrap_or_else(|_| Err(busy()))
        }
        Seat::At(node) => hold_at(table, position, node, keys, request, deadline).await,
        Seat::Nowhere => Err(again("no node of the region can take the request now; try again")),
    }
}

async fn hold_here<E: Engine + Documents>(
    table: &Arc<Table<E>>,
    position: usize,
    keys: Vec<ItemKey>,
    request: RequestId,
) -> Result<HeldPart, Not> {
    let owner = match table.own(position).await {
        Ok(owner) => owner,
        Err(Unowned::Seat) => return Err(again("the partition is at another node")),
        Err(unowned @ Unowned::Closed(_)) if !table.shared().alone => {
            return Err(Not::Missed(Missed::Again(unowned.explain())));
        }
        Err(unowned) => return Err(Not::Missed(Missed::Stop(unowned.explain()))),
    };
    match owner.hold(keys, request, None).await {
        Ok(held) => {
            let (state, document) = (held.state.clone(), held.table.clone());
            Ok(HeldPart { state, table: document, end: Some(End::Here(held)) })
        }
        Err(NotHeld::Conflict(met)) => Err(Not::Conflict(met)),
        Err(NotHeld::Returned) => Err(again("the partition moves to another node; try again")),
    }
}

async fn hold_at<E: Engine + Documents>(
    table: &Arc<Table<E>>,
    position: usize,
    node: NodeId,
    keys: Vec<ItemKey>,
    request: RequestId,
    deadline: Instant,
) -> Result<HeldPart, Not> {
    let cluster = table.shared().cluster.clone();
    let hold = Hold { to: table.address(position), hold: Uuid::new_v4(), request, keys };
    let slow = |_| Err(ForwardError::Unknown("the transaction's partitions are busy".to_owned()));
    let held = tokio::time::timeout_at(deadline, cluster.hold(node, &hold)).await.unwrap_or_else(slow);
    let remote = match held {
        Ok(remote) => remote,
        Err(ForwardError::Refused(error)) if error.code == Code::TransactionCanceled => {
            let reasons = hold.keys.iter().zip(&error.cancellation);
            let met = reasons.filter(|(_, reason)| reason.code.is_some()).map(|(key, _)| key.clone());
            return Err(Not::Conflict(met.collect()));
        }
        Err(ForwardError::Refused(error)) => return Err(Not::Missed(Missed::Stop(error))),
        Err(ForwardError::Moved) => return Err(again("the partition moves to another node; try again")),
        Err(error) => {
            cluster.suspect();
            // One that was held and not heard of is given up at once.
            drop(cluster.release(node, Release { hold: hold.hold, state: None }));
            return Err(again(&error.to_string()));
        }
    };
    let end = Some(End::At { cluster, node, hold: hold.hold });
    if table.revision() < remote.revision {
        // The part is decided here, by a document no older than the owner's.
        table.read_again().await.map_err(|error| again(&error.to_string()))?;
    }
    Ok(HeldPart { state: remote.state, table: table.document(), end })
}

fn again(cause: &str) -> Not {
    Not::Missed(Missed::Again(ApiError::unavailable(cause)))
}

fn busy() -> Not {
    again("the transaction's partitions are busy; try again")
}

/// Each action whose item another transaction is about is to blame.
fn met_another<E: Engine + Documents>(parts: &[Part<E>], id: PartitionId, met: &[ItemKey]) -> ApiError {
    let reasons = parts.iter().map(|part| match partition(part) == id && met.contains(&part.write.key) {
        true => conflict(),
        false => CancellationReason::default(),
    });
    ApiError::transaction_canceled(reasons.collect())
}
