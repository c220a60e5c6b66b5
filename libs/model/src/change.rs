//! One item-level change: what the log holds, links carry, and streams and functions show.
//!
//! ```text
//! format:1 = 1
//! flags:1     1 same · 2 old image · 4 new image · 8 expired by TTL · 16 request id · 32 trace
//!             · 64 there was an item · 128 there is one
//! version     hlc:8 origin
//! stable:8    of the writer: what a missing entry of the vector means
//! vector      count:1 (region hlc:8)*
//! key         length:4 item key (hash, partition key, sort key)
//! old, new    length:4 stored M, each with its flag
//! request:16, trace:25, each with its flag
//! ```
//!
//! Its sequence is where it stands in the log, and not written again. Integers are big-endian. A test decodes every
//! format ever released.

use crate::code::{Reader, put_long, put_region, put_vector};
use crate::key::ItemKey;
use crate::value::Item;
use crate::version::{Hlc, Vector, Version};

const FORMAT: u8 = 1;
const SAME: u8 = 1;
const OLD: u8 = 2;
const NEW: u8 = 4;
const EXPIRED: u8 = 8;
const REQUEST: u8 = 16;
const TRACE: u8 = 32;
const EXISTED: u8 = 64;
const EXISTS: u8 = 128;

/// Trace id, span id and flags of W3C Trace Context.
pub type Trace = [u8; 25];

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub version: Version,
    pub stable: Hlc,
    pub vector: Vector,
    pub key: ItemKey,
    /// Whether there was an item before, and whether there is one now.
    pub existed: bool,
    pub exists: bool,
    /// The items before and after, where there are such and somebody needs them.
    pub old: Option<Item>,
    pub new: Option<Item>,
    /// Whether the region's item was equal by value before: nothing that Streams or functions show.
    pub same: bool,
    /// A delete by TTL.
    pub expired: bool,
    pub request: Option<[u8; 16]>,
    pub trace: Option<Trace>,
}

impl Change {
    pub fn encode(&self) -> Vec<u8> {
        let images = self.old.iter().chain(&self.new).map(|item| item.as_bytes().len() + 4).sum::<usize>();
        let mut out = Vec::with_capacity(128 + self.key.as_bytes().len() + images);
        out.extend([FORMAT, self.flags()]);
        out.extend(self.version.hlc.0.to_be_bytes());
        put_region(&mut out, self.version.origin);
        out.extend(self.stable.0.to_be_bytes());
        put_vector(&mut out, &self.vector);
        put_long(&mut out, self.key.as_bytes());
        for image in self.old.iter().chain(&self.new) {
            put_long(&mut out, image.as_bytes());
        }
        out.extend(self.request.iter().flatten());
        out.extend(self.trace.iter().flatten());
        out
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.same, SAME)
            | flag(self.old.is_some(), OLD)
            | flag(self.new.is_some(), NEW)
            | flag(self.expired, EXPIRED)
            | flag(self.request.is_some(), REQUEST)
            | flag(self.trace.is_some(), TRACE)
            | flag(self.existed, EXISTED)
            | flag(self.exists, EXISTS)
    }

    /// `None` if the bytes are no change, or of a format this program does not know.
    pub fn decode(bytes: &[u8]) -> Option<Change> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return None;
        }
        let flags = reader.u8()?;
        let version = reader.version()?;
        let stable = Hlc(reader.u64()?);
        let vector = reader.vector()?;
        let key = ItemKey::from_bytes(reader.long()?.to_vec())?;
        let image = |reader: &mut Reader<'_>, flag| match flags & flag {
            0 => Some(None),
            _ => Some(Some(Item::from_bytes(reader.long()?.to_vec())?)),
        };
        let old = image(&mut reader, OLD)?;
        let new = image(&mut reader, NEW)?;
        let request = if flags & REQUEST != 0 { Some(reader.take(16)?.try_into().ok()?) } else { None };
        let trace = if flags & TRACE != 0 { Some(reader.take(25)?.try_into().ok()?) } else { None };
        let (same, expired) = (flags & SAME != 0, flags & EXPIRED != 0);
        let (existed, exists) = (flags & EXISTED != 0, flags & EXISTS != 0);
        Some(Change {
            version,
            stable,
            vector,
            key,
            existed,
            exists,
            old,
            new,
            same,
            expired,
            request,
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Region;

    fn sample() -> Change {
        let origin = Region::new("eu").unwrap();
        let item = |text: &str| {
            Item::build(|out| {
                out.name("id");
                out.string(text);
            })
        };
        Change {
            version: Version { hlc: Hlc(0x0102), origin },
            stable: Hlc(9),
            vector: [(Region::new("us").unwrap(), Hlc(7))].into_iter().collect(),
            key: ItemKey::new(b"k", b"s"),
            old: Some(item("a")),
            new: Some(item("b")),
            same: false,
            expired: false,
            existed: true,
            exists: true,
            request: Some([7; 16]),
            trace: None,
        }
    }

    #[test]
    fn changes_round_trip() {
        for change in [
            sample(),
            Change { old: None, ..sample() },
            Change { new: None, exists: false, expired: true, request: None, ..sample() },
            Change { old: None, new: None, same: true, trace: Some([3; 25]), ..sample() },
        ] {
            assert_eq!(Change::decode(&change.encode()), Some(change));
        }
    }

    #[test]
    fn truncated_changes_are_refused() {
        let bytes = sample().encode();
        (0..bytes.len()).for_each(|end| assert_eq!(Change::decode(&bytes[..end]), None, "{end}"));
    }
}
