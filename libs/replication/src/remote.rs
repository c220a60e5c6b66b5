//! A region in another process: both ends of the link port, in the words of [`tradewind_rpc`].
//!
//! What arrives was made by another process, perhaps of another release, and is checked before the database sees it. What
//! went wrong on the way may have been done ([`PeerError::Unreachable`]); what the other end answered stands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tradewind_database::Database;
use tradewind_database::partition::arrival::Arrival;
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::Pushed;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;
use tradewind_rpc::{Destination, LinkAnswering, LinkCall, LinkClient, LinkError, LinkQuestion, Links};
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;

use crate::link::BATCH_CHANGES;
use crate::peer::{Peer, PeerError};

/// A batch that is not committed by then is sent again.
const PUSH: Duration = Duration::from_secs(15);
/// Some questions make a table, or read all of its partitions.
const ASK: Duration = Duration::from_secs(30);

pub struct RemotePeer {
    here: Region,
    region: Region,
    client: LinkClient,
}

impl RemotePeer {
    /// The region `region` as `here` asks it. Connects at the first call; must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// A certificate or an address cannot be used.
    pub fn new(here: Region, region: Region, destination: &Destination) -> Result<RemotePeer, String> {
        Ok(RemotePeer { here, region, client: LinkClient::new(destination)? })
    }

    async fn call<A: DeserializeOwned>(
        &self,
        question: LinkQuestion,
        table: &str,
        body: &(impl Serialize + Sync),
        deadline: Duration,
    ) -> Result<A, PeerError> {
        let region = self.region;
        let refused = |cause| PeerError::Refused { region, cause };
        let body = rmp_serde::to_vec_named(body).map_err(|error| refused(error.to_string()))?;
        let call = LinkCall {
            from: self.here.to_string(),
            to: region.to_string(),
            table: table.to_owned(),
            body: Bytes::from(body),
        };
        match self.client.call(question, call, deadline).await {
            Ok(answer) => decode(&answer).map_err(|cause| PeerError::Unreachable { region, cause }),
            Err(LinkError::Failed(cause)) => Err(PeerError::Unreachable { region, cause }),
            Err(LinkError::Refused(cause)) => Err(refused(cause)),
            Err(LinkError::Busy) => Err(PeerError::Busy { region }),
        }
    }
}

impl Peer for RemotePeer {
    fn region(&self) -> Region {
        self.region
    }

    async fn push(&self, table: &str, arrival: Arrival) -> Result<Pushed, PeerError> {
        self.call(LinkQuestion::Push, table, &arrival, PUSH).await
    }

    async fn ask(&self, table: &str, question: Question) -> Result<Reply, PeerError> {
        self.call(LinkQuestion::Ask, table, &question, ASK).await
    }
}

/// What a region answers those that reach its link port.
pub struct RegionLinks<E: 'static>(Arc<Database<E>>);

impl<E: Engine + Documents> RegionLinks<E> {
    pub fn new(database: Arc<Database<E>>) -> RegionLinks<E> {
        RegionLinks(database)
    }

    async fn push(&self, call: LinkCall) -> Result<Bytes, LinkError> {
        let arrival: Arrival = decode(&call.body).map_err(LinkError::Refused)?;
        check(&arrival, &call.from).map_err(|cause| LinkError::Refused(cause.to_owned()))?;
        answered(self.0.arrive(&call.table, arrival).await)
    }

    async fn ask(&self, call: LinkCall) -> Result<Bytes, LinkError> {
        let question: Question = decode(&call.body).map_err(LinkError::Refused)?;
        answered(self.0.answer(&call.table, question).await)
    }
}

impl<E: Engine + Documents> Links for RegionLinks<E> {
    fn answer(&self, question: LinkQuestion, call: LinkCall) -> LinkAnswering<'_> {
        Box::pin(async move {
            let here = self.0.region();
            if call.to != here.as_str() {
                return Err(LinkError::Refused(format!("this is region {here}, and not {}", call.to)));
            }
            match question {
                LinkQuestion::Push => self.push(call).await,
                LinkQuestion::Ask => self.ask(call).await,
            }
        })
    }
}

/// What every batch of an honest source keeps: see [`Arrival`].
fn check(arrival: &Arrival, from: &str) -> Result<(), &'static str> {
    let Arrival { source, after, through, changes, .. } = arrival;
    if source.region.as_str() != from {
        return Err("the batch is another region's than the one that sent it");
    }
    if arrival.from > arrival.to || through < after {
        return Err("the batch ends before it begins");
    }
    if changes.len() > BATCH_CHANGES {
        return Err("the batch has more changes than any may have");
    }
    let mut last = *after;
    for (sequence, change) in changes {
        if *sequence <= last || sequence > through {
            return Err("the batch's changes are not in order, or lie outside of it");
        }
        if change.version.origin != source.region {
            return Err("the batch carries a change that was not born in its region");
        }
        last = *sequence;
    }
    Ok(())
}

fn answered(answer: Result<impl Serialize, ApiError>) -> Result<Bytes, LinkError> {
    match answer {
        Ok(answer) => match rmp_serde::to_vec_named(&answer) {
            Ok(encoded) => Ok(Bytes::from(encoded)),
            Err(error) => Err(LinkError::Failed(error.to_string())),
        },
        Err(error) => Err(match error.code {
            Code::InternalServerError | Code::ServiceUnavailable => LinkError::Failed(error.message),
            _ => LinkError::Refused(error.message),
        }),
    }
}

/// Said without the bytes, which may be item data.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(body).map_err(|_| "another region's words make no sense here".to_owned())
}
