//! Commits batches one by one and says "acked i" at once after each, while a second thread says "seen i" as soon as it can
//! read the batch's row. A test runs this under strace and checks that each line comes after the fdatasync of its batch.
//!
//! `durable_commits <dir> <batches> [--no-sync]`, the latter to show that the check can fail.

use std::io::Write;
use std::sync::Arc;

use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::suite::{ManualClock, Owner, put, value_of};
use tradewind_engine::{Engine, Space};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, dir, batches, flags @ ..] = &arguments[..] else { anyhow::bail!("<dir> <batches> [--no-sync]") };
    let in_memory = flags.iter().any(|flag| flag == "--no-sync");
    let settings = Settings { in_memory, reserve_bytes: 0, ..Settings::new(dir) };
    let engine = Arc::new(FjallEngine::open(&settings, ManualClock::default().clock())?);
    let batches: u32 = batches.parse()?;
    let watched = engine.clone();
    let watcher = std::thread::spawn(move || watch(&*watched, batches));
    let mut owner = Owner::of(&*engine, 1).await;
    for batch in 0..batches {
        owner.commit(&*engine, vec![put(Space::Items, key(batch), "a value")], 1).await;
        say("acked", batch);
    }
    watcher.join().expect("the watcher ends when it has seen all");
    Ok(())
}

fn key(batch: u32) -> String {
    format!("batch-{batch:06}")
}

fn watch(engine: &impl Engine, batches: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("needs nothing");
    for batch in 0..batches {
        while runtime.block_on(value_of(engine, Space::Items, key(batch))).is_none() {
            std::thread::yield_now();
        }
        say("seen", batch);
    }
}

/// One write(2) per line: standard output is line-buffered, and nothing may wait in it.
fn say(what: &str, batch: u32) {
    let line = format!("{what} {batch}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("standard output is open");
}
