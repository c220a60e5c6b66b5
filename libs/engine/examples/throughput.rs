//! How fast the embedded engine is on this machine, and what it takes: `throughput [<dir>]`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::suite::{ManualClock, Owner, put, value_of};
use tradewind_engine::{Engine, Space};

const SECONDS: Duration = Duration::from_secs(5);
const ITEM_BYTES: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = match std::env::args().nth(1) {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    println!("fdatasync of 4 KiB appended: p50 {:?}", fdatasync_p50(folder.path())?);
    three_idle_regions(folder.path())?;
    for waiting in [1, 4, 16, 64] {
        commits(&folder.path().join(format!("waiting-{waiting}")), waiting).await?;
    }
    reads(&folder.path().join("waiting-64")).await?;
    println!("resident after all: {} MB", resident_mb());
    Ok(())
}

fn fdatasync_p50(dir: &Path) -> anyhow::Result<Duration> {
    let mut file = File::create(dir.join("fdatasync"))?;
    file.set_len(64 << 20)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for _ in 0..2000 {
        file.write_all(&[1; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn three_idle_regions(dir: &Path) -> anyhow::Result<()> {
    for again in ["empty", "made"] {
        let start = Instant::now();
        let open = |n| {
            FjallEngine::open(&Settings::new(dir.join(format!("idle-{n}"))), ManualClock::default().clock())
        };
        let regions = [open(1)?, open(2)?, open(3)?];
        println!("three {again} regions: open in {:?}, resident {} MB", start.elapsed(), resident_mb());
        drop(regions);
    }
    Ok(())
}

/// One row and one change per commit, always so many in flight, each in a partition of its own.
async fn commits(dir: &Path, waiting: usize) -> anyhow::Result<()> {
    let engine = FjallEngine::open(&Settings::new(dir), ManualClock::default().clock())?;
    let mut owners = VecDeque::new();
    for number in 0..waiting as u32 {
        owners.push_back(Owner::of(&engine, number).await);
    }
    let (start, mut in_flight, mut times) = (Instant::now(), VecDeque::new(), Vec::new());
    while start.elapsed() < SECONDS {
        if in_flight.len() == waiting {
            let (commit, began): (std::pin::Pin<Box<dyn Future<Output = _>>>, Instant) =
                in_flight.pop_front().expect("as many as may wait");
            commit.await?;
            times.push(began.elapsed());
        }
        owners.rotate_left(1);
        let row = put(Space::Items, key(times.len() as u64 % 1_000_000), [b'v'; ITEM_BYTES]);
        in_flight.push_back((Box::pin(engine.commit(vec![owners[0].part(vec![row], 1)])), Instant::now()));
    }
    times.sort();
    let rate = times.len() as u128 * 1000 / start.elapsed().as_millis();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!(
        "{waiting} commits waiting: {rate}/s, p50 {:?}, p99 {:?}, p999 {:?}, most {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.999_999)
    );
    Ok(())
}

async fn reads(dir: &Path) -> anyhow::Result<()> {
    let engine = FjallEngine::open(&Settings::new(dir), ManualClock::default().clock())?;
    let (start, mut count, mut found) = (Instant::now(), 0, 0);
    while start.elapsed() < SECONDS {
        let read = value_of(&engine, Space::Items, key(count * 7919 % 1_000_000)).await;
        found += u64::from(read.is_some());
        count += 1;
    }
    println!("reads of one key: {}/s ({}% found)", count / SECONDS.as_secs(), found * 100 / count);
    Ok(())
}

/// Scattered over the key space, as hashed keys are.
fn key(n: u64) -> [u8; 24] {
    let mut key = [b'k'; 24];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
