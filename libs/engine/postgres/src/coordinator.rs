//! A commit over several databases.
//!
//! ```text
//! all prepared ─► decision row "commit" stands ─► COMMIT PREPARED in each ─► answer ─► the row is forgotten
//! one refuses  ─► ROLLBACK PREPARED in each: without a row nobody can commit any more, only roll back
//! ```
//!
//! Nothing is answered before every branch is settled, since a reader that asks afterwards has to see it. What cannot be
//! settled is left to recovery, and unknown to the caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tradewind_engine::{Batch, Error};
use uuid::Uuid;

use crate::branch::{Branch, BranchName, Name, decide, forget};
use crate::database::Database;
use crate::group::contradiction;
use crate::settings::PATIENCE;
use crate::several::Shared;
use crate::source::RETRY;

/// How a commit ended, or a branch.
type Outcome = Result<(), Error>;

/// The coordinator's ends of a branch.
struct Seat {
    vote: oneshot::Receiver<Outcome>,
    decision: oneshot::Sender<bool>,
    settled: oneshot::Receiver<Outcome>,
}

/// Hands the branches out now, in the order of calls; `places` are those of the batch's parts.
pub fn commit(shared: &Arc<Shared>, batch: Batch, places: &[usize], done: oneshot::Sender<Outcome>) {
    if let Some(part) = contradiction(&batch) {
        done.send(Err(Error::Fenced { partition: part.partition, epoch: part.epoch })).ok();
        return;
    }
    let mut by_place: BTreeMap<usize, Batch> = BTreeMap::new();
    for (part, place) in batch.into_iter().zip(places) {
        by_place.entry(*place).or_default().push(part);
    }
    let (name, until) = (Name(Uuid::new_v4()), Instant::now() + PATIENCE);
    let databases: Vec<usize> = by_place.keys().copied().collect();
    let seats = by_place.into_iter().map(|(place, batch)| {
        let ((voted, vote), (decision, decided)) = (oneshot::channel(), oneshot::channel());
        let (settles, settled) = oneshot::channel();
        let name = BranchName { transaction: name, database: place };
        let databases = databases.clone();
        let branch = Branch { name, databases, batch, until, voted, decision: decided, settled: settles };
        shared.engines[place].submit_branch(branch);
        Seat { vote, decision, settled }
    });
    let seats = seats.collect();
    let catalogue = shared.engines[0].database.clone();
    tokio::spawn(async move {
        done.send(coordinate(&catalogue, name, seats).await).ok();
    });
}

enum Verdict {
    Commit,
    Abort(Error),
    /// Whether the decision stands is not known; whoever recovers finds out.
    Open(Error),
}

async fn coordinate(catalogue: &Database, name: Name, seats: Vec<Seat>) -> Outcome {
    let (mut refusal, mut voters) = (None, Vec::new());
    for seat in seats {
        let vote = seat.vote.await.unwrap_or_else(|_| Err(Error::Unknown("a committer stopped".to_owned())));
        refusal = worse(refusal, vote.err());
        voters.push((seat.decision, seat.settled));
    }
    let verdict = match refusal {
        Some(error) => Verdict::Abort(error),
        None => verdict(catalogue, name).await,
    };
    match verdict {
        Verdict::Commit => {
            settle(voters, true).await?;
            if let Err(error) = forget(catalogue, name).await {
                tracing::debug!(%name, "a decision stays for now: {error}");
            }
            Ok(())
        }
        Verdict::Abort(error) => {
            settle(voters, false).await.ok();
            Err(error)
        }
        Verdict::Open(error) => Err(error),
    }
}

/// Of two refusals the one that says more: a stale owner, then one that leaves something open.
fn worse(one: Option<Error>, other: Option<Error>) -> Option<Error> {
    let rank = |error: &Error| match error {
        Error::Unavailable(_) => 0,
        Error::Corrupt(_) => 1,
        Error::Unknown(_) => 2,
        Error::Fenced { .. } => 3,
    };
    one.into_iter().chain(other).max_by_key(rank)
}

/// Inserts the decision; asking again does no harm, since the row that stands decides.
async fn verdict(catalogue: &Database, name: Name) -> Verdict {
    let until = Instant::now() + PATIENCE;
    loop {
        match decide(catalogue, name, true).await {
            Ok(true) => return Verdict::Commit,
            Ok(false) => {
                let reason = "it took so long that another node rolled it back".to_owned();
                return Verdict::Abort(Error::Unavailable(reason));
            }
            Err(error) if Instant::now() >= until => return Verdict::Open(Error::Unknown(error.to_string())),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Tells every branch at once, and waits for all.
async fn settle(voters: Vec<(oneshot::Sender<bool>, oneshot::Receiver<Outcome>)>, commit: bool) -> Outcome {
    let told: Vec<_> = voters
        .into_iter()
        .map(|(decision, settled)| {
            decision.send(commit).ok();
            settled
        })
        .collect();
    let mut outcome = Ok(());
    for settled in told {
        let open = |error: Error| Error::Unknown(format!("a branch is not settled yet: {error}"));
        // A branch that was never prepared has nothing to settle, and says nothing.
        if let Ok(Err(error)) = settled.await {
            outcome = Err(open(error));
        }
    }
    outcome
}
