//! The operations of the 2017 version of global tables. They manage the same tables as ReplicaUpdates of UpdateTable do: a
//! table with replicas is a global table in either version's words.
//!
//! In 2017 a replica is a table that is there already, and empty. Here a replica is always made by the region that adds it:
//! the empty table is looked at and set aside, and the replica takes its place, with what the others' settings say. What was
//! written between the look and the end is in the conflict log of the replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::Region;
use tradewind_model::key::after_prefix;
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;
use tradewind_wire::request::global_table::{
    CreateGlobalTable, GlobalTableReplicaSettings, ListGlobalTables, UpdateGlobalTable,
    UpdateGlobalTableSettings,
};
use tradewind_wire::request::item::TableRef;
use tradewind_wire::request::table::{
    BillingMode, IndexUpdate, ReplicaIndexSettings, ReplicaSettings, ReplicaUpdate, StreamView, Throughput,
    UpdateTable,
};
use tradewind_wire::response::Answer;
use tradewind_wire::response::table::{
    ClassDescription, GlobalTableDescription, GlobalTablePage, GlobalTableReplica, GlobalTableReplicaIndex,
    GlobalTableSettings, IndexStatus,
};

use crate::describe::describe_replica;
use crate::partition::group::Op;
use crate::partition::owner::explain;
use crate::question::{Question, Reply};
use crate::region::Database;
use crate::table::document::{self, Index, Replica, TableDocument};
use crate::table::global::Former;

/// Names in one page.
const PAGE: usize = 100;

/// Whether a region's table can make way for a replica.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Vacancy {
    /// It is there, alike, and empty; or it was, and is dropped.
    Vacant,
    Absent,
    Unfit(String),
}

impl<E: Engine + Documents> Database<E> {
    pub(crate) async fn create_global_table(&self, request: &CreateGlobalTable) -> Result<Answer, ApiError> {
        let name = &request.name;
        let document = self.table(name).map(|table| table.document()).ok_or_else(|| table_not_found(name))?;
        if document.is_replicated() {
            return Err(ApiError::new(
                Code::GlobalTableAlreadyExists,
                format!("Global table already exists: Global table with name: '{name}' already exists."),
            ));
        }
        let mut regions = parse(&request.regions)?;
        if !regions.remove(&self.region()) {
            return Err(ApiError::validation(format!(
                "One or more parameter values were invalid: ReplicationGroup must contain the region of the request, {}",
                self.region()
            )));
        }
        if let Vacancy::Unfit(cause) = self.own_vacancy(&document, &document).await? {
            return Err(unfit(self.region(), name, &cause));
        }
        self.vacate(&document, &regions).await?;
        self.replicate(name, regions.iter().map(create).collect()).await
    }

    pub(crate) async fn update_global_table(&self, request: &UpdateGlobalTable) -> Result<Answer, ApiError> {
        let name = &request.name;
        let document = self.global_table(name)?;
        let (created, deleted) = (parse(&request.create)?, parse(&request.delete)?);
        if let Some(region) = created.iter().find(|region| document.replicas.contains_key(region)) {
            return Err(ApiError::new(
                Code::ReplicaAlreadyExists,
                format!("Replica already exists: Replica for region: '{region}' already exists."),
            ));
        }
        if let Some(region) = deleted.iter().find(|region| !document.replicas.contains_key(region)) {
            return Err(replica_not_found(region.as_str()));
        }
        self.vacate(&document, &created).await?;
        let disassociate = |region: &Region| ReplicaUpdate::Disassociate { region: region.to_string() };
        self.replicate(name, created.iter().map(create).chain(deleted.iter().map(disassociate)).collect())
            .await
    }

    pub(crate) fn describe_global_table(&self, name: &str) -> Result<Answer, ApiError> {
        let document = self.global_table(name)?;
        let replicas = document.replicas.iter();
        Ok(Answer::GlobalTable(GlobalTableDescription {
            name: name.to_owned(),
            arn: format!("arn:aws:dynamodb::{}:global-table/{name}", self.account()),
            status: self.describe(&document).status,
            created_ms: document.created_ms,
            replicas: replicas.map(|(region, replica)| describe_replica(region.as_str(), replica)).collect(),
        }))
    }

    pub(crate) fn list_global_tables(&self, request: &ListGlobalTables) -> Answer {
        let start = request.start.as_deref().unwrap_or_default();
        let tables = self.tables();
        let mut names: Vec<_> = tables
            .iter()
            .map(|table| table.document())
            .filter(|document| document.is_replicated() && document.name.as_str() > start)
            .map(|document| {
                (document.name.clone(), document.replicas.keys().map(Region::to_string).collect())
            })
            .filter(|(_, regions): &(_, Vec<String>)| {
                request.region.as_ref().is_none_or(|region| regions.contains(region))
            })
            .collect();
        names.sort();
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let more = names.len() > limit;
        names.truncate(limit);
        let last = names.last().filter(|_| more).map(|(name, _)| name.clone());
        Answer::GlobalTables(GlobalTablePage { tables: names, last })
    }

    pub(crate) fn describe_global_table_settings(&self, name: &str) -> Result<Answer, ApiError> {
        let document = self.global_table(name)?;
        let replicas = document.replicas.iter();
        Ok(Answer::GlobalTableSettings(GlobalTableSettings {
            name: name.to_owned(),
            replicas: replicas.map(|(region, replica)| settings(&document, *region, replica)).collect(),
        }))
    }

    pub(crate) async fn update_global_table_settings(
        &self,
        request: &UpdateGlobalTableSettings,
    ) -> Result<Answer, ApiError> {
        let document = self.global_table(&request.name)?;
        check_settings(&document, request)?;
        let update = settings_update(&document, request);
        self.alone_everywhere(&request.name, self.update_table(update)).await?;
        self.describe_global_table_settings(&request.name)
    }

    fn global_table(&self, name: &str) -> Result<Arc<TableDocument>, ApiError> {
        let document = self.table(name).map(|table| table.document());
        document.filter(|document| document.is_replicated()).ok_or_else(|| {
            let message = format!("Global table not found: Global table with name: '{name}' does not exist.");
            ApiError::new(Code::GlobalTableNotFound, message)
        })
    }

    /// The replicas are to be as the updates say; with none, the table is a global table of one region.
    async fn replicate(&self, name: &str, replicas: Vec<ReplicaUpdate>) -> Result<Answer, ApiError> {
        let change = async {
            let _alone = self.control.lock().await;
            self.check_addable(name, &replicas)?;
            self.update_replicas(name, &replicas).await
        };
        self.alone_everywhere(name, change).await?;
        self.describe_global_table(name)
    }

    /// Drops the other regions' empty tables of the name, once it is known that all of them can go.
    async fn vacate(&self, document: &TableDocument, regions: &BTreeSet<Region>) -> Result<(), ApiError> {
        for now in [false, true] {
            for region in regions {
                match self.ask_vacancy(document, *region, now).await? {
                    Vacancy::Vacant => (),
                    Vacancy::Absent => return Err(table_not_found(&document.name)),
                    Vacancy::Unfit(cause) => return Err(unfit(*region, &document.name, &cause)),
                }
            }
        }
        Ok(())
    }

    async fn ask_vacancy(
        &self,
        document: &TableDocument,
        region: Region,
        now: bool,
    ) -> Result<Vacancy, ApiError> {
        if !self.shared.regions.ensure(region) {
            return Err(ApiError::validation(format!("Invalid region name in a replica update: {region}")));
        }
        let away = |cause: String| ApiError::unavailable(format!("Region {region} cannot be asked: {cause}"));
        let neighbours = self.neighbours().ok_or_else(|| away("there is no way to it".to_owned()))?;
        let question = Question::Vacate { document: Box::new(document.clone()), now };
        match neighbours.ask(region, &document.name, question).await {
            Ok(Reply::Vacancy(vacancy)) => Ok(vacancy),
            Ok(_) => Err(away("it answered something else".to_owned())),
            Err(error) => Err(away(error.to_string())),
        }
    }

    /// Whether this region's table can make way for a replica of `source`; with `now` it does.
    pub(crate) async fn make_way(&self, source: &TableDocument, now: bool) -> Result<Vacancy, ApiError> {
        let _alone = self.control.lock().await;
        let Some(table) = self.table(&source.name) else { return Ok(Vacancy::Absent) };
        let document = table.document();
        let vacancy = self.own_vacancy(&document, source).await?;
        if vacancy == Vacancy::Vacant && now {
            // A write that comes after the look: nobody else has it.
            let former = Former { replica: Replica::new(None), generation: 0, levels: Vec::new() };
            self.put_aside(&table, BTreeMap::from([(self.region(), former)])).await?;
        }
        Ok(vacancy)
    }

    async fn own_vacancy(&self, document: &TableDocument, like: &TableDocument) -> Result<Vacancy, ApiError> {
        let unfit = |cause: &str| Ok(Vacancy::Unfit(cause.to_owned()));
        if document.is_replicated() {
            return unfit("it is a replica of a global table");
        }
        if document.keys != like.keys {
            return unfit("its key schema is another one");
        }
        if definitions(document) != definitions(like) {
            return unfit("its indexes are others");
        }
        if document.stream().is_none_or(|stream| stream.view != StreamView::NewAndOldImages) {
            return unfit("it has no stream with the view type NEW_AND_OLD_IMAGES");
        }
        // What is acknowledged before is seen.
        self.existing(&document.name)?.submit_to_all(|_| Op::Barrier).await?;
        let prefix = document.incarnation.as_bytes();
        let (end, mut is_empty) = (after_prefix(prefix), true);
        let range = self.shared.engine.range(Space::Items, &prefix[..]..&end[..], false, |_, _| {
            is_empty = false;
            false
        });
        range.await.map_err(|error| explain(&error))?;
        if is_empty { Ok(Vacancy::Vacant) } else { unfit("it is not empty") }
    }
}

fn parse(names: &[String]) -> Result<BTreeSet<Region>, ApiError> {
    names
        .iter()
        .map(|name| Region::new(name).map_err(|error| ApiError::validation(error.to_string())))
        .collect()
}

fn create(region: &Region) -> ReplicaUpdate {
    ReplicaUpdate::Create(ReplicaSettings { region: region.to_string(), ..ReplicaSettings::default() })
}

/// What has to be the same in all replicas.
fn definitions(document: &TableDocument) -> Vec<(&str, bool, Vec<&str>)> {
    let mut definitions: Vec<_> = document
        .indexes
        .iter()
        .map(|index| (index.name.as_str(), index.local, index.keys().map(|key| key.name.as_str()).collect()))
        .collect();
    definitions.sort();
    definitions
}

fn table_not_found(name: &str) -> ApiError {
    ApiError::new(Code::TableNotFound, format!("Table not found: {name}"))
}

fn replica_not_found(region: &str) -> ApiError {
    let message = format!("Replica not found: Replica for region: '{region}' does not exist.");
    ApiError::new(Code::ReplicaNotFound, message)
}

fn unfit(region: Region, name: &str, cause: &str) -> ApiError {
    ApiError::validation(format!(
        "One or more parameter values were invalid: the table {name} in {region} cannot be a replica: {cause}"
    ))
}

fn settings(document: &TableDocument, region: Region, replica: &Replica) -> GlobalTableReplica {
    let capacity = &document.capacity;
    let billing = if capacity.on_demand { BillingMode::PayPerRequest } else { BillingMode::Provisioned };
    let global = document.indexes.iter().filter(|index| !index.local);
    GlobalTableReplica {
        region: region.to_string(),
        status: describe_replica(region.as_str(), replica).status,
        billing: capacity.switched_ms.map(|_| billing),
        on_demand_since_ms: capacity.switched_ms.filter(|_| capacity.on_demand),
        read: replica.read_override.filter(|_| !capacity.on_demand).unwrap_or(capacity.provisioned.read),
        write: capacity.provisioned.write,
        indexes: global.map(|index| index_settings(index, replica)).collect(),
        class: replica
            .class
            .or(document.settings.class)
            .map(|class| ClassDescription { class, updated_ms: None }),
    }
}

fn index_settings(index: &Index, replica: &Replica) -> GlobalTableReplicaIndex {
    let own = replica.index_overrides.get(&index.name).and_then(|own| own.read);
    GlobalTableReplicaIndex {
        name: index.name.clone(),
        status: match index.status {
            document::IndexStatus::Backfilling => IndexStatus::Creating,
            document::IndexStatus::Active => IndexStatus::Active,
            document::IndexStatus::Deleting => IndexStatus::Deleting,
        },
        read: own.filter(|_| !index.capacity.on_demand).unwrap_or(index.capacity.provisioned.read),
        write: index.capacity.provisioned.write,
    }
}

fn check_settings(document: &TableDocument, request: &UpdateGlobalTableSettings) -> Result<(), ApiError> {
    for replica in &request.replicas {
        let region = Region::new(&replica.region).ok();
        if region.is_none_or(|region| !document.replicas.contains_key(&region)) {
            return Err(replica_not_found(&replica.region));
        }
    }
    let of_replicas = request.replicas.iter().flat_map(|replica| &replica.index_read_capacity);
    for (index, _) in request.index_write_capacity.iter().chain(of_replicas) {
        if document.index(index).is_none_or(|index| index.local) {
            let message = format!("Index not found: Index with name: '{index}' does not exist.");
            return Err(ApiError::new(Code::IndexNotFound, message));
        }
    }
    Ok(())
}

fn settings_update(document: &TableDocument, request: &UpdateGlobalTableSettings) -> UpdateTable {
    let provisioned = &document.capacity.provisioned;
    let to_provisioned = request.billing == Some(BillingMode::Provisioned) && document.capacity.on_demand;
    let write = request.write_capacity.or(to_provisioned.then_some(provisioned.write));
    let index = |(name, write): &(String, Option<u64>)| {
        let read = document.index(name).map_or(0, |index| index.capacity.provisioned.read);
        let throughput = write.map(|write| Throughput { read: read.max(1), write });
        IndexUpdate::Update { name: name.clone(), throughput, on_demand: None, warm: None }
    };
    UpdateTable {
        table: Some(TableRef::named(&request.name)),
        billing: request.billing,
        throughput: write.map(|write| Throughput { read: provisioned.read.max(1), write: write.max(1) }),
        indexes: request
            .index_write_capacity
            .iter()
            .filter(|(_, write)| write.is_some())
            .map(index)
            .collect(),
        replicas: request.replicas.iter().map(replica_update).collect(),
        ..UpdateTable::default()
    }
}

fn replica_update(replica: &GlobalTableReplicaSettings) -> ReplicaUpdate {
    let index = |(name, read): &(String, Option<u64>)| ReplicaIndexSettings {
        name: name.clone(),
        read_capacity: *read,
        on_demand_read: None,
    };
    ReplicaUpdate::Update(ReplicaSettings {
        region: replica.region.clone(),
        read_capacity: replica.read_capacity,
        class: replica.class,
        indexes: replica.index_read_capacity.iter().map(index).collect(),
        ..ReplicaSettings::default()
    })
}
