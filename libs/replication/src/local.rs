//! A region in the same process as a peer, through the very calls that a remote one answers; and what can be made to go
//! wrong between the two on purpose.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tradewind_database::Database;
use tradewind_database::partition::arrival::Arrival;
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::Pushed;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;

use crate::peer::{Peer, PeerError};

/// What is sent over a paused link is given up after this long, as on a line that loses everything.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// What links between regions of one process suffer. Cut and delayed links are what a developer's code meets in a
/// real partition.
#[derive(Clone)]
pub struct Chaos(Arc<watch::Sender<BTreeMap<(Region, Region), Trouble>>>);

/// What a link suffers, in one direction: of what one region asks another, the answers included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Trouble {
    /// Nothing gets through, and the sender is told at once.
    pub cut: bool,
    /// Nothing gets through, and the sender is told nothing.
    pub paused: bool,
    /// Everything is so much later.
    pub delay: Duration,
}

impl Default for Chaos {
    fn default() -> Chaos {
        Chaos(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Chaos {
    pub fn set(&self, from: Region, to: Region, trouble: Trouble) {
        self.0.send_modify(|links| {
            match trouble == Trouble::default() {
                true => links.remove(&(from, to)),
                false => links.insert((from, to), trouble),
            };
        });
    }

    pub fn get(&self, from: Region, to: Region) -> Trouble {
        self.0.borrow().get(&(from, to)).copied().unwrap_or_default()
    }

    /// The links that suffer anything.
    pub fn all(&self) -> Vec<(Region, Region, Trouble)> {
        self.0.borrow().iter().map(|((from, to), trouble)| (*from, *to, *trouble)).collect()
    }

    pub fn heal(&self) {
        self.0.send_modify(BTreeMap::clear);
    }

    /// Returns when something sent now gets through; an error says why it does not.
    async fn pass(&self, from: Region, to: Region) -> Result<(), &'static str> {
        let mut changes = self.0.subscribe();
        let delay = self.get(from, to).delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let resumed = changes.wait_for(|links| links.get(&(from, to)).is_none_or(|trouble| !trouble.paused));
        if tokio::time::timeout(GIVEN_UP, resumed).await.is_err() {
            return Err("the link is paused");
        }
        // Also what was on its way when the link was cut is lost.
        match self.get(from, to).cut {
            true => Err("the link is cut"),
            false => Ok(()),
        }
    }
}

pub struct LocalPeer<E> {
    here: Region,
    database: Arc<Database<E>>,
    chaos: Chaos,
}

impl<E: Engine + Documents> LocalPeer<E> {
    /// The region of `database`, as `here` sees it.
    pub fn new(here: Region, database: Arc<Database<E>>, chaos: Chaos) -> LocalPeer<E> {
        LocalPeer { here, database, chaos }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, ApiError>>) -> Result<T, PeerError> {
        let region = self.database.region();
        let passed = self.chaos.pass(self.here, region).await;
        passed.map_err(|cause| PeerError::Unreachable { region, cause: cause.to_owned() })?;
        call.await.map_err(|error| match error.code {
            Code::InternalServerError | Code::ServiceUnavailable => {
                PeerError::Unreachable { region, cause: error.message }
            }
            _ => PeerError::Refused { region, cause: error.message },
        })
    }
}

impl<E: Engine + Documents> Peer for LocalPeer<E> {
    fn region(&self) -> Region {
        self.database.region()
    }

    async fn push(&self, table: &str, arrival: Arrival) -> Result<Pushed, PeerError> {
        self.call(self.database.arrive(table, arrival)).await
    }

    async fn ask(&self, table: &str, question: Question) -> Result<Reply, PeerError> {
        self.call(self.database.answer(table, question)).await
    }
}
