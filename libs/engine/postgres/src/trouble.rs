//! What keeps a database from working, as it is known without asking: whoever wants to know does not wait.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::connect::{Connection, Connector};
use crate::database::Database;
use crate::error::reason;

const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A database that does not answer in this time is in trouble.
const ANSWER: Duration = Duration::from_secs(2);
/// After a commit was refused nobody may have tried again: what was wrong so long ago may be right.
const REMEMBERED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Trouble(Mutex<Known>);

#[derive(Default)]
struct Known {
    commit: Option<(Instant, String)>,
    probe: Option<String>,
}

impl Trouble {
    /// What was wrong with the last commit, if anything was.
    pub fn committed(&self, trouble: Option<String>) {
        self.known().commit = trouble.map(|trouble| (Instant::now(), trouble));
    }

    pub fn now(&self) -> Option<String> {
        let known = self.known();
        let commit = known.commit.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED);
        match (&known.probe, commit) {
            (Some(probe), _) => Some(probe.clone()),
            (None, Some((_, commit))) => Some(format!("commits are refused: {commit}")),
            (None, None) => None,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for as long as the database is open, on a session of its own, lest it waits behind requests.
pub async fn watch(database: Weak<Database>, connector: Connector) {
    let mut session = None;
    loop {
        let probe = probe(&connector, &mut session).await.err();
        match database.upgrade() {
            Some(database) => database.trouble.known().probe = probe,
            None => return,
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

async fn probe(connector: &Connector, session: &mut Option<Connection>) -> Result<(), String> {
    let asked = async {
        let connection = match session.take().filter(|connection| !connection.client.is_closed()) {
            Some(connection) => connection,
            None => connector.connect().await?,
        };
        connection.client.simple_query("SELECT").await?;
        *session = Some(connection);
        Ok(())
    };
    let answered = timeout(ANSWER, asked).await;
    let answered = answered.map_err(|_| format!("it does not answer within {ANSWER:?}"))?;
    answered.map_err(|error: tokio_postgres::Error| reason(&error))
}
