//! The keyspaces of a region's database, their memory, and the state that readers see.
//!
//! ```text
//! items index conflicts cursors tokens expiry tombstones    the spaces
//! state         'p' ‖ partition → counters    'd' ‖ collection ‖ 0 ‖ name → document    'r' → last revision given
//!               'g' ‖ collection → revision of its newest change
//! log-<hour>    changes
//! ```
//!
//! **Readers use only the published snapshot.** Neither a plain get nor a fresh snapshot of fjall will do: a get sees a
//! batch while it is being filled in, and a flush or compaction that ends meanwhile moves the sequence number of fresh
//! snapshots past that batch, so that they show half of it. The committer takes a snapshot between two commits, when no
//! batch is under way, and publishes it before it answers. That is also cheaper than a snapshot for each read.

use std::sync::{Arc, OnceLock};

use ::fjall::compaction::Leveled;
use ::fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, LsmError, Readable, Slice, Snapshot};
use arc_swap::ArcSwap;
use bytes::Bytes;
use tradewind_model::{PartitionId, Sequence};

use super::counters::{Counter, counter_key};
use super::directory::Directory;
use super::log::{Log, hour_of};
use super::settings::Settings;
use crate::{Error, Space};

/// One for flushes and compactions together: with two, fjall's first worker spins on the queue while the second
/// compacts, which costs a core.
const WORKER_THREADS: usize = 1;

/// Open files of one region. Three regions must fit into the 1,024 that a process usually gets, beside sockets.
const MAX_CACHED_FILES: usize = 200;

/// Larger values are handed out as they are in the block or memtable; smaller ones are copied, which is cheaper than
/// counting references and does not keep a block alive.
const COPY_BELOW_BYTES: usize = 1024;

pub struct Tables {
    published: ArcSwap<Snapshot>,
    pub db: Database,
    /// Made when first written to: making one takes some twenty fsyncs, and most regions never use most of them.
    spaces: [OnceLock<Keyspace>; Space::ALL.len()],
    memtable_bytes: u64,
    pub state: Keyspace,
    pub log: Log,
    // Last, so that the lock on the directory is held until the database is closed.
    pub directory: Directory,
}

impl Tables {
    pub fn open(db: Database, directory: Directory, settings: &Settings) -> ::fjall::Result<Tables> {
        let tables = Tables {
            spaces: Space::ALL.map(|_| OnceLock::new()),
            memtable_bytes: settings.memtable_bytes,
            state: db.keyspace("state", || options(settings.memtable_bytes / 4))?,
            log: Log::open(&db, settings.memtable_bytes)?,
            published: ArcSwap::from_pointee(db.snapshot()),
            db,
            directory,
        };
        tables.directory.sync_keyspaces()?;
        for space in Space::ALL.into_iter().filter(|space| tables.db.keyspace_exists(name_of(*space))) {
            tables.make_space(space)?;
        }
        Ok(tables)
    }

    /// `None` while nothing was ever written to it.
    pub fn space(&self, space: Space) -> Option<&Keyspace> {
        self.spaces[space as usize].get()
    }

    /// Only the committer may call it once the engine is open.
    pub fn make_space(&self, space: Space) -> ::fjall::Result<()> {
        if self.space(space).is_none() {
            let keyspace = self.db.keyspace(name_of(space), || options(self.memtable_bytes_of(space)))?;
            self.directory.sync_keyspaces()?;
            self.spaces[space as usize].get_or_init(|| keyspace);
        }
        Ok(())
    }

    fn memtable_bytes_of(&self, space: Space) -> u64 {
        match space {
            Space::Items | Space::Index => self.memtable_bytes,
            Space::Conflicts | Space::Cursors | Space::Tokens | Space::Expiry | Space::Tombstones => {
                self.memtable_bytes / 4
            }
        }
    }

    /// The newest committed state.
    pub fn published(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Makes everything committed so far visible. Only the committer may call it, and only between commits.
    pub fn publish(&self) {
        self.published.store(Arc::new(self.db.snapshot()));
    }

    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.published.load().get(keyspace, key).map_err(broken)?;
        Ok(value.map(bytes_of))
    }

    /// What may still be written without any commit: memtables as tables, each once more when it is compacted, and a
    /// compaction of what is there.
    pub fn pending_bytes(&self) -> u64 {
        let spaces = self.spaces.iter().filter_map(OnceLock::get);
        let keyspaces: Vec<Keyspace> =
            spaces.chain([&self.state]).cloned().chain(self.log.keyspaces()).collect();
        let unflushed: u64 = keyspaces.iter().map(|one| unflushed_bytes(one, self.memtable_bytes)).sum();
        let tables: u64 = keyspaces.iter().map(Keyspace::disk_space).sum();
        2 * unflushed + tables.min(COMPACTION_BYTES)
    }

    pub fn counter(&self, partition: PartitionId) -> Result<Counter, Error> {
        let row = self.get(&self.state, &counter_key(partition))?;
        row.map_or(Ok(Counter::UNSEEN), |row| Counter::decode(&row))
    }

    pub fn changes(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Sequence, Bytes)>, Error> {
        self.log.changes(&self.published(), partition, after, limit, max_bytes)
    }

    pub fn committed_before(&self, partition: PartitionId, unix_ms: u64) -> Result<Sequence, Error> {
        self.log.last_before(&self.published(), partition, hour_of(unix_ms))
    }

    pub fn get_many(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        let Some(keyspace) = self.space(space) else { return Ok(vec![None; keys.len()]) };
        let snapshot = self.published.load();
        let get = |key: &&[u8]| Ok(snapshot.get(keyspace, key).map_err(broken)?.map(bytes_of));
        keys.iter().map(get).collect()
    }
}

pub fn open_database(directory: &Directory, settings: &Settings) -> ::fjall::Result<Database> {
    Database::builder(directory.database())
        .cache_size(settings.cache_bytes)
        .worker_threads(WORKER_THREADS)
        .max_cached_files(Some(MAX_CACHED_FILES))
        .open()
}

/// A compaction merges a table with some ten below it, of 64 MiB each, and keeps both until it is done.
const COMPACTION_BYTES: u64 = 1024 * 1024 * 1024;

fn unflushed_bytes(keyspace: &Keyspace, memtable_bytes: u64) -> u64 {
    keyspace.tree.active_memtable().size() + keyspace.sealed_memtable_count() as u64 * memtable_bytes
}

fn name_of(space: Space) -> &'static str {
    match space {
        Space::Items => "items",
        Space::Index => "index",
        Space::Conflicts => "conflicts",
        Space::Cursors => "cursors",
        Space::Tokens => "tokens",
        Space::Expiry => "expiry",
        Space::Tombstones => "tombstones",
    }
}

fn options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
}

/// A log is written once and soon dropped: merging its tables later saves most of the work, and readers at its end find
/// what they want in the newest.
pub fn log_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    options(memtable_bytes).compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(8)))
}

pub fn bytes_of(value: Slice) -> Bytes {
    if value.len() < COPY_BELOW_BYTES { Bytes::copy_from_slice(&value) } else { Bytes::from_owner(value) }
}

/// What a failed read means to the caller.
pub fn broken(error: ::fjall::Error) -> Error {
    match error {
        ::fjall::Error::Io(_) | ::fjall::Error::Storage(LsmError::Io(_)) => {
            Error::Unavailable(reason(&error))
        }
        _ => Error::Corrupt(reason(&error)),
    }
}

/// fjall's errors in words, without the names of its types.
pub fn reason(error: &::fjall::Error) -> String {
    match error {
        ::fjall::Error::Io(e) | ::fjall::Error::Storage(LsmError::Io(e)) => e.to_string(),
        ::fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        ::fjall::Error::Storage(e) => format!("{e:?}"),
        e => format!("{e:?}"),
    }
}
