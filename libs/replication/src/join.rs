//! The life of a replica: joining a live table, leaving it, and settings that all replicas share.
//!
//! A join, driven by the region that was asked for it, and safe to run again from its beginning:
//!
//! 1. the table is made in the joiner, which does not serve it yet;
//! 2. every replica counts the joiner in its stable, and answers where its logs end from then on (the pins);
//! 3. links to the joiner begin at the pins; those of third regions at what the seeding region has of them;
//! 4. a snapshot with tombstones goes to the joiner through the same merge;
//! 5. all clocks are raised to a common watermark; once the joiner has seen it from every replica, its stable and clock
//!    start there, and it serves.
//!
//! The order matters: a tombstone that goes between 2 and 4 would let the joiner resurrect what it covered, were the
//! joiner not counted first.

use std::sync::Arc;
use std::time::Duration;

use tradewind_database::Database;
use tradewind_database::table::document::{Replica, ReplicaStatus, TableDocument};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Hlc, Region};
use tradewind_wire::ApiError;

use crate::peer::{Peer, PeerError};

/// Rows of a snapshot that travel together.
const SEED_ROWS: usize = 500;
/// The joiner is asked this often whether it has seen the watermark.
const POLL: Duration = Duration::from_millis(20);
/// After this long without success the join is tried again from its beginning.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("{0}")]
    Here(#[from] ApiError),
    #[error("the joiner has not seen the common watermark in time")]
    Slow,
}

/// Brings up the table's replica in the peer's region.
pub async fn join<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: &Arc<P>,
    peers: &[Arc<P>],
) -> Result<(), Error> {
    // As it is now: a join before this one may have changed it.
    let Some(document) = database.table(table).map(|table| table.document()) else { return Ok(()) };
    let document = &*document;
    let made = joiner.create_replica(document).await?;
    let replica = Replica { seen_to_by: Some(database.region()), ..made.clone() };
    let others: Vec<_> = others(document, joiner, peers).collect();
    // One that serves already has all it needs; a crash kept the others from hearing of it.
    if made.status == ReplicaStatus::Creating {
        bring_up(database, document, joiner, &replica, &others).await?;
    }
    let active = Replica { status: ReplicaStatus::Active, seen_to_by: None, ..replica };
    joiner.set_replica(table, joiner.region(), Some(active.clone())).await?;
    tell(database, table, joiner.region(), &active, &others).await?;
    tracing::info!(table, region = %joiner.region(), "a replica has joined");
    Ok(())
}

async fn bring_up<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    joiner: &Arc<P>,
    replica: &Replica,
    others: &[&Arc<P>],
) -> Result<(), Error> {
    let table = &document.name;
    // Counted, but not linked to: a link that began before the pins would begin at the logs' beginnings, and bring back
    // what was deleted since.
    let counted = Replica { incarnation: None, ..replica.clone() };
    tell(database, table, joiner.region(), &counted, others).await?;
    for peer in others {
        // Answered only when every write from now on counts the joiner.
        peer.pins(table).await?;
    }
    let mut pins = database.pins(table).await?;
    let cursors = database.cursors(table).await?;
    pins.extend(cursors.into_iter().filter(|pin| pin.source.region != joiner.region()));
    joiner.begin_links(table, pins).await?;
    // Naming its incarnation starts the links, while the snapshot goes over.
    tell(database, table, joiner.region(), replica, others).await?;
    seed(database, table, joiner).await?;
    let watermark = common_watermark(database, table, joiner, others).await?;
    wait_for(database, document, joiner, others, watermark).await?;
    joiner.finish_join(table, watermark).await?;
    Ok(())
}

/// Tells the other replicas, and then this region, what the joiner is now: what this region knows is what a join that was
/// interrupted goes on from.
async fn tell<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: Region,
    replica: &Replica,
    others: &[&Arc<P>],
) -> Result<(), Error> {
    for peer in others {
        peer.set_replica(table, joiner, Some(replica.clone())).await?;
    }
    database.set_replica(table, joiner, Some(replica.clone())).await?;
    Ok(())
}

/// The other replicas besides this region and the joiner.
fn others<'a, P: Peer>(
    document: &'a TableDocument,
    joiner: &'a Arc<P>,
    peers: &'a [Arc<P>],
) -> impl Iterator<Item = &'a Arc<P>> {
    peers.iter().filter(move |peer| {
        peer.region() != joiner.region()
            && document
                .replicas
                .get(&peer.region())
                .is_some_and(|replica| replica.status == ReplicaStatus::Active)
    })
}

async fn seed<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: &Arc<P>,
) -> Result<(), Error> {
    let mut from = None;
    loop {
        let piece = database.snapshot(table, from, SEED_ROWS).await?;
        if !piece.rows.is_empty() {
            joiner.seed(table, piece.rows).await?;
        }
        match piece.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// At least every replica's clock after the snapshot.
async fn common_watermark<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: &Arc<P>,
    others: &[&Arc<P>],
) -> Result<Hlc, Error> {
    let mut watermark = database.raise(table).await?.max(joiner.raise(table).await?);
    for peer in others {
        watermark = watermark.max(peer.raise(table).await?);
    }
    Ok(watermark)
}

/// Until the joiner has seen the watermark from every replica; their clocks are raised until they announce it.
async fn wait_for<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    joiner: &Arc<P>,
    others: &[&Arc<P>],
    watermark: Hlc,
) -> Result<(), Error> {
    let table = &document.name;
    let deadline = database.clock().now_ms() + PATIENCE.as_millis() as u64;
    loop {
        let mut seen = joiner.seen(table, database.region()).await?;
        for peer in others {
            seen = seen.min(joiner.seen(table, peer.region()).await?);
        }
        if seen >= watermark {
            return Ok(());
        }
        if database.clock().now_ms() > deadline {
            return Err(Error::Slow);
        }
        database.raise(table).await?;
        for peer in others {
            peer.raise(table).await?;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Drops the replica in the peer's region and tells the others.
pub async fn remove<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    leaver: &Arc<P>,
    peers: &[Arc<P>],
) -> Result<(), Error> {
    leaver.drop_replica(&document.name).await?;
    for peer in others(document, leaver, peers) {
        peer.set_replica(&document.name, leaver.region(), None).await?;
    }
    database.set_replica(&document.name, leaver.region(), None).await?;
    Ok(())
}

/// Tells the other replicas of tables that were dropped here that this region is none any more.
pub async fn leave_dropped<E: Engine + Documents, P: Peer>(database: &Database<E>, peers: &[Arc<P>]) {
    for (table, replicas) in database.left().await {
        let mut told = true;
        for peer in peers.iter().filter(|peer| replicas.contains(&peer.region())) {
            // A region that refuses has no such table any more.
            let answer = peer.set_replica(&table.name, database.region(), None).await;
            told &= !matches!(answer, Err(PeerError::Unreachable { .. }));
        }
        if told && let Err(error) = database.forget_left(&table).await {
            tracing::warn!(%error, table = table.name, "a dropped replica is announced again");
        }
    }
}

/// Sends the shared settings to a peer that may not have the newest.
pub async fn share_settings<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    peer: &Arc<P>,
) -> Result<(), Error> {
    if database.settings_shared_with(document, peer.region()) {
        return Ok(());
    }
    peer.adopt(document).await?;
    database.set_settings_shared(document, peer.region());
    Ok(())
}
