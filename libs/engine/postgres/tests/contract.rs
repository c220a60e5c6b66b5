//! The contract, on a real server.

use tradewind_engine::suite::{self, ManualClock, Subject};
use tradewind_engine_postgres::testing::{TestServer, client};
use tradewind_engine_postgres::{PostgresEngine, Settings};

struct PostgresSubject {
    url: String,
    clock: ManualClock,
    engine: PostgresEngine,
}

impl PostgresSubject {
    async fn new(server: &TestServer) -> PostgresSubject {
        let (url, clock) = (server.create_database().await, ManualClock::default());
        let engine = open(&url, &clock).await;
        PostgresSubject { url, clock, engine }
    }
}

async fn open(url: &str, clock: &ManualClock) -> PostgresEngine {
    let settings = Settings { read_connections: 2, ..Settings::new(url) };
    PostgresEngine::open(settings, clock.clock()).await.expect("the server is there")
}

impl Subject for PostgresSubject {
    type Engine = PostgresEngine;

    fn engine(&self) -> &PostgresEngine {
        &self.engine
    }

    async fn reopen(&mut self) {
        self.engine = open(&self.url, &self.clock).await;
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Leases are measured by the server's clock, which passes by itself.
    async fn pass(&self, time: std::time::Duration) {
        let session = client(&self.url).await;
        session.execute("SELECT pg_sleep($1)", &[&time.as_secs_f64()]).await.expect("it sleeps");
    }
}

#[tokio::test]
async fn one_database_keeps_the_contract() {
    let server = TestServer::start();
    suite::run_all(async || PostgresSubject::new(&server).await).await;
}

#[tokio::test]
async fn one_database_keeps_leases() {
    let server = TestServer::start();
    suite::run_members(async || PostgresSubject::new(&server).await).await;
}
