//! Branches that nobody settled: their coordinator died, or could not reach a database.
//!
//! Two seconds after its PREPARE a branch is anybody's: whoever finds it inserts "roll back" under its name, unless a decision
//! stands there, and does what stands. A decision to commit goes when no database has a branch of it any more: were it
//! forgotten earlier, the last branch would be rolled back.

use std::collections::HashSet;
use std::sync::Weak;
use std::time::Duration;

use tradewind_engine::Error;

use crate::branch::{decide, decided_before, end, forget, prepared_before, prune};
use crate::several::Shared;

const EVERY: Duration = Duration::from_secs(1);

/// A coordinator that takes longer finds its transaction rolled back.
const AGE: Duration = Duration::from_secs(2);

/// Decisions younger than this are their coordinator's to forget.
const DECISION_AGE: Duration = Duration::from_secs(60);

/// How often old branches are forgotten.
const PRUNE_EVERY: u32 = 60;

/// Runs until the engine is dropped.
pub async fn run(shared: Weak<Shared>) {
    for round in 0_u32.. {
        tokio::time::sleep(EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = recover(&shared).await {
            tracing::debug!("recovery of prepared transactions waits: {error}");
        }
        for engine in shared.engines.iter().filter(|_| round.is_multiple_of(PRUNE_EVERY)) {
            if let Err(error) = prune(&engine.database).await {
                tracing::debug!("old branches stay for now: {error}");
            }
        }
    }
}

async fn recover(shared: &Shared) -> Result<(), Error> {
    let catalogue = &shared.engines[0].database;
    // Listed before the branches: each of these had all its branches prepared by then.
    let decided = decided_before(catalogue, DECISION_AGE).await?;
    let mut left = HashSet::new();
    for engine in &shared.engines {
        for name in prepared_before(&engine.database, AGE).await? {
            let commit = decide(catalogue, name.transaction, false).await?;
            tracing::warn!(%name, commit, "settling a transaction that its coordinator left");
            if let Err(error) = end(&engine.database, name, commit).await {
                tracing::debug!(%name, "not settled yet: {error}");
                left.insert(name.transaction);
            }
        }
    }
    for name in decided.into_iter().filter(|name| !left.contains(name)) {
        forget(catalogue, name).await?;
    }
    Ok(())
}
