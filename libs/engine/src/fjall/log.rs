//! The change log: one keyspace per hour, so that trimming is dropping keyspaces.
//!
//! ```text
//! keyspace  log-<hours since 1970>
//! key       partition (20) ‖ sequence (8, big-endian)
//! value     the encoded change
//! ```
//!
//! Changes are only ever appended to the newest keyspace, also when the clock goes back: read from the oldest to the
//! newest, the log is in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};
use arc_swap::ArcSwap;
use bytes::Bytes;
use tradewind_model::{PartitionId, Sequence};

use super::counters::decode_partition;
use super::tables::{broken, bytes_of, log_options};
use crate::Error;

const HOUR_MS: u64 = 3_600_000;
const KEY_LEN: usize = PartitionId::LEN + 8;

type Hours = BTreeMap<u64, Keyspace>;

/// Only the committer changes it; readers take the list as it is.
pub struct Log {
    hours: ArcSwap<Hours>,
    memtable_bytes: u64,
}

impl Log {
    pub fn open(db: &Database, memtable_bytes: u64) -> ::fjall::Result<Log> {
        let mut hours = Hours::new();
        for name in db.list_keyspace_names() {
            if let Some(hour) = name.strip_prefix("log-").and_then(|hour| hour.parse().ok()) {
                hours.insert(hour, db.keyspace(&name, KeyspaceCreateOptions::default)?);
            }
        }
        Ok(Log { hours: ArcSwap::from_pointee(hours), memtable_bytes })
    }

    pub fn newest(&self) -> Option<(u64, Keyspace)> {
        self.hours.load().last_key_value().map(|(hour, keyspace)| (*hour, keyspace.clone()))
    }

    pub fn keyspaces(&self) -> Vec<Keyspace> {
        self.hours.load().values().cloned().collect()
    }

    pub fn begin(&self, db: &Database, hour: u64) -> ::fjall::Result<Keyspace> {
        let keyspace = db.keyspace(&format!("log-{hour}"), || log_options(self.memtable_bytes))?;
        let mut hours = Hours::clone(&self.hours.load());
        hours.insert(hour, keyspace.clone());
        self.hours.store(Arc::new(hours));
        Ok(keyspace)
    }

    /// The keyspaces of hours before `hour`.
    pub fn before(&self, hour: u64) -> Vec<(u64, Keyspace)> {
        self.hours.load().range(..hour).map(|(hour, keyspace)| (*hour, keyspace.clone())).collect()
    }

    /// Takes a keyspace out. Its files go when the last reader is done with it.
    pub fn forget(&self, db: &Database, hour: u64) -> ::fjall::Result<()> {
        let mut hours = Hours::clone(&self.hours.load());
        let forgotten = hours.remove(&hour);
        self.hours.store(Arc::new(hours));
        forgotten.map_or(Ok(()), |keyspace| db.delete_keyspace(keyspace))
    }

    /// The partition's last change in a keyspace of an hour before `hour`; 0 if it has none there.
    pub fn last_before(
        &self,
        snapshot: &Snapshot,
        partition: PartitionId,
        hour: u64,
    ) -> Result<Sequence, Error> {
        let all = || change_key(partition, Sequence::ZERO)..=change_key(partition, Sequence(u64::MAX));
        for keyspace in self.hours.load().range(..hour).rev().map(|(_, keyspace)| keyspace) {
            if let Some(entry) = snapshot.range(keyspace, all()).next_back() {
                return decode_sequence(&entry.key().map_err(broken)?);
            }
        }
        Ok(Sequence::ZERO)
    }

    pub fn changes(
        &self,
        snapshot: &Snapshot,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        let hours = self.hours.load_full();
        let (mut changes, mut gathered) = (Vec::new(), 0);
        for keyspace in hours_after(&hours, snapshot, partition, after)? {
            let last = change_key(partition, Sequence(u64::MAX));
            for entry in snapshot.range(keyspace, change_key(partition, after.next())..=last) {
                if changes.len() >= limit || gathered >= max_bytes {
                    return Ok(changes);
                }
                let (key, value) = entry.into_inner().map_err(broken)?;
                gathered += value.len();
                changes.push((decode_sequence(&key)?, bytes_of(value)));
            }
        }
        Ok(changes)
    }
}

/// The piece of the log that a change made now belongs to.
pub fn hour_of(unix_ms: u64) -> u64 {
    unix_ms / HOUR_MS
}

pub fn change_key(partition: PartitionId, sequence: Sequence) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key[..PartitionId::LEN].copy_from_slice(&partition.to_bytes());
    key[PartitionId::LEN..].copy_from_slice(&sequence.0.to_be_bytes());
    key
}

fn decode_sequence(key: &[u8]) -> Result<Sequence, Error> {
    let sequence = key.get(PartitionId::LEN..).and_then(|bytes| bytes.try_into().ok());
    let damaged = || Error::Corrupt(format!("a change's key of {} bytes", key.len()));
    sequence.map(|bytes| Sequence(u64::from_be_bytes(bytes))).ok_or_else(damaged)
}

/// The keyspaces that may hold changes after `after`, oldest first. Searched from the newest, since most readers are
/// close behind: what is older than a keyspace that holds `after` or an earlier change cannot matter.
fn hours_after<'a>(
    hours: &'a Hours,
    snapshot: &Snapshot,
    partition: PartitionId,
    after: Sequence,
) -> Result<Vec<&'a Keyspace>, Error> {
    let mut found = Vec::new();
    for keyspace in hours.values().rev() {
        found.push(keyspace);
        let up_to = change_key(partition, Sequence::ZERO)..=change_key(partition, after);
        if let Some(entry) = snapshot.range(keyspace, up_to).next_back() {
            entry.key().map_err(broken)?;
            break;
        }
    }
    found.reverse();
    Ok(found)
}

/// The last change of each partition in one keyspace, found by two seeks per partition.
pub fn last_changes(keyspace: &Keyspace, snapshot: &Snapshot) -> Result<Vec<(PartitionId, Sequence)>, Error> {
    let mut found = Vec::new();
    let mut from = vec![0];
    while let Some(first) = snapshot.range(keyspace, from.clone()..).next() {
        let partition = partition_of(first)?;
        let end = change_key(partition, Sequence(u64::MAX));
        if let Some(last) = snapshot.range(keyspace, from..=end.to_vec()).next_back() {
            found.push((partition, decode_sequence(&last.key().map_err(broken)?)?));
        }
        from = [&end[..], &[0]].concat();
    }
    Ok(found)
}

fn partition_of(entry: Guard) -> Result<PartitionId, Error> {
    let key = entry.key().map_err(broken)?;
    decode_partition(key.get(..PartitionId::LEN).unwrap_or_default())
}
