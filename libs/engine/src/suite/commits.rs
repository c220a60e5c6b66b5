//! Commits: atomic, fenced, ordered.

use tradewind_model::{Epoch, Sequence};

use super::{Owner, Subject, partition, put, remove, sequences_after, value_of};
use crate::{Engine, Error, Opened, Space};

pub async fn a_new_partition_starts_at_one(subject: &mut impl Subject) {
    let opened = subject.engine().open(partition(1)).await.expect("opens");
    assert_eq!(opened, Opened { epoch: Epoch(1), next: Sequence(1), max_hlc: 0 });
    assert_eq!(subject.engine().kept(partition(2)).await.expect("reads"), Sequence(1)..Sequence(1));
}

pub async fn opening_again_fences_the_former_owner(subject: &mut impl Subject) {
    let mut former = Owner::of(subject.engine(), 1).await;
    former.commit(subject.engine(), vec![put(Space::Items, "a", "former")], 3).await;
    subject.reopen().await;
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    assert_eq!((owner.epoch, owner.next, owner.max_hlc), (Epoch(2), Sequence(4), 1));

    let stale = engine.commit(vec![former.part(vec![put(Space::Items, "a", "stale")], 1)]).await;
    assert!(
        matches!(stale, Err(Error::Fenced { partition: p, epoch: Epoch(1) }) if p == partition(1)),
        "{stale:?}"
    );
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"former"[..]));
    assert_eq!(sequences_after(engine, 1, 0).await, [1, 2, 3]);
    owner.commit(engine, vec![put(Space::Items, "a", "owner")], 1).await;
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"owner"[..]));
}

pub async fn a_partition_that_nobody_opened_is_fenced(subject: &mut impl Subject) {
    let mut nobody = Owner { partition: partition(1), epoch: Epoch(0), next: Sequence(1), max_hlc: 0 };
    let answer = subject.engine().commit(vec![nobody.part(vec![], 1)]).await;
    assert!(matches!(answer, Err(Error::Fenced { .. })), "{answer:?}");
}

pub async fn another_first_than_the_next_is_fenced(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    owner.commit(engine, vec![], 2).await;
    for first in [1, 2, 4] {
        let mut wrong = Owner { next: Sequence(first), ..owner.clone() };
        let answer = engine.commit(vec![wrong.part(vec![put(Space::Items, "a", "wrong")], 1)]).await;
        assert!(matches!(answer, Err(Error::Fenced { .. })), "first {first}: {answer:?}");
    }
    assert_eq!(value_of(engine, Space::Items, "a").await, None);
    owner.commit(engine, vec![], 1).await;
    assert_eq!(sequences_after(engine, 1, 0).await, [1, 2, 3]);
}

pub async fn a_batch_happens_in_all_partitions_or_in_none(subject: &mut impl Subject) {
    let engine = subject.engine();
    let (mut one, mut two) = (Owner::of(engine, 1).await, Owner::of(engine, 2).await);
    let batch =
        vec![one.part(vec![put(Space::Items, "a", "1")], 1), two.part(vec![put(Space::Index, "b", "1")], 2)];
    engine.commit(batch).await.expect("commits");

    let stale = two.clone();
    two = Owner::of(engine, 2).await;
    // The stale part is tried in either place: what was counted for the part before it must not stay.
    for stale_first in [true, false] {
        let rows =
            |key| vec![put(Space::Items, key, "2"), remove(Space::Items, "a"), remove(Space::Index, "b")];
        let mut parts = vec![one.clone().part(rows("c"), 1), stale.clone().part(rows("d"), 1)];
        if stale_first {
            parts.reverse();
        }
        let answer = engine.commit(parts).await;
        assert!(matches!(answer, Err(Error::Fenced { partition: p, .. }) if p == partition(2)), "{answer:?}");
    }
    for (space, key, expected) in [
        (Space::Items, "a", Some("1")),
        (Space::Index, "b", Some("1")),
        (Space::Items, "c", None),
        (Space::Items, "d", None),
    ] {
        assert_eq!(value_of(engine, space, key).await.as_deref(), expected.map(str::as_bytes), "{key}");
    }
    assert_eq!(sequences_after(engine, 1, 0).await, [1]);
    one.commit(engine, vec![], 1).await;
    two.commit(engine, vec![], 1).await;
    assert_eq!(sequences_after(engine, 2, 0).await, [1, 2, 3]);
}

pub async fn a_partition_may_come_twice_in_a_batch(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    let parts = vec![
        owner.part(vec![put(Space::Items, "a", "1")], 1),
        owner.part(vec![put(Space::Items, "a", "2")], 1),
    ];
    engine.commit(parts).await.expect("commits");
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"2"[..]));

    let again = owner.clone().part(vec![put(Space::Items, "a", "3")], 1);
    let answer = engine.commit(vec![again.clone(), again]).await;
    assert!(matches!(answer, Err(Error::Fenced { .. })), "{answer:?}");
    owner.commit(engine, vec![], 1).await;
    assert_eq!(sequences_after(engine, 1, 0).await, [1, 2, 3]);
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"2"[..]));
}

pub async fn a_fenced_batch_does_not_harm_its_neighbours(subject: &mut impl Subject) {
    let engine = subject.engine();
    let (mut one, mut two) = (Owner::of(engine, 1).await, Owner::of(engine, 2).await);
    let mut stale = Owner { epoch: Epoch(0), ..two.clone() };
    // All three wait at once, so that an engine that merges commits merges these.
    let before = engine.commit(vec![one.part(vec![put(Space::Items, "a", "1")], 1)]);
    let fenced = engine.commit(vec![stale.part(vec![put(Space::Items, "b", "stale")], 1)]);
    let after = engine.commit(vec![two.part(vec![put(Space::Items, "c", "1")], 1)]);
    after.await.expect("commits");
    before.await.expect("commits");
    let fenced = fenced.await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(value_of(engine, Space::Items, "b").await, None);
    assert_eq!(value_of(engine, Space::Items, "c").await.as_deref(), Some(&b"1"[..]));
}

pub async fn batches_take_effect_in_the_order_of_the_calls(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    let mut commits = Vec::new();
    for round in 0..200_u64 {
        commits.push(Box::pin(
            engine.commit(vec![owner.part(vec![put(Space::Items, "a", round.to_be_bytes())], 1 + round % 3)]),
        ));
    }
    // Awaited backwards: the order of polls must not matter.
    for commit in commits.into_iter().rev() {
        commit.await.expect("commits");
    }
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&199_u64.to_be_bytes()[..]));
    assert_eq!(sequences_after(engine, 1, 0).await, (1..owner.next.0).collect::<Vec<_>>());
}

pub async fn a_dropped_future_does_not_take_its_batch_back(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    drop(engine.commit(vec![owner.part(vec![put(Space::Items, "a", "1")], 1)]));
    owner.commit(engine, vec![], 1).await;
    assert_eq!(value_of(engine, Space::Items, "a").await.as_deref(), Some(&b"1"[..]));
}

pub async fn of_rows_with_one_key_the_last_counts(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let rows = vec![
        put(Space::Items, "twice", "1"),
        put(Space::Items, "twice", "2"),
        put(Space::Items, "gone", "1"),
        remove(Space::Items, "gone"),
        remove(Space::Items, "back"),
        put(Space::Items, "back", "1"),
        put(Space::Index, "gone", "other space"),
    ];
    owner.commit(subject.engine(), rows, 1).await;
    for opened_again in [false, true] {
        if opened_again {
            subject.reopen().await;
        }
        let engine = subject.engine();
        assert_eq!(value_of(engine, Space::Items, "twice").await.as_deref(), Some(&b"2"[..]));
        assert_eq!(value_of(engine, Space::Items, "gone").await, None);
        assert_eq!(value_of(engine, Space::Items, "back").await.as_deref(), Some(&b"1"[..]));
        assert_eq!(value_of(engine, Space::Index, "gone").await.as_deref(), Some(&b"other space"[..]));
    }
}

pub async fn the_clock_of_a_partition_never_goes_back(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    owner.max_hlc = u64::MAX - 1;
    owner.commit(subject.engine(), vec![], 0).await;
    owner.max_hlc = 7;
    owner.commit(subject.engine(), vec![], 1).await;
    subject.reopen().await;
    let owner = Owner::of(subject.engine(), 1).await;
    assert_eq!((owner.max_hlc, owner.next), (u64::MAX, Sequence(2)));
}

pub async fn a_batch_without_rows_only_checks(subject: &mut impl Subject) {
    let engine = subject.engine();
    engine.commit(vec![]).await.expect("nothing to do");
    let mut owner = Owner::of(engine, 1).await;
    let mut part = owner.part(vec![], 0);
    part.max_hlc = 0;
    engine.commit(vec![part.clone()]).await.expect("its epoch is right");
    part.first = Sequence(2);
    part.next = Sequence(2);
    assert!(matches!(engine.commit(vec![part]).await, Err(Error::Fenced { .. })));
}

pub async fn a_peek_takes_nothing_over(subject: &mut impl Subject) {
    let unseen = subject.engine().peek(partition(1)).await.expect("reads");
    assert_eq!(unseen, Opened { epoch: Epoch(0), next: Sequence(1), max_hlc: 0 });
    let mut owner = Owner::of(subject.engine(), 1).await;
    owner.commit(subject.engine(), vec![], 3).await;
    subject.reopen().await;
    let engine = subject.engine();
    let expected = Opened { epoch: Epoch(1), next: Sequence(4), max_hlc: 1 };
    for _ in 0..2 {
        assert_eq!(engine.peek(partition(1)).await.expect("reads"), expected);
    }
    owner.commit(engine, vec![], 1).await;
    let opened = engine.open(partition(1)).await.expect("opens");
    assert_eq!(engine.peek(partition(1)).await.expect("reads"), opened);
    assert_eq!(engine.peek(partition(2)).await.expect("reads"), unseen);
}
