//! What is stored for an item: its version, what it knew of, and its attributes, or a tombstone.
//!
//! ```text
//! format:1 = 1
//! flags:1      1 tombstone · 2 expired by TTL · 4 carries stable
//! version      hlc:8  origin
//! vector       count:1 (region hlc:8)*
//! stable:8     only with flag 4
//! item         a stored M, up to the end; nothing for a tombstone
//!
//! region, origin   length:1 name
//! ```
//!
//! Integers are big-endian. A test decodes every format ever released.

use bytes::Bytes;

use crate::code::{Reader, put_region, put_vector};
use crate::id::Region;
use crate::value::{Item, ItemRef};
use crate::version::{Hlc, Vector, Version};

const FORMAT: u8 = 1;
const TOMBSTONE: u8 = 1;
const EXPIRED: u8 = 2;
const CARRIES_STABLE: u8 = 4;

/// An item as it is stored, or the tombstone of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredItem {
    pub version: Version,
    pub vector: Vector,
    /// What a missing entry of the vector means, as long as it is greater than the holder's own stable.
    pub stable: Option<Hlc>,
    /// The tombstone of an item that TTL deleted.
    pub expired: bool,
    /// `None`: a tombstone.
    pub item: Option<Item>,
}

impl StoredItem {
    pub fn origin(&self) -> Region {
        self.version.origin
    }

    pub fn encode(&self) -> Vec<u8> {
        let item = self.item.as_ref().map_or(&[][..], Item::as_bytes);
        let mut out = Vec::with_capacity(64 + item.len());
        let mut flags = 0;
        flags |= if self.item.is_none() { TOMBSTONE } else { 0 };
        flags |= if self.expired { EXPIRED } else { 0 };
        flags |= if self.stable.is_some() { CARRIES_STABLE } else { 0 };
        out.extend([FORMAT, flags]);
        out.extend(self.version.hlc.0.to_be_bytes());
        put_region(&mut out, self.version.origin);
        put_vector(&mut out, &self.vector);
        out.extend(self.stable.iter().flat_map(|stable| stable.0.to_be_bytes()));
        out.extend_from_slice(item);
        out
    }

    /// `None` if the bytes are no stored item, or of a format this program does not know.
    pub fn decode(bytes: &[u8]) -> Option<StoredItem> {
        StoredItem::decode_with(bytes, |item| Item::from_bytes(item.to_vec()))
    }

    /// The same without a copy: the item stays a part of `bytes`, and keeps all of them.
    pub fn decode_shared(bytes: &Bytes) -> Option<StoredItem> {
        StoredItem::decode_with(bytes, |item| Item::from_bytes(bytes.slice_ref(item)))
    }

    fn decode_with(bytes: &[u8], item_of: impl FnOnce(&[u8]) -> Option<Item>) -> Option<StoredItem> {
        let mut reader = Reader::new(bytes);
        let flags = read_head(&mut reader)?;
        let version = reader.version()?;
        let vector = reader.vector()?;
        let stable = if flags & CARRIES_STABLE != 0 { Some(Hlc(reader.u64()?)) } else { None };
        let item = if flags & TOMBSTONE != 0 { None } else { Some(item_of(reader.rest())?) };
        Some(StoredItem { version, vector, stable, expired: flags & EXPIRED != 0, item })
    }

    /// Only the attributes, without a copy; `None` for a tombstone (or foreign bytes).
    pub fn item_shared(bytes: &Bytes) -> Option<Item> {
        let item = StoredItem::item_of(bytes)?;
        Item::from_bytes(bytes.slice_ref(item.as_bytes()))
    }

    /// Only the attributes, in place: what reads need. `None` for a tombstone (or foreign bytes).
    pub fn item_of(bytes: &[u8]) -> Option<ItemRef<'_>> {
        let mut reader = Reader::new(bytes);
        let flags = read_head(&mut reader)?;
        if flags & TOMBSTONE != 0 {
            return None;
        }
        reader.skip(8)?;
        reader.skip_short()?;
        for _ in 0..reader.u8()? {
            reader.skip_short()?;
            reader.skip(8)?;
        }
        if flags & CARRIES_STABLE != 0 {
            reader.skip(8)?;
        }
        ItemRef::new(reader.rest())
    }
}

fn read_head(reader: &mut Reader<'_>) -> Option<u8> {
    if reader.u8()? == FORMAT { reader.u8() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoredItem {
        let origin = Region::new("eu-west-1").unwrap();
        let item = Item::build(|out| {
            out.name("id");
            out.string("a");
        });
        StoredItem {
            version: Version { hlc: Hlc(0x0102), origin },
            vector: [(Region::new("us-east-1").unwrap(), Hlc(7))].into_iter().collect(),
            stable: Some(Hlc(3)),
            expired: false,
            item: Some(item),
        }
    }

    /// Rows on disk look like this: the bytes of a released format may never change.
    #[test]
    fn format_1_is_still_read() {
        let stored = "01040000000000000102\
                      0965752d776573742d31\
                      010975732d656173742d310000000000000007\
                      0000000000000003\
                      0b0600000001000000\
                      02696401 0161";
        let bytes: Vec<u8> = {
            let digits: String = stored.chars().filter(char::is_ascii_hexdigit).collect();
            (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect()
        };
        assert_eq!(StoredItem::decode(&bytes), Some(sample()));
        assert_eq!(sample().encode(), bytes);
    }

    #[test]
    fn tombstones_round_trip_and_show_no_item() {
        let tombstone = StoredItem { item: None, expired: true, stable: None, ..sample() };
        let bytes = tombstone.encode();
        assert_eq!(StoredItem::decode(&bytes), Some(tombstone));
        assert_eq!(StoredItem::item_of(&bytes), None);
        assert_eq!(StoredItem::item_of(&sample().encode()), sample().item.as_ref().map(Item::as_ref));
        let shared = Bytes::from(sample().encode());
        assert_eq!(StoredItem::decode_shared(&shared), Some(sample()));
        assert_eq!(StoredItem::item_shared(&shared), sample().item);
        assert_eq!(StoredItem::item_shared(&bytes.into()), None);
    }

    #[test]
    fn truncated_rows_are_refused() {
        let bytes = sample().encode();
        (0..bytes.len()).for_each(|end| assert_eq!(StoredItem::decode(&bytes[..end]), None, "{end}"));
    }
}
