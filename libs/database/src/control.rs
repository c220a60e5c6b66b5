//! Tables made, changed and dropped. The catalogue is written first, then memory follows; work that takes longer is
//! recorded in the catalogue and done by [`crate::housekeeping`], also after a crash.

mod build;
mod create;
mod delete;
mod replicas;
mod update;

pub(crate) use delete::Trash;

use std::sync::Arc;

use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Hlc, Version};
use tradewind_wire::ApiError;

use crate::partition::owner::explain;
use crate::region::{Database, TABLES};
use crate::table::Table;
use crate::table::document::TableDocument;

impl<E: Engine + Documents> Database<E> {
    /// The table of a control request, whatever its status.
    pub(crate) fn existing(&self, name: &str) -> Result<Arc<Table<E>>, ApiError> {
        self.table(name).ok_or_else(|| {
            ApiError::resource_not_found(format!("Requested resource not found: Table: {name} not found"))
        })
    }

    /// Changes a table's document, durably, before partitions decide by it.
    pub(crate) async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut TableDocument) -> Result<(), ApiError>,
    ) -> Result<Arc<TableDocument>, ApiError> {
        let _alone = self.control.lock().await;
        self.change_alone(name, change).await
    }

    /// The same for a caller that holds the control lock.
    pub(crate) async fn change_alone(
        &self,
        name: &str,
        change: impl FnOnce(&mut TableDocument) -> Result<(), ApiError>,
    ) -> Result<Arc<TableDocument>, ApiError> {
        let table = self.existing(name)?;
        let mut document = TableDocument::clone(&table.document());
        change(&mut document)?;
        if document != *table.document() {
            self.save(&document).await?;
            table.set_document(document);
            self.announce();
        }
        Ok(table.document())
    }

    async fn save(&self, document: &TableDocument) -> Result<(), ApiError> {
        let stored = self.shared.engine.get(TABLES, &document.name).await.map_err(unavailable)?;
        self.set(TABLES, &document.name, stored.map(|stored| stored.revision), Some(&encode(document))).await
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
            None => Err(ApiError::resource_in_use(format!(
                "Attempt to change a resource which is still in use: Table is being updated: {name}"
            ))),
        }
    }

    /// Writes a document that nobody changes at the same time, whether it exists or not: after a crash between two steps
    /// the first may be done again.
    pub(crate) async fn put(&self, collection: &str, name: &str, body: &[u8]) -> Result<(), ApiError> {
        let stored = self.shared.engine.get(collection, name).await.map_err(unavailable)?;
        self.set(collection, name, stored.map(|stored| stored.revision), Some(body)).await
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

pub(crate) fn unavailable(error: Error) -> ApiError {
    explain(&error)
}
