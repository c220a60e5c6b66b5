//! A region over two databases: the contract, and what several add to it.

use std::sync::Arc;

use tradewind_engine::suite::{
    self, ManualClock, Owner, Subject, partition, put, remove, sequences_after, value_of,
};
use tradewind_engine::{Engine, Error, Space};
use tradewind_engine_postgres::testing::{TestServer, client};
use tradewind_engine_postgres::{OpenError, Settings, Several};

const DATABASES: usize = 2;

struct SeveralSubject {
    urls: Vec<String>,
    clock: ManualClock,
    engine: Several,
}

async fn create(server: &TestServer) -> Vec<String> {
    let mut urls = Vec::new();
    for _ in 0..DATABASES {
        urls.push(server.create_database().await);
    }
    urls
}

async fn try_open(urls: &[String], clock: &ManualClock) -> Result<Several, OpenError> {
    let settings = urls.iter().map(|url| Settings { read_connections: 2, ..Settings::new(url) });
    Several::open(settings.collect(), clock.clock()).await
}

impl SeveralSubject {
    async fn new(server: &TestServer) -> SeveralSubject {
        let (urls, clock) = (create(server).await, ManualClock::default());
        let engine = try_open(&urls, &clock).await.expect("the server is there");
        SeveralSubject { urls, clock, engine }
    }
}

impl Subject for SeveralSubject {
    type Engine = Several;

    fn engine(&self) -> &Several {
        &self.engine
    }

    async fn reopen(&mut self) {
        // In another order: each database knows which one it is.
        self.urls.reverse();
        self.engine = try_open(&self.urls, &self.clock).await.expect("the server is there");
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn pass(&self, time: std::time::Duration) {
        let session = client(&self.urls[0]).await;
        session.execute("SELECT pg_sleep($1)", &[&time.as_secs_f64()]).await.expect("it sleeps");
    }
}

#[tokio::test]
async fn two_databases_keep_the_contract() {
    let server = TestServer::start();
    suite::run_all(async || SeveralSubject::new(&server).await).await;
}

#[tokio::test]
async fn two_databases_keep_leases() {
    let server = TestServer::start();
    suite::run_members(async || SeveralSubject::new(&server).await).await;
}

/// Without which the tests above would be about one database.
#[tokio::test]
async fn partitions_are_spread() {
    let server = TestServer::start();
    let subject = SeveralSubject::new(&server).await;
    for number in 0..4 {
        Owner::of(subject.engine(), number).await;
    }
    for url in &subject.urls {
        let row = client(url).await.query_one("SELECT count(*) FROM partitions", &[]).await.expect("reads");
        assert_eq!(row.get::<_, i64>(0), 2);
    }
}

/// Once the engine is told which hashes lie in which partition, an item is asked of its own database, whatever the other does.
#[tokio::test]
async fn an_item_is_read_from_its_own_database_only() {
    let server = TestServer::start();
    let subject = SeveralSubject::new(&server).await;
    let engine = subject.engine();
    let mut owners = [Owner::of(engine, 0).await, Owner::of(engine, 1).await];
    let table = partition(0).incarnation;
    let key = |hash: u64| [&table.as_bytes()[..], &hash.to_be_bytes(), b"key"].concat();
    let keys = [key(0), key(u64::MAX)];
    for (owner, key) in owners.iter_mut().zip(&keys) {
        owner.commit(engine, vec![put(Space::Items, key.clone(), "row")], 0).await;
    }
    engine.place(table, &[(0, u64::MAX / 2), (1, u64::MAX)]);
    for key in &keys {
        assert!(value_of(engine, Space::Items, key.clone()).await.is_some());
    }
    close_database_of(&server, &subject, 1).await;
    assert!(value_of(engine, Space::Items, keys[0].clone()).await.is_some(), "the other is not asked");
    let refused = engine.read(Space::Items, &[&keys[1]]).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

/// Nobody gets into the database where this partition lies any more.
async fn close_database_of(server: &TestServer, subject: &SeveralSubject, number: u32) {
    let mut closed = 0;
    for url in &subject.urls {
        let id = partition(number).to_bytes();
        let sql = "SELECT count(*) FROM partitions WHERE partition = $1";
        let row = client(url).await.query_one(sql, &[&&id[..]]).await.expect("reads");
        if row.get::<_, i64>(0) == 1 {
            let name = url.rsplit('/').next().expect("a URL has a database");
            let session = server.client("postgres").await;
            let close = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
            session.batch_execute(&close).await.expect("its user may");
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            session.execute(end, &[&name]).await.expect("its user may");
            closed += 1;
        }
    }
    assert_eq!(closed, 1, "it lies in one of them");
}

#[tokio::test]
async fn ranges_are_merged_in_order() {
    let server = TestServer::start();
    let subject = SeveralSubject::new(&server).await;
    let engine = subject.engine();
    let mut owners = [Owner::of(engine, 0).await, Owner::of(engine, 1).await];
    let key = |n: u32| format!("key-{n:06}");
    // More than a page of each, unevenly.
    for (at, owner) in owners.iter_mut().enumerate() {
        let rows =
            (0..4000).filter(|n| usize::from(n % 3 == 0) == at).map(|n| put(Space::Index, key(n), key(n)));
        owner.commit(engine, rows.collect(), 0).await;
    }
    for reverse in [false, true] {
        let mut seen = Vec::new();
        let gather = |found: &[u8], value: &[u8]| {
            assert_eq!(found, value);
            seen.push(String::from_utf8(found.to_vec()).expect("a key of this test"));
            seen.len() < 3500
        };
        engine.range(Space::Index, b"a"..b"z", reverse, gather).await.expect("reads");
        let mut expected: Vec<String> = (0..4000).map(key).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!(seen, expected[..3500]);
    }
}

#[tokio::test]
async fn a_batch_over_both_is_all_or_nothing() {
    let server = TestServer::start();
    let subject = SeveralSubject::new(&server).await;
    let engine = subject.engine();
    let (mut one, mut two) = (Owner::of(engine, 0).await, Owner::of(engine, 1).await);
    for round in 0..20_u32 {
        let rows = |key| vec![put(Space::Items, key, round.to_be_bytes())];
        engine.commit(vec![one.part(rows("a"), 1), two.part(rows("b"), 1)]).await.expect("commits");
        for key in ["a", "b"] {
            assert_eq!(value_of(engine, Space::Items, key).await.as_deref(), Some(&round.to_be_bytes()[..]));
        }
    }
    let stale = two.clone();
    Owner::of(engine, 1).await;
    let gone = |key| vec![remove(Space::Items, key)];
    let answer = engine.commit(vec![one.clone().part(gone("a"), 1), stale.clone().part(gone("b"), 1)]).await;
    assert!(matches!(answer, Err(Error::Fenced { partition: p, .. }) if p == partition(1)), "{answer:?}");
    assert!(value_of(engine, Space::Items, "a").await.is_some());
    // Nothing is left prepared, so the next commit does not wait.
    one.commit(engine, gone("a"), 1).await;
    assert_eq!(sequences_after(engine, 0, 0).await.len(), 21);
    let left = client(&subject.urls[0]).await;
    let left = left.query_one("SELECT count(*) FROM pg_prepared_xacts", &[]).await.expect("reads");
    assert_eq!(left.get::<_, i64>(0), 0);
}

/// What a coordinator that died after its PREPAREs leaves is rolled back, or committed where the decision stands.
#[tokio::test]
async fn what_a_dead_coordinator_left_is_settled() {
    for decided in [false, true] {
        let server = TestServer::start();
        let subject = SeveralSubject::new(&server).await;
        let engine = Arc::new(subject.engine);
        let (one, two) = (Owner::of(&*engine, 0).await, Owner::of(&*engine, 1).await);
        let name = format!("tradewind:{}", uuid::Uuid::new_v4());
        for (number, url) in subject.urls.iter().enumerate() {
            let sql = format!(
                "BEGIN; UPDATE partitions SET next = next + 1; \
                 INSERT INTO items (key, value) SELECT partition, partition FROM partitions; PREPARE TRANSACTION '{name}:{number}'"
            );
            client(url).await.batch_execute(&sql).await.expect("prepares");
        }
        if decided {
            let sql = format!(
                "INSERT INTO decisions (name, is_commit) SELECT '{name}', true FROM identity WHERE number = 0"
            );
            for url in &subject.urls {
                client(url).await.batch_execute(&sql).await.expect("inserts");
            }
        }
        // The takeover waits for it.
        for owner in [&one, &two] {
            let opened = engine.open(owner.partition).await.expect("opens");
            assert_eq!(opened.next.0, if decided { 2 } else { 1 });
            let row = value_of(&*engine, Space::Items, owner.partition.to_bytes()).await;
            assert_eq!(row.is_some(), decided);
        }
    }
}

#[tokio::test]
async fn a_database_too_few_or_of_another_region_is_refused() {
    let server = TestServer::start();
    let (subject, other) = (SeveralSubject::new(&server).await, SeveralSubject::new(&server).await);
    let refused = async |urls: &[&String]| {
        let urls: Vec<String> = urls.iter().map(|url| (*url).clone()).collect();
        try_open(&urls, &ManualClock::default()).await.err().expect("it is refused").to_string()
    };
    let [first, second] = &subject.urls[..] else { unreachable!() };
    assert!(refused(&[first]).await.contains("is not named"));
    assert!(refused(&[second]).await.contains("not number 0"));
    assert!(refused(&[first, first]).await.contains("is not named"));
    assert!(refused(&[first, second, &other.urls[1]]).await.contains("another region"));
}

#[tokio::test]
async fn too_few_prepared_transactions_are_refused_by_name() {
    let server = TestServer::start_with(&[("max_prepared_transactions", "0")]);
    let urls = create(&server).await;
    let refusal = try_open(&urls, &ManualClock::default()).await.err().expect("refused").to_string();
    assert!(refusal.contains("max_prepared_transactions is 0"), "{refusal}");
    try_open(&urls[..1], &ManualClock::default()).await.expect("one database needs none");
}

/// TransactGetItems reads all its items by one call. Between two COMMIT PREPARED such a call must not show half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_both_sees_a_batch_in_both_or_in_none() {
    const ROUNDS: u32 = 150;
    let server = TestServer::start();
    let subject = SeveralSubject::new(&server).await;
    let engine = Arc::new(subject.engine);
    let (mut one, mut two) = (Owner::of(&*engine, 0).await, Owner::of(&*engine, 1).await);
    let writes = engine.clone();
    let writer = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let rows = |key| vec![put(Space::Items, key, round.to_be_bytes())];
            writes.commit(vec![one.part(rows("a"), 1), two.part(rows("b"), 1)]).await.expect("commits");
        }
    });
    let mut reads = 0;
    while !writer.is_finished() {
        let seen = engine.read(Space::Items, &[b"a", b"b"]).await.expect("reads");
        assert_eq!(seen[0], seen[1], "half of a transaction after {reads} reads");
        reads += 1;
    }
    writer.await.expect("it wrote");
    assert!(reads > ROUNDS, "too few reads to meet anything: {reads}");
}
