//! The life of a replica: joining a live table, leaving it, and settings that all replicas share.
//!
//! A join, driven by the region that was asked for it, and safe to run again from its beginning:
//!
//! 1. the table is made in the joiner, which does not serve it yet;
//! 2. every replica counts the joiner in its stable, and answers where its logs end from then on (the pins);
//! 3. links to the joiner begin at the pins; those of third regions at what the seeding region has of them;
//! 4. a snapshot with tombstones goes to the joiner through the same merge;
//! 5. all clocks are raised to a common watermark; once the joiner has seen it from every replica, its stable and clock
//!    start there; its own links begin where its log ends, and it serves.
//!
//! The order matters: a tombstone that goes between 2 and 4 would let the joiner resurrect what it covered, were the
//! joiner not counted first.

use std::sync::Arc;
use std::time::Duration;

use tradewind_database::Database;
use tradewind_database::question::{Question, Reply};
use tradewind_database::table::document::{Replica, ReplicaStatus, TableDocument};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Hlc, Incarnation, Region};
use tradewind_wire::ApiError;

use crate::peer::{self, Peer, PeerError};

/// A table's progress is noted each time it has come so much further, in percent.
const NOTED: u8 = 5;
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
    #[error("a region has not seen the common watermark in time")]
    Slow,
    #[error("{0}")]
    Rule(String),
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
    let Some(asked) = document.replicas.get(&joiner.region()) else { return Ok(()) };
    let Some(made) = create(joiner, document).await? else {
        database.fail_replica(table, joiner.region()).await?;
        tracing::warn!(table, region = %joiner.region(), "a replica cannot be made: the region has another table of that name");
        return Ok(());
    };
    // Of what the joiner says only its life is news; how it is bounded and who sees to it was said here.
    let replica = Replica { status: made.status, incarnation: made.incarnation, ..asked.clone() };
    let others: Vec<_> = others(document, joiner, peers).collect();
    // One that serves already has all it needs; a crash kept the others from hearing of it.
    if made.status == ReplicaStatus::Creating {
        bring_up(database, document, joiner, &replica, &others).await?;
    }
    let active = Replica { status: ReplicaStatus::Active, seen_to_by: None, progress: None, ..replica };
    let everybody: Vec<_> = others.into_iter().chain([joiner]).collect();
    tell(database, table, joiner.region(), &active, &everybody).await?;
    tracing::info!(table, region = %joiner.region(), "a replica has joined");
    Ok(())
}

/// `None`: the joiner has another table of that name.
async fn create<P: Peer>(joiner: &Arc<P>, document: &TableDocument) -> Result<Option<Replica>, Error> {
    let question = Question::CreateReplica(Box::new(document.clone()));
    match joiner.ask(&document.name, question).await? {
        Reply::Replica(replica) => Ok(Some(replica)),
        Reply::Occupied => Ok(None),
        _ => Err(Error::Rule("the joiner has answered something else".to_owned())),
    }
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
    for other in others {
        // Answered only when every write from now on counts the joiner.
        peer::pins(&***other, table).await?;
    }
    let mut pins = database.pins(table).await?;
    let cursors = database.cursors(table).await?;
    pins.extend(cursors.into_iter().filter(|pin| pin.source.region != joiner.region()));
    peer::done(&**joiner, table, Question::BeginLinks(pins)).await?;
    // Naming its incarnation starts the links, while the snapshot goes over.
    tell(database, table, joiner.region(), replica, others).await?;
    seed(database, table, joiner).await?;
    let watermark = common_watermark(database, table, joiner, others).await?;
    wait_for(database, document, joiner, others, watermark).await?;
    // All that is in the joiner's log so far came from others, also where a former life of it wrote it: none of it is to go
    // back, with versions below what it announces.
    let ends = peer::pins(&**joiner, table).await?;
    for other in others {
        peer::done(&***other, table, Question::BeginLinks(ends.clone())).await?;
    }
    database.begin_links(table, ends).await?;
    peer::done(&**joiner, table, Question::FinishJoin(watermark)).await?;
    Ok(())
}

/// Decides here what the joiner is now, and gives it to the others with all other settings. They have it when this returns;
/// after a crash in between they get it like any setting.
async fn tell<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: Region,
    replica: &Replica,
    to: &[&Arc<P>],
) -> Result<(), Error> {
    let Some(document) = database.table(table).map(|table| table.document()) else { return Ok(()) };
    // It may have been given up meanwhile.
    let known = document.replicas.get(&joiner).map(|replica| replica.status);
    if !matches!(known, Some(ReplicaStatus::Creating | ReplicaStatus::Active)) {
        return Err(Error::Rule(format!("region {joiner} is to be no replica any more")));
    }
    database.set_replica(table, joiner, Some(replica.clone())).await?;
    for peer in to {
        exchange(database, table, peer).await?;
    }
    Ok(())
}

/// Both sides have the newer of their settings when this returns. A region that learns it was evicted sets its table aside.
pub async fn exchange<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    peer: &Arc<P>,
) -> Result<(), Error> {
    let Some(document) = database.table(table).map(|table| table.document()) else { return Ok(()) };
    let theirs = peer::exchange(&**peer, database.region(), &document).await?;
    if document.is_evicted_by(database.region(), &theirs) {
        database.set_aside(&theirs).await?;
        return Ok(());
    }
    database.adopt(peer.region(), &theirs).await?;
    database.set_settings_shared(&document, peer.region());
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
    let (mut from, mut noted) = (None, 0);
    loop {
        let piece = database.snapshot(table, from, &[]).await?;
        peer::seed(&**joiner, table, piece.rows).await?;
        let Some(next) = piece.next else { return Ok(()) };
        let percent = progress(&next);
        if percent >= noted + NOTED {
            noted = percent;
            database.set_progress(table, joiner.region(), percent).await?;
        }
        from = Some(next);
    }
}

/// Rows lie in the order of their hashes, which are spread evenly.
fn progress(next: &[u8]) -> u8 {
    let hash = next.get(Incarnation::LEN..Incarnation::LEN + 2).and_then(|hash| hash.try_into().ok());
    let hash = hash.map_or(0, u16::from_be_bytes);
    (u32::from(hash) * 100 / (u32::from(u16::MAX) + 1)) as u8
}

/// At least every replica's clock after the snapshot.
async fn common_watermark<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    joiner: &Arc<P>,
    others: &[&Arc<P>],
) -> Result<Hlc, Error> {
    let mut watermark = database.raise(table).await?.max(peer::raise(&**joiner, table).await?);
    for other in others {
        watermark = watermark.max(peer::raise(&***other, table).await?);
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
        let mut seen = peer::seen(&**joiner, table, database.region()).await?;
        for other in others {
            seen = seen.min(peer::seen(&**joiner, table, other.region()).await?);
        }
        if seen >= watermark {
            return Ok(());
        }
        if database.clock().now_ms() > deadline {
            return Err(Error::Slow);
        }
        database.raise(table).await?;
        for other in others {
            peer::raise(&***other, table).await?;
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
    let table = &document.name;
    let replica = document.replicas.get(&leaver.region());
    let keeps_table = replica.is_some_and(|replica| replica.keeps_table);
    if keeps_table {
        let others: Vec<_> = others(document, leaver, peers).collect();
        catch_up(database, document, leaver, &others).await?;
    }
    // Of one that never came so far that its life is known here, it is asked whether the name is another table's there.
    let was_made = replica.is_some_and(|replica| replica.incarnation.is_some());
    if was_made || create(leaver, document).await?.is_some() {
        let leave = if keeps_table { Question::Detach } else { Question::DropReplica };
        peer::done(&**leaver, table, leave).await?;
    }
    database.set_replica(table, leaver.region(), None).await?;
    for other in others(document, leaver, peers) {
        // One that is away gets it like any setting.
        if let Err(error) = exchange(database, table, other).await {
            tracing::debug!(table, region = %other.region(), %error, "a removal is told later");
        }
    }
    Ok(())
}

/// Until the leaver has applied what the others have written, and they what it has.
async fn catch_up<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    leaver: &Arc<P>,
    others: &[&Arc<P>],
) -> Result<(), Error> {
    let table = &document.name;
    let watermark = common_watermark(database, table, leaver, others).await?;
    wait_for(database, document, leaver, others, watermark).await?;
    let deadline = database.clock().now_ms() + PATIENCE.as_millis() as u64;
    loop {
        let mut seen = database.seen(table, leaver.region()).await?;
        for other in others {
            seen = seen.min(peer::seen(&***other, table, leaver.region()).await?);
        }
        if seen >= watermark {
            return Ok(());
        }
        if database.clock().now_ms() > deadline {
            return Err(Error::Slow);
        }
        peer::raise(&**leaver, table).await?;
        tokio::time::sleep(POLL).await;
    }
}

/// Tells the other replicas of tables that were dropped here that this region is none any more.
pub async fn leave_dropped<E: Engine + Documents, P: Peer>(database: &Database<E>, peers: &[Arc<P>]) {
    for (table, replicas) in database.left().await {
        let mut told = true;
        for other in peers.iter().filter(|peer| replicas.contains(&peer.region())) {
            let question = Question::Leave { region: database.region(), incarnation: table.incarnation };
            // A region that refuses has no such table any more.
            let answer = peer::done(&**other, &table.name, question).await;
            told &= matches!(answer, Ok(()) | Err(PeerError::Refused { .. }));
        }
        if told && let Err(error) = database.forget_left(&table).await {
            tracing::warn!(%error, table = table.name, "a dropped replica is announced again");
        }
    }
}

/// Sends the settings to a peer that may not have the newest.
pub async fn share_settings<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    document: &TableDocument,
    peer: &Arc<P>,
) -> Result<(), Error> {
    if database.settings_shared_with(document, peer.region()) {
        return Ok(());
    }
    exchange(database, &document.name, peer).await
}

/// Tables that were set aside: joined again, and then what only this region had is kept.
pub async fn come_back<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    peers: &[Arc<P>],
) -> Result<(), Error> {
    for aside in database.asides().await? {
        let (old, name) = (&aside.document, &aside.document.name);
        let now = database.table(name).map(|table| table.document());
        let active = |document: &TableDocument| {
            let own = document.replicas.get(&database.region());
            own.is_some_and(|own| own.status == ReplicaStatus::Active)
        };
        match now {
            Some(now) if active(&now) && now.incarnation != old.incarnation => {
                database.keep_leftovers(&aside).await?;
            }
            Some(_) => (),
            None => {
                let (region, incarnation) = (database.region(), old.incarnation);
                for other in peers.iter().filter(|peer| old.replicas.contains_key(&peer.region())) {
                    let question = Question::Readmit { region, incarnation };
                    if peer::done(&**other, name, question).await.is_ok() {
                        break;
                    }
                }
            }
        }
    }
    Ok(())
}
