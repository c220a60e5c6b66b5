//! This process's lease in the group of those that run functions, and what it means for which shards are its.
//!
//! Renewed every [`RENEW`], good for [`LEASE`] by the store's clock; this process believes in it for [`BELIEVE`], counted
//! from before the renewal was sent, so that it has stopped starting invocations before anybody else begins. A dead
//! process's shards are run by others after [`LEASE`] and a renewal: within ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tradewind_engine::{Member, Members, MembersError};
use tradewind_function::mapping::Seats;

pub const GROUP: &str = "streams";
const RENEW: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(6);
const BELIEVE: Duration = Duration::from_secs(5);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Another name in the checkpoints for each life of a process: what a former life held is a dead node's.
pub fn name(member: &Member) -> String {
    format!("{}/{}", member.name, member.id)
}

/// Renews until `stop`; the lease is given back by [`leave`], once nothing runs any more.
pub async fn keep<M: Members>(members: Arc<M>, member: Member, seats: Arc<Seats>, stop: CancellationToken) {
    let mut until = Instant::now();
    while !stop.is_cancelled() {
        let sent = Instant::now();
        let wait = match tokio::time::timeout(BELIEVE, members.renew(GROUP, &member, LEASE)).await {
            Ok(Ok(live)) => {
                until = sent + BELIEVE;
                seats.renew(live.iter().map(name).collect(), until);
                RENEW
            }
            Ok(Err(MembersError::NameTaken { name, address })) => {
                tracing::warn!(
                    name,
                    address,
                    "another process has this name: waiting until its lease is over"
                );
                AGAIN
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "renewing the lease of the streams service");
                AGAIN
            }
            Err(_) => {
                tracing::warn!("renewing the lease of the streams service takes too long");
                AGAIN
            }
        };
        if Instant::now() >= until {
            seats.lose();
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Lets the others know at once that this process has ended.
pub async fn leave<M: Members>(members: &M, member: &Member, seats: &Seats) {
    seats.lose();
    if let Err(error) = members.leave(GROUP, member).await {
        tracing::warn!(%error, "giving back the lease of the streams service");
    }
}
