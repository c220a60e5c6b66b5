//! The contract of [`Engine`] and [`Documents`] as checks that every implementation must pass.
//!
//! A check panics at the claim that does not hold. Each gets an engine of its own, made by the caller, who also says how
//! it is closed and opened again.

pub mod commits;
pub mod documents;
pub mod logs;
pub mod members;
pub mod model;
pub mod reads;

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use tradewind_model::{Epoch, Incarnation, PartitionId, Sequence};

use crate::{Clock, Documents, Engine, Members, PartitionCommit, Row, Space};

/// An engine under test, with nothing in it yet.
pub trait Subject: Send {
    type Engine: Engine + Documents;

    fn engine(&self) -> &Self::Engine;

    /// Closes the engine and opens it again on what it has stored.
    fn reopen(&mut self) -> impl Future<Output = ()> + Send;

    /// The clock the engine was opened with.
    fn clock(&self) -> &ManualClock;

    /// Lets so much time pass on the clock that leases are measured by.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.clock().set(self.clock().now() + time.as_millis() as u64);
        ready(())
    }
}

/// Stands still until it is set.
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl Default for ManualClock {
    fn default() -> ManualClock {
        ManualClock(Arc::new(AtomicU64::new(logs::START_MS)))
    }
}

impl ManualClock {
    pub fn set(&self, unix_ms: u64) {
        self.0.store(unix_ms, SeqCst);
    }

    pub fn now(&self) -> u64 {
        self.0.load(SeqCst)
    }

    pub fn clock(&self) -> Clock {
        let now = self.0.clone();
        Arc::new(move || now.load(SeqCst))
    }
}

/// Runs every check on a subject of its own.
pub async fn run_all<S: Subject>(make: impl AsyncFn() -> S) {
    commits::a_new_partition_starts_at_one(&mut make().await).await;
    commits::opening_again_fences_the_former_owner(&mut make().await).await;
    commits::a_partition_that_nobody_opened_is_fenced(&mut make().await).await;
    commits::another_first_than_the_next_is_fenced(&mut make().await).await;
    commits::a_batch_happens_in_all_partitions_or_in_none(&mut make().await).await;
    commits::a_partition_may_come_twice_in_a_batch(&mut make().await).await;
    commits::a_fenced_batch_does_not_harm_its_neighbours(&mut make().await).await;
    commits::batches_take_effect_in_the_order_of_the_calls(&mut make().await).await;
    commits::a_dropped_future_does_not_take_its_batch_back(&mut make().await).await;
    commits::of_rows_with_one_key_the_last_counts(&mut make().await).await;
    commits::the_clock_of_a_partition_never_goes_back(&mut make().await).await;
    commits::a_batch_without_rows_only_checks(&mut make().await).await;
    commits::a_peek_takes_nothing_over(&mut make().await).await;
    reads::many_are_answered_in_their_order(&mut make().await).await;
    reads::one_read_sees_one_state(&mut make().await).await;
    reads::one_range_sees_one_state(&mut make().await).await;
    reads::spaces_are_apart(&mut make().await).await;
    reads::ranges_go_both_ways_and_stop(&mut make().await).await;
    reads::empty_ranges_visit_nothing(&mut make().await).await;
    reads::big_values_and_long_keys_come_back(&mut make().await).await;
    reads::clear_removes_a_prefix_and_nothing_else(&mut make().await).await;
    logs::changes_come_in_order_and_within_bounds(&mut make().await).await;
    logs::partitions_have_logs_of_their_own(&mut make().await).await;
    logs::unwritten_sequences_are_left_out(&mut make().await).await;
    logs::order_outlasts_hours_and_a_clock_that_goes_back(&mut make().await).await;
    logs::trim_drops_whole_hours_and_kept_says_so(&mut make().await).await;
    logs::what_was_committed_before_a_time_is_never_later(&mut make().await).await;
    logs::an_idle_partition_knows_what_it_lost(&mut make().await).await;
    logs::a_trimmed_log_goes_on(&mut make().await).await;
    logs::trimming_nothing_changes_nothing(&mut make().await).await;
    documents::a_document_is_set_by_who_knows_its_revision(&mut make().await).await;
    documents::a_revision_is_never_given_twice(&mut make().await).await;
    documents::a_collection_lists_its_own_by_name(&mut make().await).await;
    documents::of_two_that_set_at_once_one_wins(&mut make().await).await;
    documents::a_generation_grows_with_every_change(&mut make().await).await;
    documents::any_json_comes_back_with_its_meaning(&mut make().await).await;
}

/// Runs every check of [`Members`] on a subject of its own.
pub async fn run_members<S: Subject>(make: impl AsyncFn() -> S)
where
    S::Engine: Members,
{
    members::the_living_are_listed_by_name(&mut make().await).await;
    members::a_lease_ends_by_itself(&mut make().await).await;
    members::a_name_has_one_life_at_a_time(&mut make().await).await;
    members::who_leaves_is_gone_at_once(&mut make().await).await;
    members::groups_are_apart(&mut make().await).await;
}

pub fn partition(number: u32) -> PartitionId {
    PartitionId { incarnation: Incarnation(uuid::Uuid::from_u128(0x7261_6465)), number }
}

pub fn put(space: Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Row {
    let value = Some(Bytes::copy_from_slice(value.as_ref()));
    Row { space, key: Bytes::copy_from_slice(key.as_ref()), value }
}

pub fn remove(space: Space, key: impl AsRef<[u8]>) -> Row {
    Row { space, key: Bytes::copy_from_slice(key.as_ref()), value: None }
}

/// What a test keeps of a partition that it owns: it numbers the changes.
#[derive(Clone, Debug)]
pub struct Owner {
    pub partition: PartitionId,
    pub epoch: Epoch,
    pub next: Sequence,
    pub max_hlc: u64,
}

impl Owner {
    pub async fn of(engine: &impl Engine, number: u32) -> Owner {
        let opened = engine.open(partition(number)).await.expect("opens");
        Owner {
            partition: partition(number),
            epoch: opened.epoch,
            next: opened.next,
            max_hlc: opened.max_hlc,
        }
    }

    /// A commit's part with these rows and so many changes, after which the owner counts on.
    pub fn part(&mut self, rows: Vec<Row>, changes: u64) -> PartitionCommit {
        let first = self.next;
        self.next = Sequence(first.0 + changes);
        self.max_hlc += 1;
        let changes = (first.0..self.next.0).map(|n| (Sequence(n), change(n))).collect();
        PartitionCommit {
            partition: self.partition,
            epoch: self.epoch,
            first,
            next: self.next,
            max_hlc: self.max_hlc,
            rows,
            changes,
        }
    }

    pub async fn commit(&mut self, engine: &impl Engine, rows: Vec<Row>, changes: u64) {
        engine.commit(vec![self.part(rows, changes)]).await.expect("commits");
    }
}

/// The content of a test's change.
pub fn change(sequence: u64) -> Bytes {
    format!("change {sequence}").into()
}

pub async fn value_of(engine: &impl Engine, space: Space, key: impl AsRef<[u8]>) -> Option<Bytes> {
    engine.read(space, &[key.as_ref()]).await.expect("reads").remove(0)
}

/// Sequences of all changes after `after`.
pub async fn sequences_after(engine: &impl Engine, number: u32, after: u64) -> Vec<u64> {
    let changes = engine.changes(partition(number), Sequence(after), usize::MAX, usize::MAX).await;
    changes.expect("reads").into_iter().map(|(sequence, _)| sequence.0).collect()
}
