//! When items expire: one row per item with a TTL attribute, ordered by time, so that the expired are found at once.
//!
//! ```text
//! incarnation:16 second:8 item key → nothing       in Space::Expiry
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use tradewind_engine::{Row, Space};
use tradewind_model::{Incarnation, ItemKey, ItemRef};

use crate::partition::decide::expires_at;
use crate::table::document::TableDocument;

/// Appends what changes when an item goes from `old` to `new`.
pub fn changes(
    table: &TableDocument,
    key: &ItemKey,
    old: Option<ItemRef<'_>>,
    new: Option<ItemRef<'_>>,
    out: &mut Vec<Row>,
) {
    let Some(ttl) = &table.ttl else { return };
    let at = |item: Option<ItemRef<'_>>| item.and_then(|item| item.get(&ttl.attribute)).and_then(expires_at);
    let (old, new) = (at(old), at(new));
    if old == new {
        return;
    }
    out.extend(old.map(|second| row(table.incarnation, second, key, false)));
    out.extend(new.map(|second| row(table.incarnation, second, key, true)));
}

/// The key before all that expire at `second`.
pub fn bound(incarnation: Incarnation, second: u64) -> Vec<u8> {
    [&incarnation.as_bytes()[..], &second.to_be_bytes()].concat()
}

/// The key right behind an item's.
pub fn after(incarnation: Incarnation, second: u64, key: &ItemKey) -> Vec<u8> {
    [&bound(incarnation, second)[..], key.as_bytes(), &[0]].concat()
}

pub fn row(incarnation: Incarnation, second: u64, key: &ItemKey, stands: bool) -> Row {
    let mut bytes = BytesMut::with_capacity(Incarnation::LEN + 8 + key.as_bytes().len());
    bytes.put_slice(incarnation.as_bytes());
    bytes.put_u64(second);
    bytes.put_slice(key.as_bytes());
    Row { space: Space::Expiry, key: bytes.freeze(), value: stands.then(Bytes::new) }
}

/// Reads a row's key.
pub fn decode(key: &[u8]) -> Option<(u64, ItemKey)> {
    let second = key.get(16..24)?.try_into().ok().map(u64::from_be_bytes)?;
    Some((second, ItemKey::from_bytes(Bytes::copy_from_slice(&key[24..]))?))
}
