//! A table's replicas: what users ask for, and what the replicators of other regions tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, Region};
use tradewind_wire::ApiError;
use tradewind_wire::request::table::{ReplicaUpdate, StreamView};

use super::build::new_incarnation;
use super::create::new_stream;
use super::update::forget_definitions;
use crate::partition::group::Op;
use crate::region::Database;
use crate::table::document::{Index, IndexStatus, Range, Replica, ReplicaStatus, TableDocument, TableStatus};

impl<E: Engine + Documents> Database<E> {
    /// Refuses what cannot be done before anything is.
    pub(super) fn check_replicas(
        &self,
        document: &TableDocument,
        updates: &[ReplicaUpdate],
    ) -> Result<(), ApiError> {
        updates.iter().try_for_each(|update| match update {
            ReplicaUpdate::Create(settings) => self.check_new_replica(document, &settings.region),
            ReplicaUpdate::Update(settings) => existing_replica(document, &settings.region).map(|_| ()),
            ReplicaUpdate::Delete { region } => {
                let region = existing_replica(document, region)?;
                if region == self.region() {
                    return Err(ApiError::validation(
                        "A replica cannot be deleted by a request to its own region: use DeleteTable there",
                    ));
                }
                Ok(())
            }
            ReplicaUpdate::Disassociate { .. } => {
                Err(ApiError::validation("Disassociating a replica is not supported yet"))
            }
        })
    }

    fn check_new_replica(&self, document: &TableDocument, name: &str) -> Result<(), ApiError> {
        let region = Region::new(name).map_err(|error| ApiError::validation(error.to_string()))?;
        let exists = region == self.region()
            || document.replicas.contains_key(&region)
            || self.shared.regions.has_table(region, &document.name);
        if exists {
            return Err(ApiError::validation(format!(
                "Failed to create a the new replica of table with name: '{}' because one or more replicas already \
                 existed as tables.",
                document.name
            )));
        }
        // The joiner would not hear of another that joins at the same time elsewhere.
        let joins_elsewhere = |replica: &Replica| {
            replica.status == ReplicaStatus::Creating && replica.seen_to_by != Some(self.region())
        };
        if document.replicas.values().any(joins_elsewhere) {
            return Err(ApiError::resource_in_use(format!(
                "Attempt to change a resource which is still in use: Table is being updated: {}",
                document.name
            )));
        }
        if !self.shared.regions.ensure(region) {
            return Err(ApiError::validation(format!("Invalid region name in a replica update: {name}")));
        }
        match document.stream() {
            Some(stream) if stream.view != StreamView::NewAndOldImages => Err(ApiError::validation(
                "Table must have a stream with the view type NEW_AND_OLD_IMAGES to have replicas",
            )),
            _ => Ok(()),
        }
    }

    /// Records the wish; the replicator carries it out.
    pub(super) async fn update_replicas(
        &self,
        name: &str,
        updates: &[ReplicaUpdate],
    ) -> Result<Arc<TableDocument>, ApiError> {
        if self.existing(name)?.document().stream().is_none() {
            self.enable_stream(name, StreamView::NewAndOldImages).await?;
        }
        let here = self.region();
        let document = self.change_alone(name, |document| {
            let incarnation = document.incarnation;
            document.replicas.entry(here).or_insert_with(|| active(incarnation));
            updates.iter().for_each(|update| apply(document, here, update));
            Ok(())
        });
        document.await
    }

    /// Makes this region's replica of a table that `source` describes; one that is there already is answered.
    pub async fn create_replica(&self, source: &TableDocument) -> Result<Replica, ApiError> {
        let _alone = self.control.lock().await;
        if let Some(table) = self.table(&source.name) {
            let document = table.document();
            return match document.replicas.get(&self.region()) {
                Some(replica) => Ok(replica.clone()),
                None => Err(ApiError::resource_in_use(format!(
                    "Failed to create a the new replica of table with name: '{}' because one or more replicas already \
                     existed as tables.",
                    source.name
                ))),
            };
        }
        let document = self.replica_of(source);
        let replica = document.replicas[&self.region()].clone();
        self.add_table(document).await?;
        Ok(replica)
    }

    fn replica_of(&self, source: &TableDocument) -> TableDocument {
        let now_ms = self.shared.clock.now_ms();
        let incarnation = new_incarnation();
        let mut document = TableDocument {
            incarnation,
            created_ms: now_ms,
            status: TableStatus::Creating,
            streams: vec![new_stream(StreamView::NewAndOldImages, now_ms, BTreeMap::new())],
            partitions: Range::split_evenly(source.partitions.len() as u32),
            tags: BTreeMap::new(),
            ..source.clone()
        };
        document.settings.deletion_protection = false;
        for index in &mut document.indexes {
            index.id = new_incarnation();
            // Empty, and every row comes through a merge: nothing to fill.
            index.status = IndexStatus::Active;
        }
        let creating = Replica { status: ReplicaStatus::Creating, ..active(incarnation) };
        document.replicas.insert(self.region(), creating);
        document
    }

    /// What `region`'s replica is now; `None`: none any more. A table whose other replicas are all gone is of one region.
    pub async fn set_replica(
        &self,
        name: &str,
        region: Region,
        replica: Option<Replica>,
    ) -> Result<(), ApiError> {
        let here = self.region();
        let leaves = replica.is_none();
        self.change(name, |document| {
            match replica {
                Some(replica) => document.replicas.insert(region, replica),
                None => document.replicas.remove(&region),
            };
            if document.replicas.keys().all(|region| *region == here) {
                document.replicas.clear();
            }
            if document.replicas.get(&here).is_none_or(|replica| replica.status == ReplicaStatus::Active) {
                document.status = TableStatus::Active;
            }
            Ok(())
        })
        .await?;
        if leaves {
            self.existing(name)?.submit_to_all(|_| Op::Leave(region)).await?;
        }
        Ok(())
    }

    /// Takes over shared settings that are newer than its own: an index that is new here is filled, one that is gone
    /// there goes.
    pub async fn adopt_settings(&self, newer: &TableDocument) -> Result<(), ApiError> {
        let _alone = self.control.lock().await;
        let known = self.existing(&newer.name)?.document();
        if newer.shared <= known.shared {
            return Ok(());
        }
        let gone: Vec<_> = known
            .indexes
            .iter()
            .filter(|index| !newer.indexes.iter().any(|new| is_same(index, new)))
            .cloned()
            .collect();
        self.change_alone(&newer.name, |document| {
            adopt(document, newer);
            Ok(())
        })
        .await?;
        self.discard_indexes(&gone).await
    }

    /// Whether `region` is known to have these settings.
    pub fn settings_shared_with(&self, document: &TableDocument, region: Region) -> bool {
        let shared = self.settings_shared.lock().expect("no panic while held");
        document.shared.is_none() || shared.get(&(document.incarnation, region)) == document.shared.as_ref()
    }

    pub fn set_settings_shared(&self, document: &TableDocument, region: Region) {
        if let Some(version) = document.shared {
            let mut shared = self.settings_shared.lock().expect("no panic while held");
            shared.insert((document.incarnation, region), version);
        }
    }
}

fn active(incarnation: Incarnation) -> Replica {
    Replica {
        status: ReplicaStatus::Active,
        incarnation: Some(incarnation),
        seen_to_by: None,
        class: None,
        read_override: None,
    }
}

fn existing_replica(document: &TableDocument, name: &str) -> Result<Region, ApiError> {
    let region = Region::new(name).ok().filter(|region| document.replicas.contains_key(region));
    region.ok_or_else(|| {
        ApiError::validation(format!(
            "Replica update failed: the table {} has no replica in region {name}",
            document.name
        ))
    })
}

fn apply(document: &mut TableDocument, here: Region, update: &ReplicaUpdate) {
    match update {
        ReplicaUpdate::Create(settings) => {
            let Ok(region) = Region::new(&settings.region) else { return };
            let replica = Replica {
                status: ReplicaStatus::Creating,
                incarnation: None,
                seen_to_by: Some(here),
                class: settings.class,
                read_override: settings.read_capacity,
            };
            document.replicas.insert(region, replica);
        }
        ReplicaUpdate::Update(settings) => {
            let region = Region::new(&settings.region).ok();
            if let Some(replica) = region.and_then(|region| document.replicas.get_mut(&region)) {
                replica.class = settings.class.or(replica.class);
                replica.read_override = settings.read_capacity.or(replica.read_override);
            }
        }
        ReplicaUpdate::Delete { region } | ReplicaUpdate::Disassociate { region } => {
            let region = Region::new(region).ok();
            if let Some(replica) = region.and_then(|region| document.replicas.get_mut(&region)) {
                replica.status = ReplicaStatus::Deleting;
                replica.seen_to_by = Some(here);
            }
        }
    }
}

/// One name with another definition is another index: it was deleted and made again.
fn is_same(a: &Index, b: &Index) -> bool {
    let definition =
        |index: &Index| (index.local, index.hash.clone(), index.range.clone(), index.projection.clone());
    a.name == b.name && definition(a) == definition(b)
}

fn adopt(document: &mut TableDocument, newer: &TableDocument) {
    document.shared = newer.shared;
    document.capacity = newer.capacity.clone();
    if document.ttl != newer.ttl {
        document.ttl = newer.ttl.clone();
        document.settings.expiry_noted = None;
    }
    document.attributes = newer.attributes.clone();
    document.indexes.retain(|index| newer.indexes.iter().any(|new| is_same(index, new)));
    for index in &newer.indexes {
        match document.indexes.iter_mut().find(|known| known.name == index.name) {
            Some(known) => known.capacity = index.capacity.clone(),
            None => document.indexes.push(Index {
                id: new_incarnation(),
                status: IndexStatus::Backfilling,
                ..index.clone()
            }),
        }
    }
    forget_definitions(document);
}
