//! Every write of a run, who has applied it, and what it followed: kept apart from versions and vectors, so that it can
//! judge them.

use std::collections::BTreeMap;

use tradewind_model::{Change, Item, ItemKey, Version};

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
    /// Its region was evicted before any other had it.
    pub buried: bool,
}

pub struct History {
    pub keys: Vec<ItemKey>,
    pub writes: Vec<Write>,
    by_version: BTreeMap<(usize, Version), WriteId>,
    /// By region and key: what is applied there, durably.
    known: BTreeMap<(usize, usize), Past>,
    /// The same: what was settled where a snapshot came from, and is so where it went, whether or not the row there names it.
    settled: BTreeMap<(usize, usize), Past>,
}

impl History {
    pub fn new(keys: Vec<ItemKey>) -> History {
        History {
            keys,
            writes: Vec::new(),
            by_version: BTreeMap::new(),
            known: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
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
            buried: false,
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
        let at = (region, self.writes[id].key);
        [&self.known, &self.settled].iter().any(|past| past.get(&at).is_some_and(|past| past.contains(id)))
    }

    /// A region has got the row of an item from another one, and with it the end of all that this had applied.
    pub fn settle(&mut self, region: usize, key: usize, past: &Past) {
        self.settled.entry((region, key)).or_default().extend(past);
    }

    /// All that is settled of an item in a region.
    pub fn settled(&self, region: usize, key: usize) -> Past {
        let mut all = self.known(region, key);
        all.extend(self.settled.get(&(region, key)).unwrap_or(&Past::default()));
        all
    }

    /// Of these, the writes that were made in the region.
    pub fn of_region(&self, past: &Past, region: usize) -> Past {
        let mut of_region = Past::default();
        let made_there = |id: &WriteId| self.writes[*id].region == region && past.contains(*id);
        (0..self.writes.len()).filter(made_there).for_each(|id| of_region.insert(id));
        of_region
    }

    /// A joiner's stable starts where it says that all of this is known.
    pub fn know_what_is_settled(&mut self, region: usize) {
        for key in 0..self.keys.len() {
            let settled = self.settled.get(&(region, key)).cloned().unwrap_or_default();
            self.known.entry((region, key)).or_default().extend(&settled);
        }
    }

    pub fn commit(&mut self, id: WriteId, version: Version, past: Past) {
        let write = &mut self.writes[id];
        assert!(write.version.is_none(), "write {id} was committed twice");
        write.version = Some(version);
        write.past = past;
        self.by_version.insert((write.key, version), id);
    }

    /// A region begins a new life: it knows nothing.
    pub fn forget(&mut self, region: usize) {
        self.known.retain(|(of, _), _| *of != region);
        self.settled.retain(|(of, _), _| *of != region);
    }

    /// The write that a change is of.
    pub fn id_of(&self, change: &Change) -> Option<WriteId> {
        let by_version = || self.by_version(self.key_index(&change.key), change.version);
        change.request.map(write_of).or_else(by_version)
    }

    pub fn set_known(&mut self, region: usize, key: usize, known: Past) {
        self.known.insert((region, key), known);
    }

    /// The committed writes, acknowledged or not.
    pub fn committed(&self) -> impl Iterator<Item = (WriteId, &Write, Version)> {
        self.writes.iter().enumerate().filter_map(|(id, write)| Some((id, write, write.version?)))
    }
}
