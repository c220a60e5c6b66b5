//! One shard of one mapping as a state machine: which records go to the function now, what happens after it answered,
//! and how far the checkpoint may go.
//!
//! ```text
//!              offer                  poll                      settle (success)
//!  read ───► lanes[key hash] ─────► in flight ──────────────────────────────────────► checkpoint
//!              ▲    queue              │ │ failed: again, later, or in two halves        least unsettled − 1
//!              │    again ◄────────────┘ │
//!              │                         └─ given up ─► park ─► settle
//! ```
//!
//! Order: a record's lane follows from its key, a lane has one thing in flight, and what is to be done again goes before
//! what is queued; so changes of one item reach the function in order whatever the parallelism. At least once: a record
//! leaves `unsettled` only when the function took it or its batch was parked, and the checkpoint stays below the least.
//! Tumbling windows carry one state through the shard, so they use one lane.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tradewind_model::Sequence;

use super::source::StreamRecord;
use crate::catalogue::mapping::Knobs;
use crate::invoke::MAX_PAYLOAD;

mod lane;
mod window;

pub use lane::{Batch, Work};
use lane::{InFlight, Lane};
pub use window::WindowState;

/// How many bytes of events a shard may hold in memory; with that much waiting a batch goes out though it is not full.
const MAX_BUFFERED: usize = 16 * 1024 * 1024;
/// The least number of records read ahead.
const MIN_READ_AHEAD: usize = 1000;
/// What the event has around its records, at the most (a tumbling window's state comes on top).
const ENVELOPE: usize = 4 * 1024;
/// How long a shard keeps records: what is retried without end is given up then.
const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;
const FIRST_BACKOFF_MS: u64 = 100;
const MAX_BACKOFF_MS: u64 = 30_000;
/// Whoever has the function's concurrency may be done at any moment: lanes that wait for it must not all sleep meanwhile.
const MAX_THROTTLED_MS: u64 = 500;

/// What the machine needs of a mapping's knobs.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    pub batch_size: usize,
    pub batching_window_ms: u64,
    pub lanes: usize,
    pub bisect: bool,
    pub maximum_retry_attempts: Option<u32>,
    pub maximum_record_age_ms: Option<u64>,
    pub tumbling_window_ms: Option<u64>,
}

impl ShardSettings {
    pub fn of(knobs: &Knobs) -> ShardSettings {
        let tumbling = u64::from(knobs.tumbling_window_s) * 1000;
        ShardSettings {
            batch_size: knobs.batch_size.max(1) as usize,
            batching_window_ms: u64::from(knobs.batching_window_s) * 1000,
            lanes: if tumbling > 0 { 1 } else { knobs.parallelization_factor.max(1) as usize },
            bisect: knobs.bisect_on_error,
            maximum_retry_attempts: knobs.maximum_retry_attempts,
            maximum_record_age_ms: knobs.maximum_record_age_s.map(|age| u64::from(age) * 1000),
            tumbling_window_ms: (tumbling > 0).then_some(tumbling),
        }
    }
}

/// How far a shard has come, as it is saved.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Everything up to here is settled.
    pub sequence: Sequence,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowState>,
}

/// Why a batch was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GivenUp {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
    /// A single record is more than an event may hold.
    PayloadTooLarge,
}

impl GivenUp {
    /// As the `condition` of Lambda's failure records.
    pub fn as_str(self) -> &'static str {
        match self {
            GivenUp::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            GivenUp::RecordAgeExceeded => "RecordAgeExceeded",
            GivenUp::PayloadTooLarge => "PayloadTooLarge",
        }
    }
}

/// What is to be done; answered by [`ShardMachine::invoked`] or [`ShardMachine::parked`] with the lane.
#[derive(Clone, Debug)]
pub enum Action {
    /// `attempt` is 1 for the first.
    Invoke {
        lane: usize,
        batch: Batch,
        attempt: u32,
    },
    Park {
        lane: usize,
        batch: Batch,
        why: GivenUp,
    },
}

/// What the function's answer means for the batch.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// With the new state of a tumbling window.
    Success(Option<Value>),
    Failed,
    /// Records before this one are done; it and what follows are not.
    FailedFrom(Sequence),
    /// The function was not run: something of ours failed. Counts as no attempt.
    NotRun,
    /// It was not run since as many run as may. Counts as no attempt.
    Throttled,
    /// The event would be more than an invocation may carry.
    TooLarge,
}

pub struct ShardMachine {
    settings: ShardSettings,
    lanes: Vec<Lane>,
    unsettled: BTreeSet<Sequence>,
    read_through: Sequence,
    ended: bool,
    buffered_bytes: usize,
    window: Option<WindowState>,
    draining: bool,
}

impl ShardMachine {
    pub fn new(settings: ShardSettings, from: Position) -> ShardMachine {
        let lanes = (0..settings.lanes).map(|_| Lane::default()).collect();
        ShardMachine {
            settings,
            lanes,
            unsettled: BTreeSet::new(),
            read_through: from.sequence,
            ended: false,
            buffered_bytes: 0,
            window: from.window,
            draining: false,
        }
    }

    /// Where to read on and how much, if there is room for more.
    pub fn wants(&self) -> Option<(Sequence, usize, usize)> {
        let most = (2 * self.settings.batch_size * self.settings.lanes).max(MIN_READ_AHEAD);
        let room = most.saturating_sub(self.unsettled.len());
        let bytes = MAX_BUFFERED.saturating_sub(self.buffered_bytes);
        let open = !self.ended && !self.draining;
        (open && room > 0 && bytes > 0).then_some((self.read_through, room, bytes))
    }

    /// Takes what passed the filters of a page that ends at `through`.
    pub fn offer(&mut self, records: Vec<StreamRecord>, through: Sequence, end: bool, now_ms: u64) {
        for record in records {
            // A page that is offered twice must not be worked twice.
            if record.sequence <= self.read_through {
                continue;
            }
            self.buffered_bytes += record.event.len();
            self.unsettled.insert(record.sequence);
            let lane = usize::try_from(record.key_hash % self.lanes.len() as u64).unwrap_or(0);
            self.lanes[lane].push(Arc::new(record), now_ms);
        }
        self.read_through = self.read_through.max(through);
        self.ended |= end;
    }

    /// Everything that can be started now.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Action> {
        if self.draining {
            return Vec::new();
        }
        (0..self.lanes.len()).filter_map(|lane| self.start(lane, now_ms)).collect()
    }

    /// When [`ShardMachine::poll`] may have something to start that it has not now, if nothing else happens.
    pub fn wake_at(&self, now_ms: u64) -> Option<u64> {
        let lanes = self.lanes.iter().filter(|lane| lane.in_flight.is_none());
        let times = lanes.filter_map(|lane| {
            let windows = lane.flush_at(&self.settings).into_iter().chain(self.window_closes_at());
            let work = if lane.again.is_empty() { windows.min()? } else { 0 };
            Some(work.max(lane.not_before_ms).max(now_ms + 1))
        });
        times.min()
    }

    pub fn invoked(&mut self, lane: usize, verdict: Verdict, now_ms: u64) {
        let Some(InFlight::Invocation(work)) = self.lanes[lane].in_flight.take() else { return };
        self.lanes[lane].last_end_ms = now_ms;
        match verdict {
            Verdict::Success(state) => {
                self.lanes[lane].calm();
                self.advance_window(&work, state);
                self.settle(work.records());
            }
            Verdict::Failed => self.failed(lane, work, now_ms),
            Verdict::FailedFrom(sequence) => self.failed_from(lane, work, sequence, now_ms),
            Verdict::NotRun => self.lanes[lane].retry_later(work, now_ms),
            Verdict::Throttled => self.lanes[lane].retry_soon(work, now_ms),
            Verdict::TooLarge if work.count() > 1 => self.lanes[lane].split(work),
            Verdict::TooLarge => self.lanes[lane].give_up(work, GivenUp::PayloadTooLarge),
        }
    }

    /// The batch is kept elsewhere (`true`), or could not be and must be tried again.
    pub fn parked(&mut self, lane: usize, kept: bool, now_ms: u64) {
        let Some(InFlight::Parking(work, why)) = self.lanes[lane].in_flight.take() else { return };
        if kept {
            if work.is_final() {
                self.window = None;
            }
            self.settle(work.records());
        } else {
            self.lanes[lane].back_off(now_ms);
            self.lanes[lane].give_up(work, why);
        }
    }

    /// How far everything is settled. Never goes back.
    pub fn position(&self) -> Position {
        let sequence = match self.unsettled.first() {
            Some(least) => Sequence(least.0 - 1),
            None => self.read_through,
        };
        Position { sequence, window: self.window.clone() }
    }

    /// Starts nothing any more.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.in_flight.is_none())
    }

    /// The shard is closed and everything in it is settled.
    pub fn is_finished(&self) -> bool {
        self.ended && self.unsettled.is_empty() && self.is_idle() && self.window.is_none()
    }

    /// When the oldest record that is not settled was written: what the shard is behind by.
    pub fn oldest_unsettled_ms(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::oldest_ms).min()
    }

    fn start(&mut self, lane: usize, now_ms: u64) -> Option<Action> {
        if self.lanes[lane].in_flight.is_some() || now_ms < self.lanes[lane].not_before_ms {
            return None;
        }
        let (work, why) = match self.lanes[lane].again.pop_front() {
            Some(again) => again,
            None => (self.fresh(lane, now_ms)?, None),
        };
        let (work, why) = self.check_age(lane, work, why, now_ms);
        let batch = work.batch.clone();
        let in_flight = &mut self.lanes[lane].in_flight;
        Some(match why {
            Some(why) => {
                *in_flight = Some(InFlight::Parking(work, why));
                Action::Park { lane, batch, why }
            }
            None => {
                let attempt = work.failures.saturating_add(1);
                *in_flight = Some(InFlight::Invocation(work));
                Action::Invoke { lane, batch, attempt }
            }
        })
    }

    /// A batch of what is queued, if it is time for one.
    fn fresh(&mut self, lane: usize, now_ms: u64) -> Option<Work> {
        if self.settings.tumbling_window_ms.is_some()
            && let Some(closing) = self.close_window(lane, now_ms)
        {
            return Some(closing);
        }
        let pressed = self.wants().is_none();
        if !pressed && !self.lanes[lane].is_due(&self.settings, now_ms) {
            return None;
        }
        let window = self.open_window(lane);
        let until_ms = window.as_ref().map(|window| window.end_ms);
        let state_bytes = window.as_ref().map_or(0, |window| window.state.to_string().len());
        let most = MAX_PAYLOAD.saturating_sub(ENVELOPE + state_bytes);
        let records = self.lanes[lane].take(self.settings.batch_size, most, until_ms);
        (!records.is_empty()).then(|| Work::new(Batch { records, window, is_final: false }))
    }

    /// Sets apart what has become too old; the rest of a batch waits behind it.
    fn check_age(
        &mut self,
        lane: usize,
        work: Work,
        why: Option<GivenUp>,
        now_ms: u64,
    ) -> (Work, Option<GivenUp>) {
        let limit = match self.settings.maximum_record_age_ms {
            Some(limit) => limit,
            None if work.failures > 0 => RETENTION_MS,
            None => return (work, why),
        };
        let is_old = |record: &Arc<StreamRecord>| record.approximate_time_ms + limit < now_ms;
        if why.is_some() || !work.records().iter().any(is_old) {
            return (work, why);
        }
        let (old, young): (Vec<_>, Vec<_>) = work.records().iter().cloned().partition(is_old);
        let with = |records| Work { batch: Batch { records, ..work.batch.clone() }, ..work };
        if !young.is_empty() {
            let rest = with(young);
            self.lanes[lane].again.push_front((rest, None));
        }
        (with(old), Some(GivenUp::RecordAgeExceeded))
    }

    fn failed(&mut self, lane: usize, mut work: Work, now_ms: u64) {
        if self.settings.bisect && work.count() > 1 {
            return self.lanes[lane].split(work);
        }
        work.failures += 1;
        if self.settings.maximum_retry_attempts.is_some_and(|most| work.failures > most) {
            self.lanes[lane].give_up(work, GivenUp::RetryAttemptsExhausted);
        } else {
            self.lanes[lane].retry_later(work, now_ms);
        }
    }

    /// What was done before the failure is settled; the rest starts counting anew, since its first record is another.
    fn failed_from(&mut self, lane: usize, mut work: Work, sequence: Sequence, now_ms: u64) {
        let done = work.records().partition_point(|record| record.sequence < sequence);
        if done == 0 {
            return self.failed(lane, work, now_ms);
        }
        let records: Vec<_> = work.batch.records.drain(..done).collect();
        self.settle(&records);
        work.failures = 0;
        if self.settings.bisect {
            self.lanes[lane].again.push_front((work, None));
        } else {
            self.failed(lane, work, now_ms);
        }
    }

    fn settle(&mut self, records: &[Arc<StreamRecord>]) {
        for record in records {
            self.unsettled.remove(&record.sequence);
            self.buffered_bytes -= record.event.len();
        }
    }
}

/// Doubles with each failure in a row, up to a bound.
fn backoff_ms(failures_in_a_row: u32) -> u64 {
    let doublings = failures_in_a_row.saturating_sub(1).min(20);
    (FIRST_BACKOFF_MS << doublings).min(MAX_BACKOFF_MS)
}

type Again = VecDeque<(Work, Option<GivenUp>)>;
