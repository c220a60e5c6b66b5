//! Every write of a run, who has applied it, and what it followed: kept apart from versions and vectors, so that it can
//! judge them.

use std::collections::BTreeMap;

use tradewind_model::{Item, ItemKey, Version};

/// A write's number in the order in which clients asked for it; it travels with the change as its request id.
pub type WriteId = usize;

pub fn request_of(id: WriteId) -> [u8; 16] {
    (id as u128).to_be_bytes()
}

pub fn write_of(request: [u8; 16]) -> WriteId {
    u128::from_be_bytes(request) as WriteId
}

/// A set of writes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past(Vec<u64>);

impl Past {
    pub fn contains(&self, id: WriteId) -> bool {
        self.0.get(id / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    pub fn insert(&mut self, id: WriteId) {
        if self.0.len() <= id / 64 {
            self.0.resize(id / 64 + 1, 0);
        }
        self.0[id / 64] |= 1 << (id % 64);
    }

    pub fn extend(&mut self, other: &Past) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }
}

#[derive(Clone, Debug)]
pub struct Write {
    pub key: usize,
    pub region: usize,
    /// `None`: a delete.
    pub value: Option<Item>,
    pub expires: bool,
    /// Once it is committed.
    pub version: Option<Version>,
    /// The writes of its item that its region had applied when it was committed.
    pub past: Past,
    pub acknowledged: bool,
    /// Whether some region's conflict log has it.
    pub logged: bool,
}

pub struct History {
    pub keys: Vec<ItemKey>,
    pub writes: Vec<Write>,
    by_version: BTreeMap<(usize, Version), WriteId>,
    /// By region and key: what is applied there, durably.
    known: BTreeMap<(usize, usize), Past>,
}

impl History {
    pub fn new(keys: Vec<ItemKey>) -> History {
        History { keys, writes: Vec::new(), by_version: BTreeMap::new(), known: BTreeMap::new() }
    }

    pub fn ask(&mut self, region: usize, key: usize, value: Option<Item>, expires: bool) -> WriteId {
        self.writes.push(Write {
            key,
            region,
            value,
            expires,
            version: None,
            past: Past::default(),
            acknowledged: false,
            logged: false,
        });
        self.writes.len() - 1
    }

    pub fn key_index(&self, key: &ItemKey) -> usize {
        self.keys.iter().position(|known| known == key).expect("only the simulation's keys are written")
    }

    pub fn by_version(&self, key: usize, version: Version) -> Option<WriteId> {
        self.by_version.get(&(key, version)).copied()
    }

    pub fn known(&self, region: usize, key: usize) -> Past {
        self.known.get(&(region, key)).cloned().unwrap_or_default()
    }

    pub fn knows(&self, region: usize, id: WriteId) -> bool {
        self.known.get(&(region, self.writes[id].key)).is_some_and(|known| known.contains(id))
    }

    pub fn commit(&mut self, id: WriteId, version: Version, past: Past) {
        let write = &mut self.writes[id];
        assert!(write.version.is_none(), "write {id} was committed twice");
        write.version = Some(version);
        write.past = past;
        self.by_version.insert((write.key, version), id);
    }

    pub fn set_known(&mut self, region: usize, key: usize, known: Past) {
        self.known.insert((region, key), known);
    }

    /// The committed writes, acknowledged or not.
    pub fn committed(&self) -> impl Iterator<Item = (WriteId, &Write, Version)> {
        self.writes.iter().enumerate().filter_map(|(id, write)| Some((id, write, write.version?)))
    }
}
