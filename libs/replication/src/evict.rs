//! Evicting regions that are away too long, driven by one of the replicas that stay, and safe to run again from any step.
//!
//! 1. Every replica that stays takes nothing more from them and says what it has of them.
//! 2. Each gives its rows of theirs to all others, through the merge: a row that only some of them got is in all then.
//! 3. They are replicas no more, and stable no longer waits for them.
//!
//! A majority of all replicas must stay, and they must see each other: two halves of a partition cannot evict each other.
//! With two replicas there is no majority of one, and only an operator may say which of them is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tradewind_database::Database;
use tradewind_database::question::{Question, Reply};
use tradewind_database::table::document::{ReplicaStatus, TableDocument};
use tradewind_database::table::global::Level;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Region;

use crate::join::{Error, exchange};
use crate::peer::{self, Peer};
use crate::repair;

/// Replicas that heard of each other so recently see each other: three heartbeats.
const SEEN: Duration = Duration::from_secs(30);

/// Who wants the eviction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    ByOperator,
    /// Nobody who stays has heard of the region for so long.
    ByTime(Duration),
}

/// Decides that the regions go; [`finish`] does the rest.
pub async fn begin<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    gone: &[Region],
    peers: &[Arc<P>],
    wanted: Wanted,
) -> Result<(), Error> {
    let document = document(database, table)?;
    check_rule(&document, database.region(), gone, wanted).map_err(Error::Rule)?;
    let staying = staying(&document, gone);
    for region in &staying {
        let sight = match peers.iter().find(|peer| peer.region() == *region) {
            Some(peer) => ask_sight(&**peer, table).await?,
            None if *region == database.region() => database.sight(),
            None => return Err(Error::Rule(format!("region {region} is not known here"))),
        };
        check_sight(*region, &sight, &staying, gone, wanted).map_err(Error::Rule)?;
    }
    if wanted == Wanted::ByOperator {
        refuse_living(table, gone, peers).await?;
    }
    database.begin_eviction(table, gone).await?;
    Ok(())
}

/// Carries out an eviction that was decided.
pub async fn finish<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    peers: &[Arc<P>],
) -> Result<(), Error> {
    let document = document(database, table)?;
    let evicting = document.replicas.iter().filter(|(_, replica)| replica.status == ReplicaStatus::Evicting);
    let gone: Vec<_> = evicting.map(|(region, _)| *region).collect();
    let staying = staying(&document, &gone);
    let others: Vec<_> = peers.iter().filter(|peer| staying.contains(&peer.region())).collect();
    if others.len() + 1 != staying.len() {
        return Err(Error::Rule("not every replica that stays is known here".to_owned()));
    }
    for other in &others {
        exchange(database, table, other).await?;
    }
    // Answered only when nothing more is taken from them: what is levelled next is all there is.
    let mut levels = database.levels(table, &gone).await?;
    for other in &others {
        add(&mut levels, ask_levels(&***other, table, &gone).await?);
    }
    level(database, table, &gone, &others).await?;
    database.finish_eviction(table, levels).await?;
    tracing::warn!(table, ?gone, "regions were evicted; the replicas that stay have the same of them");
    for other in &others {
        // One that is away just now gets it like any setting.
        if let Err(error) = exchange(database, table, other).await {
            tracing::debug!(table, region = %other.region(), %error, "an eviction is told later");
        }
    }
    Ok(())
}

fn document<E: Engine + Documents>(database: &Database<E>, table: &str) -> Result<Arc<TableDocument>, Error> {
    let found = database.table(table).map(|table| table.document());
    found.ok_or_else(|| Error::Rule(format!("there is no table {table} in {}", database.region())))
}

fn staying(document: &TableDocument, gone: &[Region]) -> Vec<Region> {
    document.replicas.keys().filter(|region| !gone.contains(region)).copied().collect()
}

/// The rule that needs nobody's answer.
fn check_rule(document: &TableDocument, here: Region, gone: &[Region], wanted: Wanted) -> Result<(), String> {
    let all = document.replicas.len();
    let stays = all.saturating_sub(gone.len());
    let two = all == 2 && wanted == Wanted::ByOperator;
    let unsettled = document
        .replicas
        .iter()
        .find(|(region, replica)| !gone.contains(region) && replica.status != ReplicaStatus::Active);
    if let Some(stranger) = gone.iter().find(|region| !document.replicas.contains_key(region)) {
        return Err(format!("the table {} has no replica in {stranger}", document.name));
    }
    if gone.is_empty() || gone.contains(&here) {
        return Err("ask a region that stays".to_owned());
    }
    if let Some((region, replica)) = unsettled {
        return Err(format!("the replica in {region} is {:?}: wait until that is over", replica.status));
    }
    if stays * 2 <= all && !two {
        return Err(format!(
            "{stays} of {all} replicas are no majority: the others may be alive and going on without these"
        ));
    }
    Ok(())
}

/// Whether a replica that stays sees the others that do, and does not see those that go.
fn check_sight(
    of: Region,
    sight: &BTreeMap<Region, u64>,
    staying: &[Region],
    gone: &[Region],
    wanted: Wanted,
) -> Result<(), String> {
    let unheard = |region: &Region| sight.get(region).map_or(Duration::MAX, |ms| Duration::from_millis(*ms));
    if let Some(region) = staying.iter().find(|region| **region != of && unheard(region) > SEEN) {
        return Err(format!("{of} does not see {region}"));
    }
    if let Wanted::ByTime(away) = wanted
        && let Some(region) = gone.iter().find(|region| unheard(region) < away)
    {
        return Err(format!("{of} has heard of {region} not long ago"));
    }
    Ok(())
}

async fn ask_sight<P: Peer>(peer: &P, table: &str) -> Result<BTreeMap<Region, u64>, Error> {
    match peer.ask(table, Question::Sight).await? {
        Reply::Sight(sight) => Ok(sight),
        _ => Err(Error::Rule(format!("region {} has answered something else", peer.region()))),
    }
}

/// A region that answers is not away: its replica can be removed without losing anything.
async fn refuse_living<P: Peer>(table: &str, gone: &[Region], peers: &[Arc<P>]) -> Result<(), Error> {
    for peer in peers.iter().filter(|peer| gone.contains(&peer.region())) {
        let answer = tokio::time::timeout(Duration::from_secs(2), peer.ask(table, Question::Sight)).await;
        if matches!(answer, Ok(Ok(_))) {
            return Err(Error::Rule(format!(
                "region {} answers: remove its replica with UpdateTable, and nothing is lost",
                peer.region()
            )));
        }
    }
    Ok(())
}

async fn ask_levels<P: Peer>(
    peer: &P,
    table: &str,
    gone: &[Region],
) -> Result<BTreeMap<Region, Vec<Level>>, Error> {
    match peer.ask(table, Question::Levels(gone.to_vec())).await? {
        Reply::Levels(levels) => Ok(levels),
        _ => Err(Error::Rule(format!("region {} has answered something else", peer.region()))),
    }
}

fn add(levels: &mut BTreeMap<Region, Vec<Level>>, more: BTreeMap<Region, Vec<Level>>) {
    for (region, more) in more {
        levels.entry(region).or_default().extend(more);
    }
}

/// Gives every replica that stays the rows of the evicted origins that any of them has. One that another knows to be deleted
/// (it has applied the delete, and has forgotten it since) is deleted where it still is: nobody else will send that delete.
async fn level<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    table: &str,
    gone: &[Region],
    others: &[&Arc<P>],
) -> Result<(), Error> {
    let mut from = None;
    loop {
        let piece = database.snapshot(table, from, gone).await?;
        for other in others {
            let late = repair::mend(&***other, table, piece.rows.clone()).await?;
            database.forget(table, late).await?;
        }
        match piece.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    for source in others {
        let mut from = None;
        loop {
            let piece = peer::snapshot(&***source, table, from, gone).await?;
            let mut late = database.mend(table, piece.rows.clone()).await?;
            for other in others.iter().filter(|other| other.region() != source.region()) {
                late.extend(repair::mend(&***other, table, piece.rows.clone()).await?);
            }
            if !late.is_empty() {
                peer::done(&***source, table, Question::Forget(late)).await?;
            }
            match piece.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn sight(of: &[(&str, u64)]) -> BTreeMap<Region, u64> {
        of.iter().map(|(name, ms)| (region(name), *ms)).collect()
    }

    #[test]
    fn only_those_evict_who_see_each_other() {
        let (stay, gone) = ([region("a"), region("b")], [region("c")]);
        let check = |sight| check_sight(region("a"), &sight, &stay, &gone, Wanted::ByOperator);
        assert!(check(sight(&[("b", 100)])).is_ok());
        assert!(check(sight(&[("b", 31_000)])).is_err());
        assert!(check(sight(&[])).is_err(), "never heard of is not seen");
    }

    #[test]
    fn time_evicts_nobody_that_one_who_stays_has_heard_of() {
        let (stay, gone) = ([region("a"), region("b")], [region("c")]);
        let wanted = Wanted::ByTime(Duration::from_secs(3600));
        let check = |sight| check_sight(region("a"), &sight, &stay, &gone, wanted);
        assert!(check(sight(&[("b", 100), ("c", 3_600_000)])).is_ok());
        assert!(check(sight(&[("b", 100), ("c", 3_599_999)])).is_err());
    }
}
