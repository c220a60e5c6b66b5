//! Comparisons of tables that run, or ran: they take seconds, so one question begins them and others ask after them. The
//! newest are remembered until the process ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tradewind_engine::{Documents, Engine};
use tradewind_model::KeySchema;
use uuid::Uuid;

use crate::join::Error;
use crate::peer::Peer;
use crate::replicator::Replicator;
use crate::verify::{Progress, Verified, Wish};

/// Comparisons that are remembered, the newest.
const REMEMBERED: usize = 16;
/// Comparisons that run at the same time.
const MAX_RUNNING: usize = 4;

/// How far a comparison has come, and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub table: String,
    pub keys: KeySchema,
    pub progress: Progress,
    /// `None`: it runs.
    pub outcome: Option<Result<Verified, String>>,
}

#[derive(Default)]
pub(crate) struct Comparisons(Mutex<VecDeque<(Uuid, watch::Receiver<Comparison>)>>);

impl Comparisons {
    fn begin(&self, begun: Comparison) -> Result<(Uuid, watch::Sender<Comparison>), Error> {
        let mut known = self.0.lock().expect("no panic while held");
        let running = known.iter().filter(|(_, comparison)| comparison.borrow().outcome.is_none()).count();
        if running >= MAX_RUNNING {
            return Err(Error::Rule(format!("{MAX_RUNNING} comparisons run already")));
        }
        let (id, (sender, receiver)) = (Uuid::new_v4(), watch::channel(begun));
        known.push_back((id, receiver));
        if known.len() > REMEMBERED {
            known.pop_front();
        }
        Ok((id, sender))
    }

    fn get(&self, id: Uuid) -> Option<Comparison> {
        let known = self.0.lock().expect("no panic while held");
        known.iter().find(|(known, _)| *known == id).map(|(_, comparison)| comparison.borrow().clone())
    }
}

impl<E: Engine + Documents, P: Peer> Replicator<E, P> {
    /// Begins to compare this region's table with the other replicas, through these peers or its own, on a runtime apart
    /// from the threads that answer requests.
    ///
    /// # Errors
    /// There is no such table, or enough is being compared.
    pub fn begin_comparison(
        self: &Arc<Self>,
        wish: Wish,
        peers: Option<Vec<Arc<P>>>,
        on: &Handle,
    ) -> Result<Uuid, Error> {
        let document = self.database().table(&wish.table).map(|table| table.document());
        let document = document
            .ok_or_else(|| Error::Rule("Requested resource not found: there is no such table".into()))?;
        let begun = Comparison {
            table: wish.table.clone(),
            keys: document.keys.clone(),
            progress: Progress::default(),
            outcome: None,
        };
        let (id, comparison) = self.comparisons.begin(begun)?;
        let this = self.clone();
        on.spawn(async move {
            let progress = |progress| comparison.send_modify(|comparison| comparison.progress = progress);
            let outcome = this.verify(&wish, peers, progress).await.map_err(|error| error.to_string());
            comparison.send_modify(|comparison| comparison.outcome = Some(outcome));
        });
        Ok(id)
    }

    /// `None`: there was none here, or too many since.
    pub fn comparison(&self, id: Uuid) -> Option<Comparison> {
        self.comparisons.get(id)
    }
}
