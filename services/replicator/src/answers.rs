//! What a replicator answers the storage nodes of its region.

use std::sync::Arc;

use bytes::Bytes;
use tradewind_engine::{Documents, Engine};
use tradewind_replication::{Order, RemotePeer, Replicator};
use tradewind_rpc::{Answering, CallError, Node, Question};
use tradewind_storage::node::{decode, encode};
use uuid::Uuid;

pub struct Answers<E: 'static> {
    pub id: Uuid,
    pub replicator: Arc<Replicator<E, RemotePeer>>,
}

impl<E: Engine + Documents> Node for Answers<E> {
    fn id(&self) -> Uuid {
        self.id
    }

    fn answer(&self, question: Question, body: Bytes) -> Answering<'_> {
        Box::pin(async move {
            if question != Question::Replicate {
                return Err(CallError::Moved);
            }
            // A node of another version asks what this one does not understand: nothing was done.
            let order: Order = decode(&body).map_err(|_| CallError::Moved)?;
            encode(&self.replicator.order(order).await).map_err(CallError::Unknown)
        })
    }
}
