//! A region in the same process as a peer, through the very calls that a remote one answers; and what can be made to go
//! wrong between the two on purpose.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tradewind_database::Database;
use tradewind_database::partition::arrival::Arrival;
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::Pushed;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;

use crate::peer::{Peer, PeerError};

/// What links between regions of one process suffer. Cut and delayed links are what a developer's code meets in a
/// real partition.
#[derive(Clone, Default)]
pub struct Chaos(Arc<Mutex<HashMap<(Region, Region), Trouble>>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    pub cut: bool,
    pub delay: Duration,
}

impl Chaos {
    pub fn set(&self, from: Region, to: Region, trouble: Trouble) {
        self.0.lock().expect("no panic while held").insert((from, to), trouble);
    }

    pub fn get(&self, from: Region, to: Region) -> Trouble {
        self.0.lock().expect("no panic while held").get(&(from, to)).copied().unwrap_or_default()
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
        let trouble = self.chaos.get(self.here, region);
        if trouble.cut {
            return Err(PeerError::Unreachable { region, cause: "the link is cut".to_owned() });
        }
        if !trouble.delay.is_zero() {
            tokio::time::sleep(trouble.delay).await;
        }
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
