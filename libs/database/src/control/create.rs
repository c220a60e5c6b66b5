//! CreateTable.

use std::collections::BTreeMap;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_wire::ApiError;
use tradewind_wire::request::table::{CreateTable, StreamView};

use super::{build, unavailable, warm};
use crate::region::Database;
use crate::table::document::{IndexStatus, Range, Settings, Stream, TableDocument, TableStatus};
use crate::table::global::Global;

impl<E: Engine + Documents> Database<E> {
    /// The table takes requests when this returns.
    pub async fn create_table(&self, request: CreateTable) -> Result<Arc<TableDocument>, ApiError> {
        let _alone = self.control.lock().await;
        let name = request.table.name.clone();
        if self.table(&name).is_some() {
            return Err(exists(&name));
        }
        let document = self.document_of(request);
        warm::check_new(&document)?;
        self.add_table(document).await
    }

    /// For a caller that holds the control lock.
    pub(super) async fn add_table(&self, document: TableDocument) -> Result<Arc<TableDocument>, ApiError> {
        let name = document.name.clone();
        if self.replace(&name, None, Some(document)).await?.is_none() {
            self.refresh_catalogue().await.map_err(unavailable)?;
            return Err(exists(&name));
        }
        self.tell_nodes().await;
        Ok(self.existing(&name)?.document())
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
                disassociation_protection: None,
                settings_replication: request.settings_replication,
            },
            global: Global::default(),
        }
    }
}

fn exists(name: &str) -> ApiError {
    ApiError::resource_in_use(format!("Table already exists: {name}"))
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
