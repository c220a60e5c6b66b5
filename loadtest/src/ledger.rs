//! What was acknowledged, kept in a form from which the end state can be judged.
//!
//! Every write has an id, which the item carries. Two kinds of keys, two arguments:
//!
//! - **Keys of one region** (`owned.rs`) have one line of history: a write is overwritten as soon as another one that
//!   began after it ended is acknowledged. What is left, the writes that none followed, is all that the item may be.
//! - **Keys shared by all regions** (`shared.rs`): every write's answer says which write it overwrote (`ALL_OLD`), so each
//!   acknowledged write must be found as overwritten, in the conflict log, or standing. Two writes of one region that
//!   overwrote the same write mean that one of them was lost.
//!
//! Both forget what is settled, so memory grows with the keys, and hardly with the length of the run.

pub mod owned;
pub mod shared;
pub mod written;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use crate::keys::{Key, Space};
use owned::Owned;
use shared::Shared;
use written::Written;

const SEQUENCE_BITS: u32 = 48;

/// What the loader wrote.
pub const LOADED: WriteId = WriteId(0);

/// The target's position + 1 and a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId(pub u64);

impl WriteId {
    pub fn new(region: usize, sequence: u64) -> WriteId {
        WriteId(((region as u64 + 1) << SEQUENCE_BITS) | sequence)
    }

    /// The target at which it was written; `None` for what the loader wrote.
    pub fn region(self) -> Option<usize> {
        ((self.0 >> SEQUENCE_BITS) as usize).checked_sub(1)
    }

    pub fn sequence(self) -> u64 {
        self.0 & ((1 << SEQUENCE_BITS) - 1)
    }
}

impl std::fmt::Debug for WriteId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.region() {
            Some(region) => write!(out, "{}.{}", region, self.sequence()),
            None => out.write_str("loaded"),
        }
    }
}

/// What an answer said about the item that it replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Old {
    NotAsked,
    Nothing,
    Item(WriteId),
}

/// A write that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub id: WriteId,
    pub key: Key,
    pub region: usize,
    pub is_delete: bool,
    /// Microseconds since the ledger began.
    pub began_us: u64,
}

pub struct Ledger {
    began: Instant,
    sequences: Vec<AtomicU64>,
    owned: Vec<Mutex<Owned>>,
    shared: Mutex<Shared>,
    written: Vec<Mutex<Written>>,
}

impl Ledger {
    pub fn new(regions: usize) -> Ledger {
        Ledger {
            began: Instant::now(),
            sequences: (0..regions).map(|_| AtomicU64::new(1)).collect(),
            owned: (0..regions).map(|_| Mutex::default()).collect(),
            shared: Mutex::default(),
            written: (0..regions).map(|_| Mutex::default()).collect(),
        }
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    pub fn begin(&self, region: usize, key: Key, is_delete: bool) -> Attempt {
        let sequence = self.sequences[region].fetch_add(1, Ordering::Relaxed);
        Attempt { id: WriteId::new(region, sequence), key, region, is_delete, began_us: self.now_us() }
    }

    pub fn acknowledged(&self, attempt: &Attempt, old: Old) {
        let ended_us = self.now_us();
        if !attempt.is_delete {
            lock(&self.written[attempt.region]).insert(attempt.id.sequence());
        }
        match attempt.key.space {
            Space::Region(region) => lock(&self.owned[region as usize]).acknowledged(attempt, ended_us),
            Space::Shared => lock(&self.shared).acknowledged(attempt, old),
        }
    }

    /// The write may have happened, or may still happen.
    pub fn unknown(&self, attempt: &Attempt) {
        match attempt.key.space {
            Space::Region(region) => lock(&self.owned[region as usize]).unknown(attempt),
            Space::Shared => lock(&self.shared).unknown(attempt),
        }
    }

    /// A region's acknowledged writes so far.
    pub fn written(&self, region: usize) -> Written {
        lock(&self.written[region]).clone()
    }

    /// Takes out what is known, once nothing is added any more.
    pub fn close(&self) -> Closed {
        Closed {
            owned: self.owned.iter().map(|owned| std::mem::take(&mut *lock(owned))).collect(),
            shared: std::mem::take(&mut *lock(&self.shared)),
            written: self.written.iter().map(|written| std::mem::take(&mut *lock(written))).collect(),
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while held")
}

pub struct Closed {
    pub owned: Vec<Owned>,
    pub shared: Shared,
    /// Ids of acknowledged puts and updates, by region.
    pub written: Vec<Written>,
}

/// What was found wrong: how often, and the first few.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations {
    pub count: u64,
    pub first: Vec<String>,
}

impl Violations {
    const SHOWN: usize = 10;

    pub fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push(describe());
        }
    }

    pub fn join(&mut self, other: Violations) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(Self::SHOWN);
    }
}

/// The shared keys that stand at the end.
pub type Standing = BTreeMap<u64, WriteId>;
