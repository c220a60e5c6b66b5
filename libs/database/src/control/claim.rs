//! One control operation at a time, in all regions of a global table that can be reached: each marks the table UPDATING
//! first. A region that cannot be reached does not stop anybody: settings merge when it is back.

use std::sync::{Arc, Weak};

use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use tradewind_wire::ApiError;
use uuid::Uuid;

use crate::question::{Neighbours, Question, Reply, Unanswered};
use crate::region::Database;
use crate::table::document::ReplicaStatus;
use crate::table::global::Claim;

/// A claim whose maker was lost ends by itself. Control operations take far less.
const HOLDS_MS: u64 = 30_000;

/// A claim that was made, and where.
pub(crate) struct Claimed {
    table: String,
    id: Uuid,
    regions: Vec<Region>,
}

impl<E: Engine + Documents> Database<E> {
    /// How this region asks others; held weakly, since they hold the database.
    pub fn set_neighbours(&self, neighbours: Weak<dyn Neighbours>) {
        *self.neighbours.lock().expect("no panic while held") = Some(neighbours);
    }

    pub(crate) fn neighbours(&self) -> Option<Arc<dyn Neighbours>> {
        self.neighbours.lock().expect("no panic while held").as_ref().and_then(Weak::upgrade)
    }

    /// Runs a control operation while no other runs in any region that can be reached.
    pub(crate) async fn alone_everywhere<T>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let claimed = self.claim(name).await?;
        let outcome = operation.await;
        if let Some(claimed) = claimed {
            self.release(claimed).await;
        }
        outcome
    }

    /// Regions are asked in the order of their names, this one among them: of two operations that begin at the same time
    /// one is first in the first region, and goes on.
    async fn claim(&self, name: &str) -> Result<Option<Claimed>, ApiError> {
        let document = self.table(name).map(|table| table.document());
        let Some(document) = document.filter(|document| document.is_replicated()) else { return Ok(None) };
        let active = document.replicas.iter().filter(|(_, replica)| replica.status == ReplicaStatus::Active);
        let mut claimed = Claimed { table: name.to_owned(), id: Uuid::new_v4(), regions: Vec::new() };
        for (region, _) in active {
            match self.claim_in(*region, name, claimed.id).await {
                Ok(true) => claimed.regions.push(*region),
                Ok(false) => {
                    self.release(claimed).await;
                    return Err(in_use(name));
                }
                Err(cause) => {
                    tracing::debug!(table = name, %region, %cause, "a control operation goes on without a region");
                }
            }
        }
        Ok(Some(claimed))
    }

    async fn claim_in(&self, region: Region, name: &str, id: Uuid) -> Result<bool, Unanswered> {
        let by = self.region();
        if region == by {
            let taken = self.take_claim(name, id, by).await;
            return taken.map_err(|error| Unanswered::Refused(error.message));
        }
        let Some(neighbours) = self.neighbours() else { return Ok(true) };
        let reply = neighbours.ask(region, name, Question::Claim { id, by }).await?;
        Ok(reply == Reply::Claimed(true))
    }

    /// Gives the table's settings to the regions that wait for them, and lets them go on. One that is lost meanwhile goes
    /// on by itself.
    async fn release(&self, claimed: Claimed) {
        let here = self.region();
        for region in claimed.regions {
            let ended = match self.neighbours().filter(|_| region != here) {
                Some(neighbours) => {
                    let document = self.table(&claimed.table).map(|table| table.document());
                    if let Some(document) = document {
                        let document = Box::new((*document).clone());
                        // What does not arrive now is shared later.
                        let _ = neighbours
                            .ask(region, &claimed.table, Question::Adopt { from: here, document })
                            .await;
                    }
                    let over = neighbours.ask(region, &claimed.table, Question::Release { id: claimed.id });
                    over.await.map(|_| ()).map_err(|error| error.to_string())
                }
                None => self.drop_claim(&claimed.table, claimed.id).await.map_err(|error| error.message),
            };
            if let Err(cause) = ended {
                tracing::debug!(table = claimed.table, %region, cause, "a claim ends by time");
            }
        }
    }

    /// Whether there is no other claim.
    pub(crate) async fn take_claim(&self, name: &str, id: Uuid, by: Region) -> Result<bool, ApiError> {
        let now_ms = self.shared.clock.now_ms();
        let taken = self.change(name, |document| {
            let other = document.global.claim.as_ref().filter(|claim| claim.id != id);
            if other.is_none_or(|claim| !claim.holds(now_ms)) {
                document.global.claim = Some(Claim { id, by, until_ms: now_ms + HOLDS_MS });
            }
            Ok(())
        });
        let document = taken.await?;
        Ok(document.global.claim.as_ref().is_some_and(|claim| claim.id == id))
    }

    pub(crate) async fn drop_claim(&self, name: &str, id: Uuid) -> Result<(), ApiError> {
        if self.table(name).is_none() {
            return Ok(());
        }
        let dropped = self.change(name, |document| {
            document.global.claim.take_if(|claim| claim.id == id);
            Ok(())
        });
        dropped.await.map(|_| ())
    }
}

fn in_use(name: &str) -> ApiError {
    ApiError::resource_in_use(format!(
        "Attempt to change a resource which is still in use: Table is being updated: {name}"
    ))
}
