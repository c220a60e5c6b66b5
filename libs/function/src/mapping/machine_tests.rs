//! The shard machine, knob by knob, and under random failures, splits, crashes and parallelism.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tradewind_model::{Region, Sequence};

use super::shard::{Action, Batch, GivenUp, Position, ShardMachine, ShardSettings, Verdict};
use super::source::StreamRecord;

fn settings() -> ShardSettings {
    ShardSettings {
        batch_size: 3,
        batching_window_ms: 0,
        lanes: 1,
        bisect: false,
        maximum_retry_attempts: None,
        maximum_record_age_ms: None,
        tumbling_window_ms: None,
    }
}

fn record(sequence: u64, key: u64, time_ms: u64) -> StreamRecord {
    StreamRecord {
        sequence: Sequence(sequence),
        sequence_number: sequence.to_string(),
        key_hash: key,
        event: Bytes::from_static(b"{}"),
        approximate_time_ms: time_ms,
        origin: Region::new("r").unwrap(),
        trace: None,
    }
}

/// A machine with records 1 to `count` of one key, all written at time 0.
fn machine(settings: ShardSettings, count: u64) -> ShardMachine {
    let mut machine = ShardMachine::new(settings, Position::default());
    machine.offer((1..=count).map(|sequence| record(sequence, 0, 0)).collect(), Sequence(count), false, 0);
    machine
}

fn sequences(batch: &Batch) -> Vec<u64> {
    batch.records.iter().map(|record| record.sequence.0).collect()
}

/// The one thing to do at `now_ms`, which must be an invocation.
fn invoke(machine: &mut ShardMachine, now_ms: u64) -> Vec<u64> {
    match machine.poll(now_ms).as_slice() {
        [Action::Invoke { batch, .. }] => sequences(batch),
        other => panic!("expected one invocation, not {other:?}"),
    }
}

fn park(machine: &mut ShardMachine, now_ms: u64) -> (Vec<u64>, GivenUp) {
    match machine.poll(now_ms).as_slice() {
        [Action::Park { batch, why, .. }] => (sequences(batch), *why),
        other => panic!("expected a batch to be parked, not {other:?}"),
    }
}

/// When the next thing can start, having checked that nothing can before.
fn next_time(machine: &mut ShardMachine, now_ms: u64) -> u64 {
    let at_ms = machine.wake_at(now_ms).expect("something to wait for");
    assert!(machine.poll(at_ms - 1).is_empty(), "nothing may start before {at_ms}");
    at_ms
}

fn at(machine: &ShardMachine) -> u64 {
    machine.position().sequence.0
}

#[test]
fn batches_follow_each_other_and_the_checkpoint_follows_them() {
    let mut machine = machine(settings(), 5);
    assert_eq!(invoke(&mut machine, 0), [1, 2, 3]);
    assert!(machine.poll(0).is_empty(), "one batch at a time");
    assert_eq!(at(&machine), 0);
    machine.invoked(0, Verdict::Success(None), 1);
    assert_eq!(at(&machine), 3);
    assert_eq!(invoke(&mut machine, 1), [4, 5]);
    machine.invoked(0, Verdict::Success(None), 2);
    assert_eq!(at(&machine), 5);
}

#[test]
fn filtered_records_move_the_checkpoint_but_not_past_unsettled_ones() {
    let mut machine = ShardMachine::new(settings(), Position::default());
    machine.offer(vec![], Sequence(10), false, 0);
    assert_eq!(at(&machine), 10);
    machine.offer(vec![record(15, 0, 0)], Sequence(20), false, 0);
    assert_eq!(at(&machine), 14);
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::Success(None), 0);
    assert_eq!(at(&machine), 20);
}

#[test]
fn a_batching_window_waits_until_it_is_over_or_the_batch_is_full() {
    let mut machine = machine(ShardSettings { batching_window_ms: 500, ..settings() }, 2);
    assert_eq!(next_time(&mut machine, 0), 500);
    assert_eq!(invoke(&mut machine, 500), [1, 2]);
    machine.offer(vec![record(3, 0, 0)], Sequence(3), false, 600);
    machine.invoked(0, Verdict::Success(None), 900);
    assert_eq!(next_time(&mut machine, 900), 1400, "the next window opens when the invocation ends");
    machine.offer(vec![record(4, 0, 0), record(5, 0, 0)], Sequence(5), false, 1000);
    assert_eq!(invoke(&mut machine, 1000), [3, 4, 5]);
}

#[test]
fn a_batch_holds_no_more_than_six_megabytes() {
    let mut machine = ShardMachine::new(ShardSettings { batch_size: 100, ..settings() }, Position::default());
    let large = |sequence| StreamRecord { event: vec![b' '; 2 << 20].into(), ..record(sequence, 0, 0) };
    machine.offer((1..=4).map(large).collect(), Sequence(4), false, 0);
    assert_eq!(invoke(&mut machine, 0), [1, 2]);
}

#[test]
fn what_is_read_ahead_is_bounded_and_presses_a_waiting_batch_out() {
    let waiting = ShardSettings { batching_window_ms: 60_000, batch_size: 10_000, ..settings() };
    let mut machine = ShardMachine::new(waiting, Position::default());
    let large = |sequence| StreamRecord { event: vec![b' '; 1 << 20].into(), ..record(sequence, 0, 0) };
    let mut sequence = 0;
    while let Some((after, ..)) = machine.wants() {
        assert_eq!(after, Sequence(sequence));
        sequence += 1;
        machine.offer(vec![large(sequence)], Sequence(sequence), false, 0);
        assert!(sequence <= 16);
    }
    assert_eq!(invoke(&mut machine, 0).len(), 5);
}

#[test]
fn a_failed_batch_is_retried_with_growing_delays_until_attempts_are_used_up() {
    let mut machine = machine(ShardSettings { maximum_retry_attempts: Some(2), ..settings() }, 4);
    let (mut now_ms, mut delays) = (0, Vec::new());
    for _ in 0..2 {
        assert_eq!(invoke(&mut machine, now_ms), [1, 2, 3]);
        machine.invoked(0, Verdict::Failed, now_ms);
        let next_ms = next_time(&mut machine, now_ms);
        delays.push(next_ms - now_ms);
        now_ms = next_ms;
    }
    assert_eq!(delays, [100, 200]);
    assert_eq!(invoke(&mut machine, now_ms), [1, 2, 3]);
    machine.invoked(0, Verdict::Failed, now_ms);
    assert_eq!(park(&mut machine, now_ms), (vec![1, 2, 3], GivenUp::RetryAttemptsExhausted));
    assert_eq!(at(&machine), 0, "not before it is safe");
    machine.parked(0, false, now_ms);
    let later_ms = next_time(&mut machine, now_ms);
    park(&mut machine, later_ms);
    machine.parked(0, true, later_ms);
    assert_eq!(at(&machine), 3);
    assert_eq!(invoke(&mut machine, later_ms), [4]);
}

#[test]
fn a_throttle_uses_up_no_attempt_and_is_tried_again_soon() {
    let mut machine = machine(ShardSettings { maximum_retry_attempts: Some(0), ..settings() }, 1);
    let mut now_ms = 0;
    for _ in 0..50 {
        invoke(&mut machine, now_ms);
        machine.invoked(0, Verdict::Throttled, now_ms);
        let again_ms = machine.wake_at(now_ms).unwrap();
        assert!((1..=500).contains(&(again_ms - now_ms)), "{again_ms} after {now_ms}");
        now_ms = again_ms;
    }
    invoke(&mut machine, now_ms);
    machine.invoked(0, Verdict::Success(None), now_ms);
}

#[test]
fn what_did_not_run_uses_up_no_attempt() {
    let mut machine = machine(ShardSettings { maximum_retry_attempts: Some(0), ..settings() }, 1);
    let mut now_ms = 0;
    for _ in 0..50 {
        invoke(&mut machine, now_ms);
        machine.invoked(0, Verdict::NotRun, now_ms);
        now_ms = machine.wake_at(now_ms).unwrap();
    }
    invoke(&mut machine, now_ms);
    machine.invoked(0, Verdict::Failed, now_ms);
    park(&mut machine, now_ms);
}

#[test]
fn bisection_finds_the_bad_record_and_spares_the_others() {
    let knobs = ShardSettings { bisect: true, maximum_retry_attempts: Some(1), batch_size: 8, ..settings() };
    let mut machine = machine(knobs, 8);
    let (mut now_ms, mut done, mut parked) = (0, Vec::new(), Vec::new());
    while at(&machine) < 8 {
        match machine.poll(now_ms).pop() {
            None => now_ms = machine.wake_at(now_ms).unwrap(),
            Some(Action::Invoke { batch, .. }) if sequences(&batch).contains(&6) => {
                machine.invoked(0, Verdict::Failed, now_ms);
            }
            Some(Action::Invoke { batch, .. }) => {
                done.extend(sequences(&batch));
                machine.invoked(0, Verdict::Success(None), now_ms);
            }
            Some(Action::Park { batch, .. }) => {
                parked.extend(sequences(&batch));
                machine.parked(0, true, now_ms);
            }
        }
    }
    assert_eq!((done, parked), (vec![1, 2, 3, 4, 5, 7, 8], vec![6]));
}

#[test]
fn a_partial_failure_settles_what_came_before_and_retries_the_rest() {
    let mut machine = machine(ShardSettings { maximum_retry_attempts: Some(1), ..settings() }, 3);
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::FailedFrom(Sequence(2)), 0);
    assert_eq!(at(&machine), 1);
    let now_ms = next_time(&mut machine, 0);
    assert_eq!(invoke(&mut machine, now_ms), [2, 3]);
    machine.invoked(0, Verdict::FailedFrom(Sequence(2)), now_ms);
    assert_eq!(park(&mut machine, now_ms), (vec![2, 3], GivenUp::RetryAttemptsExhausted));
}

#[test]
fn a_partial_failure_with_bisection_splits_at_the_report_and_uses_up_no_attempt() {
    let knobs = ShardSettings { bisect: true, maximum_retry_attempts: Some(0), ..settings() };
    let mut machine = machine(knobs, 3);
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::FailedFrom(Sequence(3)), 0);
    assert_eq!(invoke(&mut machine, 0), [3]);
    machine.invoked(0, Verdict::FailedFrom(Sequence(3)), 0);
    park(&mut machine, 0);
}

#[test]
fn records_that_are_too_old_are_given_up_and_the_younger_go_on() {
    let mut machine = ShardMachine::new(
        ShardSettings { maximum_record_age_ms: Some(60_000), ..settings() },
        Position::default(),
    );
    machine.offer(vec![record(1, 0, 0), record(2, 0, 50_000)], Sequence(2), false, 0);
    assert_eq!(park(&mut machine, 70_000), (vec![1], GivenUp::RecordAgeExceeded));
    machine.parked(0, true, 70_000);
    assert_eq!(invoke(&mut machine, 70_000), [2]);
}

#[test]
fn endless_retries_end_when_the_records_expire() {
    let mut machine = machine(settings(), 1);
    let day_ms = 24 * 60 * 60 * 1000;
    assert_eq!(invoke(&mut machine, day_ms + 1), [1], "what was never tried is tried");
    machine.invoked(0, Verdict::Failed, day_ms + 1);
    let now_ms = machine.wake_at(day_ms + 1).unwrap();
    assert_eq!(park(&mut machine, now_ms).1, GivenUp::RecordAgeExceeded);
}

#[test]
fn an_event_that_is_too_large_is_split_and_at_last_given_up() {
    let mut machine = machine(settings(), 2);
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::TooLarge, 0);
    assert_eq!(invoke(&mut machine, 0), [1]);
    machine.invoked(0, Verdict::TooLarge, 0);
    assert_eq!(park(&mut machine, 0).1, GivenUp::PayloadTooLarge);
}

#[test]
fn lanes_go_on_while_one_is_stuck_but_the_checkpoint_waits() {
    let mut machine = ShardMachine::new(ShardSettings { lanes: 2, ..settings() }, Position::default());
    let records = (1..=6).map(|sequence| record(sequence, sequence % 2, 0)).collect();
    machine.offer(records, Sequence(6), false, 0);
    assert_eq!(machine.poll(0).len(), 2);
    machine.invoked(0, Verdict::Success(None), 0);
    machine.invoked(1, Verdict::Failed, 0);
    assert_eq!(at(&machine), 0);
    machine.offer(vec![record(8, 0, 0)], Sequence(8), false, 0);
    assert_eq!(invoke(&mut machine, 0), [8]);
    assert_eq!(machine.oldest_unsettled_ms(), Some(0));
}

#[test]
fn a_closed_shard_is_finished_when_all_is_settled() {
    let mut machine = machine(settings(), 1);
    machine.offer(vec![], Sequence(1), true, 0);
    assert!(machine.wants().is_none() && !machine.is_finished());
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::Success(None), 0);
    assert!(machine.is_finished());
}

#[test]
fn a_draining_machine_starts_nothing_and_keeps_its_place() {
    let mut machine = machine(settings(), 6);
    invoke(&mut machine, 0);
    machine.drain();
    machine.invoked(0, Verdict::Success(None), 0);
    assert!(machine.poll(0).is_empty() && machine.is_idle());
    assert_eq!(at(&machine), 3);
}

#[test]
fn tumbling_windows_hand_their_state_on_and_survive_a_restart() {
    let knobs = ShardSettings { tumbling_window_ms: Some(10_000), lanes: 1, ..settings() };
    let mut machine = ShardMachine::new(knobs.clone(), Position::default());
    let times = [10_500, 12_000, 13_000, 19_000, 21_000];
    let records = times.iter().zip(1..).map(|(time_ms, sequence)| record(sequence, 0, *time_ms));
    machine.offer(records.collect(), Sequence(5), false, 21_000);
    let window = |machine: &mut ShardMachine, now_ms| match machine.poll(now_ms).pop() {
        Some(Action::Invoke { batch, .. }) => {
            let window = batch.window.clone().unwrap();
            (sequences(&batch), window.start_ms, window.state, batch.is_final)
        }
        other => panic!("expected an invocation, not {other:?}"),
    };
    assert_eq!(window(&mut machine, 21_000), (vec![1, 2, 3], 10_000, json!({}), false));
    machine.invoked(0, Verdict::Success(Some(json!({"n": 3}))), 21_000);

    let saved = serde_json::to_string(&machine.position()).unwrap();
    let mut machine = ShardMachine::new(knobs, serde_json::from_str(&saved).unwrap());
    machine.offer(vec![record(4, 0, 19_000), record(5, 0, 21_000)], Sequence(5), false, 21_000);
    assert_eq!(window(&mut machine, 21_000), (vec![4], 10_000, json!({"n": 3}), false));
    machine.invoked(0, Verdict::Success(Some(json!({"n": 4}))), 21_000);
    assert_eq!(window(&mut machine, 21_000), (vec![], 10_000, json!({"n": 4}), true));
    machine.invoked(0, Verdict::Success(None), 21_000);
    assert_eq!(window(&mut machine, 21_000), (vec![5], 20_000, json!({}), false));
    machine.invoked(0, Verdict::Success(Some(json!({"n": 1}))), 21_000);
    let end_ms = next_time(&mut machine, 21_000);
    assert_eq!(end_ms, 31_000, "a second of grace after the window's end");
    assert_eq!(window(&mut machine, end_ms), (vec![], 20_000, json!({"n": 1}), true));
}

#[test]
fn a_state_that_is_too_large_ends_its_window_early() {
    let knobs = ShardSettings { tumbling_window_ms: Some(10_000), batch_size: 1, ..settings() };
    let mut machine = machine(knobs, 2);
    invoke(&mut machine, 0);
    machine.invoked(0, Verdict::Success(Some(json!({"s": "x".repeat(1 << 20)}))), 0);
    let Some(Action::Invoke { batch, .. }) = machine.poll(0).pop() else { panic!("expected the last one") };
    assert!(batch.is_final && batch.window.unwrap().is_terminated_early);
    machine.invoked(0, Verdict::Success(None), 0);
    assert_eq!(invoke(&mut machine, 0), [2]);
}

/// What happens next to a shard, decided by chance.
#[derive(Clone, Debug)]
enum Step {
    /// A page of at most this many records.
    Read(usize),
    /// The lane's invocation ends: `outcome` picks how.
    End {
        lane: usize,
        outcome: u8,
    },
    Wait(u64),
    Save,
    /// The process dies; another goes on from what was saved.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1usize..6).prop_map(Step::Read),
        6 => (0usize..4, any::<u8>()).prop_map(|(lane, outcome)| Step::End { lane, outcome }),
        2 => (1u64..40_000).prop_map(Step::Wait),
        2 => Just(Step::Save),
        1 => Just(Step::Crash),
    ]
}

/// A shard with its function and everything that was ever seen of both.
struct World {
    knobs: ShardSettings,
    machine: ShardMachine,
    saved: Position,
    in_flight: BTreeMap<usize, Action>,
    log: Vec<StreamRecord>,
    now_ms: u64,
    /// Taken by the function or parked, at least once.
    settled: BTreeSet<u64>,
}

impl World {
    fn new(knobs: ShardSettings, keys: &[u64]) -> World {
        let log = keys.iter().zip(1..).map(|(key, sequence)| record(sequence, *key, 0)).collect();
        let machine = ShardMachine::new(knobs.clone(), Position::default());
        let (in_flight, settled) = Default::default();
        World { knobs, machine, saved: Position::default(), in_flight, log, now_ms: 0, settled }
    }

    fn read(&mut self, most: usize) {
        let Some((after, ..)) = self.machine.wants() else { return };
        let page: Vec<_> =
            self.log.iter().filter(|record| record.sequence > after).take(most).cloned().collect();
        let through = page.last().map_or(after, |record| record.sequence);
        let end = through.0 == self.log.len() as u64;
        self.machine.offer(page, through, end, self.now_ms);
    }

    /// Starts what can be started: whatever goes to the function must find all earlier changes of its key settled.
    fn start(&mut self) {
        for action in self.machine.poll(self.now_ms) {
            let (Action::Invoke { lane, batch, .. } | Action::Park { lane, batch, .. }) = &action;
            let mut before = BTreeSet::new();
            for record in &batch.records {
                let earlier = self
                    .log
                    .iter()
                    .filter(|other| other.key_hash == record.key_hash && other.sequence < record.sequence);
                for other in earlier {
                    let done = self.settled.contains(&other.sequence.0) || before.contains(&other.sequence);
                    assert!(done, "{:?} overtakes {:?}", record.sequence, other.sequence);
                }
                before.insert(record.sequence);
            }
            assert!(self.in_flight.insert(*lane, action.clone()).is_none(), "two at once in a lane");
        }
    }

    fn end(&mut self, lane: usize, outcome: u8) {
        match self.in_flight.remove(&lane) {
            None => {}
            Some(Action::Park { batch, .. }) => {
                let kept = outcome.is_multiple_of(2);
                if kept {
                    self.settled.extend(sequences(&batch));
                }
                self.machine.parked(lane, kept, self.now_ms);
            }
            Some(Action::Invoke { batch, .. }) => {
                let numbers = sequences(&batch);
                let from = numbers[usize::from(outcome) % numbers.len()];
                let (verdict, done) = match outcome % 8 {
                    0..4 => (Verdict::Success(None), numbers),
                    4 | 5 => (Verdict::Failed, vec![]),
                    6 => {
                        let done = numbers.into_iter().filter(|number| *number < from).collect();
                        (Verdict::FailedFrom(Sequence(from)), done)
                    }
                    _ => (Verdict::NotRun, vec![]),
                };
                self.settled.extend(done);
                self.machine.invoked(lane, verdict, self.now_ms);
            }
        }
    }

    fn check(&self) {
        let at = self.machine.position().sequence.0;
        assert!((1..=at).all(|number| self.settled.contains(&number)), "{at} is past unsettled records");
        assert!(at >= self.saved.sequence.0, "the checkpoint went back");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Read(most) => self.read(*most),
            Step::End { lane, outcome } => self.end(*lane, *outcome),
            Step::Wait(ms) => self.now_ms += ms,
            Step::Save => self.saved = self.machine.position(),
            Step::Crash => {
                self.machine = ShardMachine::new(self.knobs.clone(), self.saved.clone());
                self.in_flight.clear();
            }
        }
        self.start();
        self.check();
    }

    /// Lets everything succeed; answers whether the shard came to its end.
    fn finish(&mut self) -> bool {
        for _ in 0..10_000 {
            if self.machine.is_finished() {
                return true;
            }
            self.read(100);
            self.start();
            let lanes: Vec<_> = self.in_flight.keys().copied().collect();
            for lane in lanes {
                self.end(lane, 0);
            }
            self.now_ms = self.machine.wake_at(self.now_ms).unwrap_or(self.now_ms);
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn at_least_once_in_order_per_key_and_nothing_skipped(
        keys in prop::collection::vec(0u64..6, 1..60),
        steps in prop::collection::vec(step(), 0..200),
        lanes in 1usize..5,
        batch_size in 1usize..8,
        bisect: bool,
        maximum_retry_attempts in prop::option::of(0u32..4),
        maximum_record_age_ms in prop::option::of(60_000u64..600_000),
        batching_window_ms in prop_oneof![Just(0u64), 1u64..5_000],
    ) {
        let knobs = ShardSettings {
            batch_size, batching_window_ms, lanes, bisect, maximum_retry_attempts, maximum_record_age_ms,
            tumbling_window_ms: None,
        };
        let mut world = World::new(knobs, &keys);
        for step in &steps {
            world.step(step);
        }
        prop_assert!(world.finish(), "the shard never comes to its end");
        world.check();
        prop_assert_eq!(world.machine.position().sequence.0, keys.len() as u64);
        prop_assert_eq!(world.settled.len(), keys.len());
    }
}
