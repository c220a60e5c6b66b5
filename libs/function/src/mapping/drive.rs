//! One shard of one mapping, running: does what [`ShardMachine`] says, until the shard is finished or it is told to stop.
//!
//! Everything that takes time is a task of its own whose end is an event here: at most one read and one save, and one
//! invocation or parking per lane. The save writes the newest position only, so that slow storage groups them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Documents;

use super::checkpoint::{Checkpoints, Lease, SaveError};
use super::failed::FailedLog;
use super::failed::ResponseContext;
use super::metrics::MappingMetrics;
use super::park::{LastAnswer, park};
use super::payload;
use super::seats::Seats;
use super::shard::{Action, Batch, GivenUp, Position, ShardMachine, ShardSettings, Verdict};
use super::source::{Page, ShardSource, SourceError, StreamRecord};
use super::spans;
use super::verdict::verdict;
use crate::Clock;
use crate::catalogue::mapping::OriginFilter;
use crate::catalogue::{Catalogue, Mapping};
use crate::filter::Filters;
use crate::invoke::{BatchRef, Cause, FunctionError, Invocation, InvokeError, Invoker, Outcome};

/// How long to wait after a read or save failed.
const RETRY: Duration = Duration::from_millis(500);
/// A shard that is said to have nothing new is read again after this, in case nobody said that it has.
const REREAD: Duration = Duration::from_secs(5);
/// How much of a function's error is kept with a batch that is given up.
const MAX_ERROR: usize = 2048;

/// What the tasks of a mapping's shards share.
pub struct Shared<D, I, S> {
    pub mapping: Mapping,
    pub catalogue: Arc<Catalogue<D>>,
    pub seats: Arc<Seats>,
    pub filters: Filters,
    pub checkpoints: Checkpoints<D>,
    pub invoker: Arc<I>,
    pub source: Arc<S>,
    pub failed: Arc<FailedLog<D>>,
    pub metrics: Arc<MappingMetrics>,
    pub clock: Clock,
    pub region: tradewind_model::Region,
    pub account: String,
    /// How long running invocations may take to end when everything stops.
    pub drain: Duration,
}

/// How a shard's task is told to end.
pub struct Stop {
    /// Start nothing more and end when what runs is done, however long it takes.
    pub when_done: CancellationToken,
    /// The process ends: what runs has [`Shared::drain`] left. Cancels `when_done` too.
    pub soon: CancellationToken,
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
    Saved { saved: Result<Lease, (SaveError, Lease)>, tenure: Option<u64> },
    Invoked { lane: usize, verdict: Verdict, outcome: Option<Outcome>, request_id: String },
    Parked { lane: usize, kept: bool },
}

struct Driver<D, I, S> {
    shared: Arc<Shared<D, I, S>>,
    shard_id: String,
    machine: ShardMachine,
    /// Away while a save is under way.
    lease: Option<Lease>,
    saved: (Position, bool),
    /// The node's tenure in which the shard was this one's for certain.
    tenure: u64,
    tasks: JoinSet<Event>,
    is_reading: bool,
    read_not_before_ms: u64,
    save_not_before_ms: u64,
    answers: Vec<LastAnswer>,
    /// Since the function last did something right.
    failures_in_a_row: u32,
    wake: watch::Receiver<u64>,
}

/// Drives a shard that `lease` gives the right to, taken in a tenure of this node.
pub async fn drive<D: Documents, I: Invoker, S: ShardSource>(
    shared: Arc<Shared<D, I, S>>,
    shard_id: String,
    lease: Lease,
    tenure: u64,
    stop: Stop,
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
        tenure,
        tasks: JoinSet::new(),
        is_reading: false,
        read_not_before_ms: 0,
        save_not_before_ms: 0,
        answers: vec![LastAnswer::default(); lanes],
        failures_in_a_row: 0,
        shared,
        shard_id,
    };
    let ended = driver.run(stop).await;
    driver.shared.metrics.forget_shard(&driver.shard_id);
    // What still runs is given up before anybody else may start.
    driver.tasks.shutdown().await;
    if let (Ended::Stopped | Ended::Finished, Some(lease)) = (ended, driver.lease.take())
        && let Err(error) = driver.shared.checkpoints.release(lease).await
    {
        // Whoever comes next waits until this node is known to be gone.
        tracing::warn!(mapping = %driver.shared.mapping.uuid, shard = %driver.shard_id, %error, "letting go of a shard");
    }
    ended
}

impl<D: Documents, I: Invoker, S: ShardSource> Driver<D, I, S> {
    async fn run(&mut self, stop: Stop) -> Ended {
        loop {
            if let Some(ended) = self.step(Some(&stop.when_done)).await {
                return ended;
            }
            if stop.when_done.is_cancelled() {
                return self.stop(&stop.soon).await;
            }
        }
    }

    /// Starts what can be started and waits for one thing to happen.
    async fn step(&mut self, stop: Option<&CancellationToken>) -> Option<Ended> {
        let now_ms = (self.shared.clock)();
        self.start_read(now_ms);
        // A node that has lost its lease starts nothing: somebody else may run the shard by now. Nor does one that has it
        // again, until a save has shown that nobody does.
        if self.shared.seats.tenure() == Some(self.tenure) {
            for action in self.machine.poll(now_ms) {
                self.act(action);
            }
        }
        self.start_save(now_ms);
        // Not while the save that says so is under way: children start by what stands.
        if self.machine.is_finished() && self.saved.1 && self.lease.is_some() {
            return Some(Ended::Finished);
        }
        self.shared.metrics.set_oldest(&self.shard_id, self.machine.oldest_unsettled_ms());
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
        let least = if self.shared.seats.holds() { Duration::from_millis(1) } else { RETRY };
        let until = |wake_ms: u64| Duration::from_millis(wake_ms.saturating_sub(now_ms));
        wake_ms.map_or(REREAD, |wake_ms| until(wake_ms).max(least))
    }

    /// Lets running invocations end, for as long as allowed, and saves how far they came.
    async fn stop(&mut self, soon: &CancellationToken) -> Ended {
        self.machine.drain();
        let drain = self.shared.drain;
        let too_long = async move {
            soon.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        let drained = async {
            while !self.machine.is_idle() || self.lease.is_none() || self.needs_save() {
                if let Some(ended) = self.step(None).await {
                    return ended;
                }
            }
            Ended::Stopped
        };
        tokio::select! {
            ended = drained => ended,
            () = too_long => Ended::Stopped,
        }
    }

    fn take(&mut self, event: Result<Event, tokio::task::JoinError>) -> Option<Ended> {
        let now_ms = (self.shared.clock)();
        match event.expect("tasks of a shard neither panic nor are aborted") {
            Event::Read(page) => return self.take_page(page, now_ms),
            Event::Saved { saved, tenure } => return self.take_saved(saved, tenure, now_ms),
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
                let page = self.clip(page);
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

    /// A replay ends where the stream ended when it was asked for.
    fn clip(&self, mut page: Page) -> Page {
        let replay = self.shared.mapping.replay.as_ref();
        if let Some(until) = replay.and_then(|replay| replay.until.get(&self.shard_id).copied()) {
            page.records.retain(|record| record.sequence <= until);
            page.end |= page.through >= until;
            page.through = page.through.min(until);
        }
        page
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
            let in_time = shared
                .mapping
                .replay
                .as_ref()
                .is_none_or(|replay| replay.includes(record.approximate_time_ms));
            wanted && in_time && shared.filters.pass(&record.event)
        });
        MappingMetrics::add(&shared.metrics.polled_event_count, polled);
        MappingMetrics::add(&shared.metrics.filtered_out_event_count, polled - records.len());
        records
    }

    fn needs_save(&self) -> bool {
        let now = (self.machine.position(), self.machine.is_finished());
        let is_doubtful = self.shared.seats.tenure().is_some_and(|tenure| tenure != self.tenure);
        self.lease.is_some() && (now != self.saved || is_doubtful)
    }

    fn start_save(&mut self, now_ms: u64) {
        if now_ms < self.save_not_before_ms || !self.needs_save() {
            return;
        }
        let Some(mut lease) = self.lease.take() else { return };
        let (position, finished) = (self.machine.position(), self.machine.is_finished());
        self.saved = (position.clone(), finished);
        let (shared, tenure) = (self.shared.clone(), self.shared.seats.tenure());
        self.tasks.spawn(async move {
            let saved = shared.checkpoints.save(&mut lease, position, finished).await;
            let saved = match saved {
                Ok(()) => Ok(lease),
                Err(error) => Err((error, lease)),
            };
            Event::Saved { saved, tenure }
        });
    }

    fn take_saved(
        &mut self,
        saved: Result<Lease, (SaveError, Lease)>,
        tenure: Option<u64>,
        now_ms: u64,
    ) -> Option<Ended> {
        match saved {
            Ok(lease) => {
                self.lease = Some(lease);
                self.tenure = tenure.unwrap_or(self.tenure);
            }
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
            Action::Invoke { lane, batch, attempt } => self.invoke(lane, batch, attempt),
            Action::Park { lane, batch, why } => self.park(lane, batch, why),
        }
    }

    fn invoke(&mut self, lane: usize, batch: Batch, attempt: u32) {
        let (shared, shard_id) = (self.shared.clone(), self.shard_id.clone());
        self.tasks.spawn(async move {
            let event = payload::event(&batch, &shard_id, &shared.mapping.stream_arn);
            let mut invocation = Invocation::new(shared.mapping.function.clone(), event);
            let batch_ref = batch_ref(&shared.mapping, &shard_id, &batch);
            invocation.cause = Cause { attempt, batch: Some(Arc::new(batch_ref)), is_event: false };
            let request_id = invocation.request_id.to_string();
            let mut span = spans::invoking(&shared.mapping, shared.region, &batch, &mut invocation);
            let metrics = &shared.metrics;
            let result = shared.invoker.invoke(invocation).await;
            let verdict = verdict(&shared.mapping.knobs, &batch, &result);
            count(metrics, &batch, &verdict, &result);
            spans::invoked(span.as_mut(), &result);
            Event::Invoked { lane, verdict, outcome: result.ok(), request_id }
        });
    }

    fn note(&mut self, lane: usize, verdict: &Verdict, outcome: Option<&Outcome>, request_id: String) {
        let answer = &mut self.answers[lane];
        let Some(outcome) = outcome else { return };
        if matches!(verdict, Verdict::Success(_)) {
            *answer = LastAnswer::default();
            self.failures_in_a_row = 0;
            return;
        }
        answer.invocations += 1;
        answer.request_id = request_id;
        answer.error = error_text(outcome);
        answer.response = Some(ResponseContext {
            status_code: 200,
            executed_version: outcome.executed_version.clone(),
            function_error: outcome.function_error.map(|error| error.as_str().to_owned()),
        });
        let last = answer.error.clone();
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if self.shared.mapping.knobs.pause_after_failures.is_some_and(|most| self.failures_in_a_row == most) {
            self.pause(last.unwrap_or_default());
        }
    }

    /// Stops the mapping where it is: the batch that fails stays unsettled.
    fn pause(&self, last_error: String) {
        let (shared, count) = (self.shared.clone(), self.failures_in_a_row);
        tokio::spawn(async move {
            let uuid = &shared.mapping.uuid;
            let reason = format!("paused after {count} failures in a row, the last: {last_error}");
            tracing::warn!(mapping = %uuid, count, "a mapping is paused");
            if let Err(error) = shared.catalogue.pause_mapping(uuid, &reason, (shared.clock)()).await {
                tracing::warn!(mapping = %uuid, %error, "pausing a mapping");
            }
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

/// The same for each attempt at one batch.
fn batch_ref(mapping: &Mapping, shard_id: &str, batch: &Batch) -> BatchRef {
    let number = |record: Option<&Arc<StreamRecord>>| {
        record.map_or_else(String::new, |record| record.sequence_number.clone())
    };
    BatchRef {
        mapping: mapping.uuid.clone(),
        shard_id: shard_id.to_owned(),
        first_sequence: number(batch.records.first()),
        last_sequence: number(batch.records.last()),
        records: batch.records.len(),
    }
}

/// What a failed function said, in short.
fn error_text(outcome: &Outcome) -> Option<String> {
    match outcome.function_error {
        Some(FunctionError::Handled | FunctionError::Unhandled) => {
            let text = String::from_utf8_lossy(&outcome.payload[..outcome.payload.len().min(MAX_ERROR)]);
            Some(text.into_owned())
        }
        None => Some(
            "the function's answer reports failed items, or is none that the mapping's settings allow"
                .to_owned(),
        ),
    }
}

fn count(metrics: &MappingMetrics, batch: &Batch, verdict: &Verdict, result: &Result<Outcome, InvokeError>) {
    let records = batch.records.len();
    if result.is_ok() {
        MappingMetrics::add(&metrics.invoked_event_count, records);
    }
    match (verdict, result) {
        (Verdict::Success(_), _) => metrics.set_result("OK"),
        (_, Err(InvokeError::Throttled)) => metrics.set_result("PROBLEM: Function throttled"),
        (_, Err(error)) => metrics.set_result(&format!("PROBLEM: {error}")),
        (_, Ok(_)) => {
            MappingMetrics::add(&metrics.failed_invoke_event_count, records);
            metrics.set_result("PROBLEM: Function call failed");
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
