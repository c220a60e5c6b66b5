//! A table's life among the replicas of other regions: what the replicator asks of a region's database.
//!
//! Everything here may be asked again after a crash or a lost answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Hlc, ItemKey, Region, Sequence, StoredItem, Version};
use tradewind_wire::ApiError;

use crate::control::overtaken;
use crate::meters;
use crate::partition::arrival::{Arrival, Arrived, SnapshotRow};
use crate::partition::group::{Answer, Op};
use crate::partition::owner::explain;
use crate::partition::state::{LinkState, Source, State};
use crate::region::Database;
use crate::table::Table;
use crate::table::document::{Range, ReplicaStatus, TableDocument};
use crate::tombstone;

/// Tombstones removed in one commit.
const PRUNE: usize = 1000;
/// Of a snapshot's rows, those that travel together; and those that are looked at for it at most.
const PIECE_ROWS: usize = 500;
const PIECE_BYTES: usize = 1024 * 1024;
const PIECE_LOOKED_AT: usize = 10_000;

/// How far a destination has come with a source partition: the least of its own partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    pub cursor: Sequence,
    pub at: Option<Version>,
    /// The greatest term of the source's log that the destination has heard of.
    #[serde(default)]
    pub term: u64,
}

/// The answer to a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pushed {
    pub arrived: Arrived,
    /// Whether the destination keeps tombstones that only later watermarks let go.
    pub waits: bool,
}

/// A partition of a replica and where its log ends, for a link that begins there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pin {
    pub source: Source,
    pub link: LinkState,
}

/// A piece of a table's snapshot, and where the next one begins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub rows: Vec<SnapshotRow>,
    pub next: Option<Vec<u8>>,
}

impl Pin {
    /// The same, as a repair under this term tells it.
    #[must_use]
    pub fn under(self, term: u64) -> Pin {
        Pin { link: LinkState { term, ..self.link }, ..self }
    }
}

impl<E: Engine + Documents> Database<E> {
    pub(crate) fn replica(&self, table: &str) -> Result<Arc<Table<E>>, ApiError> {
        self.table(table).ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))
    }

    /// Where a link from `source` is to go on.
    pub async fn link_position(
        &self,
        table: &str,
        source: Source,
        from: u64,
        to: u64,
    ) -> Result<Position, ApiError> {
        let table = self.replica(table)?;
        let document = table.document();
        check_source(&document, source)?;
        let (mut least, mut term): (Option<Position>, u64) = (None, 0);
        for position in overlapping(&document, from, to) {
            let state = state(&table, position).await?;
            check_begun(&document, self.region(), &state)?;
            let link = state.links.get(&source);
            let here = Position {
                cursor: link.map_or(Sequence::ZERO, |link| link.cursor),
                at: link.and_then(|link| link.at),
                term: link.map_or(0, |link| link.term),
            };
            term = term.max(here.term);
            least = Some(least.filter(|least| least.cursor <= here.cursor).unwrap_or(here));
        }
        let least = least.unwrap_or(Position { cursor: Sequence::ZERO, at: None, term });
        Ok(Position { term, ..least })
    }

    /// Applies a link's batch in every partition whose range it overlaps; answers the least of their cursors.
    pub async fn arrive(&self, table: &str, mut arrival: Arrival) -> Result<Pushed, ApiError> {
        let _spans = meters::arriving(self.region(), table, &mut arrival);
        let table = self.replica(table)?;
        let document = table.document();
        check_source(&document, arrival.source)?;
        let now_ms = self.shared.clock.now_ms();
        let mut pushed: Option<Pushed> = None;
        for position in overlapping(&document, arrival.from, arrival.to) {
            let part = part_of(&arrival, &document.partitions[position]);
            check_begun(&document, self.region(), &*state(&table, position).await?)?;
            let Some(arrived) = submit(&table, position, part.in_parts(now_ms)).await? else { continue };
            let waits = state(&table, position).await?.tombstones > 0;
            let here = Pushed { arrived, waits };
            pushed = Some(pushed.map_or(here, |other| least(other, here)));
        }
        pushed.ok_or_else(|| ApiError::internal("the batch overlaps no partition"))
    }

    /// Merges rows of another region's snapshot.
    pub async fn seed(&self, table: &str, rows: Vec<SnapshotRow>) -> Result<(), ApiError> {
        let table = self.replica(table)?;
        for (position, rows) in by_partition(&table, rows, |row| row.key.hash()) {
            table.submit_at(position, Op::Seed(rows)).await?;
        }
        Ok(())
    }

    /// Merges rows of a region that is repaired; answers those that were deleted everywhere before.
    pub async fn mend(
        &self,
        table: &str,
        rows: Vec<SnapshotRow>,
    ) -> Result<Vec<(ItemKey, Version)>, ApiError> {
        let table = self.replica(table)?;
        let mut refused = Vec::new();
        for (position, rows) in by_partition(&table, rows, |row| row.key.hash()) {
            let answer = table.submit_at(position, Op::Mend(rows)).await?;
            let Answer::Late(late) = answer else { continue };
            refused.extend(late);
        }
        Ok(refused)
    }

    /// Deletes items that are still these versions, as any client would.
    pub async fn forget(&self, table: &str, items: Vec<(ItemKey, Version)>) -> Result<(), ApiError> {
        let table = self.replica(table)?;
        for (position, items) in by_partition(&table, items, |(key, _)| key.hash()) {
            table.submit_at(position, Op::Forget(items)).await?;
        }
        Ok(())
    }

    /// Merges rows of this region's origin that others have, for its repair under this term.
    pub async fn recover(&self, table: &str, term: u64, rows: Vec<SnapshotRow>) -> Result<(), ApiError> {
        let table = self.replica(table)?;
        for (position, rows) in by_partition(&table, rows, |row| row.key.hash()) {
            let answer = table.submit_at(position, Op::Recover { term, rows }).await?;
            still_last(&table, term, &[answer])?;
        }
        Ok(())
    }

    /// Takes nothing more of these sources under a lower term than their pins'; answers the greatest that is known of them.
    pub async fn fence_links(&self, table: &str, pins: Vec<Pin>) -> Result<u64, ApiError> {
        let table = self.replica(table)?;
        let document = table.document();
        pins.iter().try_for_each(|pin| check_source(&document, pin.source))?;
        let mut known = 0;
        for (position, range) in document.partitions.iter().enumerate() {
            let links = links_of(&pins, range);
            if links.is_empty() {
                continue;
            }
            check_begun(&document, self.region(), &*state(&table, position).await?)?;
            let answer = table.submit_at(position, Op::Fence(links)).await?;
            known = known.max(term_of(&answer));
        }
        Ok(known)
    }

    /// Links go on from here, whatever was there before, unless a later repair of their source has begun.
    pub async fn reset_links(&self, table: &str, pins: Vec<Pin>) -> Result<(), ApiError> {
        let table = self.replica(table)?;
        let document = table.document();
        let of = |position: usize| Op::Reset(links_of(&pins, &document.partitions[position]));
        let answers = table.submit_to_all(of).await?;
        let term = pins.iter().map(|pin| pin.link.term).max().unwrap_or_default();
        still_last(&table, term, &answers)
    }

    /// Raises every partition's clock to now and answers the greatest, after everything before it is durable.
    pub async fn raise(&self, table: &str) -> Result<Hlc, ApiError> {
        let table = self.replica(table)?;
        let answers = table.submit_to_all(|_| Op::Raise).await?;
        table.announce_raised();
        // Nobody listens where all links run in this process.
        let _ = self.raised.send(table.document().name.clone());
        Ok(answers.iter().map(clock_of).max().unwrap_or_default())
    }

    /// The tables whose clocks this process raises from now on. Whoever reads too slowly misses some.
    pub fn watch_raised(&self) -> broadcast::Receiver<String> {
        self.raised.subscribe()
    }

    /// Another process of the region has raised the table's clocks: the links of this one have something to announce.
    pub fn announce_raised(&self, table: &str) {
        if let Some(table) = self.table(table) {
            table.announce_raised();
        }
    }

    /// Where links of this region's partitions begin for a region that joins now. Every later write counts the joiner.
    pub async fn pins(&self, table: &str) -> Result<Vec<Pin>, ApiError> {
        let table = self.replica(table)?;
        let answers = table.submit_to_all(|_| Op::Barrier).await?;
        let document = table.document();
        let pin = |(range, answer): (&Range, &Answer)| {
            let Answer::Done { next, .. } = answer else { return None };
            let source =
                Source { region: self.region(), incarnation: document.incarnation, number: range.number };
            let link = LinkState::begin(Sequence(next.0 - 1), range.from, range.to);
            Some(Pin { source, link: LinkState { term: document.global.log.term, ..link } })
        };
        Ok(document.partitions.iter().zip(&answers).filter_map(pin).collect())
    }

    /// How far this region has come with every source of other regions: where a joiner seeded from here must begin.
    pub async fn cursors(&self, table: &str) -> Result<Vec<Pin>, ApiError> {
        let table = self.replica(table)?;
        let mut least: BTreeMap<Source, LinkState> = BTreeMap::new();
        for position in 0..table.partition_count() {
            for (source, link) in &state(&table, position).await?.links {
                let begin = LinkState::begin(link.cursor, link.from, link.to);
                let known = least.entry(*source).or_insert_with(|| begin.clone());
                known.cursor = known.cursor.min(link.cursor);
                known.term = known.term.max(link.term);
            }
        }
        Ok(least.into_iter().map(|(source, link)| Pin { source, link }).collect())
    }

    /// Begins links in a region that joins.
    pub async fn begin_links(&self, table: &str, pins: Vec<Pin>) -> Result<(), ApiError> {
        let table = self.replica(table)?;
        let document = table.document();
        let of = |position: usize| Op::Begin(links_of(&pins, &document.partitions[position]));
        table.submit_to_all(of).await.map(|_| ())
    }

    /// What this region has applied of `region`, in the partition that is furthest behind.
    pub async fn seen(&self, table: &str, region: Region) -> Result<Hlc, ApiError> {
        let table = self.replica(table)?;
        let mut least = Hlc(u64::MAX);
        for position in 0..table.partition_count() {
            least = least.min(state(&table, position).await?.seen(region));
        }
        Ok(least)
    }

    /// The joiner's stable and clock start at the common watermark.
    pub async fn finish_join(&self, table: &str, watermark: Hlc) -> Result<(), ApiError> {
        self.replica(table)?.submit_to_all(|_| Op::Joined(watermark)).await.map(|_| ())
    }

    /// A piece of the table's rows from `from` on, tombstones included; where origins are named, only rows of theirs.
    pub async fn snapshot(
        &self,
        table: &str,
        from: Option<Vec<u8>>,
        origins: &[Region],
    ) -> Result<Snapshot, ApiError> {
        let table = self.replica(table)?;
        let document = table.document();
        let prefix = document.incarnation.as_bytes();
        let start = from.unwrap_or_else(|| prefix.to_vec());
        let end = after_prefix(prefix);
        let (mut found, mut looked_at, mut bytes, mut next) = (Vec::new(), 0, 0, None);
        self.engine()
            .range(Space::Items, &start[..]..&end[..], false, |key, value| {
                if found.len() == PIECE_ROWS || bytes > PIECE_BYTES || looked_at == PIECE_LOOKED_AT {
                    next = Some(key.to_vec());
                    return false;
                }
                looked_at += 1;
                let row = ItemKey::from_stored(key).zip(StoredItem::decode(value));
                let row = row.filter(|(_, row)| origins.is_empty() || origins.contains(&row.origin()));
                bytes += row.as_ref().map_or(0, |_| value.len());
                found.extend(row);
                true
            })
            .await
            .map_err(|error| explain(&error))?;
        let mut rows = Vec::with_capacity(found.len());
        let mut stables = BTreeMap::new();
        for (key, mut row) in found {
            let position = table.position(key.hash());
            let stable = match stables.get(&position) {
                Some(stable) => *stable,
                None => state(&table, position).await?.stable,
            };
            stables.insert(position, stable);
            // What is missing from the vector is at most this region's stable: the row says so where it goes.
            row.stable = row.stable.max(Some(stable));
            rows.push(SnapshotRow { key, row });
        }
        Ok(Snapshot { rows, next })
    }

    /// Removes tombstones that every replica has applied. Answers whether there is more to do at once.
    pub async fn prune(&self, table: &Table<E>, position: usize) -> Result<bool, ApiError> {
        let state = state(table, position).await?;
        let stable = state.stable_now(&table.document(), self.region());
        if state.tombstones == 0 || stable == Hlc::ZERO {
            return Ok(false);
        }
        let prefix = state.id.to_bytes();
        let end = [&prefix[..], &(stable.0 + 1).to_be_bytes()].concat();
        let mut tombstones = Vec::new();
        self.engine()
            .range(Space::Tombstones, &prefix[..]..&end[..], false, |key, _| {
                tombstones.extend(tombstone::decode(key));
                tombstones.len() < PRUNE
            })
            .await
            .map_err(|error| explain(&error))?;
        let more = tombstones.len() == PRUNE;
        if !tombstones.is_empty() {
            table.submit_at(position, Op::Prune(tombstones)).await?;
        }
        Ok(more)
    }
}

/// The partition's durable state.
async fn state<E: Engine + Documents>(table: &Table<E>, position: usize) -> Result<Arc<State>, ApiError> {
    table.state(position).await.map_err(|error| explain(&error))
}

/// A table that was made again, here or there, is another one under the same name.
fn check_source(document: &TableDocument, source: Source) -> Result<(), ApiError> {
    match document.counts(source.region, source.incarnation) {
        true => Ok(()),
        false => Err(ApiError::resource_not_found(format!(
            "The table {} has no such replica in region {}",
            document.name, source.region
        ))),
    }
}

/// A region that joins takes nothing before it knows where links begin: the part of a log that a link sent from its
/// start until then could be the put without the delete that followed, whose tombstone is in no snapshot any more.
fn check_begun(document: &TableDocument, here: Region, state: &State) -> Result<(), ApiError> {
    let joins = document.replicas.get(&here).is_some_and(|replica| replica.status == ReplicaStatus::Creating);
    match joins && state.links.is_empty() {
        true => Err(ApiError::resource_in_use(format!("The table {} is being created", document.name))),
        false => Ok(()),
    }
}

fn links_of(pins: &[Pin], range: &Range) -> Vec<(Source, LinkState)> {
    let overlapping = pins.iter().filter(|pin| range.overlaps(pin.link.from, pin.link.to));
    overlapping.map(|pin| (pin.source, pin.link.clone())).collect()
}

fn by_partition<E: Engine + Documents, T>(
    table: &Table<E>,
    of: Vec<T>,
    hash: impl Fn(&T) -> u64,
) -> BTreeMap<usize, Vec<T>> {
    let mut parts: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for element in of {
        parts.entry(table.position(hash(&element))).or_default().push(element);
    }
    parts
}

fn term_of(answer: &Answer) -> u64 {
    if let Answer::Term(term) = answer { *term } else { 0 }
}

/// A step of a repair was taken everywhere only if no owner knows of a later one.
fn still_last<E: Engine + Documents>(
    table: &Table<E>,
    term: u64,
    answers: &[Answer],
) -> Result<(), ApiError> {
    match answers.iter().any(|answer| term_of(answer) > term) {
        true => Err(overtaken(&table.document().name)),
        false => Ok(()),
    }
}

fn clock_of(answer: &Answer) -> Hlc {
    if let Answer::Done { max_hlc, .. } = answer { *max_hlc } else { Hlc::ZERO }
}

fn overlapping(document: &TableDocument, from: u64, to: u64) -> Vec<usize> {
    (0..document.partitions.len()).filter(|at| document.partitions[*at].overlaps(from, to)).collect()
}

/// What of a batch concerns one partition.
pub fn part_of(arrival: &Arrival, range: &Range) -> Arrival {
    let changes = arrival.changes.iter().filter(|(_, change)| range.contains(change.key.hash()));
    Arrival { changes: changes.cloned().collect(), seen: arrival.seen.clone(), ..*arrival }
}

/// Parts of a batch, one after the other, up to one that is not taken as it is.
async fn submit<E: Engine + Documents>(
    table: &Table<E>,
    position: usize,
    parts: Vec<Arrival>,
) -> Result<Option<Arrived>, ApiError> {
    let mut last = None;
    for part in parts {
        let Answer::Arrived(arrived) = table.submit_at(position, Op::Arrive(part)).await? else { continue };
        last = Some(arrived);
        if !matches!(arrived, Arrived::Through { .. }) {
            break;
        }
    }
    Ok(last)
}

fn least(a: Pushed, b: Pushed) -> Pushed {
    let rank = |arrived: &Arrived| match arrived {
        Arrived::Stranger { .. } => 0,
        Arrived::Gap { .. } => 1,
        Arrived::Ahead { .. } => 2,
        Arrived::Through { .. } => 3,
    };
    // The worst news, with the least cursor.
    let worse = if rank(&a.arrived) <= rank(&b.arrived) { a.arrived } else { b.arrived };
    let cursor = a.arrived.cursor().min(b.arrived.cursor());
    let arrived = match worse {
        Arrived::Through { .. } => Arrived::Through { cursor },
        Arrived::Gap { .. } => Arrived::Gap { cursor },
        Arrived::Stranger { .. } => Arrived::Stranger { cursor },
        Arrived::Ahead { ahead_ms, .. } => Arrived::Ahead { cursor, ahead_ms },
    };
    Pushed { arrived, waits: a.waits || b.waits }
}
