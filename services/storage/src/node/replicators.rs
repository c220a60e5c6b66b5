//! The region's replicators, as a storage node asks them for operators.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine, Member, Members};
use tradewind_replication::{Order, Ordered};
use tradewind_rpc::{Nodes, Question};

use super::together::{decode, encode};

/// The group of those who run links.
pub const GROUP: &str = "replicators";
/// An order may take long; what only looks does not.
const LOOK: Duration = Duration::from_secs(3);
const CARRY_OUT: Duration = Duration::from_secs(600);
/// One that is dying keeps the others from hearing no longer than this.
const RAISED: Duration = Duration::from_millis(500);

pub struct Replicators<E> {
    engine: Arc<E>,
    nodes: Arc<Nodes>,
}

impl<E: Members> Replicators<E> {
    pub fn new(engine: Arc<E>, nodes: Arc<Nodes>) -> Replicators<E> {
        Replicators { engine, nodes }
    }

    /// Every one's answer; none where none lives or the database does not answer.
    pub async fn ask_all(&self, order: &Order) -> Vec<(Member, Result<Ordered, String>)> {
        self.ask_within(order, LOOK).await
    }

    async fn ask_within(&self, order: &Order, deadline: Duration) -> Vec<(Member, Result<Ordered, String>)> {
        let living = self.engine.members(GROUP).await.unwrap_or_default();
        join_all(living.into_iter().map(async |member| {
            let answer = self.ask(&member, order, deadline).await;
            (member, answer)
        }))
        .await
    }

    /// Has the one that leads carry an order out.
    pub async fn have_done(&self, order: &Order) -> Result<Ordered, String> {
        let living = self.engine.members(GROUP).await.map_err(|error| error.to_string())?;
        match living.first() {
            Some(leader) => self.ask(leader, order, CARRY_OUT).await,
            None => Err("no replicator of this region is running".to_owned()),
        }
    }

    async fn ask(&self, member: &Member, order: &Order, deadline: Duration) -> Result<Ordered, String> {
        let body = encode(order)?;
        let asked = self.nodes.ask(member.id, &member.address, Question::Replicate, body, deadline).await;
        decode(&asked.map_err(|error| error.to_string())?)
    }
}

/// Tells the region's replicators, until `stop`, of each clock that this process raises: their idle links would announce
/// it only with their next heartbeat, and somebody waits for it.
pub async fn tell_raised<E: Engine + Documents + Members>(
    database: Arc<Database<E>>,
    replicators: Arc<Replicators<E>>,
    stop: CancellationToken,
) {
    let mut raised = database.watch_raised();
    let tell = async {
        loop {
            let mut tables = match raised.recv().await {
                Ok(table) => BTreeSet::from([table]),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            while let Ok(table) = raised.try_recv() {
                tables.insert(table);
            }
            // Who does not hear it announces it a little later.
            replicators.ask_within(&Order::Raised(tables), RAISED).await;
        }
    };
    stop.run_until_cancelled(tell).await;
}
