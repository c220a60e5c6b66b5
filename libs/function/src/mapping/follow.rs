//! One mapping, running: takes up each new version of it, keeps a task for each shard that is this node's, parents before
//! children, and reports its state.
//!
//! A shard that is another node's from now on is handed over: its task starts nothing more, lets the running invocation
//! end however long that takes, saves, and lets go of the checkpoint; only then the other node takes it over.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;

use super::checkpoint::{Checkpoints, Lease, SaveError};
use super::drive::{Ended, Shared, Stop, drive};
use super::metrics::MappingMetrics;
use super::runner::Inner;
use super::shard::Position;
use super::source::{ShardInfo, ShardSource};
use crate::catalogue::{Mapping, MappingStatus};
use crate::filter::Filters;
use crate::invoke::Invoker;

/// How often the list of shards is looked at, if none of them ends.
const RELIST: Duration = Duration::from_secs(2);
/// How often a checkpoint is looked at that another node is about to let go of.
const AWAIT_RELEASE: Duration = Duration::from_millis(100);
/// How often a result that has changed is written down.
const REPORT: Duration = Duration::from_secs(1);

/// Follows a mapping until it is deleted (`None`) or everything stops.
pub async fn follow<D: Documents, I: Invoker, S: ShardSource>(
    inner: Arc<Inner<D, I, S>>,
    uuid: String,
    mut desired: watch::Receiver<Option<Mapping>>,
    metrics: Arc<MappingMetrics>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let Some(mapping) = desired.borrow_and_update().clone() else { break };
        if mapping.deleting {
            tokio::select! {
                never = bury(&inner, &mapping.uuid) => match never {},
                _ = desired.changed() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let reporting = report(&inner, &mapping, &metrics);
        if mapping.enabled {
            let halt = stop.child_token();
            let running = run(&inner, &mapping, &metrics, halt.clone(), stop.clone());
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

/// Removes a mapping of which nothing runs here any more, once nothing runs elsewhere. One node does it for all.
async fn bury<D: Documents, I, S>(inner: &Inner<D, I, S>, uuid: &str) -> Infallible {
    loop {
        if inner.settings.seats.speaks_for(uuid) {
            let buried = match runs_elsewhere(inner, uuid).await {
                Ok(true) => Ok(()),
                Ok(false) => {
                    inner.catalogue.delete_mapping(uuid).await.map(drop).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = buried {
                tracing::warn!(mapping = uuid, error, "removing a deleted mapping");
            }
        }
        tokio::time::sleep(AWAIT_RELEASE).await;
    }
}

/// Whether a living node has not let go of a shard. Nothing of the mapping runs here: what the checkpoints say of this
/// node is mended.
async fn runs_elsewhere<D: Documents, I, S>(inner: &Inner<D, I, S>, uuid: &str) -> Result<bool, SaveError> {
    let (checkpoints, seats) = (Checkpoints::new(inner.catalogue.documents().clone()), &inner.settings.seats);
    let mut elsewhere = false;
    for (shard_id, standing) in checkpoints.positions(uuid).await? {
        if standing.owner == seats.me() {
            checkpoints.disown(uuid, &shard_id, seats.me()).await?;
        } else {
            elsewhere |= !standing.owner.is_empty() && seats.may_live(&standing.owner).await;
        }
    }
    Ok(elsewhere)
}

async fn forget<D: Documents, I, S>(inner: &Inner<D, I, S>, uuid: &str) {
    let checkpoints = Checkpoints::new(inner.catalogue.documents().clone());
    if let Err(error) = checkpoints.forget(uuid).await {
        // The next start finds what is left.
        tracing::warn!(mapping = uuid, %error, "removing the checkpoints of a deleted mapping");
    }
    if let Err(error) = inner.catalogue.forget_mapping_status(uuid).await {
        tracing::warn!(mapping = uuid, %error, "removing the status of a deleted mapping");
    }
}

/// Writes the status whenever it has changed; never returns. One node speaks for all: of a disabled mapping once nothing of
/// it runs anywhere.
async fn report<D: Documents, I, S>(inner: &Inner<D, I, S>, mapping: &Mapping, metrics: &MappingMetrics) {
    let mut written = None;
    loop {
        let last_processing_result = metrics.result();
        let status = MappingStatus { generation: mapping.generation, last_processing_result };
        if inner.settings.seats.speaks_for(&mapping.uuid)
            && written.as_ref() != Some(&status)
            && (mapping.enabled || matches!(runs_elsewhere(inner, &mapping.uuid).await, Ok(false)))
            && inner.catalogue.set_mapping_status(&mapping.uuid, &status).await.is_ok()
        {
            written = Some(status);
        }
        tokio::time::sleep(REPORT).await;
    }
}

/// Runs this node's shards of an enabled mapping until `halt`; returns when they have stopped.
async fn run<D: Documents, I: Invoker, S: ShardSource>(
    inner: &Arc<Inner<D, I, S>>,
    mapping: &Mapping,
    metrics: &Arc<MappingMetrics>,
    halt: CancellationToken,
    stop: CancellationToken,
) {
    let filters = match Filters::parse(mapping.knobs.filters.iter().map(String::as_str)) {
        Ok(filters) => filters,
        Err(error) => {
            metrics.set_result(&format!("PROBLEM: {error}"));
            return halt.cancelled().await;
        }
    };
    let mut shards = Shards {
        shared: Arc::new(inner.shared(mapping.clone(), filters, metrics.clone())),
        running: HashMap::new(),
        finished: HashSet::new(),
        tasks: JoinSet::new(),
        halt: halt.clone(),
        stop,
    };
    let mut seats_changed = shards.shared.seats.changed();
    while !halt.is_cancelled() {
        let again = match shards.reconcile().await {
            Ok(again) => again,
            Err(problem) => {
                shards.shared.metrics.set_result(&format!("PROBLEM: {problem}"));
                RELIST
            }
        };
        tokio::select! {
            Some(ended) = shards.tasks.join_next() => shards.ended(ended).await,
            () = halt.cancelled() => {}
            () = seats_changed.wait() => {}
            () = tokio::time::sleep(again) => {}
        }
    }
    while shards.tasks.join_next().await.is_some() {}
}

struct Shards<D, I, S> {
    shared: Arc<Shared<D, I, S>>,
    running: HashMap<String, CancellationToken>,
    finished: HashSet<String>,
    tasks: JoinSet<(String, Ended)>,
    halt: CancellationToken,
    stop: CancellationToken,
}

impl<D: Documents, I: Invoker, S: ShardSource> Shards<D, I, S> {
    /// Hands over what is another node's, starts what is ours and whose parents are done. Answers when to look again.
    async fn reconcile(&mut self) -> Result<Duration, String> {
        let mapping = &self.shared.mapping;
        let mut listed =
            self.shared.source.shards(&mapping.stream_arn).await.map_err(|error| error.to_string())?;
        if let Some(replay) = &mapping.replay {
            listed.retain(|shard| replay.until.contains_key(&shard.shard_id));
        }
        let ids: HashSet<_> = listed.iter().map(|shard| shard.shard_id.as_str()).collect();
        let mine = self.shared.seats.mine(&mapping.uuid, ids.iter().copied());
        let mut again = RELIST;
        for shard in &listed {
            if self.finished.contains(&shard.shard_id) {
                continue;
            }
            let is_mine = mine.contains(shard.shard_id.as_str());
            match self.running.get(&shard.shard_id) {
                Some(hand_over) if !is_mine => hand_over.cancel(),
                Some(_) => {}
                None if !is_mine => self.let_go(&shard.shard_id).await.map_err(|error| error.to_string())?,
                None => {
                    let parent = shard.parent.as_deref().filter(|parent| ids.contains(parent));
                    let waits = match parent {
                        Some(parent) => !self.is_finished(parent).await.map_err(|error| error.to_string())?,
                        None => false,
                    };
                    if !waits && !self.start(shard).await? {
                        again = AWAIT_RELEASE;
                    }
                }
            }
        }
        if self.shared.mapping.replay.is_some() {
            self.end_replay(&listed).await.map_err(|error| error.to_string())?;
        }
        Ok(again)
    }

    /// Nothing of the shard runs here: should its checkpoint say that it does (an answer was lost), nobody would ever
    /// take it over.
    async fn let_go(&self, shard_id: &str) -> Result<(), SaveError> {
        let Shared { mapping, checkpoints, seats, .. } = &*self.shared;
        checkpoints.disown(&mapping.uuid, shard_id, seats.me()).await
    }

    async fn is_finished(&mut self, shard_id: &str) -> Result<bool, SaveError> {
        if self.finished.contains(shard_id) {
            return Ok(true);
        }
        if self.running.contains_key(shard_id) {
            return Ok(false);
        }
        // Another node may have read it to its end.
        let finished = self.shared.checkpoints.is_finished(&self.shared.mapping.uuid, shard_id).await?;
        if finished {
            self.finished.insert(shard_id.to_owned());
        }
        Ok(finished)
    }

    /// A replay is gone when every shard is.
    async fn end_replay(&mut self, listed: &[ShardInfo]) -> Result<(), SaveError> {
        for shard in listed {
            if !self.is_finished(&shard.shard_id).await? {
                return Ok(());
            }
        }
        let uuid = &self.shared.mapping.uuid;
        tracing::info!(mapping = %uuid, "a replay is done");
        if let Err(error) = self.shared.catalogue.delete_mapping(uuid).await {
            tracing::warn!(mapping = %uuid, %error, "removing a replay that is done");
        }
        Ok(())
    }

    /// `false`: a living node has not let go of it yet, or it is to stop already.
    async fn start(&mut self, shard: &ShardInfo) -> Result<bool, String> {
        let Shared { mapping, checkpoints, seats, .. } = &*self.shared;
        let after = mapping.start_after.get(&shard.shard_id).copied().unwrap_or_default();
        let start = Position { sequence: after, window: None };
        let (uuid, shard_id, me) = (&mapping.uuid, &shard.shard_id, seats.me());
        let Some(tenure) = seats.tenure() else { return Ok(false) };
        let seen = checkpoints.look(uuid, shard_id).await.map_err(|error| error.to_string())?;
        let owner = seen.owner();
        if !owner.is_empty() && owner != me && seats.may_live(owner).await {
            return Ok(false);
        }
        let taken = checkpoints.take(seen, me, start).await.map_err(|error| error.to_string())?;
        let Some(lease) = taken else { return Ok(false) };
        if !self.is_still_wanted(lease.clone()).await? {
            return Ok(false);
        }
        let hand_over = self.halt.child_token();
        let stop = Stop { when_done: hand_over.clone(), soon: self.stop.clone() };
        let (shared, shard_id) = (self.shared.clone(), shard.shard_id.clone());
        self.running.insert(shard_id.clone(), hand_over);
        self.tasks.spawn(async move {
            let ended = drive(shared, shard_id.clone(), lease, tenure, stop).await;
            (shard_id, ended)
        });
        Ok(true)
    }

    /// Who deletes or disables a mapping says so and then looks at who owns its shards. A shard that is taken at that moment
    /// is seen there, or sees it here and is let go.
    async fn is_still_wanted(&self, lease: Lease) -> Result<bool, String> {
        let Shared { mapping, checkpoints, catalogue, .. } = &*self.shared;
        let let_go = match catalogue.mapping(&mapping.uuid).await.map_err(|error| error.to_string())? {
            Some(now) if now.enabled && !now.deleting => return Ok(true),
            Some(_) => checkpoints.release(lease).await,
            None => checkpoints.forget(&mapping.uuid).await,
        };
        let_go.map(|()| false).map_err(|error| error.to_string())
    }

    async fn ended(&mut self, ended: Result<(String, Ended), tokio::task::JoinError>) {
        let (shard_id, ended) = ended.expect("tasks of a shard neither panic nor are aborted");
        self.running.remove(&shard_id);
        if ended == Ended::Fenced {
            let mapping = &self.shared.mapping.uuid;
            tracing::warn!(%mapping, shard = shard_id, "another node has taken a shard over: a late checkpoint was refused");
        }
        match ended {
            Ended::Finished => {
                self.finished.insert(shard_id);
            }
            Ended::Stopped => {}
            // Both may pass: the stream's list of shards, or another owner's end, is looked at after a while.
            Ended::Fenced | Ended::Gone => {
                let () = tokio::select! {
                    () = self.halt.cancelled() => {}
                    () = tokio::time::sleep(REPORT) => {}
                };
            }
        }
    }
}
