//! The change log: order, bounds, trimming, and honesty about what was trimmed.

use tradewind_model::Sequence;

use super::{Owner, Subject, change, partition, put, sequences_after};
use crate::{Engine, Space};

/// In the middle of an hour.
pub const START_MS: u64 = 1_750_001_400_000;
const HOUR_MS: u64 = 3_600_000;

pub async fn changes_come_in_order_and_within_bounds(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    owner.commit(subject.engine(), vec![], 3).await;
    owner.commit(subject.engine(), vec![], 300).await;
    subject.reopen().await;
    let engine = subject.engine();
    let changes = |after, limit, max_bytes| engine.changes(partition(1), Sequence(after), limit, max_bytes);
    let all = changes(0, usize::MAX, usize::MAX).await.expect("reads");
    assert!(all.iter().cloned().eq((1..=303).map(|n| (Sequence(n), change(n)))), "{all:?}");
    assert_eq!(changes(1, 2, usize::MAX).await.expect("reads"), all[1..3]);
    assert_eq!(changes(303, 2, usize::MAX).await.expect("reads"), []);
    assert_eq!(changes(u64::MAX - 1, 2, usize::MAX).await.expect("reads"), []);
    assert_eq!(changes(0, 0, usize::MAX).await.expect("reads"), []);
    // A change has 8 bytes; the one that reaches the bound is still in.
    assert_eq!(changes(0, 99, 17).await.expect("reads"), all[..3]);
    assert_eq!(changes(0, 99, 16).await.expect("reads"), all[..2]);
    assert_eq!(changes(0, 99, 1).await.expect("reads"), all[..1]);
}

pub async fn partitions_have_logs_of_their_own(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owners = Vec::new();
    for number in [0, 1, 255, 256, u32::MAX] {
        owners.push(Owner::of(engine, number).await);
    }
    for round in 1..4 {
        let parts = owners.iter_mut().map(|owner| owner.part(vec![], round)).collect();
        engine.commit(parts).await.expect("commits");
    }
    for number in [0, 1, 255, 256, u32::MAX] {
        assert_eq!(sequences_after(engine, number, 2).await, [3, 4, 5, 6]);
        assert_eq!(engine.kept(partition(number)).await.expect("reads"), Sequence(1)..Sequence(7));
    }
    assert_eq!(sequences_after(engine, 2, 0).await, [0; 0]);
}

pub async fn unwritten_sequences_are_left_out(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let mut part = owner.part(vec![], 5);
    part.changes.retain(|(sequence, _)| sequence.0 % 2 == 0);
    subject.engine().commit(vec![part]).await.expect("commits");
    let mut part = owner.part(vec![put(Space::Items, "a", "1")], 4);
    part.changes.clear();
    subject.engine().commit(vec![part]).await.expect("commits");
    subject.reopen().await;
    assert_eq!(sequences_after(subject.engine(), 1, 0).await, [2, 4]);
    assert_eq!(subject.engine().kept(partition(1)).await.expect("reads"), Sequence(1)..Sequence(10));
    assert_eq!(Owner::of(subject.engine(), 1).await.next, Sequence(10));
}

pub async fn order_outlasts_hours_and_a_clock_that_goes_back(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    for hours in [0, 1, 5, 3, 0, 6, 6, 2] {
        subject.clock().set(START_MS + hours * HOUR_MS);
        owner.commit(subject.engine(), vec![], 2).await;
        if hours == 3 {
            subject.reopen().await;
            owner = Owner::of(subject.engine(), 1).await;
        }
    }
    for after in 0..=16 {
        assert_eq!(sequences_after(subject.engine(), 1, after).await, (after + 1..=16).collect::<Vec<_>>());
    }
    let some = subject.engine().changes(partition(1), Sequence(1), 4, usize::MAX).await.expect("reads");
    assert!(some.iter().map(|(sequence, _)| sequence.0).eq(2..=5), "a limit holds over hours: {some:?}");
}

/// One change per hour for `hours` hours, the first in the hour of the start.
async fn fill(subject: &impl Subject, owner: &mut Owner, hours: u64) {
    for hour in 0..hours {
        subject.clock().set(START_MS + hour * HOUR_MS);
        owner.commit(subject.engine(), vec![], 1).await;
    }
}

pub async fn trim_drops_whole_hours_and_kept_says_so(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    fill(subject, &mut owner, 6).await;
    // The start lies within an hour, and the hour of the third change is not over yet.
    subject.engine().trim(START_MS + 2 * HOUR_MS).await.expect("trims");
    for opened_again in [false, true] {
        if opened_again {
            subject.reopen().await;
        }
        let kept = subject.engine().kept(partition(1)).await.expect("reads");
        assert_eq!(kept, Sequence(3)..Sequence(7));
        assert_eq!(sequences_after(subject.engine(), 1, 0).await, [3, 4, 5, 6]);
        assert_eq!(sequences_after(subject.engine(), 1, 4).await, [5, 6]);
    }
    assert_eq!(Owner::of(subject.engine(), 1).await.next, Sequence(7));
}

/// As late as an engine likes, and never too late, also where the clock went back.
pub async fn what_was_committed_before_a_time_is_never_later(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let hours = [0, 1, 5, 3, 6, 2, 8];
    for hour in hours {
        subject.clock().set(START_MS + hour * HOUR_MS);
        owner.commit(subject.engine(), vec![], 1).await;
    }
    for opened_again in [false, true] {
        if opened_again {
            subject.reopen().await;
        }
        for hour in 0..12 {
            let found = subject.engine().committed_before(partition(1), START_MS + hour * HOUR_MS).await;
            let earlier = hours.iter().take_while(|committed| **committed < hour).count() as u64;
            assert!(found.expect("reads").0 <= earlier, "hour {hour}");
        }
        let unseen = subject.engine().committed_before(partition(2), u64::MAX).await;
        assert_eq!(unseen.expect("reads"), Sequence::ZERO);
    }
}

pub async fn an_idle_partition_knows_what_it_lost(subject: &mut impl Subject) {
    let engine = subject.engine();
    let (mut idle, mut busy) = (Owner::of(engine, 1).await, Owner::of(engine, 2).await);
    let mut untouched = Owner::of(engine, 3).await;
    idle.commit(engine, vec![], 4).await;
    let mut unwritten = untouched.part(vec![], 2);
    unwritten.changes.clear();
    engine.commit(vec![unwritten]).await.expect("commits");
    fill(subject, &mut busy, 5).await;
    subject.engine().trim(START_MS + 4 * HOUR_MS).await.expect("trims");
    for opened_again in [false, true] {
        if opened_again {
            subject.reopen().await;
        }
        let engine = subject.engine();
        assert_eq!(engine.kept(partition(1)).await.expect("reads"), Sequence(5)..Sequence(5));
        assert_eq!(sequences_after(engine, 1, 0).await, [0; 0]);
        assert_eq!(engine.kept(partition(2)).await.expect("reads"), Sequence(5)..Sequence(6));
        // It never had a change, so none is missing, wherever the engine says that it begins.
        let kept = engine.kept(partition(3)).await.expect("reads");
        assert!(kept.start <= kept.end && kept.end == Sequence(3), "{kept:?}");
    }
}

pub async fn a_trimmed_log_goes_on(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    fill(subject, &mut owner, 3).await;
    // Everything, the newest hour too; and twice, as after a crash in between.
    for _ in 0..2 {
        subject.engine().trim(START_MS + 9 * HOUR_MS).await.expect("trims");
        assert_eq!(sequences_after(subject.engine(), 1, 0).await, [0; 0]);
        assert_eq!(subject.engine().kept(partition(1)).await.expect("reads"), Sequence(4)..Sequence(4));
    }
    // The clock is behind what was trimmed.
    owner.commit(subject.engine(), vec![], 2).await;
    subject.engine().trim(START_MS).await.expect("trims");
    subject.reopen().await;
    owner = Owner::of(subject.engine(), 1).await;
    owner.commit(subject.engine(), vec![], 1).await;
    assert_eq!(sequences_after(subject.engine(), 1, 0).await, [4, 5, 6]);
    assert_eq!(subject.engine().kept(partition(1)).await.expect("reads"), Sequence(4)..Sequence(7));
}

pub async fn trimming_nothing_changes_nothing(subject: &mut impl Subject) {
    subject.engine().trim(START_MS).await.expect("trims");
    subject.engine().trim(0).await.expect("trims");
    let mut owner = Owner::of(subject.engine(), 1).await;
    owner.commit(subject.engine(), vec![], 2).await;
    subject.engine().trim(START_MS).await.expect("trims");
    assert_eq!(sequences_after(subject.engine(), 1, 0).await, [1, 2]);
    assert_eq!(subject.engine().kept(partition(1)).await.expect("reads"), Sequence(1)..Sequence(3));
}
