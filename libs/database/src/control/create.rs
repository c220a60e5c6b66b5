//! CreateTable.

use std::collections::BTreeMap;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::request::table::{CreateTable, StreamView};

use super::{build, encode};
use crate::region::{Database, TABLES};
use crate::table::Table;
use crate::table::document::{IndexStatus, Range, Settings, Stream, TableDocument, TableStatus};

impl<E: Engine + Documents> Database<E> {
    /// The table takes requests when this returns.
    pub async fn create_table(&self, request: CreateTable) -> Result<Arc<TableDocument>, ApiError> {
        let _alone = self.control.lock().await;
        let name = request.table.name.clone();
        if self.table(&name).is_some() {
            return Err(ApiError::resource_in_use(format!("Table already exists: {name}")));
        }
        let document = self.document_of(request);
        self.add_table(document).await
    }

    /// For a caller that holds the control lock.
    pub(super) async fn add_table(&self, document: TableDocument) -> Result<Arc<TableDocument>, ApiError> {
        self.set(TABLES, &document.name, None, Some(&encode(&document))).await?;
        let name = document.name.clone();
        let table = Arc::new(Table::new(document, self.shared.clone()));
        self.publish(&name, Some(table.clone()));
        Ok(table.document())
    }

    fn document_of(&self, request: CreateTable) -> TableDocument {
        let now_ms = self.shared.clock.now_ms();
        let billing = request.billing;
        let global = request.global_indexes.into_iter();
        let global = global.map(|index| build::global_index(index, billing, IndexStatus::Active));
        let count = build::partition_count(request.throughput, request.warm);
        let mut capacity = build::capacity(billing, request.throughput, request.on_demand, request.warm);
        // BillingModeSummary shows for a table that is, or has been, on demand.
        capacity.switched_ms = capacity.on_demand.then_some(now_ms);
        TableDocument {
            name: request.table.name,
            incarnation: build::new_incarnation(),
            created_ms: now_ms,
            status: TableStatus::Active,
            attributes: request.attributes,
            keys: request.keys,
            capacity,
            indexes: request.local_indexes.into_iter().map(build::local_index).chain(global).collect(),
            streams: request
                .stream
                .map(|view| new_stream(view, now_ms, BTreeMap::new()))
                .into_iter()
                .collect(),
            ttl: None,
            replicas: BTreeMap::new(),
            partitions: Range::split_evenly(count),
            tags: request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            settings: Settings {
                deletion_protection: request.deletion_protection,
                class: request.class,
                encryption: request.encryption,
                ttl_changed_ms: None,
                expiry_noted: None,
            },
            shared: None,
        }
    }
}

pub(super) fn new_stream(
    view: StreamView,
    now_ms: u64,
    begins_after: BTreeMap<u32, tradewind_model::Sequence>,
) -> Stream {
    Stream { label: label(now_ms), view, begins_after, ends_at: None, disabled_ms: None }
}

/// ISO 8601 UTC with milliseconds, without a zone.
fn label(now_ms: u64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(now_ms as i64).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}
