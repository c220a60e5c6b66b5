//! What a partition's owner knows of it: where its log and clock stand, and how far other regions have come.
//!
//! All of it is durable; this is the copy that decisions read. What is known of other regions lies in
//! [`Space::Cursors`](tradewind_engine::Space::Cursors):
//!
//! ```text
//! partition:20 's'                                  stable:8
//! partition:20 'l' number:4 incarnation:16 region   JSON of LinkState
//! ```

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tradewind_engine::{Opened, Row, Space};
use tradewind_model::{Epoch, Hlc, Incarnation, ItemKey, PartitionId, Region, Sequence, StoredItem, Version};

use crate::table::document::{Range, TableDocument};

/// A partition of another region that sends changes here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct Source {
    pub region: Region,
    pub incarnation: Incarnation,
    pub number: u32,
}

/// How far a link has come in one destination partition. It lives with the data it describes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkState {
    /// All changes of the source up to here are applied.
    pub cursor: Sequence,
    /// The version at the cursor, by which a source that lost its log is found out.
    pub at: Option<Version>,
    /// No change of the source's region with a version up to this will follow.
    pub watermark: Hlc,
    /// What the source partition has applied of each region, at the cursor.
    pub seen: BTreeMap<Region, Hlc>,
    /// The source partition's hashes.
    pub from: u64,
    pub to: u64,
    /// The greatest term of the source's log that was heard of: see [`OwnLog`](crate::table::log::OwnLog). Nothing of a lower
    /// one is taken.
    #[serde(default)]
    pub term: u64,
}

impl LinkState {
    /// A link that begins there.
    pub fn begin(cursor: Sequence, from: u64, to: u64) -> LinkState {
        LinkState { cursor, at: None, watermark: Hlc::ZERO, seen: BTreeMap::new(), from, to, term: 0 }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    pub id: PartitionId,
    pub range: Range,
    pub epoch: Epoch,
    pub next: Sequence,
    pub max_hlc: Hlc,
    pub stable: Hlc,
    pub links: BTreeMap<Source, LinkState>,
    /// Tombstones that wait for stable to pass them.
    pub tombstones: i64,
}

impl State {
    /// From what the engine answered on opening, and the partition's rows of the cursor space.
    pub fn restore(id: PartitionId, range: Range, opened: Opened, rows: &[(Bytes, Bytes)]) -> Option<State> {
        let mut state = State {
            id,
            range,
            epoch: opened.epoch,
            next: opened.next,
            max_hlc: Hlc(opened.max_hlc),
            stable: Hlc::ZERO,
            links: BTreeMap::new(),
            tombstones: 0,
        };
        rows.iter().try_for_each(|(key, value)| state.restore_row(key.get(PartitionId::LEN..)?, value))?;
        Some(state)
    }

    fn restore_row(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, rest) = key.split_first()?;
        match kind {
            b's' => self.stable = Hlc(u64::from_be_bytes(value.try_into().ok()?)),
            b'l' => {
                let number = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
                let incarnation = Incarnation(uuid::Uuid::from_slice(rest.get(4..20)?).ok()?);
                let region = Region::new(std::str::from_utf8(rest.get(20..)?).ok()?).ok()?;
                let link = serde_json::from_slice(value).ok()?;
                self.links.insert(Source { region, incarnation, number }, link);
            }
            _ => return None,
        }
        Some(())
    }

    pub fn stable_row(&self) -> Row {
        let value = Some(Bytes::copy_from_slice(&self.stable.0.to_be_bytes()));
        Row { space: Space::Cursors, key: cursor_key(self.id, b's', &[]), value }
    }

    pub fn link_row(&self, source: &Source) -> Row {
        let value = self
            .links
            .get(source)
            .map(|link| Bytes::from(serde_json::to_vec(link).expect("a link's state is plain data")));
        let name = source.region.as_str().as_bytes();
        let rest = [&source.number.to_be_bytes()[..], source.incarnation.as_bytes(), name].concat();
        Row { space: Space::Cursors, key: cursor_key(self.id, b'l', &rest), value }
    }

    /// Whether a row is newer than anything that this owner has written: then it is not the owner any more, and must not
    /// give versions that a newer one has passed.
    pub fn is_behind(&self, current: &HashMap<ItemKey, Option<StoredItem>>) -> bool {
        current.values().flatten().any(|row| row.version.hlc > self.max_hlc)
    }

    /// What this partition has applied of `region`: the least watermark of the links that together cover its range.
    pub fn seen(&self, region: Region) -> Hlc {
        self.least_over(region, |link| link.watermark)
    }

    /// What every replica is known to have applied of every other: the least watermark and `seen` of all of them over
    /// this range. Never less than it was.
    pub fn stable_now(&self, table: &TableDocument, here: Region) -> Hlc {
        let others = table.replicas.keys().copied().filter(|region| *region != here);
        let least = others.map(|region| self.known_of(table, region)).min();
        least.unwrap_or_default().max(self.stable)
    }

    /// The replica for which what is kept until all have it waits.
    pub fn waits_for(&self, table: &TableDocument, here: Region) -> Option<Region> {
        let others = table.replicas.keys().copied().filter(|region| *region != here);
        others.min_by_key(|region| self.known_of(table, *region))
    }

    /// What a replica is known to have applied of every other.
    fn known_of(&self, table: &TableDocument, region: Region) -> Hlc {
        let of = |origin| self.least_over(region, |link| link.seen.get(&origin).copied().unwrap_or_default());
        let seen = table.replicas.keys().filter(|origin| **origin != region).map(|origin| of(*origin));
        seen.min().unwrap_or_default().min(self.seen(region))
    }

    /// The least `value` over the links from `region`; zero unless they cover the whole range.
    fn least_over(&self, region: Region, value: impl Fn(&LinkState) -> Hlc) -> Hlc {
        let mut links: Vec<_> = self
            .links
            .iter()
            .filter(|(source, link)| source.region == region && self.range.overlaps(link.from, link.to))
            .map(|(_, link)| link)
            .collect();
        links.sort_by_key(|link| link.from);
        let mut covered_below = Some(self.range.from);
        for link in &links {
            match covered_below {
                Some(below) if link.from > below => return Hlc::ZERO,
                Some(below) => covered_below = link.to.checked_add(1).map(|next| next.max(below)),
                None => break,
            }
        }
        let covered = covered_below.is_none_or(|below| below > self.range.to);
        if covered { links.into_iter().map(value).min().unwrap_or_default() } else { Hlc::ZERO }
    }
}

fn cursor_key(id: PartitionId, kind: u8, rest: &[u8]) -> Bytes {
    [&id.to_bytes()[..], &[kind], rest].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn link(from: u64, to: u64, watermark: u64) -> LinkState {
        LinkState { watermark: Hlc(watermark), term: 7, ..LinkState::begin(Sequence(1), from, to) }
    }

    fn state(links: Vec<(u32, LinkState)>) -> State {
        let id = PartitionId { incarnation: Incarnation(uuid::Uuid::nil()), number: 0 };
        let range = Range { number: 0, from: 100, to: 199 };
        let opened = Opened { epoch: Epoch(1), next: Sequence(1), max_hlc: 0 };
        let mut state = State::restore(id, range, opened, &[]).unwrap();
        let source = |number| Source { region: region("b"), incarnation: id.incarnation, number };
        state.links = links.into_iter().map(|(number, link)| (source(number), link)).collect();
        state
    }

    #[test]
    fn seen_is_the_least_over_all_links_that_cover_the_range() {
        assert_eq!(state(vec![(0, link(0, u64::MAX, 7))]).seen(region("b")), Hlc(7));
        assert_eq!(state(vec![(0, link(0, 149, 7)), (1, link(150, 300, 5))]).seen(region("b")), Hlc(5));
        assert_eq!(state(vec![(0, link(0, 149, 7))]).seen(region("b")), Hlc::ZERO, "a part never announced");
        assert_eq!(state(vec![(0, link(0, 120, 7)), (1, link(150, 300, 5))]).seen(region("b")), Hlc::ZERO);
        assert_eq!(state(vec![(0, link(0, 199, 7)), (1, link(200, 300, 0))]).seen(region("b")), Hlc(7));
    }

    #[test]
    fn links_and_stable_are_restored_as_they_were_saved() {
        let mut saved = state(vec![(3, link(0, 500, 9))]);
        saved.stable = Hlc(4);
        let source = *saved.links.keys().next().unwrap();
        let rows: Vec<_> = [saved.stable_row(), saved.link_row(&source)]
            .into_iter()
            .map(|row| (row.key, row.value.unwrap()))
            .collect();
        let opened = Opened { epoch: Epoch(1), next: Sequence(1), max_hlc: 0 };
        assert_eq!(State::restore(saved.id, saved.range, opened, &rows), Some(saved));
    }
}
