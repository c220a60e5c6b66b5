//! Which database of a region holds which partition: a document per table in the catalogue, written when a partition is first
//! opened and never changed, so that what is known stays true.
//!
//! ```text
//! collection placement, name <incarnation>    {"databases": {"<partition>": <number of the database>}}
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tradewind_engine::{Document, Documents, Error, Space};
use tradewind_model::{Incarnation, PartitionId};

const COLLECTION: &str = "placement";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Placement {
    databases: BTreeMap<u32, usize>,
}

#[derive(Clone, Default)]
struct Table {
    placement: Placement,
    /// Partitions by their last hash, if the engine was told.
    last_hashes: Vec<(u64, u32)>,
}

pub struct Places {
    count: usize,
    tables: RwLock<HashMap<Incarnation, Table>>,
}

impl Places {
    /// For so many databases.
    pub fn new(count: usize) -> Places {
        Places { count, tables: RwLock::default() }
    }

    /// Where the partition lies, if that is known here.
    pub fn known(&self, partition: PartitionId) -> Option<usize> {
        if self.count == 1 {
            return Some(0);
        }
        self.table(partition.incarnation, |table| table.placement.databases.get(&partition.number).copied())
    }

    /// Where the partition lies; `None` if nobody opened it yet.
    pub async fn find(
        &self,
        catalogue: &impl Documents,
        partition: PartitionId,
    ) -> Result<Option<usize>, Error> {
        if let Some(known) = self.known(partition) {
            return Ok(Some(known));
        }
        self.load(catalogue, partition.incarnation).await?;
        Ok(self.known(partition))
    }

    /// Where the partition lies, from now on for ever.
    pub async fn assign(&self, catalogue: &impl Documents, partition: PartitionId) -> Result<usize, Error> {
        loop {
            if let Some(known) = self.known(partition) {
                return Ok(known);
            }
            let stored = self.load(catalogue, partition.incarnation).await?;
            if self.known(partition).is_some() {
                continue;
            }
            let (revision, mut placement) = stored.unwrap_or_default();
            placement.databases.insert(partition.number, choice(partition, self.count));
            let (body, name) = (encode(&placement)?, partition.incarnation.to_string());
            // Another's choice counts as well as this one: look again.
            catalogue.compare_and_set(COLLECTION, &name, revision, Some(&body)).await?;
        }
    }

    /// The databases that may have a row with such a key, or one that begins so.
    pub async fn candidates(
        &self,
        catalogue: &impl Documents,
        space: Space,
        key: &[u8],
    ) -> Result<Vec<usize>, Error> {
        let all = || Ok((0..self.count).collect());
        let (true, Some(incarnation)) = (self.count > 1, incarnation_of(space, key)) else { return all() };
        if let Some(hash) = hash_of(space, key) {
            let routed = self.table(incarnation, |table| {
                let at = table.last_hashes.partition_point(|(last, _)| *last < hash);
                table.placement.databases.get(&table.last_hashes.get(at)?.1).copied()
            });
            if let Some(routed) = routed {
                return Ok(vec![routed]);
            }
        }
        // A table's partitions are opened one by one, so one that is not known yet may have rows by now.
        self.load(catalogue, incarnation).await?;
        let known: BTreeSet<usize> = self
            .table(incarnation, |table| Some(table.placement.databases.values().copied().collect()))
            .unwrap_or_default();
        Ok(known.into_iter().collect())
    }

    pub fn tell(&self, incarnation: Incarnation, last_hashes: &[(u32, u64)]) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let mut by_hash: Vec<_> = last_hashes.iter().map(|(number, last)| (*last, *number)).collect();
        by_hash.sort_unstable();
        if by_hash.is_empty() {
            // Where its partitions lie can be read again.
            tables.remove(&incarnation);
            return;
        }
        tables.entry(incarnation).or_default().last_hashes = by_hash;
    }

    fn table<T>(&self, incarnation: Incarnation, look: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(&incarnation).and_then(look)
    }

    async fn load(
        &self,
        catalogue: &impl Documents,
        incarnation: Incarnation,
    ) -> Result<Option<(Option<u64>, Placement)>, Error> {
        let Some(document) = catalogue.get(COLLECTION, &incarnation.to_string()).await? else {
            return Ok(None);
        };
        let placement = decode(&document)?;
        if let Some((number, database)) = placement.databases.iter().find(|(_, at)| **at >= self.count) {
            let reason =
                format!("partition {incarnation}/{number} lies in database {database}, which was not named");
            return Err(Error::Corrupt(reason));
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // Placements only grow, so an older answer that comes later takes nothing away.
        let known = &mut tables.entry(incarnation).or_default().placement.databases;
        known.extend(placement.databases.iter().map(|(number, at)| (*number, *at)));
        drop(tables);
        Ok(Some((Some(document.revision), placement)))
    }
}

/// Neighbouring partitions in different databases, and tables beginning with different ones.
fn choice(partition: PartitionId, count: usize) -> usize {
    let table = u128::from_be_bytes(*partition.incarnation.as_bytes());
    let first = (table ^ (table >> 64)) as usize % count;
    (first + partition.number as usize) % count
}

/// Keys of every space but these begin with their table.
fn incarnation_of(space: Space, key: &[u8]) -> Option<Incarnation> {
    match space {
        Space::Index | Space::Tokens => None,
        Space::Items | Space::Conflicts | Space::Cursors | Space::Expiry | Space::Tombstones => {
            let incarnation = uuid::Uuid::from_slice(key.get(..Incarnation::LEN)?).ok()?;
            Some(Incarnation(incarnation))
        }
    }
}

fn hash_of(space: Space, key: &[u8]) -> Option<u64> {
    let hash = key.get(Incarnation::LEN..Incarnation::LEN + 8).filter(|_| space == Space::Items)?;
    hash.try_into().ok().map(u64::from_be_bytes)
}

fn encode(placement: &Placement) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(placement).map_err(|error| Error::Corrupt(error.to_string()))
}

fn decode(document: &Document) -> Result<Placement, Error> {
    serde_json::from_slice(&document.body).map_err(|error| Error::Corrupt(format!("a placement: {error}")))
}
