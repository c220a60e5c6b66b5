//! Are the regions equal? Compared while they are written: no write that is under way makes a difference.
//!
//! 1. Every region's clock is raised, and the others are given time to apply all that it had written by then.
//! 2. Digests of ranges of hashes are compared, and those of ranges within the ranges that differ; then single keys.
//! 3. A key that differs is looked at again, until the regions are equal in it or the difference is proved. It is, once a
//!    region that has applied everything of the newer version's origin up to that version has an older one or none, twice
//!    in a row: a region may have forgotten a delete that the other has not yet shown, but it forgets only what the other
//!    has applied, which the other's next answer shows.
//!
//! Items do not travel, only digests and the versions of keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tradewind_database::Database;
use tradewind_database::digest::{Cut, Digest, Standing};
use tradewind_database::question::{Question, Reply};
use tradewind_database::table::document::ReplicaStatus;
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Hlc, ItemKey, Region, Version};

use crate::join::Error;
use crate::peer::{Peer, PeerError};

/// The first cut of all hashes; ranges with more items than can be listed at once are cut again.
const WIDTH: u64 = 1 << 48;
const LISTED: u64 = 4_000;
const CUT_AGAIN: u64 = 256;
/// Keys looked at again together.
const TOGETHER: usize = 500;
/// A key that is written faster than it can be looked at is proved different or equal within so many looks.
const LOOKS: usize = 200;
const POLL: Duration = Duration::from_millis(20);

/// What to compare, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wish {
    pub table: String,
    /// How long regions may take to apply what others have written.
    pub wait: Duration,
    /// Differing keys that are told, at least one.
    pub limit: usize,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Of all hashes, in percent.
    pub percent: u8,
    pub items: u64,
    /// Keys that are looked at again, or were.
    pub looked_at_again: u64,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Verified {
    pub regions: Vec<Region>,
    /// Of the region that was asked, when its ranges were compared.
    pub items: u64,
    /// At most as many as were wished for.
    pub differences: Vec<Difference>,
    /// There may be more.
    pub more: bool,
    /// Regions that have not applied in time what another had written: the first of the second.
    pub behind: Vec<(Region, Region)>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Difference {
    pub key: ItemKey,
    pub standings: BTreeMap<Region, Option<Standing>>,
    pub why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Why {
    /// A region has applied the newer version's origin that far, and does not have it.
    Diverged,
    /// A region has not applied it yet.
    Behind,
    /// It is written so fast that it could not be told.
    Moving,
}

impl Verified {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && !self.more
    }
}

/// Compares the region with every other active replica of the table.
pub async fn verify<E: Engine + Documents, P: Peer>(
    database: &Database<E>,
    peers: &[Arc<P>],
    wish: &Wish,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Verified, Error> {
    let sides = sides(database, peers, &wish.table)?;
    let mut verify =
        Verify { sides, wish, progress: &progress, come: Progress::default(), given_up: BTreeSet::new() };
    let behind = verify.settle_clocks().await?;
    let mut suspects = Suspects { ranges: Vec::new(), items: 0 };
    verify.compare(Cut { from: 0, to: u64::MAX, width: WIDTH }, &mut suspects, true).await?;
    let mut verified = Verified {
        regions: verify.sides.iter().map(Side::region).collect(),
        items: suspects.items,
        behind,
        ..Verified::default()
    };
    for (from, to) in suspects.ranges {
        verify.look_into(from, to, &mut verified).await?;
        if verified.more {
            break;
        }
    }
    Ok(verified)
}

/// Ranges in which the regions differ, small enough to list.
struct Suspects {
    ranges: Vec<(u64, u64)>,
    items: u64,
}

/// A region that is compared.
enum Side<'a, E, P> {
    Here(&'a Database<E>),
    There(&'a P),
}

fn sides<'a, E: Engine + Documents, P: Peer>(
    database: &'a Database<E>,
    peers: &'a [Arc<P>],
    table: &str,
) -> Result<Vec<Side<'a, E, P>>, Error> {
    let here = database.region();
    let document = database.table(table).map(|table| table.document());
    let document = document.ok_or_else(|| Error::Rule(format!("there is no table {table} in {here}")))?;
    let mut sides = vec![Side::Here(database)];
    for (region, replica) in &document.replicas {
        if *region == here || replica.status != ReplicaStatus::Active {
            continue;
        }
        let peer = peers.iter().find(|peer| peer.region() == *region);
        let peer = peer.ok_or_else(|| Error::Rule(format!("region {region} is not known here")))?;
        sides.push(Side::There(&**peer));
    }
    match sides.len() {
        1 => Err(Error::Rule(format!("the table {table} has no other replica to compare with"))),
        _ => Ok(sides),
    }
}

impl<E: Engine + Documents, P: Peer> Side<'_, E, P> {
    fn region(&self) -> Region {
        match self {
            Side::Here(database) => database.region(),
            Side::There(peer) => peer.region(),
        }
    }

    async fn ask(&self, table: &str, question: Question) -> Result<Reply, Error> {
        match self {
            Side::Here(database) => Ok(database.answer(table, question).await?),
            Side::There(peer) => Ok(peer.ask(table, question).await?),
        }
    }

    fn unexpected(&self) -> Error {
        let (region, cause) = (self.region(), "it answered something else".to_owned());
        Error::Peer(PeerError::Refused { region, cause })
    }

    async fn hlc(&self, table: &str, question: Question) -> Result<Hlc, Error> {
        match self.ask(table, question).await? {
            Reply::Hlc(hlc) => Ok(hlc),
            _ => Err(self.unexpected()),
        }
    }

    async fn digests(&self, table: &str, cut: Cut) -> Result<Vec<Digest>, Error> {
        match self.ask(table, Question::Digests(cut)).await? {
            Reply::Digests(digests) if !digests.0.is_empty() => Ok(digests.0),
            _ => Err(self.unexpected()),
        }
    }

    /// All keys of a range.
    async fn list(&self, table: &str, from: u64, to: u64) -> Result<BTreeMap<ItemKey, Standing>, Error> {
        let (mut all, mut after) = (BTreeMap::new(), None);
        loop {
            let question = Question::Standings { from, to, after };
            let Reply::Standings(piece) = self.ask(table, question).await? else {
                return Err(self.unexpected());
            };
            all.extend(piece.rows);
            match piece.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn look(&self, table: &str, keys: &[ItemKey]) -> Result<Vec<Option<Standing>>, Error> {
        match self.ask(table, Question::StandingsOf(keys.to_vec())).await? {
            Reply::StandingsOf(standings) if standings.len() == keys.len() => Ok(standings),
            _ => Err(self.unexpected()),
        }
    }
}

/// A comparison under way.
struct Verify<'a, E, P, F> {
    sides: Vec<Side<'a, E, P>>,
    wish: &'a Wish,
    progress: &'a F,
    come: Progress,
    /// Regions that were behind another for too long: none of the second is waited for any more in the first.
    given_up: BTreeSet<(Region, Region)>,
}

impl<E: Engine + Documents, P: Peer, F: Fn(Progress) + Send + Sync> Verify<'_, E, P, F> {
    fn table(&self) -> &str {
        &self.wish.table
    }

    /// Everything that was written before is applied everywhere when this returns, but for what it tells.
    async fn settle_clocks(&mut self) -> Result<Vec<(Region, Region)>, Error> {
        let raised = self.sides.iter().map(|side| side.hlc(self.table(), Question::Raise));
        let raised = try_join_all(raised).await?;
        let wanted = self.sides.iter().map(Side::region).zip(raised).collect();
        self.until_seen(&wanted).await
    }

    /// Waits until every region has applied every other up to what is wanted of it, or the time is over; tells who has not.
    async fn until_seen(&mut self, wanted: &BTreeMap<Region, Hlc>) -> Result<Vec<(Region, Region)>, Error> {
        let deadline = Instant::now() + self.wish.wait;
        loop {
            let behind = self.not_seen(wanted).await?;
            let late = Instant::now() >= deadline;
            if behind.iter().all(|pair| late || self.given_up.contains(pair)) {
                self.given_up.extend(&behind);
                return Ok(behind);
            }
            let origins: BTreeSet<_> = behind.iter().map(|(_, of)| *of).collect();
            let raised = self.sides.iter().filter(|side| origins.contains(&side.region()));
            try_join_all(raised.map(|side| side.hlc(self.table(), Question::Raise))).await?;
            tokio::time::sleep(POLL).await;
        }
    }

    async fn not_seen(&self, wanted: &BTreeMap<Region, Hlc>) -> Result<Vec<(Region, Region)>, Error> {
        let mut behind = Vec::new();
        for side in &self.sides {
            let known = |of: &Region| self.sides.iter().any(|side| side.region() == *of);
            let others = wanted.iter().filter(|(of, _)| **of != side.region() && known(of));
            for (of, hlc) in others {
                if side.hlc(self.table(), Question::Seen(*of)).await? < *hlc {
                    behind.push((side.region(), *of));
                }
            }
        }
        Ok(behind)
    }

    /// Gathers the ranges in which the regions differ. `whole`: it is the first, of all hashes.
    async fn compare(&mut self, cut: Cut, suspects: &mut Suspects, whole: bool) -> Result<(), Error> {
        let mut large = Vec::new();
        let mut at = 0;
        while at < cut.ranges() {
            let (from, _) = cut.range(at);
            let rest = Cut { from, ..cut };
            let asked = self.sides.iter().map(|side| side.digests(self.table(), rest));
            let answers = try_join_all(asked).await?;
            let known = answers.iter().map(Vec::len).min().unwrap_or_default();
            for range in 0..known {
                let digests = || answers.iter().map(|answer| answer[range]);
                suspects.items += if whole { answers[0][range].items } else { 0 };
                if digests().all(|digest| digest == answers[0][range]) {
                    continue;
                }
                let (from, to) = rest.range(range as u64);
                match digests().any(|digest| digest.items > LISTED) && from < to {
                    true => large.push((from, to)),
                    false => suspects.ranges.push((from, to)),
                }
            }
            at += known as u64;
            if whole {
                self.come.items = suspects.items;
                self.come.percent = (at * 100 / cut.ranges()) as u8;
                (self.progress)(self.come);
            }
        }
        for (from, to) in large {
            let width = ((to - from) / CUT_AGAIN).max(1);
            Box::pin(self.compare(Cut { from, to, width }, suspects, false)).await?;
        }
        Ok(())
    }

    /// Compares the keys of a range one by one.
    async fn look_into(&mut self, from: u64, to: u64, verified: &mut Verified) -> Result<(), Error> {
        let lists = try_join_all(self.sides.iter().map(|side| side.list(self.table(), from, to))).await?;
        let keys: BTreeSet<_> = lists.iter().flat_map(BTreeMap::keys).cloned().collect();
        let differing = keys.into_iter().filter(|key| {
            let standings: Vec<_> = lists.iter().map(|list| list.get(key).copied()).collect();
            !is_same(&standings)
        });
        let differing: Vec<_> = differing.collect();
        for keys in differing.chunks(TOGETHER) {
            self.come.looked_at_again += keys.len() as u64;
            (self.progress)(self.come);
            let proved = self.prove(keys.to_vec()).await?;
            let left = self.wish.limit.max(1) - verified.differences.len();
            verified.more = proved.len() > left;
            verified.differences.extend(proved.into_iter().take(left));
            if verified.more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at the keys again until each is equal in all regions or proved to differ.
    async fn prove(&mut self, keys: Vec<ItemKey>) -> Result<Vec<Difference>, Error> {
        let mut open: Vec<_> = keys.into_iter().map(Suspect::of).collect();
        let mut proved = Vec::new();
        let mut behind = Vec::new();
        for look in 1.. {
            let keys: Vec<_> = open.iter().map(|suspect| suspect.key.clone()).collect();
            let looks = try_join_all(self.sides.iter().map(|side| side.look(self.table(), &keys))).await?;
            let mut wanted = BTreeMap::new();
            let mut still = Vec::new();
            for (at, mut suspect) in open.into_iter().enumerate() {
                let standings: Vec<_> = looks.iter().map(|look| look[at]).collect();
                match suspect.judge(&standings) {
                    Verdict::Same => (),
                    Verdict::Different if self.excuses(&behind, &standings) => {
                        proved.push(self.difference(suspect.key, &standings, Why::Behind));
                    }
                    Verdict::Different => {
                        proved.push(self.difference(suspect.key, &standings, Why::Diverged));
                    }
                    Verdict::Open if look >= LOOKS => {
                        proved.push(self.difference(suspect.key, &standings, Why::Moving));
                    }
                    Verdict::Open => {
                        let newest = newest(&standings);
                        newest.iter().for_each(|version| want(&mut wanted, *version));
                        still.push(suspect);
                    }
                }
            }
            if still.is_empty() {
                return Ok(proved);
            }
            open = still;
            behind = self.until_seen(&wanted).await?;
        }
        unreachable!("after so many looks nothing is open")
    }

    /// Whether a region that has an older version or none is known to be behind the newest one's origin.
    fn excuses(&self, behind: &[(Region, Region)], standings: &[Option<Standing>]) -> bool {
        let Some(newest) = newest(standings) else { return false };
        self.sides.iter().zip(standings).any(|(side, standing)| {
            let older = standing.is_none_or(|standing| standing.version < newest);
            older && behind.contains(&(side.region(), newest.origin))
        })
    }

    fn difference(&self, key: ItemKey, standings: &[Option<Standing>], why: Why) -> Difference {
        let regions = self.sides.iter().map(Side::region);
        Difference { key, standings: regions.zip(standings.iter().copied()).collect(), why }
    }
}

fn want(wanted: &mut BTreeMap<Region, Hlc>, version: Version) {
    let hlc = wanted.entry(version.origin).or_default();
    *hlc = version.hlc.max(*hlc);
}

fn newest(standings: &[Option<Standing>]) -> Option<Version> {
    standings.iter().flatten().map(|standing| standing.version).max()
}

/// Whether readers see the same in all regions: the same item of the same version, or none.
fn is_same(standings: &[Option<Standing>]) -> bool {
    let seen = |standing: &Option<Standing>| {
        standing.as_ref().and_then(|standing| standing.item.map(|item| (standing.version, item)))
    };
    standings.iter().all(|standing| seen(standing) == seen(&standings[0]))
}

/// A key in which the regions differed when it was looked at.
struct Suspect {
    key: ItemKey,
    /// The newest version at the last look, when some region was without it. By the next look every region has applied its
    /// origin that far, or is known to be behind.
    missed: Option<Version>,
    /// It was the newest at two looks already.
    again: bool,
}

enum Verdict {
    Same,
    Different,
    Open,
}

impl Suspect {
    fn of(key: ItemKey) -> Suspect {
        Suspect { key, missed: None, again: false }
    }

    fn judge(&mut self, standings: &[Option<Standing>]) -> Verdict {
        let Some(newest) = newest(standings).filter(|_| !is_same(standings)) else { return Verdict::Same };
        let Some(missed) = self.missed.replace(newest) else { return Verdict::Open };
        // It should be here by now, in this version or a later one.
        if standings.iter().flatten().any(|standing| standing.version < missed) {
            return Verdict::Different;
        }
        if missed == newest {
            return if std::mem::replace(&mut self.again, true) { Verdict::Different } else { Verdict::Open };
        }
        self.again = false;
        match standings.iter().all(Option::is_some) {
            // All have what was missed, or later: it is written faster than it is looked at.
            true => Verdict::Same,
            false => Verdict::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(hlc: u64) -> Option<Standing> {
        let version = Version { hlc: Hlc(hlc), origin: Region::new("a").unwrap() };
        Some(Standing { version, item: Some(Digest::default()) })
    }

    fn judge(looks: &[[Option<Standing>; 2]]) -> Vec<&'static str> {
        let mut suspect = Suspect::of(ItemKey::new(b"k", b""));
        let word = |verdict| match verdict {
            Verdict::Same => "same",
            Verdict::Different => "different",
            Verdict::Open => "open",
        };
        looks.iter().map(|standings| word(suspect.judge(standings))).collect()
    }

    #[test]
    fn what_stays_away_is_different_and_what_comes_is_not() {
        assert_eq!(judge(&[[standing(2), standing(1)], [standing(2), standing(1)]]), ["open", "different"]);
        let absent = [standing(2), None];
        assert_eq!(judge(&[absent, absent, absent]), ["open", "open", "different"]);
        assert_eq!(judge(&[[standing(2), None], [standing(2), standing(2)]]), ["open", "same"]);
    }

    #[test]
    fn a_key_that_is_written_all_the_time_is_not_different() {
        assert_eq!(judge(&[[standing(5), standing(3)], [standing(9), standing(7)]]), ["open", "same"]);
        assert_eq!(judge(&[[standing(5), standing(3)], [standing(9), standing(4)]]), ["open", "different"]);
    }

    /// A delete may be forgotten in one region before the other's answer shows it.
    #[test]
    fn absence_is_no_proof_while_the_other_moves() {
        let looks = [[standing(5), None], [standing(9), None], [standing(11), None], [None, None]];
        assert_eq!(judge(&looks), ["open", "open", "open", "same"]);
    }
}
