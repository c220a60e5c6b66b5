//! A table's replicas: what users ask for, and what the replicators of other regions tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use tradewind_engine::{Documents, Engine};
use tradewind_model::{Incarnation, Region};
use tradewind_wire::ApiError;
use tradewind_wire::request::table::{ReplicaSettings, ReplicaUpdate, StreamView};

use super::build::new_incarnation;
use super::create::new_stream;
use crate::partition::group::Op;
use crate::region::Database;
use crate::table::document::{IndexStatus, Range, Replica, ReplicaStatus, TableDocument, TableStatus};
use crate::table::elements;
use crate::table::log::OwnLog;

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
            ReplicaUpdate::Delete { region } if failed_replica(document, region).is_some() => Ok(()),
            ReplicaUpdate::Delete { region } => {
                let region = existing_replica(document, region)?;
                if region == self.region() {
                    return Err(ApiError::validation(
                        "A replica cannot be deleted by a request to its own region: use DeleteTable there",
                    ));
                }
                Ok(())
            }
            ReplicaUpdate::Disassociate { region } => self.check_disassociate(document, region, updates),
        })
    }

    /// Of the 2017 version: a replica that is added, or becomes a table of its own.
    pub(super) fn check_addable(&self, name: &str, updates: &[ReplicaUpdate]) -> Result<(), ApiError> {
        let document = self.existing(name)?.document();
        if document.status != TableStatus::Active {
            return Err(ApiError::resource_in_use(format!(
                "Attempt to change a resource which is still in use: Table is being updated: {name}"
            )));
        }
        updates.iter().try_for_each(|update| match update {
            ReplicaUpdate::Create(settings) => self.check_new_replica(&document, &settings.region),
            _ => Ok(()),
        })
    }

    fn check_disassociate(
        &self,
        document: &TableDocument,
        region: &str,
        updates: &[ReplicaUpdate],
    ) -> Result<(), ApiError> {
        let region = existing_replica(document, region)?;
        if updates.len() > 1 {
            return Err(ApiError::validation("Disassociate must be the only replica update of a request"));
        }
        if region != self.region() {
            return Err(ApiError::validation("Disassociate must be requested in the region of its replica"));
        }
        if document.settings.disassociation_protection.unwrap_or(true) {
            return Err(ApiError::validation(
                "The replica is protected against disassociation. Set DisassociationProtectionEnabled to false first.",
            ));
        }
        Ok(())
    }

    fn check_new_replica(&self, document: &TableDocument, name: &str) -> Result<(), ApiError> {
        let region = Region::new(name).map_err(|error| ApiError::validation(error.to_string()))?;
        let exists = region == self.region()
            || document.replicas.contains_key(&region)
            || document.global.failed.contains_key(&region)
            || self.shared.regions.has_table(region, &document.name);
        if exists {
            return Err(ApiError::validation(occupied(&document.name)));
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
            // All that was asked for may have been to forget a replica that could not be made.
            clear_if_alone(document, here);
            Ok(())
        });
        document.await
    }

    /// Makes this region's replica of a table that `source` describes; one that is there already is answered. `None`: there
    /// is another table of that name, which stays as it is.
    pub async fn create_replica(&self, source: &TableDocument) -> Result<Option<Replica>, ApiError> {
        let _alone = self.control.lock().await;
        if let Some(table) = self.table(&source.name) {
            let document = table.document();
            let own =
                document.replicas.get(&self.region()).filter(|_| is_of(&document, source, self.region()));
            return Ok(own.cloned());
        }
        let document = self.replica_of(source);
        let replica = document.replicas[&self.region()].clone();
        self.add_table(document).await?;
        Ok(Some(replica))
    }

    /// The replica of `region` cannot be made: the table goes on without it, and says why.
    pub async fn fail_replica(&self, name: &str, region: Region) -> Result<(), ApiError> {
        let here = self.region();
        let failed = self.change(name, |document| {
            let known = document.replicas.get(&region);
            if known.is_some_and(|replica| replica.status == ReplicaStatus::Creating) {
                document.replicas.remove(&region);
                document.global.failed.insert(region, occupied(&document.name));
                clear_if_alone(document, here);
            }
            Ok(())
        });
        failed.await.map(|_| ())
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
        document.settings.expiry_noted = None;
        document.global.claim = None;
        document.global.log = OwnLog::default();
        document.global.failed.clear();
        if let Some(encryption) = &mut document.settings.encryption {
            // Keys are each region's own.
            encryption.key = None;
        }
        for index in &mut document.indexes {
            index.id = new_incarnation();
            // Empty, and every row comes through a merge: nothing to fill.
            index.status = IndexStatus::Active;
        }
        let asked = source.replicas.get(&self.region()).cloned().unwrap_or_else(|| active(incarnation));
        let creating = Replica { status: ReplicaStatus::Creating, incarnation: Some(incarnation), ..asked };
        // As new as what it was made from, so that whatever is decided of it later is newer.
        document.replicas.insert(self.region(), creating);
        document
    }

    /// What `region`'s replica is now; `None`: none any more. Others hear of it as of any setting. A table whose other
    /// replicas are all gone is of one region.
    pub async fn set_replica(
        &self,
        name: &str,
        region: Region,
        replica: Option<Replica>,
    ) -> Result<(), ApiError> {
        let here = self.region();
        let leaves = replica.is_none();
        self.change(name, |document| {
            match &replica {
                Some(replica) => document.replicas.insert(region, replica.clone()),
                None => document.replicas.remove(&region),
            };
            clear_if_alone(document, here);
            serve_once_active(document, here);
            Ok(())
        })
        .await?;
        if leaves {
            self.existing(name)?.submit_to_all(|_| Op::Leave(region)).await?;
        }
        Ok(())
    }

    /// This region's replica becomes a table of its own: what it has stays, and nothing comes from others any more.
    pub async fn detach(&self, name: &str) -> Result<(), ApiError> {
        let left = self.existing(name)?.document();
        if !left.is_replicated() {
            return Ok(());
        }
        self.change(name, |document| {
            document.replicas.clear();
            document.global.claim = None;
            document.global.log.end_repair();
            document.global.former.clear();
            serve_once_active(document, self.region());
            Ok(())
        })
        .await?;
        let table = self.existing(name)?;
        for region in left.replicas.keys().filter(|region| **region != self.region()) {
            table.submit_to_all(|_| Op::Leave(*region)).await?;
        }
        Ok(())
    }

    /// How much of a joiner's snapshot is sent. Nobody else needs to know, so it is no setting.
    pub async fn set_progress(&self, name: &str, region: Region, percent: u8) -> Result<(), ApiError> {
        let noted = self.change(name, |document| {
            if let Some(replica) = document.replicas.get_mut(&region) {
                replica.progress = Some(percent);
            }
            Ok(())
        });
        noted.await.map(|_| ())
    }

    /// A region has dropped that life of the table.
    pub(crate) async fn left_by(
        &self,
        name: &str,
        region: Region,
        incarnation: Incarnation,
    ) -> Result<(), ApiError> {
        let document = self.existing(name)?.document();
        if !document.counts(region, incarnation) || region == self.region() {
            return Ok(());
        }
        self.set_replica(name, region, None).await
    }

    /// Takes over what is newer of another replica's settings: an index that is new here is filled, one that is gone there
    /// goes. Answers what they are here now. A region that is no replica, in either one's eyes, changes nothing.
    pub async fn adopt(&self, from: Region, theirs: &TableDocument) -> Result<TableDocument, ApiError> {
        let _alone = self.control.lock().await;
        let here = self.region();
        let ours = self.existing(&theirs.name)?.document();
        let mutual = ours.counts(from, theirs.incarnation) && theirs.counts(here, ours.incarnation);
        if !mutual || ours.is_evicted_by(here, theirs) {
            return Ok((*ours).clone());
        }
        let mut merged = None;
        let known = self
            .change_alone(&theirs.name, |document| {
                let result = elements::merge(document, theirs, here);
                *document = result.document.clone();
                serve_once_active(document, here);
                merged = Some(result);
                Ok(())
            })
            .await?;
        let Some(merged) = merged else { return Ok((*known).clone()) };
        for index in &merged.redefined {
            tracing::warn!(
                table = theirs.name, region = %here, index, defined_in = %from,
                "two regions have defined this index; the newer definition stands, and it is rebuilt here"
            );
        }
        self.discard_indexes(ours.incarnation, &merged.discarded).await?;
        let table = self.existing(&theirs.name)?;
        for left in ours.replicas.keys().filter(|region| !known.replicas.contains_key(region)) {
            table.submit_to_all(|_| Op::Leave(*left)).await?;
        }
        Ok((*known).clone())
    }

    /// Whether `region` is known to have these settings.
    pub fn settings_shared_with(&self, document: &TableDocument, region: Region) -> bool {
        let shared = self.settings_shared.lock().expect("no panic while held");
        shared.get(&(document.incarnation, region)) == Some(&document.global.marks)
    }

    /// They tell each other again: `region` has refused what it should have taken.
    pub fn unshare_settings(&self, incarnation: Incarnation, region: Region) {
        let mut shared = self.settings_shared.lock().expect("no panic while held");
        shared.remove(&(incarnation, region));
    }

    pub fn set_settings_shared(&self, document: &TableDocument, region: Region) {
        let mut shared = self.settings_shared.lock().expect("no panic while held");
        shared.insert((document.incarnation, region), document.global.marks.clone());
    }
}

/// A table whose other replicas are all gone is of one region.
fn clear_if_alone(document: &mut TableDocument, here: Region) {
    if document.replicas.keys().all(|region| *region == here) {
        document.replicas.clear();
        // Nobody follows it any more.
        document.global.log.end_repair();
    }
}

/// Whether the table `here` and the one that `source` describes know a replica in common.
fn is_of(document: &TableDocument, source: &TableDocument, here: Region) -> bool {
    let mut others = source.replicas.iter().filter(|(region, _)| **region != here);
    others.any(|(region, replica)| replica.incarnation.is_some_and(|life| document.counts(*region, life)))
}

fn failed_replica(document: &TableDocument, name: &str) -> Option<Region> {
    Region::new(name).ok().filter(|region| document.global.failed.contains_key(region))
}

fn occupied(table: &str) -> String {
    format!(
        "Failed to create a the new replica of table with name: '{table}' because one or more replicas already existed \
         as tables."
    )
}

/// A joiner takes requests from when it is a replica like the others.
fn serve_once_active(document: &mut TableDocument, here: Region) {
    let active = document.replicas.get(&here).is_none_or(|replica| replica.status == ReplicaStatus::Active);
    if active && document.status == TableStatus::Creating {
        document.status = TableStatus::Active;
    }
}

fn active(incarnation: Incarnation) -> Replica {
    Replica { status: ReplicaStatus::Active, incarnation: Some(incarnation), ..Replica::new(None) }
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
            let mut replica = Replica::new(Some(here));
            set_overrides(&mut replica, settings);
            document.global.former.remove(&region);
            document.replicas.insert(region, replica);
        }
        ReplicaUpdate::Update(settings) => {
            let region = Region::new(&settings.region).ok();
            if let Some(replica) = region.and_then(|region| document.replicas.get_mut(&region)) {
                set_overrides(replica, settings);
            }
        }
        ReplicaUpdate::Delete { region } | ReplicaUpdate::Disassociate { region } => {
            let region = Region::new(region).ok();
            if region.is_some_and(|region| document.global.failed.remove(&region).is_some()) {
                return;
            }
            if let Some(replica) = region.and_then(|region| document.replicas.get_mut(&region)) {
                replica.status = ReplicaStatus::Deleting;
                replica.seen_to_by = Some(here);
                replica.keeps_table = matches!(update, ReplicaUpdate::Disassociate { .. });
            }
        }
    }
}

/// What is not named stays.
fn set_overrides(replica: &mut Replica, settings: &ReplicaSettings) {
    replica.class = settings.class.or(replica.class);
    replica.read_override = settings.read_capacity.or(replica.read_override);
    replica.max_read_override = settings.on_demand_read.or(replica.max_read_override);
    for index in &settings.indexes {
        let bounds = replica.index_overrides.entry(index.name.clone()).or_default();
        bounds.read = index.read_capacity.or(bounds.read);
        bounds.max_read = index.on_demand_read.or(bounds.max_read);
    }
}
