//! What a region says of its items so that regions can be compared without sending them: digests of ranges of hashes, and
//! the versions of single keys.
//!
//! A range's digest is the sum of its items' digests, so that it does not depend on any order; an item's covers its key,
//! its version and its attributes, not its vector. Tombstones are none of it: regions let them go at different times.
//! Every answer looks at a bounded number of rows and says where to go on.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Incarnation, ItemKey, StoredItem, Version};
use tradewind_wire::ApiError;
use xxhash_rust::xxh3::xxh3_128;

use crate::partition::owner::explain;
use crate::region::Database;

/// Rows that one answer looks at, after which it ends with the range it is in.
const LOOKED_AT: usize = 20_000;
/// Rows that are looked at in one go; others run in between.
const STEP: usize = 2_000;
/// Ranges in one answer.
const MAX_RANGES: u64 = 1 << 16;
/// Keys in one answer, and their bytes.
const KEYS: usize = 2_000;
const KEYS_BYTES: usize = 1024 * 1024;

/// Hashes `from..=to`, cut into ranges of `width` each; the last may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cut {
    pub from: u64,
    pub to: u64,
    pub width: u64,
}

/// How many items there are, and the sum of their digests, in two halves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Digest {
    pub items: u64,
    high: u64,
    low: u64,
}

/// The first ranges of a [`Cut`]: all of them, unless there is more to look at than one answer may.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Digests(pub Vec<Digest>);

/// What a region has of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    pub version: Version,
    /// `None`: deleted.
    pub item: Option<Digest>,
}

/// Keys in a range of hashes, in their order, and the key after which to go on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Standings {
    pub rows: Vec<(ItemKey, Standing)>,
    pub next: Option<ItemKey>,
}

impl Cut {
    /// Which range holds the hash.
    fn range_of(&self, hash: u64) -> usize {
        usize::try_from((hash - self.from) / self.width).unwrap_or(usize::MAX)
    }

    /// How many ranges there are.
    pub fn ranges(&self) -> u64 {
        ((self.to - self.from) / self.width).saturating_add(1)
    }

    /// The first and last hash of a range.
    pub fn range(&self, at: u64) -> (u64, u64) {
        let first = self.from + at * self.width;
        (first, first.saturating_add(self.width - 1).min(self.to))
    }
}

impl Digest {
    fn of(key: &[u8], row: &StoredItem) -> Option<Digest> {
        let item = row.item.as_ref()?;
        let (hlc, origin) = (row.version.hlc.0.to_be_bytes(), row.version.origin);
        let parts = [key, &hlc, origin.as_str().as_bytes(), &[0], item.as_bytes()];
        let sum = xxh3_128(&parts.concat());
        Some(Digest { items: 1, high: (sum >> 64) as u64, low: sum as u64 })
    }

    fn add(&mut self, other: Digest) {
        let sum = self.sum().wrapping_add(other.sum());
        let items = self.items + other.items;
        *self = Digest { items, high: (sum >> 64) as u64, low: sum as u64 };
    }

    fn sum(&self) -> u128 {
        (u128::from(self.high) << 64) | u128::from(self.low)
    }
}

impl Standing {
    fn of(key: &[u8], value: &[u8]) -> Option<Standing> {
        let row = StoredItem::decode(value)?;
        Some(Standing { version: row.version, item: Digest::of(key, &row) })
    }
}

impl<E: Engine + Documents> Database<E> {
    /// Digests of the first ranges of `cut`, at least of one.
    pub async fn digests(&self, table: &str, cut: Cut) -> Result<Digests, ApiError> {
        if cut.width == 0 || cut.to < cut.from || cut.ranges() > MAX_RANGES {
            return Err(ApiError::validation("such ranges cannot be compared"));
        }
        let table = self.replica(table)?.document().incarnation;
        let mut digests = vec![Digest::default(); 1];
        let mut start = at_hash(table, cut.from);
        let end = after_hash(table, cut.to);
        let mut looked_at = 0;
        loop {
            let visited = self.visit(&start, &end, |key, value| {
                let Some((item_key, row)) = decode(key, value) else { return ControlFlow::Continue(()) };
                let range = cut.range_of(item_key.hash());
                if range >= digests.len() && looked_at >= LOOKED_AT {
                    return ControlFlow::Break(());
                }
                looked_at += 1;
                digests.resize(digests.len().max(range + 1), Digest::default());
                if let Some(digest) = Digest::of(item_key.as_bytes(), &row) {
                    digests[range].add(digest);
                }
                ControlFlow::Continue(())
            });
            match visited.await? {
                Visited::Broken => return Ok(Digests(digests)),
                Visited::All => break,
                Visited::Through(last) => start = [&last[..], &[0]].concat(),
            }
        }
        // Ranges behind the last row are empty, and known to be.
        digests.resize(usize::try_from(cut.ranges()).unwrap_or(usize::MAX), Digest::default());
        Ok(Digests(digests))
    }

    /// The keys with hashes `from..=to` after `after`, deleted ones as far as they are remembered.
    pub async fn standings(
        &self,
        table: &str,
        from: u64,
        to: u64,
        after: Option<ItemKey>,
    ) -> Result<Standings, ApiError> {
        let table = self.replica(table)?.document().incarnation;
        let start = match after {
            Some(after) => [&after.stored(table)[..], &[0]].concat(),
            None => at_hash(table, from),
        };
        let end = after_hash(table, to);
        let (mut found, mut bytes) = (Standings::default(), 0);
        let mut full = false;
        let range = self.engine().range(Space::Items, &start[..]..&end[..], false, |key, value| {
            full = found.rows.len() == KEYS || bytes > KEYS_BYTES;
            if full {
                return false;
            }
            let row = ItemKey::from_stored(key).zip(Standing::of(&key[Incarnation::LEN..], value));
            bytes += key.len();
            found.rows.extend(row);
            true
        });
        range.await.map_err(|error| explain(&error))?;
        found.next = found.rows.last().filter(|_| full).map(|(key, _)| key.clone());
        Ok(found)
    }

    /// What there is of these keys, in their order.
    pub async fn standings_of(
        &self,
        table: &str,
        keys: &[ItemKey],
    ) -> Result<Vec<Option<Standing>>, ApiError> {
        let table = self.replica(table)?.document().incarnation;
        let stored: Vec<_> = keys.iter().map(|key| key.stored(table)).collect();
        let refs: Vec<&[u8]> = stored.iter().map(|key| &key[..]).collect();
        let rows = self.rows(&refs).await?;
        let standing = |(key, row): (&ItemKey, &Option<bytes::Bytes>)| {
            row.as_deref().and_then(|row| Standing::of(key.as_bytes(), row))
        };
        Ok(keys.iter().zip(&rows).map(standing).collect())
    }

    /// One go over the rows from `start` on.
    async fn visit(
        &self,
        start: &[u8],
        end: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send,
    ) -> Result<Visited, ApiError> {
        let (mut visited, mut count) = (Visited::All, 0);
        let range = self.engine().range(Space::Items, start..end, false, |key, value| {
            if visit(key, value).is_break() {
                visited = Visited::Broken;
                return false;
            }
            count += 1;
            if count == STEP {
                visited = Visited::Through(key.to_vec());
            }
            count < STEP
        });
        range.await.map_err(|error| explain(&error))?;
        tokio::task::yield_now().await;
        Ok(visited)
    }
}

/// How far a visit of rows came.
enum Visited {
    All,
    /// Up to this key: there may be more.
    Through(Vec<u8>),
    /// As far as the visitor wanted.
    Broken,
}

fn decode(key: &[u8], value: &[u8]) -> Option<(ItemKey, StoredItem)> {
    ItemKey::from_stored(key).zip(StoredItem::decode(value))
}

/// Where the rows with this hash begin.
fn at_hash(table: Incarnation, hash: u64) -> Vec<u8> {
    [&table.as_bytes()[..], &hash.to_be_bytes()[..]].concat()
}

/// Where the rows with a greater hash begin.
fn after_hash(table: Incarnation, hash: u64) -> Vec<u8> {
    after_prefix(&at_hash(table, hash)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_covers_every_hash_once() {
        let cut = Cut { from: 100, to: 350, width: 100 };
        assert_eq!(cut.ranges(), 3);
        assert_eq!([cut.range(0), cut.range(1), cut.range(2)], [(100, 199), (200, 299), (300, 350)]);
        assert_eq!(
            [cut.range_of(100), cut.range_of(199), cut.range_of(200), cut.range_of(350)],
            [0, 0, 1, 2]
        );
        let all = Cut { from: 0, to: u64::MAX, width: 1 << 48 };
        assert_eq!(all.ranges(), 1 << 16);
        assert_eq!(all.range((1 << 16) - 1).1, u64::MAX);
        assert_eq!(all.range_of(u64::MAX), (1 << 16) - 1);
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order() {
        let digests =
            [(u64::MAX, 5), (7, u64::MAX), (1, 1)].map(|(high, low)| Digest { items: 1, high, low });
        let sum = |order: [usize; 3]| {
            let mut sum = Digest::default();
            order.iter().for_each(|at| sum.add(digests[*at]));
            sum
        };
        assert_eq!(sum([0, 1, 2]), sum([2, 1, 0]));
        assert_eq!(sum([0, 1, 2]).items, 3);
        assert_ne!(sum([0, 0, 2]), sum([0, 1, 2]));
    }
}
