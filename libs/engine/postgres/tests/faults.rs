//! What goes wrong with a server: sessions that end, crashes, frozen owners, no connections, a failover. Nothing acknowledged
//! is lost, nothing is there twice, and the engine goes on by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tradewind_engine::suite::{ManualClock, Owner, partition, put, value_of};
use tradewind_engine::{Engine, Error, Space};
use tradewind_engine_postgres::testing::{Stop, TestServer, client};
use tradewind_engine_postgres::{OpenError, PATIENCE, PostgresEngine, Settings};
use tradewind_model::Sequence;

async fn open(url: &str) -> PostgresEngine {
    try_open(url).await.expect("the server is there")
}

async fn try_open(url: &str) -> Result<PostgresEngine, OpenError> {
    PostgresEngine::open(
        Settings { read_connections: 2, ..Settings::new(url) },
        ManualClock::default().clock(),
    )
    .await
}

/// Writes one partition until it is told to stop, and remembers what was acknowledged: sequence and attempt.
struct Load {
    engine: Arc<PostgresEngine>,
    number: u32,
    acked: BTreeMap<u64, u64>,
    attempts: u64,
    unknown: u64,
}

impl Load {
    fn new(engine: &Arc<PostgresEngine>, number: u32) -> Load {
        Load { engine: engine.clone(), number, acked: BTreeMap::new(), attempts: 0, unknown: 0 }
    }

    async fn run(mut self, stop: Arc<AtomicBool>, progress: Arc<AtomicU64>) -> Load {
        'opened: while !stop.load(SeqCst) {
            let Ok(opened) = self.engine.open(partition(self.number)).await else { continue };
            let mut owner = Owner {
                partition: partition(self.number),
                epoch: opened.epoch,
                next: opened.next,
                max_hlc: opened.max_hlc,
            };
            while !stop.load(SeqCst) {
                self.attempts += 1;
                let key = format!("{}/{}", self.number, self.attempts);
                let mut part = owner.part(vec![put(Space::Items, &key, "row")], 1);
                let sequence = part.first.0;
                part.changes[0].1 = Bytes::from(key.into_bytes());
                match self.engine.commit(vec![part]).await {
                    Ok(()) => {
                        self.acked.insert(sequence, self.attempts);
                        progress.fetch_add(1, SeqCst);
                    }
                    Err(error) => {
                        self.unknown += u64::from(matches!(error, Error::Unknown(_)));
                        continue 'opened;
                    }
                }
            }
        }
        self
    }

    /// Every acknowledged write is there, at its place; no sequence is missing; every change has its row and none twice.
    async fn check(&self, engine: &PostgresEngine) {
        let (mut after, mut seen) = (Sequence::ZERO, BTreeMap::new());
        loop {
            let page = engine.changes(partition(self.number), after, 1000, usize::MAX).await.expect("reads");
            for (sequence, change) in &page {
                assert_eq!(*sequence, after.next(), "gapless");
                after = *sequence;
                let key = std::str::from_utf8(change).expect("a key");
                let attempt: u64 =
                    key.split_once('/').expect("a key of this test").1.parse().expect("a number");
                assert!(seen.insert(attempt, sequence.0).is_none(), "attempt {attempt} is there twice");
            }
            if page.is_empty() {
                break;
            }
        }
        for (sequence, attempt) in &self.acked {
            assert_eq!(seen.get(attempt), Some(sequence), "acknowledged, and lost or elsewhere");
        }
        let prefix = format!("{}/", self.number);
        let mut rows = 0;
        let count = |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        let keys = prefix.as_bytes()..&[prefix.as_bytes(), b"~"].concat()[..];
        engine.range(Space::Items, keys, false, count).await.expect("reads");
        assert_eq!(rows, seen.len(), "a row for each change");
    }
}

/// Several loads at once, while `harm` is done.
async fn under_load(engine: &Arc<PostgresEngine>, harm: impl AsyncFnOnce(&Progress)) -> Vec<Load> {
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Progress(Arc::default());
    let loads: Vec<_> =
        (0..4).map(|n| tokio::spawn(Load::new(engine, n).run(stop.clone(), progress.0.clone()))).collect();
    progress.wait(200).await;
    harm(&progress).await;
    progress.wait(200).await;
    stop.store(true, SeqCst);
    let mut ended = Vec::new();
    for load in loads {
        ended.push(load.await.expect("it does not panic"));
    }
    ended
}

struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Until so many more commits were acknowledged.
    async fn wait(&self, more: u64) {
        let (goal, until) = (self.0.load(SeqCst) + more, Instant::now() + Duration::from_secs(60));
        while self.0.load(SeqCst) < goal {
            assert!(Instant::now() < until, "no progress");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_sessions_lose_nothing_and_repeat_nothing() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let engine = Arc::new(open(&url).await);
    let loads = under_load(&engine, async |progress| {
        let session = client(&url).await;
        for _ in 0..30 {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
            session.execute(end, &[]).await.expect("it may");
            progress.wait(20).await;
        }
    })
    .await;
    assert!(loads.iter().map(|load| load.unknown).sum::<u64>() > 0, "none was caught in its commit");
    for load in &loads {
        load.check(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_nothing_acknowledged() {
    let mut server = TestServer::start_with(&[("max_connections", "60")]);
    let url = server.create_database().await;
    let engine = Arc::new(open(&url).await);
    let loads = under_load(&engine, async |progress| {
        for _ in 0..3 {
            tokio::task::block_in_place(|| {
                server.stop(Stop::Immediate);
                server.resume();
            });
            progress.wait(100).await;
        }
    })
    .await;
    for load in &loads {
        load.check(&engine).await;
    }
}

/// A process that stopped after a part of its flush: its transaction is open, and it comes back later.
#[tokio::test]
async fn a_frozen_owner_is_taken_over_and_writes_nothing() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let engine = open(&url).await;
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![put(Space::Items, "a", "before")], 1).await;
    let frozen = client(&url).await;
    let id = owner.partition.to_bytes();
    frozen.batch_execute("BEGIN").await.expect("begins");
    let (ids, epochs, firsts, nexts) = (vec![&id[..]], vec![1_i64], vec![2_i64], vec![3_i64]);
    frozen
        .execute("SELECT fence($1, $2, $3, $4, $3)", &[&ids, &epochs, &firsts, &nexts])
        .await
        .expect("its epoch is right");
    let write = "UPDATE items SET value = 'frozen' WHERE key = 'a'";
    frozen.batch_execute(write).await.expect("writes");

    let begun = Instant::now();
    let mut successor = Owner::of(&engine, 1).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(successor.next, Sequence(2));
    assert!(frozen.batch_execute("COMMIT").await.is_err(), "its session is gone");
    successor.commit(&engine, vec![put(Space::Items, "b", "successor")], 1).await;
    assert_eq!(value_of(&engine, Space::Items, "a").await.as_deref(), Some(&b"before"[..]));

    // One that had not come to its fence finds it closed.
    let late = client(&url).await;
    let refused = late.execute("SELECT fence($1, $2, $3, $4, $3)", &[&ids, &epochs, &firsts, &nexts]).await;
    let refused = refused.expect_err("the epoch is stale");
    assert_eq!(refused.code().map(|code| code.code()), Some("TW001"));
}

/// Were BEGIN to fail alone, what follows it in the flush must not each be a transaction of its own.
#[tokio::test]
async fn sessions_that_write_do_so_in_transactions_only() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let engine = open(&url).await;
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![], 1).await;
    let session = client(&url).await;
    session.batch_execute("SET default_transaction_read_only = on").await.expect("as the engine's");
    let refused =
        session.batch_execute("INSERT INTO items VALUES ('a', 'b')").await.expect_err("it is outside");
    assert_eq!(refused.code().map(|code| code.code()), Some("25006"));
}

#[tokio::test]
async fn without_free_connections_requests_wait_and_are_refused() {
    let server =
        TestServer::start_with(&[("max_connections", "14"), ("superuser_reserved_connections", "0")]);
    let url = server.create_database().await;
    let engine = open(&url).await;
    let mut owner = Owner::of(&engine, 1).await;
    let mut taken = Vec::new();
    while let Ok((session, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        taken.push(session);
    }
    // What it has goes on.
    owner.commit(&engine, vec![put(Space::Items, "a", "1")], 1).await;
    // All but its own are taken, and those are ended as well, so that it has to ask for new ones.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tradewind'";
    taken[0].execute(end, &[]).await.expect("it may");
    while let Ok((session, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        taken.push(session);
    }
    let begun = Instant::now();
    let (read, write) =
        tokio::join!(engine.read(Space::Items, &[b"a"]), engine.commit(vec![owner.clone().part(vec![], 1)]));
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    assert!(matches!(write, Err(Error::Unavailable(_) | Error::Unknown(_))), "{write:?}");
    assert!(begun.elapsed() < PATIENCE * 2, "{:?}", begun.elapsed());
    until_in_trouble(&engine).await;
    drop(taken);
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![], 1).await;
    assert_eq!(value_of(&engine, Space::Items, "a").await.as_deref(), Some(&b"1"[..]));
}

/// A write that needs room is refused in time, reads go on where the server does, and all goes on once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let Some(mut server) = TestServer::start_small(200) else { return };
    let url = server.create_database().await;
    let engine = Arc::new(open(&url).await);
    let owner = Owner::of(&*engine, 9).await;
    let loads = under_load(&engine, async |_| {
        tokio::task::block_in_place(|| server.fill());
        let begun = Instant::now();
        let large = vec![put(Space::Items, "large", vec![7; 4 << 20])];
        let answer = engine.commit(vec![owner.clone().part(large, 1)]).await;
        assert!(matches!(answer, Err(Error::Unavailable(_) | Error::Unknown(_))), "{answer:?}");
        assert!(begun.elapsed() < PATIENCE * 2, "{:?}", begun.elapsed());
        until_in_trouble(&engine).await;
        tokio::task::block_in_place(|| server.free());
    })
    .await;
    for load in &loads {
        load.check(&engine).await;
    }
    until_well(&engine).await;
}

/// Every process of the server stands still, and later goes on with what it was about to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_waited_for_and_loses_nothing() {
    let server = TestServer::start_with(&[("max_connections", "60")]);
    let url = server.create_database().await;
    let engine = Arc::new(open(&url).await);
    let owner = Owner::of(&*engine, 9).await;
    let loads = under_load(&engine, async |_| {
        server.freeze();
        let begun = Instant::now();
        let (read, write) = tokio::join!(
            engine.read(Space::Items, &[b"a"]),
            engine.commit(vec![owner.clone().part(vec![put(Space::Items, "a", "1")], 1)])
        );
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        assert!(matches!(write, Err(Error::Unavailable(_) | Error::Unknown(_))), "{write:?}");
        assert!(begun.elapsed() < PATIENCE * 3, "{:?}", begun.elapsed());
        until_in_trouble(&engine).await;
        server.thaw();
    })
    .await;
    for load in &loads {
        load.check(&engine).await;
    }
    until_well(&engine).await;
}

async fn until_in_trouble(engine: &PostgresEngine) {
    let until = Instant::now() + Duration::from_secs(30);
    while engine.troubles().await.is_empty() {
        assert!(Instant::now() < until, "it does not say what is wrong");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_well(engine: &PostgresEngine) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let troubles = engine.troubles().await;
        if troubles.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{troubles:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn servers_that_would_lose_writes_are_refused_by_the_settings_name() {
    for name in ["fsync", "synchronous_commit"] {
        let server = TestServer::start_with(&[(name, "off")]);
        let url = server.create_database().await;
        let refusal = try_open(&url).await.err().expect("refused");
        assert!(matches!(&refusal, OpenError::Setting { name: n, .. } if *n == name), "{refusal}");
        assert!(refusal.to_string().contains(name), "{refusal}");
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused() {
    let server = TestServer::start();
    let url = server.create_database().await;
    drop(open(&url).await);
    let newer = "INSERT INTO schema_migrations (version, name) VALUES (9999, 'of tomorrow')";
    client(&url).await.batch_execute(newer).await.expect("writes");
    let refusal = try_open(&url).await.err().expect("refused");
    assert!(matches!(refusal, OpenError::Newer { found: 9999, .. }), "{refusal}");
}

#[tokio::test]
async fn many_start_at_once_and_migrate_once() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let opened = futures_util::future::join_all((0..5).map(|_| try_open(&url))).await;
    for engine in opened {
        engine.expect("opens");
    }
    let row =
        client(&url).await.query_one("SELECT count(*) FROM schema_migrations", &[]).await.expect("reads");
    assert_eq!(row.get::<_, i64>(0), 1);
}

/// A commit whose wait for the standby was cancelled is in this server, and the server says so by a warning only.
#[tokio::test]
async fn a_commit_that_may_lack_its_standby_is_unknown() {
    let server = TestServer::start_with(&[("max_connections", "50")]);
    let url = server.create_database().await;
    let engine = open(&url).await;
    let mut owner = Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![], 1).await;
    server.set("synchronous_standby_names", "'nobody'");
    let session = client(&url).await;
    let shown = async || {
        session.query_one("SHOW synchronous_standby_names", &[]).await.expect("shows").get::<_, String>(0)
    };
    while shown().await != "nobody" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let commit = engine.commit(vec![owner.part(vec![put(Space::Items, "a", "1")], 1)]);
    let cancel = "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let cancelled = async {
        while session.query_one(cancel, &[]).await.expect("asks").get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (answer, ()) = tokio::join!(commit, cancelled);
    assert!(matches!(answer, Err(Error::Unknown(_))), "{answer:?}");
    server.set("synchronous_standby_names", "''");
    assert_eq!(Owner::of(&engine, 1).await.next, Sequence(3), "it happened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_takes_over_with_all_that_was_acknowledged() {
    let mut primary = TestServer::start_with(&[("max_connections", "60")]);
    let url = primary.create_database().await;
    drop(open(&url).await);
    let standby = primary.standby("second", &[]);
    primary.set("synchronous_standby_names", "'second'");
    let session = client(&url).await;
    let is_sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    while session.query_one(is_sync, &[]).await.expect("asks").get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let hosts = url.replace(
        &primary.folder().display().to_string().replace('/', "%2F"),
        &[&primary, &standby]
            .map(|server| server.folder().display().to_string().replace('/', "%2F"))
            .join(","),
    );
    let engine = Arc::new(open(&hosts).await);
    let loads = under_load(&engine, async |_| {
        tokio::task::block_in_place(|| {
            primary.destroy();
            standby.promote();
        });
    })
    .await;
    for load in &loads {
        load.check(&engine).await;
    }
}
