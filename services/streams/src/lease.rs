//! This process's lease in the group of those that run functions, and what it means for which shards are its.
//!
//! Renewed every [`RENEW`], good for [`LEASE`] by the store's clock; this process believes in it for [`BELIEVE`], counted
//! from before the renewal was sent, so that it has stopped starting invocations before anybody else begins. A dead
//! process's shards are run by others after [`LEASE`] and a renewal: within ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tradewind_engine::{Member, Members, MembersError};
use tradewind_function::mapping::{Roll, Seats};

const RENEW: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_secs(6);
const BELIEVE: Duration = Duration::from_secs(5);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Another name in the checkpoints for each life of a process: what a former life held is a dead node's.
pub fn name(member: &Member) -> String {
    format!("{}/{}", member.name, member.id)
}

/// Who is alive, asked now.
pub fn roll<M: Members>(members: Arc<M>, group: &'static str) -> impl Fn() -> Roll + Send + Sync + 'static {
    move || {
        let members = members.clone();
        Box::pin(async move { Some(members.members(group).await.ok()?.iter().map(name).collect()) })
    }
}

pub struct Keeping<M> {
    pub members: Arc<M>,
    pub group: &'static str,
    pub member: Member,
    pub seats: Arc<Seats>,
}

impl<M: Members> Keeping<M> {
    /// Renews until `stop`; the lease is given back by [`leave`], once nothing runs any more.
    pub async fn keep(self, stop: CancellationToken) {
        let mut until = Instant::now();
        while !stop.is_cancelled() {
            let wait = match self.renew().await {
                Some(renewed) => {
                    until = renewed;
                    RENEW
                }
                None => AGAIN,
            };
            if Instant::now() >= until {
                self.seats.lose();
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Until when the lease may be believed in; `None`: it was not renewed.
    async fn renew(&self) -> Option<Instant> {
        let sent = Instant::now();
        match tokio::time::timeout(BELIEVE, self.members.renew(self.group, &self.member, LEASE)).await {
            Ok(Ok(live)) => {
                let until = sent + BELIEVE;
                self.seats.renew(live.iter().map(name).collect(), until);
                return Some(until);
            }
            Ok(Err(MembersError::NameTaken { name, address })) => {
                tracing::warn!(
                    name,
                    address,
                    "another process has this name: waiting until its lease is over"
                );
            }
            Ok(Err(error)) => tracing::warn!(%error, "renewing the lease of the streams service"),
            Err(_) => tracing::warn!("renewing the lease of the streams service takes too long"),
        }
        None
    }
}

/// Lets the others know at once that this process has ended.
pub async fn leave<M: Members>(members: &M, group: &str, member: &Member, seats: &Seats) {
    seats.lose();
    if let Err(error) = members.leave(group, member).await {
        tracing::warn!(%error, "giving back the lease of the streams service");
    }
}
