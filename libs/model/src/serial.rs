//! Serde of what already has a stored form: it travels between nodes as those bytes, and is checked on arrival.
//!
//! Nodes of two releases meet during an upgrade; stored forms carry their format, so nothing else has to be agreed on.

use std::borrow::Cow;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

use crate::{Change, Item, ItemKey, StoredItem};

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        let mut read = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            read.push(byte);
        }
        Ok(read)
    }
}

/// Bytes as bytes, where serde's own way for a `Vec<u8>` is a sequence of numbers.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(BytesVisitor)
}

macro_rules! as_stored {
    ($type:ty, $what:literal, $stored:expr, $read:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let stored: fn(&$type) -> Cow<'_, [u8]> = $stored;
                serializer.serialize_bytes(&stored(self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let read: fn(Vec<u8>) -> Option<$type> = $read;
                read(bytes(deserializer)?).ok_or_else(|| D::Error::custom(concat!("no ", $what)))
            }
        }
    };
}

as_stored!(Item, "item", |item| item.as_bytes().into(), |bytes| Item::from_bytes(bytes));
as_stored!(ItemKey, "key", |key| key.as_bytes().into(), |bytes| ItemKey::from_bytes(bytes));
as_stored!(StoredItem, "item's row", |row| row.encode().into(), |bytes| StoredItem::decode(&bytes));
as_stored!(Change, "change", |change| change.encode().into(), |bytes| Change::decode(&bytes));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hlc, Region, Vector, Version};

    fn row(item: Item) -> StoredItem {
        let version = Version { hlc: Hlc(7), origin: Region::new("a").unwrap() };
        StoredItem { version, vector: Vector::default(), stable: None, expired: false, item: Some(item) }
    }

    #[test]
    fn what_travels_arrives_as_it_was() {
        let item = Item::build(|out| {
            out.name("a");
            out.string("b");
        });
        let key = ItemKey::new(b"p", b"s");
        let sent = serde_json::to_string(&(&item, &key, row(item.clone()))).unwrap();
        let read: (Item, ItemKey, StoredItem) = serde_json::from_str(&sent).unwrap();
        assert_eq!(read, (item.clone(), key, row(item)));
    }

    #[test]
    fn what_is_no_stored_form_is_refused() {
        assert!(serde_json::from_str::<Item>("[1, 2, 3]").is_err());
        assert!(serde_json::from_str::<ItemKey>("[0]").is_err());
        assert!(serde_json::from_str::<StoredItem>("[]").is_err());
    }
}
