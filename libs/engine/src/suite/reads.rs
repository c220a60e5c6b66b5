//! Reads: one state each, in order, at any size.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;

use super::{Owner, Subject, put, remove, value_of};
use crate::{Engine, Error, Row, Space};

/// Rows that are always written together, over two spaces' worth of keys that lie far apart.
const TOGETHER: [&str; 8] = ["a", "b", "m", "n", "o", "x", "y", "z"];
const ROUNDS: u32 = 400;

pub async fn many_are_answered_in_their_order(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    owner.commit(engine, vec![put(Space::Items, "a", "1"), put(Space::Items, "b", "")], 0).await;
    let read = engine.read(Space::Items, &[b"b", b"missing", b"a", b"a"]).await.expect("reads");
    let (empty, one) = (Some(Bytes::new()), Some(Bytes::from_static(b"1")));
    assert_eq!(read, [empty, None, one.clone(), one]);
    assert_eq!(engine.read(Space::Items, &[]).await.expect("reads"), []);
}

/// Reads while a commit is under way, over and over, until that commit is seen: each read must find all rows of one round.
pub async fn one_read_sees_one_state(subject: &mut impl Subject) {
    let engine = subject.engine();
    let keys = TOGETHER.map(str::as_bytes);
    let mut owner = Owner::of(engine, 1).await;
    for round in 0..ROUNDS {
        let mut commit = pin!(engine.commit(vec![owner.part(together(round), 1)]));
        let mut done = false;
        while !done {
            done = is_ready(commit.as_mut()).await;
            let seen = engine.read(Space::Items, &keys).await.expect("reads");
            assert_one_round(&seen, round, done);
        }
    }
}

pub async fn one_range_sees_one_state(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    for round in 0..ROUNDS {
        let mut commit = pin!(engine.commit(vec![owner.part(together(round), 1)]));
        let mut done = false;
        while !done {
            done = is_ready(commit.as_mut()).await;
            let mut seen = Vec::new();
            let gather = |_: &[u8], value: &[u8]| {
                seen.push(Some(Bytes::copy_from_slice(value)));
                true
            };
            engine.range(Space::Items, b"a"..b"~", round % 2 == 0, gather).await.expect("reads");
            if seen.is_empty() {
                seen = vec![None; TOGETHER.len()];
            }
            assert_one_round(&seen, round, done);
        }
    }
}

fn together(round: u32) -> Vec<Row> {
    TOGETHER.iter().map(|key| put(Space::Items, key, round.to_be_bytes())).collect()
}

fn assert_one_round(seen: &[Option<Bytes>], round: u32, committed: bool) {
    assert_eq!(seen.len(), TOGETHER.len());
    assert!(seen.iter().all(|value| *value == seen[0]), "half of a batch in round {round}: {seen:?}");
    let expected = Some(Bytes::copy_from_slice(&round.to_be_bytes()));
    assert!(!committed || seen[0] == expected, "round {round} is committed and not seen");
}

/// Polls once, and gives way to the runtime: one that counts the polls of a task lets no other end it.
async fn is_ready<T>(mut future: Pin<&mut impl Future<Output = Result<T, Error>>>) -> bool {
    let mut polled = None;
    poll_fn(|context| {
        if polled.is_some() {
            return Poll::Ready(());
        }
        polled = Some(future.as_mut().poll(context));
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    match polled {
        Some(Poll::Ready(answer)) => answer.map(|_| true).expect("commits"),
        _ => false,
    }
}

pub async fn spaces_are_apart(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let rows = Space::ALL.iter().map(|space| put(*space, "key", format!("{space:?}"))).collect();
    owner.commit(subject.engine(), rows, 0).await;
    owner.commit(subject.engine(), vec![remove(Space::Conflicts, "key")], 0).await;
    subject.reopen().await;
    for space in Space::ALL {
        let expected = (space != Space::Conflicts).then(|| Bytes::from(format!("{space:?}")));
        assert_eq!(value_of(subject.engine(), space, "key").await, expected);
    }
}

async fn keys_in(engine: &impl Engine, keys: Range<&[u8]>, reverse: bool, limit: usize) -> Vec<u8> {
    let mut seen = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        assert_eq!(key, value, "a row has its own value");
        seen.push(key[0]);
        seen.len() < limit
    };
    engine.range(Space::Items, keys, reverse, visit).await.expect("reads");
    seen
}

pub async fn ranges_go_both_ways_and_stop(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let rows = (b'b'..=b'h').map(|key| put(Space::Items, [key], [key])).collect();
    owner.commit(subject.engine(), rows, 0).await;
    owner.commit(subject.engine(), vec![remove(Space::Items, "d")], 0).await;
    for opened_again in [false, true] {
        if opened_again {
            subject.reopen().await;
        }
        let engine = subject.engine();
        assert_eq!(keys_in(engine, b"a"..b"z", false, 99).await, b"bcefgh");
        assert_eq!(keys_in(engine, b"a"..b"z", true, 99).await, b"hgfecb");
        // The start is in the range and the end is not, in both directions.
        assert_eq!(keys_in(engine, b"c"..b"g", false, 99).await, b"cef");
        assert_eq!(keys_in(engine, b"c"..b"g", true, 99).await, b"fec");
        assert_eq!(keys_in(engine, b"c\0"..b"g\0", true, 99).await, b"gfe");
        assert_eq!(keys_in(engine, b"a"..b"z", false, 2).await, b"bc");
        assert_eq!(keys_in(engine, b"a"..b"z", true, 1).await, b"h");
    }
}

pub async fn empty_ranges_visit_nothing(subject: &mut impl Subject) {
    let engine = subject.engine();
    let mut owner = Owner::of(engine, 1).await;
    owner.commit(engine, vec![put(Space::Items, "m", "m")], 0).await;
    let ranges: [Range<&[u8]>; 5] = [b"a"..b"m", b"n"..b"z", b"m"..b"m", b"z"..b"a", b""..b""];
    for range in ranges {
        for reverse in [false, true] {
            assert_eq!(keys_in(engine, range.clone(), reverse, 99).await, b"", "{range:?}");
        }
    }
}

pub async fn big_values_and_long_keys_come_back(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    let value = |seed: u8, len: usize| (0..len).map(|i| seed ^ (i * 7 + i / 251) as u8).collect::<Vec<u8>>();
    let rows: Vec<_> = [(1, 1), (100, 1023), (1024, 1024), (2000, 70_000), (4096, 1 << 20)]
        .map(|(key_len, value_len)| (value(1, key_len), value(2, value_len)))
        .into();
    let batch = rows.iter().map(|(key, value)| put(Space::Index, key, value)).collect();
    owner.commit(subject.engine(), batch, 1).await;
    subject.reopen().await;
    let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| &key[..]).collect();
    let read = subject.engine().read(Space::Index, &keys).await.expect("reads");
    for ((key, value), read) in rows.iter().zip(read) {
        assert!(read.is_some_and(|read| read == value), "a key of {} bytes", key.len());
    }
}

pub async fn clear_removes_a_prefix_and_nothing_else(subject: &mut impl Subject) {
    let mut owner = Owner::of(subject.engine(), 1).await;
    // More than an engine would remove at once.
    let many = (0..3000_u32).map(|n| put(Space::Items, [b"table-1", &n.to_be_bytes()[..]].concat(), "row"));
    let others = [&b"table-0"[..], b"table-1", b"table-2", b"table-", b"\xff\xff", b"\xff\xff\xff", b"\xff"];
    let others = others.map(|key| put(Space::Items, key, "row"));
    let rows = many.chain(others).chain([put(Space::Index, "table-1", "row")]).collect();
    owner.commit(subject.engine(), rows, 0).await;
    subject.engine().clear(Space::Items, b"table-1").await.expect("clears");
    subject.engine().clear(Space::Items, b"\xff\xff").await.expect("clears");
    subject.engine().clear(Space::Items, b"nothing").await.expect("clears");
    subject.reopen().await;

    let mut left = Vec::new();
    let gather = |key: &[u8], _: &[u8]| {
        left.push(key.to_vec());
        true
    };
    subject.engine().range(Space::Items, b""..&[0xff; 9], false, gather).await.expect("reads");
    assert_eq!(left, [&b"table-"[..], b"table-0", b"table-2", b"\xff"]);
    assert!(value_of(subject.engine(), Space::Index, "table-1").await.is_some());
    // Cleared keys can be written again.
    owner = Owner::of(subject.engine(), 1).await;
    owner.commit(subject.engine(), vec![put(Space::Items, "table-1", "again")], 0).await;
    assert!(value_of(subject.engine(), Space::Items, "table-1").await.is_some());
}
