//! The wrapper that fails as planned: nothing changes without a plan, and each fault is what it says.

use std::sync::Arc;

use tradewind_engine::faults::{Faults, Faulty, WriteFault};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_engine::suite::{self, ManualClock, Owner, Subject, put, sequences_after, value_of};
use tradewind_engine::{Documents, Engine, Error, Space};
use tradewind_model::{Epoch, Sequence};

struct FaultySubject {
    disk: MemoryDisk,
    clock: ManualClock,
    faults: Faults,
    engine: Faulty<MemoryEngine>,
}

impl FaultySubject {
    fn new() -> FaultySubject {
        let (disk, clock, faults) = (MemoryDisk::default(), ManualClock::default(), Faults::default());
        let engine = Faulty::new(MemoryEngine::open(&disk, clock.clock()), faults.clone());
        FaultySubject { disk, clock, faults, engine }
    }
}

impl Subject for FaultySubject {
    type Engine = Faulty<MemoryEngine>;

    fn engine(&self) -> &Self::Engine {
        &self.engine
    }

    async fn reopen(&mut self) {
        self.engine = Faulty::new(MemoryEngine::open(&self.disk, self.clock.clock()), self.faults.clone());
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

#[tokio::test]
async fn without_a_plan_the_wrapper_keeps_the_contract() {
    suite::run_all(async || FaultySubject::new()).await;
    suite::run_members(async || FaultySubject::new()).await;
}

/// Commits one row and one change under the fault, and answers what happened and whether it is there.
async fn commit_under(fault: WriteFault) -> (Result<(), Error>, bool) {
    let subject = FaultySubject::new();
    let mut owner = Owner::of(subject.engine(), 1).await;
    subject.faults.plan_commits([fault]);
    let answer = subject.engine().commit(vec![owner.part(vec![put(Space::Items, "a", "1")], 1)]).await;
    assert!(subject.faults.are_spent());
    let row = value_of(subject.engine(), Space::Items, "a").await.is_some();
    let change = sequences_after(subject.engine(), 1, 0).await == [1];
    assert_eq!(row, change);
    (answer, row)
}

#[tokio::test]
async fn a_refused_commit_did_not_happen() {
    assert!(matches!(commit_under(WriteFault::Refused).await, (Err(Error::Unavailable(_)), false)));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_happened() {
    assert!(matches!(commit_under(WriteFault::AnswerLost).await, (Err(Error::Unknown(_)), true)));
}

#[tokio::test]
async fn a_commit_whose_request_is_lost_did_not_happen() {
    assert!(matches!(commit_under(WriteFault::RequestLost).await, (Err(Error::Unknown(_)), false)));
}

#[tokio::test]
async fn faults_come_in_the_order_of_the_calls() {
    let subject = FaultySubject::new();
    let mut owner = Owner::of(subject.engine(), 1).await;
    subject.faults.plan_commits([WriteFault::None, WriteFault::RequestLost]);
    let engine = subject.engine();
    let first = engine.commit(vec![owner.part(vec![], 1)]);
    let lost = engine.commit(vec![owner.part(vec![], 1)]);
    let after_lost = engine.commit(vec![owner.part(vec![], 1)]);
    // What was built on the lost one is fenced, as its sequence is not the next.
    assert!(matches!(after_lost.await, Err(Error::Fenced { .. })));
    assert!(matches!(lost.await, Err(Error::Unknown(_))));
    first.await.unwrap();
}

#[tokio::test]
async fn an_opening_whose_answer_is_lost_fences() {
    let subject = FaultySubject::new();
    let mut owner = Owner::of(subject.engine(), 1).await;
    subject.faults.plan_opens([WriteFault::AnswerLost]);
    assert!(matches!(subject.engine().open(owner.partition).await, Err(Error::Unknown(_))));
    assert!(matches!(subject.engine().commit(vec![owner.part(vec![], 1)]).await, Err(Error::Fenced { .. })));
    assert_eq!(Owner::of(subject.engine(), 1).await.epoch, Epoch(3));
}

#[tokio::test]
async fn documents_fail_as_planned() {
    let subject = FaultySubject::new();
    subject.faults.plan_documents([WriteFault::Refused, WriteFault::AnswerLost]);
    let set = || subject.engine().compare_and_set("tables", "a", None, Some(b"{}"));
    assert!(matches!(set().await, Err(Error::Unavailable(_))));
    assert!(matches!(set().await, Err(Error::Unknown(_))));
    assert_eq!(set().await.unwrap(), None, "the second was set");
}

#[tokio::test]
async fn reads_fail_while_they_are_told_to() {
    let subject = FaultySubject::new();
    let owner = Owner::of(subject.engine(), 1).await;
    let engine = Arc::new(subject.engine);
    subject.faults.fail_reads(true);
    let unavailable = |answer: Option<Error>| matches!(answer, Some(Error::Unavailable(_)));
    assert!(unavailable(engine.read(Space::Items, &[b"a"]).await.err()));
    assert!(unavailable(engine.range(Space::Items, b"a"..b"b", false, |_, _| true).await.err()));
    assert!(unavailable(engine.changes(owner.partition, Sequence::ZERO, 1, 1).await.err()));
    assert!(unavailable(engine.kept(owner.partition).await.err()));
    assert!(unavailable(engine.peek(owner.partition).await.err()));
    assert!(unavailable(engine.generation("tables").await.err()));
    assert!(unavailable(engine.get("tables", "a").await.err()));
    assert!(unavailable(engine.list("tables").await.err()));
    subject.faults.fail_reads(false);
    engine.read(Space::Items, &[b"a"]).await.unwrap();
}
