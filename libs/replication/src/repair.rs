//! Repair of a region whose log is not the one that others followed (its database was restored from a backup), or whose
//! links need what is not kept any more.
//!
//! 1. The catalogue says under which term the table is repaired, and every owner and every other region has heard of it: no
//!    replicator sends anything of the table, and what one sends that does not know yet is refused where it arrives.
//! 2. The logs are pinned, on both sides: what comes later travels by links.
//! 3. The other region's rows are merged here, and this region's rows there. A row that the receiver knows to be deleted
//!    everywhere is refused, kept as `late`, and deleted where it came from. Of its own writes a restored region knows no
//!    such thing: what others say they have seen of them counts into its stable, but its database has lost them.
//! 4. Links go on from the pins, once the catalogue says that the repair is through.
//!
//! Whoever repairs may die at any step: the catalogue still says so, nothing is sent, and a repair that is begun then does all
//! of it again under the next term. One that was overtaken by another changes nothing any more that is not the same again.
//!
//! While a log of a table is diverged nothing of that table is sent: watermarks of the new log would deny what the old one
//! had sent already.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_database::Database;
use tradewind_database::partition::arrival::SnapshotRow;
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::Pin;
use tradewind_database::table::document::{ReplicaStatus, TableDocument};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{ItemKey, Region, Version};

use crate::join::Error;
use crate::peer::{self, Peer};

/// What a repair did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Repaired {
    /// Rows that other regions have sent, and that this one has.
    pub received: u64,
    pub sent: u64,
    /// Items deleted in the end because another region knew them to be deleted; the conflict log has them.
    pub late: u64,
}

type Items = Vec<(ItemKey, Version)>;

pub async fn repair<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    peers: &[Arc<P>],
) -> Result<Repaired, Error> {
    let Some(document) = database.table(table).map(|table| table.document()) else {
        return Err(Error::Rule(format!("there is no table {table} in {}", database.region())));
    };
    let others = others(&document, database.region(), peers)?;
    let term = begin(database, table, &others).await?;
    let mut repaired = Repaired::default();
    let mut theirs = Vec::new();
    for other in &others {
        theirs.extend(peer::pins(&***other, table).await?);
        let late = receive(database, table, &***other, term, &mut repaired).await?;
        repaired.late += late.len() as u64;
        if !late.is_empty() {
            peer::done(&***other, table, Question::Forget(late)).await?;
        }
    }
    // What came back from others travels as rows, not by links: its versions lie below what was announced long ago.
    let ours = pins_under(database, table, term).await?;
    // After all that others have: a third region gets from here what only one of them had.
    for other in &others {
        let late = send(database, table, &***other, &mut repaired).await?;
        repaired.late += late.len() as u64;
        database.forget(table, late).await?;
    }
    database.reset_links(table, theirs).await?;
    for other in &others {
        peer::done(&***other, table, Question::ResetLinks(ours.clone())).await?;
    }
    database.end_repair(table, term).await?;
    Ok(repaired)
}

/// The other replicas, all of which have to be levelled.
fn others<'a, P: Peer>(
    document: &TableDocument,
    here: Region,
    peers: &'a [Arc<P>],
) -> Result<Vec<&'a Arc<P>>, Error> {
    let active = document
        .replicas
        .iter()
        .filter(|(region, replica)| **region != here && replica.status == ReplicaStatus::Active);
    let known = |(region, _): (&Region, _)| {
        let peer = peers.iter().find(|peer| peer.region() == *region);
        peer.ok_or_else(|| Error::Rule(format!("region {region} has a replica and is not known here")))
    };
    active.map(known).collect()
}

/// Answers the repair's term, once nobody takes anything more that was sent before it.
async fn begin<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    others: &[&Arc<P>],
) -> Result<u64, Error> {
    let mut known = 0;
    for other in others {
        known = known.max(peer::fence(&***other, table, pins_under(database, table, 0).await?).await?);
    }
    let term = database.begin_repair(table, known).await?;
    // Its owners have heard of it when they have answered.
    let pins = pins_under(database, table, term).await?;
    for other in others {
        if peer::fence(&***other, table, pins.clone()).await? > term {
            return Err(Error::Rule(format!("another repair of {table} has begun")));
        }
    }
    Ok(term)
}

async fn pins_under<E: Engine + Documents>(
    database: &Database<E>,
    table: &str,
    term: u64,
) -> Result<Vec<Pin>, Error> {
    Ok(database.pins(table).await?.into_iter().map(|pin| pin.under(term)).collect())
}

async fn receive<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    peer: &P,
    term: u64,
    repaired: &mut Repaired,
) -> Result<Items, Error> {
    let (mut from, mut late) = (None, Vec::new());
    loop {
        let piece = peer::snapshot(peer, table, from, &[]).await?;
        repaired.received += piece.rows.len() as u64;
        let here = database.region();
        let (own, foreign) = piece.rows.into_iter().partition(|row| row.row.version.origin == here);
        database.recover(table, term, own).await?;
        late.extend(database.mend(table, foreign).await?);
        match piece.next {
            Some(next) => from = Some(next),
            None => return Ok(late),
        }
    }
}

async fn send<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    peer: &P,
    repaired: &mut Repaired,
) -> Result<Items, Error> {
    let (mut from, mut late) = (None, Vec::new());
    loop {
        let piece = database.snapshot(table, from, &[]).await?;
        repaired.sent += piece.rows.len() as u64;
        late.extend(mend(peer, table, piece.rows).await?);
        match piece.next {
            Some(next) => from = Some(next),
            None => return Ok(late),
        }
    }
}

/// Answers the rows that were refused.
pub async fn mend<P: Peer>(peer: &P, table: &str, rows: Vec<SnapshotRow>) -> Result<Items, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    match peer.ask(table, Question::Mend(rows)).await? {
        Reply::Late(late) => Ok(late),
        _ => Err(Error::Rule(format!("region {} has answered something else", peer.region()))),
    }
}
