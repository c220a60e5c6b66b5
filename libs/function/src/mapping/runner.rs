//! All mappings of a region: a task for each that the catalogue has, told of each change of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;
use tradewind_model::Region;

use super::checkpoint::Checkpoints;
use super::drive::Shared;
use super::failed::FailedLog;
use super::follow::follow;
use super::metrics::MappingMetrics;
use super::seats::Seats;
use super::source::ShardSource;
use crate::Clock;
use crate::catalogue::{Catalogue, CatalogueError, Mapping};
use crate::filter::Filters;
use crate::invoke::Invoker;
use crate::metrics::Metrics;

/// How often the catalogue is read though nobody said that it changed: another process may have changed it.
const RELIST: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct RunnerSettings {
    pub region: Region,
    pub account: String,
    /// Which shards this node runs, and its name as it stands in the checkpoints.
    pub seats: Arc<Seats>,
    /// How long running invocations may take to end when everything stops. When only a mapping changes, or a shard moves
    /// to another node, they may take as long as they do.
    pub drain: Duration,
}

pub struct Inner<D, I, S> {
    pub catalogue: Arc<Catalogue<D>>,
    pub invoker: Arc<I>,
    pub source: Arc<S>,
    pub failed: Arc<FailedLog<D>>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub settings: RunnerSettings,
}

impl<D: Documents, I, S> Inner<D, I, S> {
    pub fn shared(
        &self,
        mapping: Mapping,
        filters: Filters,
        metrics: Arc<MappingMetrics>,
    ) -> Shared<D, I, S> {
        Shared {
            mapping,
            filters,
            catalogue: self.catalogue.clone(),
            checkpoints: Checkpoints::new(self.catalogue.documents().clone()),
            seats: self.settings.seats.clone(),
            invoker: self.invoker.clone(),
            source: self.source.clone(),
            failed: self.failed.clone(),
            metrics,
            clock: self.clock.clone(),
            region: self.settings.region,
            account: self.settings.account.clone(),
            drain: self.settings.drain,
        }
    }
}

/// Runs the mappings of a region.
pub struct Mappings<D, I, S> {
    inner: Arc<Inner<D, I, S>>,
}

impl<D: Documents, I: Invoker, S: ShardSource> Mappings<D, I, S> {
    pub fn new(
        catalogue: Arc<Catalogue<D>>,
        invoker: Arc<I>,
        source: Arc<S>,
        failed: Arc<FailedLog<D>>,
        metrics: Arc<Metrics>,
        clock: Clock,
        settings: RunnerSettings,
    ) -> Arc<Mappings<D, I, S>> {
        let inner = Arc::new(Inner { catalogue, invoker, source, failed, metrics, clock, settings });
        Arc::new(Mappings { inner })
    }

    /// Runs until `stop`, then lets running invocations end and saves the checkpoints.
    pub async fn run(&self, stop: CancellationToken) {
        let mut changed = self.inner.catalogue.subscribe();
        let mut followed: HashMap<String, watch::Sender<Option<Mapping>>> = HashMap::new();
        let mut tasks = JoinSet::new();
        let mut cleaned = false;
        while !stop.is_cancelled() {
            changed.mark_unchanged();
            match self.inner.catalogue.mappings().await {
                Ok(mappings) => {
                    if !cleaned {
                        cleaned = self.clean_up(&mappings).await.is_ok();
                    }
                    self.reconcile(mappings, &mut followed, &mut tasks, &stop);
                }
                Err(error) => tracing::warn!(%error, "reading the mappings"),
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RELIST) => {}
                Some(_) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn reconcile(
        &self,
        mappings: Vec<Mapping>,
        followed: &mut HashMap<String, watch::Sender<Option<Mapping>>>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let metrics = &self.inner.metrics;
        followed.retain(|uuid, desired| {
            let kept = mappings.iter().any(|mapping| mapping.uuid == *uuid);
            if !kept {
                desired.send_replace(None);
                metrics.forget_mapping(uuid);
            }
            kept
        });
        for mapping in mappings {
            let counters = metrics.mapping(&mapping.uuid, mapping.function_name());
            if let Some(desired) = followed.get(&mapping.uuid) {
                desired.send_if_modified(|known| {
                    let newer = known.as_ref().map(|known| known.generation) != Some(mapping.generation);
                    if newer {
                        *known = Some(mapping.clone());
                    }
                    newer
                });
                continue;
            }
            let uuid = mapping.uuid.clone();
            let (desired, receiver) = watch::channel(Some(mapping));
            followed.insert(uuid.clone(), desired);
            tasks.spawn(follow(self.inner.clone(), uuid, receiver, counters, stop.clone()));
        }
    }

    /// Removes what deleted mappings left behind when a crash came between.
    async fn clean_up(&self, mappings: &[Mapping]) -> Result<(), CatalogueError> {
        let checkpoints = Checkpoints::new(self.inner.catalogue.documents().clone());
        let Ok(known) = checkpoints.mappings().await else { return Ok(()) };
        for uuid in known {
            if mappings.iter().all(|mapping| mapping.uuid != uuid) {
                let _ = checkpoints.forget(&uuid).await;
                self.inner.catalogue.forget_mapping_status(&uuid).await?;
            }
        }
        Ok(())
    }
}
