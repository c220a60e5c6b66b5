//! The contract, and what is particular to a database in a directory: settings, locks, memory, disks that fill up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "subjects/fjall.rs"]
mod subject;

use std::path::Path;

use tradewind_engine::fjall::{FjallEngine, OpenError, Settings};
use tradewind_engine::suite::{self, ManualClock, Owner, put, value_of};
use tradewind_engine::{Engine, Error, Space};

fn open(settings: &Settings) -> Result<FjallEngine, OpenError> {
    FjallEngine::open(settings, ManualClock::default().clock())
}

#[tokio::test]
async fn the_fjall_engine_keeps_the_contract() {
    suite::run_all(async || subject::FjallSubject::new()).await;
}

#[tokio::test]
async fn a_time_is_found_by_its_hour() {
    const HOUR_MS: u64 = 3_600_000;
    let clock = ManualClock::default();
    let engine = FjallEngine::open(&Settings::in_memory(), clock.clock()).unwrap();
    let mut owner = Owner::of(&engine, 1).await;
    for hour in 0..5 {
        clock.set((1000 + hour) * HOUR_MS + 1);
        owner.commit(&engine, vec![], 2).await;
    }
    let before = async |ms| engine.committed_before(suite::partition(1), ms).await.unwrap().0;
    assert_eq!(before(1000 * HOUR_MS).await, 0);
    assert_eq!(before(1003 * HOUR_MS).await, 6);
    assert_eq!(before(1003 * HOUR_MS + HOUR_MS / 2).await, 6, "within an hour its beginning is known");
    assert_eq!(before(2000 * HOUR_MS).await, 10);
}

#[test]
fn a_directory_is_open_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&Settings::new(folder.path())).unwrap();
    let second = open(&Settings::new(folder.path())).err().unwrap();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    drop(first);
    open(&Settings::new(folder.path())).unwrap();
}

#[test]
fn a_damaged_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&Settings::new(folder.path())).unwrap());
    std::fs::write(folder.path().join("db/version"), "nonsense").unwrap();
    let refusal = open(&Settings::new(folder.path())).err().unwrap().to_string();
    assert!(refusal.contains(folder.path().to_str().unwrap()), "{refusal}");
    assert!(!refusal.contains('\n'), "{refusal}");
}

#[tokio::test]
async fn in_memory_nothing_outlives_the_engine() {
    let engine = open(&Settings::in_memory()).unwrap();
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![put(Space::Items, "a", "1")], 1).await;
    assert!(value_of(&engine, Space::Items, "a").await.is_some());
    drop(engine);
    let engine = open(&Settings::in_memory()).unwrap();
    assert_eq!(value_of(&engine, Space::Items, "a").await, None);
}

#[tokio::test]
async fn a_disk_without_its_reserve_refuses_writes_and_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&Settings::new(folder.path())).unwrap();
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![put(Space::Items, "a", "1")], 1).await;
    drop(engine);

    let full = Settings { reserve_bytes: u64::MAX, ..Settings::new(folder.path()) };
    let engine = open(&full).unwrap();
    let Err(Error::Unavailable(reason)) = engine.commit(vec![owner.part(vec![], 1)]).await else {
        panic!("the disk is full")
    };
    assert!(reason.starts_with(&format!("disk full: {} has ", folder.path().display())), "{reason}");
    assert!(value_of(&engine, Space::Items, "a").await.is_some());
}

/// A flush or compaction that ends while a batch is being written makes fjall's own snapshots show a part of that batch.
#[test]
fn flushes_amid_commits_show_no_half_of_a_batch() {
    const ROUNDS: u32 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { memtable_bytes: 64 * 1024, ..Settings::new(folder.path()) };
    let engine = open(&settings).unwrap();
    let keys: Vec<[u8; 2]> = (0..100_u8).map(|key| [b'k', key]).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let read = async |round: u32| {
        let read = engine.read(Space::Items, &keys).await.unwrap();
        assert!(read.iter().all(|value| *value == read[0]), "half of a batch at round {round}");
        read[0].as_ref().map_or(0, |value| u32::from_be_bytes(value[..4].try_into().unwrap()))
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut seen = 0;
            while seen < ROUNDS {
                let newer = runtime.block_on(read(seen));
                assert!(newer >= seen, "reads went back from {seen} to {newer}");
                seen = newer;
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut owner = runtime.block_on(Owner::of(&engine, 1));
        for round in 1..=ROUNDS {
            let value = [&round.to_be_bytes()[..], &[b'v'; 100]].concat();
            let rows = keys.iter().map(|key| put(Space::Items, key, &value)).collect();
            runtime.block_on(owner.commit(&engine, rows, 1));
            if reader.is_finished() {
                break;
            }
        }
        reader.join().unwrap();
    });
}

#[tokio::test]
async fn the_log_is_files_by_the_hour_that_go_with_a_trim() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let engine = FjallEngine::open(&Settings::new(folder.path()), clock.clock()).unwrap();
    let before = keyspaces(folder.path());
    let mut owner = Owner::of(&engine, 1).await;
    for hour in 0..3 {
        clock.set(suite::logs::START_MS + hour * 3_600_000);
        owner.commit(&engine, vec![], 1).await;
    }
    assert_eq!(keyspaces(folder.path()), before + 3);
    engine.trim(suite::logs::START_MS + 2 * 3_600_000).await.unwrap();
    assert_eq!(keyspaces(folder.path()), before + 1);
}

fn keyspaces(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("db/keyspaces")).unwrap().count()
}

#[test]
fn a_batch_with_an_empty_key_stops_its_caller_only() {
    let engine = open(&Settings::in_memory()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut owner = runtime.block_on(Owner::of(&engine, 1));
    let batch = vec![owner.clone().part(vec![put(Space::Items, "", "1")], 0)];
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(engine.commit(batch))));
    assert!(caught.is_err());
    runtime.block_on(owner.commit(&engine, vec![], 1));
}
