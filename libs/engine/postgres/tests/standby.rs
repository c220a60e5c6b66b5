//! Eventual reads from a streaming standby: never more than a second behind, and while the primary is away.

use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::suite::{ManualClock, Owner, put};
use tradewind_engine::{Engine, Error, Space};
use tradewind_engine_postgres::testing::{Stop, TestServer, client};
use tradewind_engine_postgres::{Settings, Several};

const PATIENCE: Duration = Duration::from_secs(60);

struct Pair {
    primary: TestServer,
    standby: TestServer,
    /// The primary's and the standby's, of each database.
    urls: Vec<(String, String)>,
}

impl Pair {
    async fn start(databases: usize) -> Pair {
        let primary = TestServer::start_with(&[("max_connections", "90")]);
        let mut names = Vec::new();
        for _ in 0..databases {
            let url = primary.create_database().await;
            names.push(url.rsplit('/').next().expect("a URL has a database").to_owned());
        }
        let standby = primary.standby("reader", &[]);
        let urls = names.iter().map(|name| (primary.url(name), standby.url(name))).collect();
        Pair { primary, standby, urls }
    }

    async fn open(&self) -> Several {
        let settings = |url: &String| Settings { read_connections: 2, pool_size: 4, ..Settings::new(url) };
        let primaries = self.urls.iter().map(|(primary, _)| settings(primary)).collect();
        // In another order: each says whom it follows.
        let standbys: Vec<_> = self.urls.iter().rev().map(|(_, standby)| settings(standby)).collect();
        let engine = Several::open(primaries, ManualClock::default().clock()).await.expect("they are there");
        engine.with_standbys(&standbys).expect("good URLs")
    }

    async fn at_standby(&self, sql: &str) {
        for (_, standby) in &self.urls {
            client(standby).await.batch_execute(sql).await.expect("it may");
        }
    }
}

async fn eventual(engine: &Several, key: &str) -> Option<Vec<u8>> {
    let read = engine.read_eventual(Space::Items, &[key.as_bytes()]).await.expect("it is answered");
    read[0].as_ref().map(|value| value.to_vec())
}

async fn eventual_range(engine: &Several) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let gather = |_: &[u8], value: &[u8]| {
        seen.push(value.to_vec());
        true
    };
    engine.range_eventual(Space::Index, b"a"..b"z", false, gather).await.expect("it is answered");
    seen
}

async fn write(engine: &Several, owner: &mut Owner, key: &str, value: &str) {
    let rows = vec![put(Space::Items, key, value), put(Space::Index, key, value)];
    owner.commit(engine, rows, 0).await;
}

/// A standby that stands still shows the past, and is not asked any more when that is a second old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventual_reads_are_a_standbys_and_at_most_a_second_old() {
    let pair = Pair::start(1).await;
    let engine = pair.open().await;
    let mut owner = Owner::of(&engine, 1).await;
    let (mut round, until) = (0, Instant::now() + PATIENCE);
    loop {
        assert!(Instant::now() < until, "no read was answered by the standby");
        round += 1;
        let (before, after) = (format!("{round}"), format!("{round} again"));
        write(&engine, &mut owner, "a", &before).await;
        // It has replayed that, and is watched.
        tokio::time::sleep(Duration::from_millis(700)).await;
        pair.at_standby("SELECT pg_wal_replay_pause()").await;
        write(&engine, &mut owner, "a", &after).await;
        let (written, mut old) = (Instant::now(), 0);
        loop {
            let begun = Instant::now();
            let read = eventual(&engine, "a").await.expect("it is there");
            let strong = engine.read(Space::Items, &[b"a"]).await.expect("reads");
            assert_eq!(strong[0].as_deref(), Some(after.as_bytes()), "strong reads ask the primary");
            if read == after.as_bytes() {
                break;
            }
            old += 1;
            assert!(begun < written + Duration::from_millis(1050), "a read of what is over a second old");
        }
        pair.at_standby("SELECT pg_wal_replay_resume()").await;
        if old > 0 {
            return;
        }
    }
}

/// Its log is longer than the primary's, and says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_on_a_timeline_of_its_own_is_not_read_from() {
    let pair = Pair::start(1).await;
    let engine = pair.open().await;
    let mut owner = Owner::of(&engine, 1).await;
    write(&engine, &mut owner, "a", "before").await;
    let until = Instant::now() + PATIENCE;
    while !replays(&pair, "before").await {
        assert!(Instant::now() < until, "the standby does not follow");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::task::block_in_place(|| pair.standby.promote());
    pair.at_standby("CREATE TABLE long AS SELECT generate_series(1, 100000) AS n").await;
    write(&engine, &mut owner, "a", "after").await;
    let written = Instant::now();
    // Longer than a standby counts as fresh by what was seen before.
    while written.elapsed() < Duration::from_secs(4) {
        let read = eventual(&engine, "a").await.expect("it is there");
        assert!(read == b"after" || written.elapsed() < Duration::from_millis(1050), "what is long over");
    }
}

async fn replays(pair: &Pair, value: &str) -> bool {
    let sql = "SELECT count(*) FROM items WHERE value = $1";
    let found = client(&pair.urls[0].1).await.query_one(sql, &[&value.as_bytes()]).await;
    found.is_ok_and(|row| row.get::<_, i64>(0) > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventual_reads_go_on_while_the_primary_is_away() {
    for databases in [1, 2] {
        let mut pair = Pair::start(databases).await;
        let engine = pair.open().await;
        // In both databases, if there are two.
        let mut owners = [Owner::of(&engine, 0).await, Owner::of(&engine, 1).await];
        for (owner, key) in owners.iter_mut().zip(["b", "c"]) {
            write(&engine, owner, key, key).await;
        }
        let until = Instant::now() + PATIENCE;
        for (_, standby) in &pair.urls {
            let session = client(standby).await;
            let sql = "SELECT count(*) FROM items";
            while session.query_one(sql, &[]).await.map_or(0, |row| row.get::<_, i64>(0)) == 0 {
                assert!(Instant::now() < until, "the standby does not follow");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        // Each standby is found by the engine.
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::task::block_in_place(|| pair.primary.stop(Stop::Immediate));
        let mut slowest = Duration::ZERO;
        for _ in 0..30 {
            let begun = Instant::now();
            assert_eq!(eventual(&engine, "b").await.as_deref(), Some(&b"b"[..]));
            assert_eq!(eventual(&engine, "c").await.as_deref(), Some(&b"c"[..]));
            assert_eq!(eventual_range(&engine).await, [b"b", b"c"]);
            slowest = slowest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(slowest < Duration::from_secs(4), "{slowest:?}");
        let strong = engine.read(Space::Items, &[b"b"]).await;
        assert!(matches!(strong, Err(Error::Unavailable(_))), "{strong:?}");
        let commit = engine.commit(vec![owners[0].clone().part(vec![], 1)]).await;
        assert!(commit.is_err(), "{commit:?}");
        assert_eq!(engine.troubles().await.len(), databases, "each says what is wrong");
        tokio::task::block_in_place(|| pair.primary.resume());
        let mut owner = Owner::of(&engine, 0).await;
        write(&engine, &mut owner, "b", "new").await;
        while !engine.troubles().await.is_empty() {
            assert!(Instant::now() < until + PATIENCE, "{:?}", engine.troubles().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        while eventual(&engine, "b").await.as_deref() != Some(b"new") {
            assert!(Instant::now() < until + PATIENCE, "the primary's news are not read");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
