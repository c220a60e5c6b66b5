//! One shard of one mapping, running: does what [`ShardMachine`] says, until the shard is finished or it is told to stop.
//!
//! Everything that takes time is a task of its own whose end is an event here: at most one read and one save, and one
//! invocation or parking per lane. The save writes the newest position only, so that slow storage groups them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;

use super::checkpoint::{Checkpoints, Lease, SaveError};
use super::failed::{BatchInfo, FailedBatch, FailedBatches, RequestContext, ResponseContext};
use super::metrics::MappingMetrics;
use super::payload;
use super::shard::{Action, Batch, GivenUp, Position, ShardMachine, ShardSettings, Verdict};
use super::source::{Page, ShardSource, SourceError, StreamRecord};
use super::verdict::verdict;
use crate::Clock;
use crate::catalogue::Mapping;
use crate::catalogue::mapping::OriginFilter;
use crate::filter::Filters;
use crate::invoke::{Invocation, InvokeError, Invoker, Outcome};

/// How long to wait after a read or save failed.
const RETRY: Duration = Duration::from_millis(500);
/// A shard that is said to have nothing new is read again after this, in case nobody said that it has.
const REREAD: Duration = Duration::from_secs(5);

/// What the tasks of a mapping's shards share.
pub struct Shared<D, I, S, F> {
    pub mapping: Mapping,
    pub filters: Filters,
    pub checkpoints: Checkpoints<D>,
    pub invoker: Arc<I>,
    pub source: Arc<S>,
    pub failed: Arc<F>,
    pub metrics: Arc<MappingMetrics>,
    pub clock: Clock,
    pub region: tradewind_model::Region,
    pub account: String,
    /// How long running invocations may take to end when the mapping stops.
    pub drain: Duration,
}

/// Why a shard's task ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Finished,
    Stopped,
    /// Another owner took the shard.
    Fenced,
    /// The stream is gone.
    Gone,
}

enum Event {
    Read(Result<Page, SourceError>),
    Saved(Result<Lease, (SaveError, Lease)>),
    Invoked { lane: usize, verdict: Verdict, outcome: Option<Outcome>, request_id: String },
    Parked { lane: usize, kept: bool },
}

/// The last answer of each lane, for the record of a batch that is given up.
#[derive(Clone, Default)]
struct LastAnswer {
    request_id: String,
    response: Option<ResponseContext>,
    invocations: u32,
}

struct Driver<D, I, S, F> {
    shared: Arc<Shared<D, I, S, F>>,
    shard_id: String,
    machine: ShardMachine,
    /// Away while a save is under way.
    lease: Option<Lease>,
    saved: (Position, bool),
    tasks: JoinSet<Event>,
    is_reading: bool,
    read_not_before_ms: u64,
    save_not_before_ms: u64,
    answers: Vec<LastAnswer>,
    wake: watch::Receiver<u64>,
}

/// Drives a shard that `lease` gives the right to.
pub async fn drive<D: Documents, I: Invoker, S: ShardSource, F: FailedBatches>(
    shared: Arc<Shared<D, I, S, F>>,
    shard_id: String,
    lease: Lease,
    stop: CancellationToken,
) -> Ended {
    if lease.is_finished() {
        return Ended::Finished;
    }
    let settings = ShardSettings::of(&shared.mapping.knobs);
    let lanes = settings.lanes;
    let mut driver = Driver {
        machine: ShardMachine::new(settings, lease.position().clone()),
        saved: (lease.position().clone(), false),
        wake: shared.source.wake(&shared.mapping.stream_arn, &shard_id),
        lease: Some(lease),
        tasks: JoinSet::new(),
        is_reading: false,
        read_not_before_ms: 0,
        save_not_before_ms: 0,
        answers: vec![LastAnswer::default(); lanes],
        shared,
        shard_id,
    };
    let ended = driver.run(stop).await;
    driver.shared.metrics.forget_shard(&driver.shard_id);
    ended
}

impl<D: Documents, I: Invoker, S: ShardSource, F: FailedBatches> Driver<D, I, S, F> {
    async fn run(&mut self, stop: CancellationToken) -> Ended {
        loop {
            if let Some(ended) = self.step(Some(&stop)).await {
                return ended;
            }
            if stop.is_cancelled() {
                return self.stop().await;
            }
        }
    }

    /// Starts what can be started and waits for one thing to happen.
    async fn step(&mut self, stop: Option<&CancellationToken>) -> Option<Ended> {
        let now_ms = (self.shared.clock)();
        self.start_read(now_ms);
        for action in self.machine.poll(now_ms) {
            self.act(action);
        }
        self.start_save(now_ms);
        if self.machine.is_finished() && self.saved.1 {
            return Some(Ended::Finished);
        }
        let age_ms =
            self.machine.oldest_unsettled_ms().map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
        self.shared.metrics.set_iterator_age(&self.shard_id, age_ms);
        let timer = tokio::time::sleep(self.sleep(now_ms));
        let stopped = async {
            match stop {
                Some(stop) => stop.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(event) = self.tasks.join_next() => return self.take(event),
            () = stopped => {}
            // A sender that is gone would make this ready for ever.
            Ok(()) = self.wake.changed(), if !self.is_reading => self.read_not_before_ms = 0,
            () = timer => {}
        }
        None
    }

    fn sleep(&self, now_ms: u64) -> Duration {
        let read = (!self.is_reading && self.machine.wants().is_some()).then_some(self.read_not_before_ms);
        let save = self.needs_save().then_some(self.save_not_before_ms);
        let wake_ms = [self.machine.wake_at(now_ms), read, save].into_iter().flatten().min();
        wake_ms.map_or(REREAD, |wake_ms| Duration::from_millis(wake_ms.saturating_sub(now_ms).max(1)))
    }

    /// Lets running invocations end, for as long as allowed, and saves how far they came.
    async fn stop(&mut self) -> Ended {
        self.machine.drain();
        let drain = self.shared.drain;
        let drained = async {
            while !self.machine.is_idle() || self.lease.is_none() || self.needs_save() {
                if let Some(ended) = self.step(None).await {
                    return ended;
                }
            }
            Ended::Stopped
        };
        tokio::time::timeout(drain, drained).await.unwrap_or(Ended::Stopped)
    }

    fn take(&mut self, event: Result<Event, tokio::task::JoinError>) -> Option<Ended> {
        let now_ms = (self.shared.clock)();
        match event.expect("tasks of a shard neither panic nor are aborted") {
            Event::Read(page) => return self.take_page(page, now_ms),
            Event::Saved(saved) => return self.take_saved(saved, now_ms),
            Event::Invoked { lane, verdict, outcome, request_id } => {
                self.note(lane, &verdict, outcome.as_ref(), request_id);
                self.machine.invoked(lane, verdict, now_ms);
            }
            Event::Parked { lane, kept } => {
                self.answers[lane] = LastAnswer::default();
                self.machine.parked(lane, kept, now_ms);
            }
        }
        None
    }

    fn start_read(&mut self, now_ms: u64) {
        if self.is_reading || now_ms < self.read_not_before_ms {
            return;
        }
        let Some((after, limit, max_bytes)) = self.machine.wants() else { return };
        self.is_reading = true;
        // What is signalled from here on may be missing from the page.
        self.wake.mark_unchanged();
        let (shared, shard_id) = (self.shared.clone(), self.shard_id.clone());
        self.tasks.spawn(async move {
            let arn = &shared.mapping.stream_arn;
            Event::Read(shared.source.read(arn, &shard_id, after, limit, max_bytes).await)
        });
    }

    fn take_page(&mut self, page: Result<Page, SourceError>, now_ms: u64) -> Option<Ended> {
        self.is_reading = false;
        match page {
            Ok(page) => {
                let was = self.machine.wants().map(|(after, ..)| after);
                let idle = page.records.is_empty() && !page.end && Some(page.through) <= was;
                self.read_not_before_ms = if idle { now_ms + millis(REREAD) } else { 0 };
                let passed = self.filter(page.records);
                self.machine.offer(passed, page.through, page.end, now_ms);
                None
            }
            Err(SourceError::NotFound(_)) => Some(Ended::Gone),
            Err(error) => {
                tracing::warn!(mapping = %self.shared.mapping.uuid, shard = %self.shard_id, %error, "reading a shard");
                self.read_not_before_ms = now_ms + millis(RETRY);
                None
            }
        }
    }

    fn filter(&self, mut records: Vec<StreamRecord>) -> Vec<StreamRecord> {
        let shared = &self.shared;
        let polled = records.len();
        records.retain(|record| {
            let from_here = record.origin == shared.region;
            let wanted = match shared.mapping.knobs.origin {
                OriginFilter::All => true,
                OriginFilter::Local => from_here,
                OriginFilter::Remote => !from_here,
            };
            wanted && shared.filters.pass(&record.event)
        });
        MappingMetrics::add(&shared.metrics.polled_event_count, polled);
        MappingMetrics::add(&shared.metrics.filtered_out_event_count, polled - records.len());
        records
    }

    fn needs_save(&self) -> bool {
        let now = (self.machine.position(), self.machine.is_finished());
        self.lease.is_some() && now != self.saved
    }

    fn start_save(&mut self, now_ms: u64) {
        if now_ms < self.save_not_before_ms || !self.needs_save() {
            return;
        }
        let Some(mut lease) = self.lease.take() else { return };
        let (position, finished) = (self.machine.position(), self.machine.is_finished());
        self.saved = (position.clone(), finished);
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let saved = shared.checkpoints.save(&mut lease, position, finished).await;
            Event::Saved(match saved {
                Ok(()) => Ok(lease),
                Err(error) => Err((error, lease)),
            })
        });
    }

    fn take_saved(&mut self, saved: Result<Lease, (SaveError, Lease)>, now_ms: u64) -> Option<Ended> {
        match saved {
            Ok(lease) => self.lease = Some(lease),
            Err((SaveError::Fenced, _)) => return Some(Ended::Fenced),
            Err((error, lease)) => {
                tracing::warn!(mapping = %self.shared.mapping.uuid, shard = %self.shard_id, %error, "saving a checkpoint");
                self.saved = (lease.position().clone(), false);
                self.lease = Some(lease);
                self.save_not_before_ms = now_ms + millis(RETRY);
            }
        }
        None
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Invoke { lane, batch } => self.invoke(lane, batch),
            Action::Park { lane, batch, why } => self.park(lane, batch, why),
        }
    }

    fn invoke(&mut self, lane: usize, batch: Batch) {
        let (shared, shard_id) = (self.shared.clone(), self.shard_id.clone());
        self.tasks.spawn(async move {
            let event = payload::event(&batch, &shard_id, &shared.mapping.stream_arn);
            let invocation = Invocation::new(shared.mapping.function.clone(), event);
            let request_id = invocation.request_id.to_string();
            let metrics = &shared.metrics;
            MappingMetrics::add(&metrics.concurrent_executions, 1);
            let result = shared.invoker.invoke(invocation).await;
            metrics.concurrent_executions.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            let verdict = verdict(&shared.mapping.knobs, &batch, &result);
            count(metrics, &batch, &verdict, &result);
            Event::Invoked { lane, verdict, outcome: result.ok(), request_id }
        });
    }

    fn note(&mut self, lane: usize, verdict: &Verdict, outcome: Option<&Outcome>, request_id: String) {
        let answer = &mut self.answers[lane];
        let Some(outcome) = outcome else { return };
        if matches!(verdict, Verdict::Success(_)) {
            *answer = LastAnswer::default();
            return;
        }
        answer.invocations += 1;
        answer.request_id = request_id;
        answer.response = Some(ResponseContext {
            status_code: 200,
            executed_version: outcome.executed_version.clone(),
            function_error: outcome.function_error.map(|error| error.as_str().to_owned()),
        });
    }

    fn park(&mut self, lane: usize, batch: Batch, why: GivenUp) {
        let (shared, answer) = (self.shared.clone(), self.answers[lane].clone());
        let shard_id = self.shard_id.clone();
        self.tasks.spawn(async move {
            let kept = park(&shared, &shard_id, &batch, why, answer).await;
            Event::Parked { lane, kept }
        });
    }
}

/// Says whether the batch is safe.
async fn park<D, I, S, F: FailedBatches>(
    shared: &Shared<D, I, S, F>,
    shard_id: &str,
    batch: &Batch,
    why: GivenUp,
    answer: LastAnswer,
) -> bool {
    let Some(failed) = failed_batch(shared, shard_id, batch, why, answer) else { return true };
    let count = batch.records.len();
    match shared.failed.keep(&shared.mapping.uuid, failed).await {
        Ok(()) => {
            MappingMetrics::add(&shared.metrics.on_failure_destination_delivered_event_count, count);
            MappingMetrics::add(&shared.metrics.dropped_event_count, count);
            let (mapping, condition) = (&shared.mapping.uuid, why.as_str());
            tracing::warn!(%mapping, shard = shard_id, condition, count, "a batch was given up and kept");
            true
        }
        Err(error) => {
            MappingMetrics::add(&shared.metrics.destination_delivery_failures, 1);
            tracing::error!(mapping = %shared.mapping.uuid, %error, "keeping a failed batch");
            false
        }
    }
}

fn failed_batch<D, I, S, F>(
    shared: &Shared<D, I, S, F>,
    shard_id: &str,
    batch: &Batch,
    why: GivenUp,
    answer: LastAnswer,
) -> Option<FailedBatch> {
    let (first, last) = (batch.records.first()?, batch.records.last()?);
    let Shared { mapping, region, account, clock, .. } = shared;
    let event = payload::event(batch, shard_id, &mapping.stream_arn);
    let payload = String::from_utf8(event.into()).ok().and_then(|text| RawValue::from_string(text).ok())?;
    Some(FailedBatch {
        request: RequestContext {
            request_id: answer.request_id,
            function_arn: format!("arn:aws:lambda:{region}:{account}:function:{}", mapping.function),
            condition: why.as_str().to_owned(),
            approximate_invoke_count: answer.invocations,
        },
        response: answer.response,
        version: "1.0".to_owned(),
        timestamp: payload::iso_millis(clock()),
        batch: BatchInfo {
            shard_id: shard_id.to_owned(),
            start_sequence_number: first.sequence_number.clone(),
            end_sequence_number: last.sequence_number.clone(),
            approximate_arrival_of_first_record: payload::iso_seconds(first.approximate_time_ms),
            approximate_arrival_of_last_record: payload::iso_seconds(last.approximate_time_ms),
            batch_size: batch.records.len(),
            stream_arn: mapping.stream_arn.clone(),
        },
        payload,
    })
}

fn count(metrics: &MappingMetrics, batch: &Batch, verdict: &Verdict, result: &Result<Outcome, InvokeError>) {
    let records = batch.records.len();
    if let Ok(outcome) = result {
        MappingMetrics::add(&metrics.invocations, 1);
        MappingMetrics::add(&metrics.invoked_event_count, records);
        metrics.add_duration(outcome.duration);
    }
    match (verdict, result) {
        (Verdict::Success(_), _) => metrics.set_result("OK"),
        (_, Err(InvokeError::Throttled)) => {
            MappingMetrics::add(&metrics.throttles, 1);
            metrics.set_result("PROBLEM: Function throttled");
        }
        (_, Err(error)) => metrics.set_result(&format!("PROBLEM: {error}")),
        (_, Ok(_)) => {
            MappingMetrics::add(&metrics.errors, 1);
            MappingMetrics::add(&metrics.failed_invoke_event_count, records);
            metrics.set_result("PROBLEM: Function call failed");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
