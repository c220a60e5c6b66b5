//! The region's replicators, as a storage node asks them for operators.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tradewind_engine::{Member, Members};
use tradewind_replication::{Order, Ordered};
use tradewind_rpc::{Nodes, Question};

use super::together::{decode, encode};

/// The group of those who run links.
pub const GROUP: &str = "replicators";
/// An order may take long; what only looks does not.
const LOOK: Duration = Duration::from_secs(3);
const CARRY_OUT: Duration = Duration::from_secs(600);

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
        let living = self.engine.members(GROUP).await.unwrap_or_default();
        join_all(living.into_iter().map(async |member| {
            let answer = self.ask(&member, order, LOOK).await;
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
