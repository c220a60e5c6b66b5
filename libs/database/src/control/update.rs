//! UpdateTable: one change of a table's settings, stream, indexes or replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, KeyAttribute};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::table::{
    BillingMode, Consistency, IndexKeys, IndexUpdate, NewIndex, StreamUpdate, StreamView,
    Throughput as AskedThroughput, UpdateTable,
};

use super::build;
use super::create::new_stream;
use super::delete::{Trash, log_ends};
use super::warm;
use crate::region::{Database, TRASH};
use crate::table::Table;
use crate::table::document::{Capacity, Index, IndexStatus, Stream, TableDocument, TableStatus};
use crate::table::elements::forget_definitions;

/// Global indexes of one table. (Developer guide, "Quotas".)
const MAX_GLOBAL_INDEXES: usize = 20;

impl<E: Engine + Documents> Database<E> {
    pub async fn update_table(&self, request: UpdateTable) -> Result<Arc<TableDocument>, ApiError> {
        let name = request.table.as_ref().map_or("", |table| table.name.as_str()).to_owned();
        let _alone = self.control.lock().await;
        let document = self.existing(&name)?.document();
        if document.status != TableStatus::Active {
            return Err(ApiError::resource_in_use(format!(
                "Attempt to change a resource which is still in use: Table is being updated: {name}"
            )));
        }
        check_supported(&request)?;
        self.check_replicas(&document, &request.replicas)?;
        // Refused before anything is done: the stream changes first.
        apply_update(&mut TableDocument::clone(&document), &request, self.shared.clock.now_ms())?;
        if let Some(stream) = request.stream {
            self.update_stream(&name, stream).await?;
        }
        let removed = removed_indexes(&document, &request);
        let now_ms = self.shared.clock.now_ms();
        let updated = self.change_alone(&name, |document| apply_update(document, &request, now_ms)).await?;
        self.discard_indexes(document.incarnation, &removed).await?;
        if request.replicas.is_empty() {
            Ok(updated)
        } else {
            self.update_replicas(&name, &request.replicas).await
        }
    }

    async fn update_stream(&self, name: &str, update: StreamUpdate) -> Result<(), ApiError> {
        let table = self.existing(name)?;
        let document = table.document();
        match (update, document.stream()) {
            (StreamUpdate::Enable(_), Some(_)) => Err(has_stream(name)),
            (StreamUpdate::Disable, None) => {
                Err(ApiError::validation(format!("Table has no stream to disable: TableName: {name}")))
            }
            (StreamUpdate::Disable, Some(_)) if document.is_replicated() => {
                Err(ApiError::validation("The stream of a table with replicas cannot be disabled"))
            }
            (StreamUpdate::Enable(view), None) => self.enable_stream(name, view).await,
            (StreamUpdate::Disable, Some(_)) => self.disable_stream(name).await,
        }
    }

    /// What is written while the stream is being enabled may show in it or not; once this returns, everything does.
    pub(super) async fn enable_stream(&self, name: &str, view: StreamView) -> Result<(), ApiError> {
        let table = self.existing(name)?;
        let begins_after = log_ends(&table, &table.document()).await?;
        let stream = new_stream(view, self.shared.clock.now_ms(), begins_after);
        let label = stream.label.clone();
        self.change_alone(name, |document| {
            if document.stream().is_some() {
                return Err(has_stream(name));
            }
            document.streams.push(stream.clone());
            Ok(())
        })
        .await?;
        let begins_after = log_ends(&table, &table.document()).await?;
        self.change_alone(name, |document| {
            if let Some(stream) = document.streams.iter_mut().find(|stream| stream.label == label) {
                stream.begins_after = begins_after.clone();
            }
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// The last record is of the last write that was decided while the stream was there.
    async fn disable_stream(&self, name: &str) -> Result<(), ApiError> {
        let now_ms = self.shared.clock.now_ms();
        self.change_alone(name, |document| {
            if let Some(stream) = document.streams.last_mut().filter(|stream| stream.ends_at.is_none()) {
                stream.ends_at = Some(BTreeMap::new());
                stream.disabled_ms = Some(now_ms);
            }
            Ok(())
        })
        .await?;
        self.end_streams(&*self.existing(name)?).await
    }

    /// Notes where streams end that were disabled: every owner has heard of it when it answers. After a crash between the
    /// two, housekeeping does it.
    pub(crate) async fn end_streams(&self, table: &Table<E>) -> Result<(), ApiError> {
        let document = table.document();
        let ending = |stream: &Stream| stream.ends_at.is_some() && !stream.is_ended(&document);
        if !document.streams.iter().any(ending) {
            return Ok(());
        }
        let ends = log_ends(table, &document).await?;
        self.change_alone(&document.name, |now| {
            let begins: Vec<_> = now.streams.iter().map(|stream| stream.begins_after.clone()).collect();
            for (at, stream) in now.streams.iter_mut().enumerate().filter(|(_, stream)| ending(stream)) {
                // One that was enabled since begins where this one has ended.
                stream.ends_at = Some(begins.get(at + 1).unwrap_or(&ends).clone());
            }
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Their rows go in the background.
    pub(super) async fn discard_indexes(&self, of: Incarnation, removed: &[Index]) -> Result<(), ApiError> {
        for index in removed {
            let trash = Trash { table: None, of: Some(of), indexes: vec![index.id] };
            let body = serde_json::to_vec(&trash).expect("plain data");
            self.put(TRASH, &index.id.to_string(), &body).await?;
        }
        if !removed.is_empty() {
            self.announce();
        }
        Ok(())
    }
}

fn has_stream(name: &str) -> ApiError {
    ApiError::validation(format!("Table already has an enabled stream: TableName: {name}"))
}

/// What would promise more than there is.
fn check_supported(request: &UpdateTable) -> Result<(), ApiError> {
    if request.consistency == Some(Consistency::Strong) || !request.witnesses.is_empty() {
        return Err(ApiError::validation("Multi-Region strong consistency is not supported: use EVENTUAL"));
    }
    Ok(())
}

fn removed_indexes(document: &TableDocument, request: &UpdateTable) -> Vec<Index> {
    let deleted = request.indexes.iter().filter_map(|update| match update {
        IndexUpdate::Delete { name } => document.index(name).filter(|index| !index.local),
        _ => None,
    });
    deleted.cloned().collect()
}

fn apply_update(document: &mut TableDocument, request: &UpdateTable, now_ms: u64) -> Result<(), ApiError> {
    update_settings(document, request, now_ms)?;
    update_indexes(document, request)?;
    check_index_throughput(document, request)
}

/// A provisioned table's global indexes have a throughput each, which is given where they or the mode begin.
fn check_index_throughput(document: &TableDocument, request: &UpdateTable) -> Result<(), ApiError> {
    let begins = request.billing.is_some()
        || request.indexes.iter().any(|update| matches!(update, IndexUpdate::Create(_)));
    if document.capacity.on_demand || !begins {
        return Ok(());
    }
    let bare = document.indexes.iter().find(|index| !index.local && index.capacity.provisioned.read == 0);
    bare.map_or(Ok(()), |index| {
        Err(ApiError::invalid_value(format!(
            "ProvisionedThroughput must be specified for index: {}",
            index.name
        )))
    })
}

fn update_settings(document: &mut TableDocument, request: &UpdateTable, now_ms: u64) -> Result<(), ApiError> {
    update_capacity(document, request, now_ms)?;
    if let Some(class) = request.class {
        document.settings.class = Some(class);
    }
    if let Some(protected) = request.deletion_protection {
        document.settings.deletion_protection = protected;
    }
    if let Some(encryption) = &request.encryption {
        document.settings.encryption = Some(encryption.clone());
    }
    if let Some(protected) = request.disassociation_protection {
        document.settings.disassociation_protection = Some(protected);
    }
    if let Some(mode) = &request.settings_replication {
        document.settings.settings_replication = Some(mode.clone());
    }
    Ok(())
}

fn update_capacity(document: &mut TableDocument, request: &UpdateTable, now_ms: u64) -> Result<(), ApiError> {
    let was_on_demand = document.capacity.on_demand;
    if let Some(billing) = request.billing {
        document.capacity.on_demand = billing == BillingMode::PayPerRequest;
    }
    let capacity = &mut document.capacity;
    if capacity.on_demand != was_on_demand {
        capacity.switched_ms = Some(now_ms);
        if capacity.on_demand {
            capacity.provisioned = Default::default();
            document.indexes.iter_mut().for_each(|index| index.capacity.provisioned = Default::default());
        }
        let on_demand = capacity.on_demand;
        document.indexes.iter_mut().for_each(|index| index.capacity.on_demand = on_demand);
    }
    let switched = document.capacity.on_demand != was_on_demand;
    if let Some(asked) = request.throughput {
        set_throughput(&mut document.capacity, asked, switched, now_ms, "table")?;
    }
    if let Some(on_demand) = request.on_demand {
        (document.capacity.max_read, document.capacity.max_write) = (on_demand.read, on_demand.write);
    }
    if let Some(asked) = request.warm {
        warm::raise(&mut document.capacity, asked, "table")?;
    }
    Ok(())
}

fn set_throughput(
    capacity: &mut Capacity,
    asked: AskedThroughput,
    switched: bool,
    now_ms: u64,
    what: &str,
) -> Result<(), ApiError> {
    if capacity.on_demand {
        return Err(ApiError::invalid_value(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ));
    }
    let now = &mut capacity.provisioned;
    if !switched && (now.read, now.write) == (asked.read, asked.write) {
        return Err(ApiError::validation(format!(
            "The provisioned throughput for the {what} will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for the {what}: {}. Requested ReadCapacityUnits: {}. Current \
             WriteCapacityUnits provisioned for the {what}: {}. Requested WriteCapacityUnits: {}. Refer to the Amazon \
             DynamoDB Developer Guide for current limits and how to request higher limits.",
            now.read, asked.read, now.write, asked.write
        )));
    }
    if asked.read > now.read || asked.write > now.write {
        now.increased_ms = Some(now_ms);
    }
    if asked.read < now.read || asked.write < now.write {
        now.decreased_ms = Some(now_ms);
        now.decreases_today += 1;
    }
    (now.read, now.write) = (asked.read, asked.write);
    Ok(())
}

fn update_indexes(document: &mut TableDocument, request: &UpdateTable) -> Result<(), ApiError> {
    let online =
        request.indexes.iter().filter(|update| !matches!(update, IndexUpdate::Update { .. })).count();
    if online > 1 {
        return Err(ApiError::new(
            Code::LimitExceeded,
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        ));
    }
    let now_ms = document.created_ms;
    for update in &request.indexes {
        match update {
            IndexUpdate::Create(index) => create_index(document, index, request)?,
            IndexUpdate::Delete { name } => {
                global_index(document, name)?;
                document.indexes.retain(|index| index.name != *name);
                forget_definitions(document);
            }
            IndexUpdate::Update { name, throughput, on_demand, warm } => {
                let index = global_index(document, name)?;
                if let Some(asked) = throughput {
                    set_throughput(&mut index.capacity, *asked, false, now_ms, "index")?;
                }
                if let Some(on_demand) = on_demand {
                    (index.capacity.max_read, index.capacity.max_write) = (on_demand.read, on_demand.write);
                }
                if let Some(asked) = warm {
                    warm::raise(&mut index.capacity, *asked, &format!("index {name}"))?;
                }
            }
        }
    }
    Ok(())
}

fn global_index<'a>(document: &'a mut TableDocument, name: &str) -> Result<&'a mut Index, ApiError> {
    let found = document.indexes.iter_mut().find(|index| !index.local && index.name == name);
    found.ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))
}

fn create_index(document: &mut TableDocument, new: &NewIndex, request: &UpdateTable) -> Result<(), ApiError> {
    if document.index(&new.name).is_some() {
        return Err(ApiError::validation(format!(
            "Attempting to create an index which already exists: {}",
            new.name
        )));
    }
    if document.indexes.iter().filter(|index| !index.local).count() >= MAX_GLOBAL_INDEXES {
        return Err(ApiError::new(
            Code::LimitExceeded,
            "Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ));
    }
    if document.capacity.on_demand && new.throughput.is_some() {
        return Err(ApiError::invalid_value(format!(
            "ProvisionedThroughput should not be specified for index: {} when BillingMode is PAY_PER_REQUEST",
            new.name
        )));
    }
    let redefines = |new: &KeyAttribute| {
        document.attributes.iter().any(|known| known.name == new.name && known.kind != new.kind)
    };
    if request.attributes.iter().any(redefines) {
        return Err(ApiError::validation(
            "invalid attribute, SchemaElement redefined should be of same type as previously defined",
        ));
    }
    let definitions = build::merge_definitions(&document.attributes, &request.attributes);
    let keys = IndexKeys::resolve(&new.keys, &definitions).ok_or_else(|| undefined(new, &definitions))?;
    let billing =
        if document.capacity.on_demand { BillingMode::PayPerRequest } else { BillingMode::Provisioned };
    let capacity = build::capacity(billing, new.throughput, new.on_demand, new.warm);
    warm::check_least(&capacity, &format!("index {}", new.name))?;
    document.attributes = definitions;
    document.indexes.push(Index {
        name: new.name.clone(),
        id: build::new_incarnation(),
        local: false,
        status: IndexStatus::Backfilling,
        hash: keys.hash,
        range: keys.range,
        projection: new.projection.clone(),
        capacity,
    });
    Ok(())
}

fn undefined(new: &NewIndex, definitions: &[KeyAttribute]) -> ApiError {
    let keys: Vec<_> = new.keys.iter().map(|key| key.name.as_str()).collect();
    let defined: Vec<_> = definitions.iter().map(|attribute| attribute.name.as_str()).collect();
    ApiError::invalid_value(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{}]",
        keys.join(", "),
        defined.join(", ")
    ))
}
