//! The contract of [`ChangeLog`] as checks that every implementation must pass. A check panics at the claim that does not
//! hold.

use std::future::Future;
use std::time::Duration;

use tradewind_model::{Change, Hlc, Incarnation, ItemKey, PartitionId, Region, Sequence, Vector, Version};

use crate::{ChangeLog, Error};

/// A log under test and the means to write to it, with nothing in it yet.
pub trait Subject: Send {
    type Log: ChangeLog;

    fn log(&self) -> &Self::Log;

    /// Appends durably; a sequence without a change is one that nobody was to read.
    fn append(
        &mut self,
        partition: PartitionId,
        changes: Vec<Option<Change>>,
    ) -> impl Future<Output = ()> + Send;

    /// Lets all that was appended so far go.
    fn trim(&mut self) -> impl Future<Output = ()> + Send;
}

/// Runs every check on a subject of its own.
pub async fn run_all<S: Subject>(make: impl AsyncFn() -> S) {
    pages_begin_after_the_position_and_leave_nothing_out(&mut make().await).await;
    a_page_answers_for_sequences_without_changes(&mut make().await).await;
    partitions_do_not_mix(&mut make().await).await;
    waiting_ends_when_there_is_more(&mut make().await).await;
    a_trimmed_position_is_told(&mut make().await).await;
}

pub fn partition(number: u32) -> PartitionId {
    PartitionId { incarnation: Incarnation(uuid::Uuid::from_bytes([7; 16])), number }
}

/// A change that is told from others by its clock.
pub fn change(hlc: u64) -> Change {
    Change {
        version: Version { hlc: Hlc(hlc), origin: Region::new("us-east-1").expect("a region's name") },
        stable: Hlc::ZERO,
        vector: Vector::default(),
        key: ItemKey::new(b"key", b""),
        existed: false,
        exists: false,
        old: None,
        new: None,
        same: false,
        expired: false,
        request: None,
        trace: None,
    }
}

async fn clocks(log: &impl ChangeLog, from: PartitionId, after: u64, limit: usize) -> (Vec<u64>, u64) {
    let page = log.read(from, Sequence(after), limit, usize::MAX).await.expect("the position is kept");
    (page.changes.iter().map(|(_, change)| change.version.hlc.0).collect(), page.through.0)
}

async fn pages_begin_after_the_position_and_leave_nothing_out<S: Subject>(subject: &mut S) {
    subject.append(partition(0), (1..=5).map(|hlc| Some(change(hlc))).collect()).await;
    assert_eq!(clocks(subject.log(), partition(0), 0, 10).await, (vec![1, 2, 3, 4, 5], 5));
    assert_eq!(clocks(subject.log(), partition(0), 0, 2).await, (vec![1, 2], 2));
    assert_eq!(clocks(subject.log(), partition(0), 2, 2).await, (vec![3, 4], 4));
    assert_eq!(clocks(subject.log(), partition(0), 5, 2).await, (vec![], 5));
}

async fn a_page_answers_for_sequences_without_changes<S: Subject>(subject: &mut S) {
    subject.append(partition(0), vec![Some(change(1)), None, None]).await;
    assert_eq!(clocks(subject.log(), partition(0), 1, 10).await, (vec![], 3));
    subject.append(partition(0), vec![Some(change(4))]).await;
    assert_eq!(clocks(subject.log(), partition(0), 1, 10).await, (vec![4], 4));
}

async fn partitions_do_not_mix<S: Subject>(subject: &mut S) {
    subject.append(partition(0), vec![Some(change(1))]).await;
    subject.append(partition(1), vec![Some(change(2))]).await;
    assert_eq!(clocks(subject.log(), partition(0), 0, 10).await, (vec![1], 1));
    assert_eq!(clocks(subject.log(), partition(1), 0, 10).await, (vec![2], 1));
    let kept = subject.log().kept(partition(1)).await.expect("the log answers");
    assert_eq!(kept, Sequence(1)..Sequence(2));
}

async fn waiting_ends_when_there_is_more<S: Subject>(subject: &mut S) {
    subject.append(partition(0), vec![Some(change(1))]).await;
    // There is something already.
    subject.log().wait(partition(0), Sequence(0)).await;
    let short = Duration::from_millis(20);
    assert!(tokio::time::timeout(short, subject.log().wait(partition(0), Sequence(1))).await.is_err());
    subject.append(partition(0), vec![Some(change(2))]).await;
    subject.log().wait(partition(0), Sequence(1)).await;
}

async fn a_trimmed_position_is_told<S: Subject>(subject: &mut S) {
    subject.append(partition(0), vec![Some(change(1)), Some(change(2))]).await;
    subject.trim().await;
    subject.append(partition(0), vec![Some(change(3))]).await;
    let first = subject.log().kept(partition(0)).await.expect("the log answers").start;
    assert!(first > Sequence(1), "something was let go");
    let read = subject.log().read(partition(0), Sequence(0), 10, usize::MAX).await;
    assert!(matches!(read, Err(Error::Trimmed { .. })), "{read:?}");
    let before = first.0 - 1;
    assert_eq!(clocks(subject.log(), partition(0), before, 10).await, ((first.0..=3).collect(), 3));
}
