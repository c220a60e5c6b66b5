//! A process killed amid a burst of commits loses nothing that it acknowledged, and leaves nothing half done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "subjects/example.rs"]
mod example;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::suite::{ManualClock, partition};
use tradewind_engine::{Engine, Space};
use tradewind_model::Sequence;

const PARTITIONS: u32 = 4;
const KEY_LEN: usize = "0/000".len();

#[tokio::test]
async fn what_was_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = [Sequence(1); PARTITIONS as usize];
    // Over and over on the same data, so that recovery also meets what an earlier recovery left.
    for lines in [1, 300, 2500, 9000, 40] {
        burst_and_kill(folder.path(), lines, &mut acked);
        let engine =
            FjallEngine::open(&Settings::new(folder.path()), ManualClock::default().clock()).unwrap();
        let mut replayed = BTreeMap::new();
        for number in 0..PARTITIONS {
            let kept = engine.kept(partition(number)).await.unwrap();
            assert!(kept.end >= acked[number as usize], "{number}: {kept:?}, acknowledged {acked:?}");
            replay(&engine, number, kept.end, &mut replayed).await;
        }
        assert_eq!(rows(&engine).await, replayed, "rows are what their changes say");
        for ((epoch, round), parts) in parts_of_rounds(&engine).await {
            let expected = if round.is_multiple_of(5) { 2 } else { 1 };
            assert_eq!(parts, expected, "epoch {epoch}, round {round}");
        }
    }
}

/// Runs the example until it has acknowledged so much, and kills it.
fn burst_and_kill(dir: &Path, lines: usize, acked: &mut [Sequence]) {
    let mut burst = Command::new(example::program("burst")).arg(dir).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(burst.stdout.take().unwrap());
    let mut killed = false;
    // What it said before it died counts, also what was still in the pipe.
    for (count, line) in said.lines().enumerate() {
        let line = line.unwrap();
        let [_, number, next] = line.split(' ').collect::<Vec<_>>()[..] else {
            assert!(killed, "half a line: {line}");
            break;
        };
        acked[number.parse::<usize>().unwrap()] = Sequence(next.parse().unwrap());
        if count + 1 >= lines && !killed {
            burst.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "it ended by itself: {:?}", burst.wait());
    burst.wait().unwrap();
}

/// Checks that the changes have no gap up to `next`, and applies them.
async fn replay(engine: &impl Engine, number: u32, next: Sequence, rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut after = Sequence::ZERO;
    loop {
        let changes = engine.changes(partition(number), after, 1000, usize::MAX).await.unwrap();
        for (sequence, change) in &changes {
            assert_eq!(*sequence, after.next(), "partition {number}");
            after = *sequence;
            let (key, value) = change.split_at(KEY_LEN);
            rows.insert(key.to_vec(), value.to_vec());
        }
        if changes.is_empty() {
            break;
        }
    }
    assert_eq!(after.next(), next, "partition {number}");
}

async fn rows(engine: &impl Engine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let gather = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        true
    };
    engine.range(Space::Items, b"0".as_slice()..b"~", false, gather).await.unwrap();
    rows
}

/// By epoch (which is the same for all partitions, as each process opens each once) and round: how many partitions have
/// changes of that round. Every fifth round was one batch for two partitions.
async fn parts_of_rounds(engine: &impl Engine) -> BTreeMap<(u64, u64), usize> {
    let mut parts = BTreeMap::new();
    for number in 0..PARTITIONS {
        let changes =
            engine.changes(partition(number), Sequence::ZERO, usize::MAX, usize::MAX).await.unwrap();
        let rounds: BTreeSet<_> = changes.iter().map(|(_, change)| epoch_and_round(change)).collect();
        for round in rounds {
            *parts.entry(round).or_insert(0) += 1;
        }
    }
    parts
}

fn epoch_and_round(change: &[u8]) -> (u64, u64) {
    let value = std::str::from_utf8(&change[KEY_LEN..]).unwrap();
    let mut words = value.split(' ').skip(1).map(|word| word.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}
