//! The cluster as a storage node's database sees it: seats by the roster, calls by rpc.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tradewind_database::cluster::{
    Cluster, Done, ForwardError, Forwarded, Hold, Inquiry, NodeId, Outcome, Pending, Release, RemoteHold,
    Seat, Spent,
};
use tradewind_model::PartitionId;
use tradewind_rpc::{CallError, Nodes, Question};

use super::roster::Roster;

/// How long a request waits for a partition that moves or whose database is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// An owner that commits answers sooner; one that waits for its database is asked again.
const SUBMIT: Duration = Duration::from_secs(6);
const HOLD: Duration = Duration::from_secs(3);
const INQUIRE: Duration = Duration::from_secs(3);
/// A node that is away keeps the others from hearing no longer than this.
const SPEND: Duration = Duration::from_millis(500);
const RELEASE: Duration = Duration::from_secs(1);
/// A control operation waits so long at most for nodes that do not look.
const ANNOUNCE: Duration = Duration::from_millis(1500);

pub struct Together {
    pub roster: Arc<Roster>,
    pub nodes: Arc<Nodes>,
    /// For what is sent without waiting.
    pub runtime: Handle,
}

impl Together {
    async fn ask<A: DeserializeOwned>(
        &self,
        node: NodeId,
        question: Question,
        body: &(impl Serialize + Sync),
        deadline: Duration,
    ) -> Result<A, ForwardError> {
        let Some(address) = self.roster.address_of(node) else {
            return Err(ForwardError::NotSent("the node is no member any more".to_owned()));
        };
        let body = encode(body).map_err(ForwardError::NotSent)?;
        match self.nodes.ask(node.0, &address, question, body, deadline).await {
            Ok(answer) => decode(&answer).map_err(ForwardError::Unknown),
            Err(error) => Err(forward_error(error)),
        }
    }
}

/// Every other member looks again, at the catalogue and at the members.
pub async fn tell_all(nodes: &Nodes, roster: &Roster) {
    let asked = roster.others().into_iter().map(|node| async move {
        // Who does not hear it looks by itself, a little later.
        let _ = nodes.ask(node.id.0, &node.address, Question::Announce, Bytes::new(), ANNOUNCE).await;
    });
    join_all(asked).await;
}

fn forward_error(error: CallError) -> ForwardError {
    match error {
        CallError::Moved => ForwardError::Moved,
        CallError::NotSent(why) => ForwardError::NotSent(why),
        CallError::Unknown(why) => ForwardError::Unknown(why),
        CallError::Refused(error) => match decode(&error) {
            Ok(error) => ForwardError::Refused(error),
            Err(why) => ForwardError::Unknown(why),
        },
    }
}

/// MessagePack with field names: see `node.proto`.
pub fn encode(body: &impl Serialize) -> Result<Bytes, String> {
    rmp_serde::to_vec_named(body).map(Bytes::from).map_err(|error| error.to_string())
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(body).map_err(|error| format!("another node's words make no sense here: {error}"))
}

impl Cluster for Together {
    fn seat(&self, partition: PartitionId) -> Seat {
        self.roster.seat(partition)
    }

    fn holds_lease(&self) -> bool {
        self.roster.lease().holds()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.roster.subscribe()
    }

    fn suspect(&self) {
        self.roster.suspect();
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn submit<'a>(
        &'a self,
        node: NodeId,
        forwarded: &'a Forwarded,
    ) -> Pending<'a, Result<Done, ForwardError>> {
        Box::pin(self.ask(node, Question::Submit, forwarded, SUBMIT))
    }

    fn hold<'a>(&'a self, node: NodeId, hold: &'a Hold) -> Pending<'a, Result<RemoteHold, ForwardError>> {
        Box::pin(self.ask(node, Question::Hold, hold, HOLD))
    }

    fn release(&self, node: NodeId, release: Release) -> Pending<'static, ()> {
        let nothing = || Box::pin(std::future::ready(()));
        let Some(address) = self.roster.address_of(node) else { return nothing() };
        let Ok(body) = encode(&release) else { return nothing() };
        let nodes = self.nodes.clone();
        let sending = self.runtime.spawn(async move {
            let released = nodes.ask(node.0, &address, Question::Release, body, RELEASE).await;
            if let Err(error) = released {
                tracing::debug!(%error, "a hold's end did not arrive");
            }
        });
        Box::pin(async move { _ = sending.await })
    }

    fn inquire<'a>(
        &'a self,
        node: NodeId,
        inquiry: &'a Inquiry,
    ) -> Pending<'a, Result<Outcome, ForwardError>> {
        Box::pin(self.ask(node, Question::Inquire, inquiry, INQUIRE))
    }

    fn spend(&self, spent: Spent) -> Pending<'_, ()> {
        let Ok(body) = encode(&spent) else { return Box::pin(std::future::ready(())) };
        let told = self.roster.others().into_iter().map(move |node| {
            let body = body.clone();
            async move {
                // Who does not hear it hears the next word.
                let _ = self.nodes.ask(node.id.0, &node.address, Question::Spend, body, SPEND).await;
            }
        });
        Box::pin(async move { _ = join_all(told).await })
    }

    fn announce(&self) -> Pending<'_, ()> {
        Box::pin(tell_all(&self.nodes, &self.roster))
    }
}
