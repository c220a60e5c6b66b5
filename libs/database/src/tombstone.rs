//! Tombstones that wait for stable: one row each, ordered by version, so that those to go are found at once.
//!
//! ```text
//! partition:20 hlc:8 item key → nothing       in Space::Tombstones
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use tradewind_engine::{Row, Space};
use tradewind_model::{Hlc, ItemKey, PartitionId, StoredItem};

/// Appends what changes when `row` takes the place of `stored`.
pub fn changes(
    partition: PartitionId,
    key: &ItemKey,
    stored: Option<&StoredItem>,
    new: &StoredItem,
    out: &mut Vec<Row>,
) {
    if let Some(stored) = stored.filter(|stored| stored.item.is_none()) {
        out.push(row(partition, stored.version.hlc, key, false));
    }
    if new.item.is_none() {
        out.push(row(partition, new.version.hlc, key, true));
    }
}

pub fn row(partition: PartitionId, hlc: Hlc, key: &ItemKey, stands: bool) -> Row {
    let mut bytes = BytesMut::with_capacity(PartitionId::LEN + 8 + key.as_bytes().len());
    bytes.put_slice(&partition.to_bytes());
    bytes.put_u64(hlc.0);
    bytes.put_slice(key.as_bytes());
    Row { space: Space::Tombstones, key: bytes.freeze(), value: stands.then(Bytes::new) }
}

/// Reads a row's key.
pub fn decode(key: &[u8]) -> Option<(Hlc, ItemKey)> {
    let hlc = key.get(PartitionId::LEN..PartitionId::LEN + 8)?.try_into().ok().map(u64::from_be_bytes)?;
    let item = ItemKey::from_bytes(Bytes::copy_from_slice(&key[PartitionId::LEN + 8..]))?;
    Some((Hlc(hlc), item))
}
