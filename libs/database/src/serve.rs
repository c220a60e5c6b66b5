//! What other nodes of the region ask of this one, whatever the transport: see [`crate::cluster`].

mod holds;

use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::error::CancellationReason;

pub use self::holds::Holds;
use crate::cluster::{
    Address, Done, ForwardError, Forwarded, HOLD, Hold, Inquiry, Outcome, Release, RemoteHold, Spent,
};
use crate::partition::owner::NotHeld;
use crate::region::Database;
use crate::requests::{self, Seen};
use crate::table::Table;

impl<E: Engine + Documents> Database<E> {
    /// Carries an operation out, once however often it comes.
    pub async fn serve_submit(&self, forwarded: Forwarded) -> Result<Done, ForwardError> {
        let (table, position) = self.addressed(&forwarded.to).await?;
        let Forwarded { request, op, .. } = forwarded;
        if op.is_repeatable() {
            return table.carry_out(position, op).await;
        }
        let under_way = match self.shared.requests.begin(request) {
            Seen::New(under_way) => under_way,
            // What surely was not done may be sent again.
            Seen::Before(waiting) => {
                return requests::wait(waiting).await.unwrap_or(Err(ForwardError::Moved));
            }
        };
        let shared = self.shared.clone();
        // Apart from the sender, who may be gone: the answer is remembered for it.
        let carried_out = tokio::spawn(async move {
            let answer = table.carry_out(position, op).await;
            shared.requests.end(under_way, answer.clone());
            answer
        });
        carried_out.await.unwrap_or_else(|error| Err(ForwardError::Unknown(error.to_string())))
    }

    /// Holds a partition for a transaction that waits for it no longer than it may be held.
    pub async fn serve_hold(&self, hold: Hold) -> Result<RemoteHold, ForwardError> {
        let given_up = || ForwardError::NotSent("the transaction has given its hold up".to_owned());
        let ended = self.shared.holds.begin(hold.hold).ok_or_else(given_up)?;
        tokio::select! {
            held = tokio::time::timeout(HOLD, self.hold_for_another(hold)) => held.unwrap_or_else(|_| Err(given_up())),
            _ = ended => Err(given_up()),
        }
    }

    async fn hold_for_another(&self, hold: Hold) -> Result<RemoteHold, ForwardError> {
        let (table, position) = self.addressed(&hold.to).await?;
        let owner = table.own(position).await?;
        match owner.hold(hold.keys.clone(), hold.request, Some(HOLD)).await {
            Ok(held) => {
                let remote = RemoteHold { state: held.state.clone(), revision: table.revision() };
                match self.shared.holds.stands(hold.hold, held) {
                    None => Ok(remote),
                    Some(held) => {
                        held.release(Some(remote.state));
                        Err(ForwardError::NotSent("the transaction has given its hold up".to_owned()))
                    }
                }
            }
            Err(NotHeld::Returned) => Err(ForwardError::Moved),
            Err(NotHeld::Conflict(met)) => {
                let reasons = hold.keys.iter().map(|key| match met.contains(key) {
                    true => conflict(),
                    false => CancellationReason::default(),
                });
                Err(ForwardError::Refused(ApiError::transaction_canceled(reasons.collect())))
            }
        }
    }

    /// A hold that has been given up is not known any more; one that still waits is given up now.
    pub fn serve_release(&self, release: Release) {
        if let Some(held) = self.shared.holds.end(release.hold) {
            held.release(release.state);
        }
    }

    /// What another node has taken of throughput.
    pub fn serve_spent(&self, spent: &Spent) {
        if let Some(throttle) = &self.shared.throttle {
            throttle.hear(spent, self.shared.clock.now_ms());
        }
    }

    /// What became of an operation whose answer was lost.
    pub async fn serve_inquiry(&self, inquiry: Inquiry) -> Result<Outcome, ForwardError> {
        let (table, position) = self.addressed(&inquiry.to).await?;
        table.look_for(position, &inquiry).await
    }

    /// The table and partition, by a document that is no older than the sender's.
    async fn addressed(&self, to: &Address) -> Result<(Arc<Table<E>>, usize), ForwardError> {
        let known = || {
            let table = self.table(&to.table)?;
            let same = table.document().incarnation == to.partition.incarnation;
            (same && table.revision() >= to.revision).then_some(table)
        };
        let table = match known() {
            Some(table) => table,
            None => {
                let refreshed = self.refresh_catalogue().await;
                refreshed.map_err(|error| ForwardError::NotSent(error.to_string()))?;
                known().ok_or_else(not_found)?
            }
        };
        let position = table.position_of(to.partition.number).ok_or_else(not_found)?;
        Ok((table, position))
    }
}

fn not_found() -> ForwardError {
    ForwardError::Refused(ApiError::resource_not_found("Requested resource not found"))
}

/// Why an action did not take place that met another transaction's item.
pub(crate) fn conflict() -> CancellationReason {
    CancellationReason {
        code: Some("TransactionConflict".into()),
        message: Some("Transaction is ongoing for the item".to_owned()),
        item: None,
    }
}
