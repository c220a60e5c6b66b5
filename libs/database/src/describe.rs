//! What DescribeTable and its relatives say of a table.

use tradewind_engine::{Documents, Engine};
use tradewind_model::KeySchema;
use tradewind_wire::ApiError;
use tradewind_wire::request::table::{BillingMode, IndexKeys, ListTables, OnDemandThroughput};
use tradewind_wire::response::table::{
    ClassDescription, EncryptionDescription, GlobalIndexDescription, IndexStatus, LocalIndexDescription,
    ReplicaDescription, ReplicaIndexDescription, ReplicaStatus, TableDescription, TablePage, TableStatus,
    ThroughputDescription, WarmThroughputDescription,
};

use crate::region::Database;
use crate::table::document::{self, Capacity, Index, Replica, TableDocument};

impl<E: Engine + Documents> Database<E> {
    pub async fn describe_table(&self, name: &str) -> Result<TableDescription, ApiError> {
        let document = self.existing(name)?.document();
        let mut description = self.describe(&document);
        let sizes = self.sizes(&document).await?;
        (description.item_count, description.size_bytes) = sizes.table;
        for index in &mut description.global_indexes {
            (index.item_count, index.size_bytes) = sizes.index(&index.name);
        }
        for index in &mut description.local_indexes {
            (index.item_count, index.size_bytes) = sizes.index(&index.name);
        }
        Ok(description)
    }

    /// What CreateTable answers: nothing of the table is there yet.
    pub(crate) fn describe_created(&self, document: &TableDocument) -> TableDescription {
        let mut description = self.describe(document);
        description.status = TableStatus::Creating;
        description.on_demand_since_ms = None;
        for index in &mut description.global_indexes {
            index.status = IndexStatus::Creating;
        }
        description
    }

    /// What UpdateTable answers: throughput is shown as it was until the table is active again.
    pub(crate) fn describe_updating(
        &self,
        before: &TableDocument,
        after: &TableDocument,
    ) -> TableDescription {
        let mut description = self.describe(after);
        description.status = TableStatus::Updating;
        if before.capacity.on_demand == after.capacity.on_demand {
            description.throughput = throughput(&before.capacity);
            for index in &mut description.global_indexes {
                if let Some(known) = before.index(&index.name) {
                    index.throughput = throughput(&known.capacity);
                }
            }
        }
        description
    }

    /// What DeleteTable answers: its global indexes are gone already.
    pub(crate) fn describe_deleted(&self, document: &TableDocument) -> TableDescription {
        let mut description = self.describe(document);
        description.status = TableStatus::Deleting;
        description.global_indexes.clear();
        description
    }

    /// Without the sizes, which are counted apart.
    pub fn describe(&self, document: &TableDocument) -> TableDescription {
        let arn = self.table_arn(&document.name);
        let stream = document.streams.last();
        let (local, global): (Vec<_>, Vec<_>) = document.indexes.iter().partition(|index| index.local);
        let capacity = &document.local_capacity();
        TableDescription {
            name: document.name.clone(),
            id: document.incarnation.to_string(),
            status: status(document, self.shared.clock.now_ms()),
            created_ms: document.created_ms,
            attributes: document.attributes.clone(),
            keys: document.keys.clone(),
            billing: capacity.switched_ms.map(|_| billing(capacity)),
            on_demand_since_ms: capacity.switched_ms.filter(|_| capacity.on_demand),
            throughput: throughput(capacity),
            size_bytes: 0,
            item_count: 0,
            local_indexes: local.into_iter().map(|index| local_index(&arn, index)).collect(),
            global_indexes: global
                .into_iter()
                .map(|index| global_index(&arn, index, &document.local_index_capacity(index)))
                .collect(),
            stream: document.stream().map(|stream| stream.view),
            stream_label: stream.map(|stream| stream.label.clone()),
            stream_arn: stream.map(|stream| self.stream_arn(&document.name, &stream.label)),
            global_table_version: document.is_replicated().then_some("2019.11.21"),
            replicas: self.replicas(document),
            witnesses: Vec::new(),
            encryption: encryption(document),
            class: document
                .own_replica()
                .and_then(|own| own.class)
                .or(document.settings.class)
                .map(|class| ClassDescription { class, updated_ms: Some(document.created_ms) }),
            // Shown only where it was asked for, like warm throughput: recorded answers compare whole descriptions.
            deletion_protection: document.settings.deletion_protection.then_some(true),
            disassociation_protection: document.settings.disassociation_protection,
            on_demand: on_demand(capacity),
            warm: warm(capacity),
            consistency: None,
            settings_replication: document.settings.settings_replication.clone(),
            arn,
        }
    }

    /// The other replicas: a table does not list itself.
    fn replicas(&self, document: &TableDocument) -> Vec<ReplicaDescription> {
        let others = document.replicas.iter().filter(|(region, _)| **region != self.region());
        let made = others.map(|(region, replica)| describe_replica(region.as_str(), replica));
        let failed = document.global.failed.iter();
        made.chain(failed.map(|(region, why)| describe_failed(region.as_str(), why))).collect()
    }

    pub fn list_tables(&self, request: &ListTables) -> TablePage {
        let mut names: Vec<_> = self
            .tables()
            .iter()
            .map(|table| table.document().name.clone())
            .filter(|name| request.start.as_ref().is_none_or(|start| name > start))
            .collect();
        names.sort();
        let more = names.len() > request.limit;
        names.truncate(request.limit);
        TablePage { last: names.last().filter(|_| more).cloned(), names }
    }
}

fn status(document: &TableDocument, now_ms: u64) -> TableStatus {
    let changing =
        document.replicas.values().any(|replica| replica.status != document::ReplicaStatus::Active);
    let claimed = document.global.claim.as_ref().is_some_and(|claim| claim.holds(now_ms));
    let filling = document.indexes.iter().any(|index| index.status != document::IndexStatus::Active);
    match document.status {
        document::TableStatus::Creating => TableStatus::Creating,
        document::TableStatus::Deleting => TableStatus::Deleting,
        _ if changing || filling || claimed => TableStatus::Updating,
        document::TableStatus::Updating => TableStatus::Updating,
        document::TableStatus::Active => TableStatus::Active,
    }
}

pub(crate) fn describe_replica(region: &str, replica: &Replica) -> ReplicaDescription {
    ReplicaDescription {
        region: region.to_owned(),
        arn: None,
        status: match replica.status {
            document::ReplicaStatus::Creating => ReplicaStatus::Creating,
            document::ReplicaStatus::Active => ReplicaStatus::Active,
            document::ReplicaStatus::Deleting | document::ReplicaStatus::Evicting => ReplicaStatus::Deleting,
        },
        status_description: None,
        percent: replica.progress.filter(|_| replica.status == document::ReplicaStatus::Creating),
        key: None,
        read_capacity: replica.read_override,
        on_demand_read: replica.max_read_override,
        warm: None,
        indexes: replica
            .index_overrides
            .iter()
            .map(|(name, own)| ReplicaIndexDescription {
                name: name.clone(),
                read_capacity: own.read,
                on_demand_read: own.max_read,
                warm: None,
            })
            .collect(),
        inaccessible_ms: None,
        class: replica.class.map(|class| ClassDescription { class, updated_ms: None }),
    }
}

fn describe_failed(region: &str, why: &str) -> ReplicaDescription {
    ReplicaDescription {
        status: ReplicaStatus::CreationFailed,
        status_description: Some(why.to_owned()),
        ..describe_replica(region, &Replica::new(None))
    }
}

fn billing(capacity: &Capacity) -> BillingMode {
    if capacity.on_demand { BillingMode::PayPerRequest } else { BillingMode::Provisioned }
}

fn throughput(capacity: &Capacity) -> ThroughputDescription {
    let now = &capacity.provisioned;
    ThroughputDescription {
        read: now.read,
        write: now.write,
        increased_ms: now.increased_ms,
        decreased_ms: now.decreased_ms,
        decreases_today: now.decreases_today,
    }
}

fn on_demand(capacity: &Capacity) -> Option<OnDemandThroughput> {
    let bounded = capacity.max_read.is_some() || capacity.max_write.is_some();
    bounded.then_some(OnDemandThroughput { read: capacity.max_read, write: capacity.max_write })
}

fn warm(capacity: &Capacity) -> Option<WarmThroughputDescription> {
    let asked = capacity.warm_read.is_some() || capacity.warm_write.is_some();
    let (read, write) = crate::control::warm::warm(capacity);
    asked.then_some(WarmThroughputDescription { read, write, active: true })
}

fn encryption(document: &TableDocument) -> Option<EncryptionDescription> {
    let asked = document.settings.encryption.as_ref().filter(|asked| asked.enabled)?;
    Some(EncryptionDescription {
        status: "ENABLED",
        kind: Some(asked.kind.clone().unwrap_or_else(|| "KMS".to_owned())),
        key_arn: asked.key.clone(),
    })
}

fn local_index(arn: &str, index: &Index) -> LocalIndexDescription {
    let keys = KeySchema { hash: index.hash[0].clone(), range: index.range.first().cloned() };
    LocalIndexDescription {
        name: index.name.clone(),
        arn: format!("{arn}/index/{}", index.name),
        keys,
        projection: index.projection.clone(),
        size_bytes: 0,
        item_count: 0,
    }
}

fn global_index(arn: &str, index: &Index, capacity: &Capacity) -> GlobalIndexDescription {
    let (status, backfilling) = match index.status {
        document::IndexStatus::Backfilling => (IndexStatus::Creating, Some(true)),
        document::IndexStatus::Active => (IndexStatus::Active, None),
        document::IndexStatus::Deleting => (IndexStatus::Deleting, None),
    };
    GlobalIndexDescription {
        name: index.name.clone(),
        arn: format!("{arn}/index/{}", index.name),
        keys: IndexKeys { hash: index.hash.clone(), range: index.range.clone() },
        projection: index.projection.clone(),
        status,
        backfilling,
        throughput: throughput(capacity),
        size_bytes: 0,
        item_count: 0,
        on_demand: on_demand(capacity),
        warm: warm(capacity),
    }
}
