//! Commits as fast as it can until it is killed: many batches in flight, over several partitions and two at once. It says
//! "acked <partition> <next>" after each answer; a test kills it and looks at what is left.
//!
//! Each change tells which row it came with: `key ‖ value`, so that replaying the log must give the rows. A value begins
//! with its sequence, epoch and round.
//!
//! `burst <dir>`

use std::io::Write;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::suite::{ManualClock, Owner, logs, put};
use tradewind_engine::{Engine, PartitionCommit, Space};
use tradewind_model::Sequence;

const PARTITIONS: u32 = 4;
const IN_FLIGHT: usize = 64;
const KEYS_PER_PARTITION: u64 = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let dir = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("<dir>"))?;
    let clock = ManualClock::default();
    // Small memtables, so that it is also killed amid flushes and compactions.
    let settings = Settings { memtable_bytes: 256 * 1024, ..Settings::new(dir) };
    let engine = FjallEngine::open(&settings, clock.clock())?;
    let mut owners = Vec::new();
    for number in 0..PARTITIONS {
        owners.push(Owner::of(&engine, number).await);
    }
    let mut in_flight = FuturesOrdered::new();
    for round in 0_usize.. {
        // A new hour now and then: keyspaces are also made amid the burst.
        clock.set(logs::START_MS + round as u64 / 2000 * 3_600_000);
        let batch = batch(&mut owners, round);
        let nexts: Vec<_> = batch.iter().map(|part| (part.partition.number, part.next)).collect();
        let commit = engine.commit(batch);
        in_flight.push_back(async move { commit.await.map(|()| nexts) });
        if in_flight.len() == IN_FLIGHT {
            say(&in_flight.next().await.expect("some are in flight")?)?;
        }
    }
    Ok(())
}

/// Every fifth batch spans two partitions.
fn batch(owners: &mut [Owner], round: usize) -> Vec<PartitionCommit> {
    let first = round % owners.len();
    let second = (first + 1) % owners.len();
    let mut parts = vec![part(&mut owners[first], round)];
    if round.is_multiple_of(5) {
        parts.push(part(&mut owners[second], round));
    }
    parts
}

fn part(owner: &mut Owner, round: usize) -> PartitionCommit {
    let number = owner.partition.number;
    let mut part = owner.part(vec![], 1 + round as u64 % 3);
    for (Sequence(sequence), change) in &mut part.changes {
        let key = format!("{number}/{:03}", *sequence % KEYS_PER_PARTITION);
        let value = format!("{sequence:010} {} {round} {}", owner.epoch.0, "-".repeat(round % 500));
        *change = Bytes::from(format!("{key}{value}"));
        part.rows.push(put(Space::Items, key, value));
    }
    part
}

fn say(nexts: &[(u32, Sequence)]) -> std::io::Result<()> {
    let lines: String = nexts.iter().map(|(partition, next)| format!("acked {partition} {next}\n")).collect();
    std::io::stdout().lock().write_all(lines.as_bytes())
}
