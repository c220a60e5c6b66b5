//! Keys as they lie on disk, fixed for ever.
//!
//! ```text
//! item    incarnation:16 │ hash:8  length:2  partition key │ sort key
//! index   index:16       │ hash:8 (length:2 partition key part){1,4} │ (sort key part, escaped){0,4} │ length:2 partition key  sort key
//! ```
//!
//! Integers are big-endian. `hash` is XXH3-64 of the partition key's bytes (of all `length ‖ part` together for an
//! index), so a table partition and a scan segment are ranges of it. Key bytes sort as DynamoDB sorts values: UTF-8,
//! bytes, or a number's stored form. An escaped part has `00` written as `00 FF` and ends with `00 01`, so that what
//! follows it never changes the order.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::id::Incarnation;
use crate::value::{Item, Type, Writer};

/// A key attribute: its name, and its type S, N or B.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeyAttribute {
    pub name: String,
    #[serde(with = "type_by_name")]
    pub kind: Type,
}

/// The keys of a table.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeySchema {
    pub hash: KeyAttribute,
    pub range: Option<KeyAttribute>,
}

impl KeySchema {
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }
}

mod type_by_name {
    use crate::value::Type;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(kind: &Type, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Type, D::Error> {
        let name = String::deserialize(deserializer)?;
        Type::from_name(&name).ok_or_else(|| D::Error::custom(format!("no attribute type is named {name:?}")))
    }
}

/// An item's key within its table: everything of the stored key behind the incarnation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey(Bytes);

/// Bytes before the partition key: hash and length.
const HEAD: usize = 10;

impl ItemKey {
    /// From key bytes, at most 2048 and 1024 of them: S and B as they are, N in its stored form. A table without sort
    /// key has an empty one.
    pub fn new(partition_key: &[u8], sort_key: &[u8]) -> ItemKey {
        let mut bytes = BytesMut::with_capacity(HEAD + partition_key.len() + sort_key.len());
        bytes.put_u64(xxh3_64(partition_key));
        bytes.put_u16(partition_key.len() as u16);
        bytes.put_slice(partition_key);
        bytes.put_slice(sort_key);
        ItemKey(bytes.freeze())
    }

    /// From bytes that [`ItemKey::as_bytes`] gave; `None` if they are no such.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Option<ItemKey> {
        let key = ItemKey(bytes.into());
        let length = u16::from_be_bytes(key.0.get(8..HEAD)?.try_into().ok()?);
        (key.0.len() >= HEAD + usize::from(length)).then_some(key)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn hash(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("a key begins with its hash"))
    }

    pub fn partition_key(&self) -> &[u8] {
        &self.0[HEAD..self.partition_key_end()]
    }

    pub fn sort_key(&self) -> &[u8] {
        &self.0[self.partition_key_end()..]
    }

    fn partition_key_end(&self) -> usize {
        HEAD + usize::from(u16::from_be_bytes([self.0[8], self.0[9]]))
    }

    /// The key on disk.
    pub fn stored(&self, incarnation: Incarnation) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Incarnation::LEN + self.0.len());
        bytes.put_slice(incarnation.as_bytes());
        bytes.put_slice(&self.0);
        bytes.freeze()
    }

    /// Reads a key on disk.
    pub fn from_stored(stored: &[u8]) -> Option<ItemKey> {
        ItemKey::from_bytes(Bytes::copy_from_slice(stored.get(Incarnation::LEN..)?))
    }

    /// What all keys on disk with this partition key begin with.
    pub fn collection(incarnation: Incarnation, partition_key: &[u8]) -> Bytes {
        ItemKey::new(partition_key, &[]).stored(incarnation)
    }

    /// The key's attributes, as an item.
    pub fn attributes(&self, schema: &KeySchema) -> Item {
        Item::build(|out| self.write_attributes(schema, out))
    }

    /// Writes the key's attributes into an item that is being built.
    pub fn write_attributes(&self, schema: &KeySchema, out: &mut Writer) {
        out.name(&schema.hash.name);
        out.scalar(schema.hash.kind, self.partition_key());
        if let Some(range) = &schema.range {
            out.name(&range.name);
            out.scalar(range.kind, self.sort_key());
        }
    }
}

impl std::fmt::Debug for ItemKey {
    /// Keys are user data and stay out of logs: only the hash is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ItemKey({:016x})", self.hash())
    }
}

/// One life of an index.
pub type IndexId = Incarnation;

/// What all rows of an index with one partition key begin with. An index may have several partition key parts.
pub fn index_collection(index: IndexId, partition_key: &[&[u8]]) -> BytesMut {
    let mut parts = BytesMut::new();
    for part in partition_key {
        parts.put_u16(part.len() as u16);
        parts.put_slice(part);
    }
    let mut bytes = BytesMut::with_capacity(Incarnation::LEN + 8 + parts.len() + 64);
    bytes.put_slice(index.as_bytes());
    bytes.put_u64(xxh3_64(&parts));
    bytes.put_slice(&parts);
    bytes
}

/// The key of an index row.
pub fn index_key(index: IndexId, partition_key: &[&[u8]], sort_key: &[&[u8]], base: &ItemKey) -> Bytes {
    let mut bytes = index_collection(index, partition_key);
    sort_key.iter().for_each(|part| put_escaped(&mut bytes, part));
    bytes.put_slice(&base.as_bytes()[8..]);
    bytes.freeze()
}

/// Appends a sort key part and its end.
pub fn put_escaped(out: &mut BytesMut, part: &[u8]) {
    put_escaped_prefix(out, part);
    out.put_slice(&[0, 1]);
}

/// Appends the beginning of a sort key part: what a part that starts with `prefix` starts with.
pub fn put_escaped_prefix(out: &mut BytesMut, prefix: &[u8]) {
    for byte in prefix {
        out.put_u8(*byte);
        if *byte == 0 {
            out.put_u8(0xFF);
        }
    }
}

/// The least key above every key that begins with `prefix`; empty means there is none.
pub fn after_prefix(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|byte| *byte != 0xFF).map_or(0, |at| at + 1);
    let mut end = BytesMut::from(&prefix[..kept]);
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn incarnation(byte: u8) -> Incarnation {
        Incarnation(uuid::Uuid::from_bytes([byte; 16]))
    }

    /// Data on disk depends on these bytes: this test may never change.
    #[test]
    fn layout_is_fixed_for_ever() {
        let key = ItemKey::new(b"alice", b"2024");
        let expected = "abababababababababababababababab\
                        4da10dd61a0116b00005616c69636532303234";
        assert_eq!(hex(&key.stored(incarnation(0xAB))), expected);
        let row = index_key(incarnation(0xCD), &[b"x"], &[b"a\0b"], &key);
        let expected = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\
                        863136afb93a871e000178\
                        6100ff620001\
                        0005616c69636532303234";
        assert_eq!(hex(&row), expected);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn item_keys_round_trip(pk in proptest::collection::vec(any::<u8>(), 1..50), sk in proptest::collection::vec(any::<u8>(), 0..50)) {
            let key = ItemKey::new(&pk, &sk);
            let back = ItemKey::from_stored(&key.stored(incarnation(1))).unwrap();
            prop_assert_eq!(back.partition_key(), &pk[..]);
            prop_assert_eq!(back.sort_key(), &sk[..]);
        }

        #[test]
        fn index_rows_sort_by_sort_key_whatever_follows(
            a in proptest::collection::vec(0u8..3, 0..6), b in proptest::collection::vec(0u8..3, 0..6),
            base_a in proptest::collection::vec(any::<u8>(), 1..5), base_b in proptest::collection::vec(any::<u8>(), 1..5),
        ) {
            let row = |sort: &[u8], base: &[u8]| index_key(incarnation(1), &[b"p"], &[sort], &ItemKey::new(base, b""));
            if a != b {
                prop_assert_eq!(row(&a, &base_a).cmp(&row(&b, &base_b)), a.cmp(&b));
            }
        }

        #[test]
        fn after_prefix_is_above_all_with_it(prefix in proptest::collection::vec(any::<u8>(), 1..5), tail in proptest::collection::vec(any::<u8>(), 0..5)) {
            let end = after_prefix(&prefix);
            let key = [&prefix[..], &tail[..]].concat();
            prop_assert!(end.is_empty() || key[..] < end[..]);
            prop_assert!(end.is_empty() || prefix[..] < end[..]);
        }
    }
}
