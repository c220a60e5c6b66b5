//! Tables made, changed and dropped. The catalogue is written first, then memory follows; work that takes longer is
//! recorded in the catalogue and done by [`crate::housekeeping`], also after a crash.

mod build;
mod claim;
mod create;
mod delete;
mod evict;
mod global;
mod repair;
mod replicas;
mod update;
pub(crate) mod warm;

pub(crate) use build::new_incarnation;
pub(crate) use delete::Trash;
pub use global::Vacancy;
pub(crate) use repair::overtaken;

use std::sync::Arc;

use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Hlc, Version};
use tradewind_wire::ApiError;

use crate::partition::owner::explain;
use crate::region::Database;
use crate::table::Table;
use crate::table::document::TableDocument;
use crate::table::elements;

/// Control operations on one table that may be lost to other nodes, one after another.
const RACES: usize = 10;

impl<E: Engine + Documents> Database<E> {
    /// The table of a control request, whatever its status.
    pub(crate) fn existing(&self, name: &str) -> Result<Arc<Table<E>>, ApiError> {
        self.table(name).ok_or_else(|| {
            ApiError::resource_not_found(format!("Requested resource not found: Table: {name} not found"))
        })
    }

    /// Changes a table's document, durably, before partitions decide by it. `change` runs again where another node was
    /// first; when this returns, every node that can be reached knows.
    pub(crate) async fn change(
        &self,
        name: &str,
        change: impl FnMut(&mut TableDocument) -> Result<(), ApiError>,
    ) -> Result<Arc<TableDocument>, ApiError> {
        let _alone = self.control.lock().await;
        self.change_alone(name, change).await
    }

    /// The same for a caller that holds the control lock.
    pub(crate) async fn change_alone(
        &self,
        name: &str,
        mut change: impl FnMut(&mut TableDocument) -> Result<(), ApiError>,
    ) -> Result<Arc<TableDocument>, ApiError> {
        for _ in 0..RACES {
            let table = self.existing(name)?;
            // In this order: a newer document with an older revision only loses the race.
            let (revision, known) = (table.revision(), table.document());
            if table.is_gone() {
                return Err(in_use("Table is being deleted", name));
            }
            let mut document = TableDocument::clone(&known);
            change(&mut document)?;
            elements::stamp(&known, &mut document, || self.settings_version(known.settings_version()));
            if document == *known {
                return Ok(known);
            }
            if self.replace(name, Some(revision), Some(document)).await?.is_some() {
                self.tell_nodes().await;
                return Ok(table.document());
            }
            self.refresh_catalogue().await.map_err(unavailable)?;
        }
        Err(in_use("Table is being updated", name))
    }

    /// Compare-and-set of a document that only this region's control operations write.
    pub(crate) async fn set(
        &self,
        collection: &str,
        name: &str,
        revision: Option<u64>,
        body: Option<&[u8]>,
    ) -> Result<(), ApiError> {
        let engine = &self.shared.engine;
        let set = engine.compare_and_set(collection, name, revision, body).await.map_err(unavailable)?;
        match set {
            Some(_) => Ok(()),
            None => Err(in_use("Table is being updated", name)),
        }
    }

    /// Writes a document whether it exists or not: after a crash between two steps the first may be done again, also by
    /// another node at the same time.
    pub(crate) async fn put(&self, collection: &str, name: &str, body: &[u8]) -> Result<(), ApiError> {
        for _ in 0..RACES {
            let stored = self.shared.engine.get(collection, name).await.map_err(unavailable)?;
            if stored.as_ref().is_some_and(|stored| stored.body == body) {
                return Ok(());
            }
            let revision = stored.map(|stored| stored.revision);
            let set = self.shared.engine.compare_and_set(collection, name, revision, Some(body)).await;
            if set.map_err(unavailable)?.is_some() {
                return Ok(());
            }
        }
        Err(in_use("Table is being updated", name))
    }

    /// The version of a change to settings, by the machine's clock.
    pub(crate) fn settings_version(&self, last: Option<Version>) -> Version {
        let max = last.map_or(Hlc::ZERO, |last| last.hlc);
        Version { hlc: Hlc::tick(self.shared.clock.now_ms(), max), origin: self.shared.region }
    }
}

pub(crate) fn encode(document: &TableDocument) -> Vec<u8> {
    serde_json::to_vec_pretty(document).expect("a table's document is plain data")
}

fn in_use(why: &str, name: &str) -> ApiError {
    ApiError::resource_in_use(format!("Attempt to change a resource which is still in use: {why}: {name}"))
}

pub(crate) fn unavailable(error: Error) -> ApiError {
    explain(&error)
}
