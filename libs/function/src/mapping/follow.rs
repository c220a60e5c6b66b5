//! One mapping, running: takes up each new version of it, keeps a task per shard, parents before children, and reports
//! its state.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;

use super::checkpoint::{Checkpoints, SaveError};
use super::drive::{Ended, Shared, drive};
use super::failed::FailedBatches;
use super::metrics::MappingMetrics;
use super::runner::Inner;
use super::shard::Position;
use super::source::{ShardInfo, ShardSource};
use crate::catalogue::{Mapping, MappingStatus};
use crate::filter::Filters;
use crate::invoke::Invoker;

/// How often the list of shards is looked at, if none of them ends.
const RELIST: Duration = Duration::from_secs(2);
/// How often a result that has changed is written down.
const REPORT: Duration = Duration::from_secs(1);

/// Follows a mapping until it is deleted (`None`) or everything stops.
pub async fn follow<D: Documents, I: Invoker, S: ShardSource, F: FailedBatches>(
    inner: Arc<Inner<D, I, S, F>>,
    uuid: String,
    mut desired: watch::Receiver<Option<Mapping>>,
    metrics: Arc<MappingMetrics>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let Some(mapping) = desired.borrow_and_update().clone() else { break };
        let reporting = report(&inner, &mapping, &metrics);
        if mapping.enabled {
            let halt = stop.child_token();
            let running = run(&inner, &mapping, &metrics, halt.clone());
            let halting = async {
                let _ = desired.changed().await;
                halt.cancel();
            };
            tokio::pin!(reporting, running, halting);
            tokio::select! {
                () = &mut running => {}
                () = &mut reporting => {}
                () = &mut halting => running.await,
            }
        } else {
            tokio::select! {
                () = reporting => {}
                _ = desired.changed() => {}
                () = stop.cancelled() => {}
            }
        }
    }
    if desired.borrow().is_none() {
        forget(&inner, &uuid).await;
    }
}

async fn forget<D: Documents, I, S, F>(inner: &Inner<D, I, S, F>, uuid: &str) {
    let checkpoints = Checkpoints::new(inner.catalogue.documents().clone());
    if let Err(error) = checkpoints.forget(uuid).await {
        // The next start finds what is left.
        tracing::warn!(mapping = uuid, %error, "removing the checkpoints of a deleted mapping");
    }
    if let Err(error) = inner.catalogue.forget_mapping_status(uuid).await {
        tracing::warn!(mapping = uuid, %error, "removing the status of a deleted mapping");
    }
}

/// Writes the status whenever it has changed; never returns.
async fn report<D: Documents, I, S, F>(
    inner: &Inner<D, I, S, F>,
    mapping: &Mapping,
    metrics: &MappingMetrics,
) {
    let mut written = None;
    loop {
        let last_processing_result = metrics.result();
        let status = MappingStatus { generation: mapping.generation, last_processing_result };
        if written.as_ref() != Some(&status)
            && inner.catalogue.set_mapping_status(&mapping.uuid, &status).await.is_ok()
        {
            written = Some(status);
        }
        tokio::time::sleep(REPORT).await;
    }
}

/// Runs all shards of an enabled mapping until it is told to stop; returns when they have stopped.
async fn run<D: Documents, I: Invoker, S: ShardSource, F: FailedBatches>(
    inner: &Arc<Inner<D, I, S, F>>,
    mapping: &Mapping,
    metrics: &Arc<MappingMetrics>,
    stop: CancellationToken,
) {
    let filters = match Filters::parse(mapping.knobs.filters.iter().map(String::as_str)) {
        Ok(filters) => filters,
        Err(error) => {
            metrics.set_result(&format!("PROBLEM: {error}"));
            return stop.cancelled().await;
        }
    };
    let mut shards = Shards {
        shared: Arc::new(inner.shared(mapping.clone(), filters, metrics.clone())),
        owner: inner.settings.owner.clone(),
        running: HashSet::new(),
        finished: HashSet::new(),
        tasks: JoinSet::new(),
        stop: stop.clone(),
    };
    while !stop.is_cancelled() {
        if let Err(problem) = shards.start_ready().await {
            shards.shared.metrics.set_result(&format!("PROBLEM: {problem}"));
        }
        tokio::select! {
            Some(ended) = shards.tasks.join_next() => shards.ended(ended).await,
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RELIST) => {}
        }
    }
    while shards.tasks.join_next().await.is_some() {}
}

struct Shards<D, I, S, F> {
    shared: Arc<Shared<D, I, S, F>>,
    owner: String,
    running: HashSet<String>,
    finished: HashSet<String>,
    tasks: JoinSet<(String, Ended)>,
    stop: CancellationToken,
}

impl<D: Documents, I: Invoker, S: ShardSource, F: FailedBatches> Shards<D, I, S, F> {
    /// Starts the shards that are new and whose parents are done.
    async fn start_ready(&mut self) -> Result<(), String> {
        let listed = self.shared.source.shards(&self.shared.mapping.stream_arn).await;
        let listed = listed.map_err(|error| error.to_string())?;
        let by_id: HashMap<_, _> = listed.iter().map(|shard| (shard.shard_id.as_str(), shard)).collect();
        for shard in &listed {
            let waits = shard
                .parent
                .as_deref()
                .is_some_and(|parent| by_id.contains_key(parent) && !self.finished.contains(parent));
            let known = self.running.contains(&shard.shard_id) || self.finished.contains(&shard.shard_id);
            if !waits && !known {
                self.start(shard).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    async fn start(&mut self, shard: &ShardInfo) -> Result<(), SaveError> {
        let Shared { mapping, checkpoints, .. } = &*self.shared;
        let after = mapping.start_after.get(&shard.shard_id).copied().unwrap_or_default();
        let start = Position { sequence: after, window: None };
        let lease = checkpoints.acquire(&mapping.uuid, &shard.shard_id, &self.owner, start).await?;
        let (shared, shard_id, stop) = (self.shared.clone(), shard.shard_id.clone(), self.stop.clone());
        self.running.insert(shard_id.clone());
        self.tasks.spawn(async move {
            let ended = drive(shared, shard_id.clone(), lease, stop).await;
            (shard_id, ended)
        });
        Ok(())
    }

    async fn ended(&mut self, ended: Result<(String, Ended), tokio::task::JoinError>) {
        let (shard_id, ended) = ended.expect("tasks of a shard neither panic nor are aborted");
        self.running.remove(&shard_id);
        match ended {
            Ended::Finished => {
                self.finished.insert(shard_id);
            }
            Ended::Stopped => {}
            // Both may pass: the stream's list of shards, or another owner's end, is looked at after a while.
            Ended::Fenced | Ended::Gone => {
                let () = tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(REPORT) => {}
                };
            }
        }
    }
}
