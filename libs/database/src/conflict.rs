//! The conflict log: every write that lost to one it did not know, with both images, so that nothing is lost silently.
//!
//! ```text
//! key     incarnation:16  time:8 (Unix ms)  loser's hlc:8  loser's origin  0  hash:8
//! value   format:1 = 1  kind:1  length:4 item key  length:4 loser  [length:4 winner]      rows as in `model::row`
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tradewind_engine::{Row, Space};
use tradewind_model::{Incarnation, ItemKey, StoredItem};

use crate::merge::Kind;

const FORMAT: u8 = 1;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    pub at_ms: u64,
    pub kind: Kind,
    pub key: ItemKey,
    /// What the item was when the loser lost; `None` where there was no row at all.
    pub winner: Option<StoredItem>,
    pub loser: StoredItem,
}

impl Conflict {
    /// The row that records it.
    pub fn row(&self, incarnation: Incarnation) -> Row {
        Row { space: Space::Conflicts, key: self.key_on_disk(incarnation), value: Some(self.encode()) }
    }

    fn key_on_disk(&self, incarnation: Incarnation) -> Bytes {
        let mut key = BytesMut::with_capacity(64);
        key.put_slice(incarnation.as_bytes());
        key.put_u64(self.at_ms);
        key.put_u64(self.loser.version.hlc.0);
        key.put_slice(self.loser.version.origin.as_str().as_bytes());
        key.put_u8(0);
        key.put_u64(self.key.hash());
        key.freeze()
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&[FORMAT, kind_code(self.kind)]);
        put_run(&mut out, self.key.as_bytes());
        put_run(&mut out, &self.loser.encode());
        self.winner.iter().for_each(|winner| put_run(&mut out, &winner.encode()));
        out.freeze()
    }

    /// `None` if the bytes are no conflict, or of a format this program does not know.
    pub fn decode(key: &[u8], value: &[u8]) -> Option<Conflict> {
        let at_ms = u64::from_be_bytes(key.get(16..24)?.try_into().ok()?);
        let (head, rest) = value.split_at_checked(2)?;
        if head[0] != FORMAT {
            return None;
        }
        let (item_key, rest) = take_run(rest)?;
        let (loser, rest) = take_run(rest)?;
        let winner = match rest {
            [] => None,
            _ => Some(StoredItem::decode(take_run(rest)?.0)?),
        };
        let key = ItemKey::from_bytes(item_key.to_vec())?;
        Some(Conflict { at_ms, kind: kind_of(head[1])?, key, winner, loser: StoredItem::decode(loser)? })
    }
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Conflict => 1,
        Kind::Expired => 2,
        Kind::Late => 3,
        Kind::Evicted => 4,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    [Kind::Conflict, Kind::Expired, Kind::Late, Kind::Evicted]
        .into_iter()
        .find(|kind| kind_code(*kind) == code)
}

fn put_run(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn take_run(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32::from_be_bytes(length.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_model::{Hlc, Item, Region, Vector, Version};

    #[test]
    fn conflicts_round_trip() {
        let row = |hlc, origin| StoredItem {
            version: Version { hlc: Hlc(hlc), origin: Region::new(origin).unwrap() },
            vector: Vector::default(),
            stable: None,
            expired: false,
            item: Some(Item::empty()),
        };
        let incarnation = Incarnation(uuid::Uuid::nil());
        for winner in [Some(row(9, "eu")), None] {
            let key = ItemKey::new(b"k", b"");
            let conflict = Conflict { at_ms: 77, kind: Kind::Late, key, winner, loser: row(3, "us") };
            let stored = conflict.row(incarnation);
            assert_eq!(Conflict::decode(&stored.key, &stored.value.unwrap()), Some(conflict));
        }
    }
}
