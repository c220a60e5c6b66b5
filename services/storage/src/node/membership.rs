//! Keeps this process a member of its group: joins, renews, leaves.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tradewind_engine::{Error, Members, MembersError};

use super::lease::{BELIEVED, LEASE, Moment, RENEW_EVERY};
use super::roster::Roster;

/// The group of those who own partitions.
pub const GROUP: &str = "storage";
/// A renewal that takes longer has failed: the next is sent while the lease still holds.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(400);
/// Suspicions come in crowds, when a node dies under load.
const SUSPECT_AT_MOST_EVERY: Duration = Duration::from_millis(200);
/// How often the end of the lease is looked for.
const WATCH: Duration = Duration::from_millis(200);
/// A crashed process's lease ends within this time of its successor's start.
const PREDECESSOR: Duration = Duration::from_secs(7);

#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    #[error(
        "--name {name}: a process of this name is alive at {address}; each of a region's needs a name of its own"
    )]
    NameTaken { name: String, address: String },
    #[error(transparent)]
    Engine(#[from] Error),
}

/// Takes this node's lease, for which it waits until that of a life before it has ended.
pub async fn join<E: Members>(engine: &E, roster: &Roster) -> Result<(), MembershipError> {
    let started = Moment::now();
    let mut is_told = false;
    loop {
        let sent = Moment::now();
        match engine.renew(roster.group, &roster.me, LEASE).await {
            Ok(members) => {
                roster.renewed(sent, members);
                return Ok(());
            }
            Err(MembersError::Storage(error)) => return Err(error.into()),
            Err(MembersError::NameTaken { name, address }) => {
                if started.until(Moment::now()) > PREDECESSOR {
                    return Err(MembershipError::NameTaken { name, address });
                }
                if !is_told {
                    tracing::warn!(
                        name,
                        address,
                        "a lease of this name is still running; waiting for its end"
                    );
                    is_told = true;
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Renews until `stop`, then leaves. `news` hears of every change of members.
///
/// # Errors
/// Another node has taken this one's name while it had no lease: the process has to end.
pub async fn keep<E: Members>(
    engine: Arc<E>,
    roster: Arc<Roster>,
    news: impl Fn(),
    stop: CancellationToken,
) -> Result<(), MembershipError> {
    let mut pause = RENEW_EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => (),
            () = roster.suspected() => tokio::time::sleep(SUSPECT_AT_MOST_EVERY).await,
            () = stop.cancelled() => break,
        }
        // Awaited also when the process stops: a renewal must not overtake the leave.
        match renew(&*engine, &roster).await? {
            Some(true) => news(),
            Some(false) => (),
            None => {
                pause = RETRY;
                continue;
            }
        }
        pause = RENEW_EVERY;
    }
    leave(&*engine, &roster).await;
    roster.left();
    Ok(())
}

/// Whether the members have changed; `None`: the renewal failed.
async fn renew<E: Members>(engine: &E, roster: &Roster) -> Result<Option<bool>, MembershipError> {
    let sent = Moment::now();
    let trouble =
        match tokio::time::timeout(RENEWAL_TIMEOUT, engine.renew(roster.group, &roster.me, LEASE)).await {
            Ok(Ok(members)) => return Ok(Some(roster.renewed(sent, members))),
            Ok(Err(MembersError::NameTaken { name, address })) => {
                roster.lease().give_up();
                return Err(MembershipError::NameTaken { name, address });
            }
            Ok(Err(MembersError::Storage(error))) => error.to_string(),
            Err(_) => format!("no answer within {RENEWAL_TIMEOUT:?}"),
        };
    if roster.trouble().is_none() {
        tracing::warn!(trouble, "the lease could not be renewed; trying again");
    }
    roster.set_trouble(Some(trouble));
    Ok(None)
}

/// A lease that is not given back only ends later.
async fn leave<E: Members>(engine: &E, roster: &Roster) {
    match tokio::time::timeout(RENEWAL_TIMEOUT, engine.leave(roster.group, &roster.me)).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::warn!(%error, "the lease could not be given back"),
        Err(_) => tracing::warn!("the lease could not be given back in time"),
    }
}

/// Says when the lease has run out, as soon as this process runs at all, and when it is back.
pub async fn watch(roster: Arc<Roster>, stop: CancellationToken) {
    let mut held = true;
    while stop.run_until_cancelled(tokio::time::sleep(WATCH)).await.is_some() {
        let holds = roster.lease().holds();
        if held && !holds {
            let late = roster.lease().ends().until(Moment::now());
            tracing::error!(
                late_ms = late.as_millis() as u64,
                "this node's lease was not renewed for {BELIEVED:?}: it answers for no partition until it is"
            );
            roster.tell();
        } else if holds && !held {
            tracing::warn!("this node has its lease again");
        }
        held = holds;
    }
}
