//! Where a region's database is and how much memory it may take.

use std::path::PathBuf;

const MIB: u64 = 1024 * 1024;

/// Memory is bounded by `cache_bytes`, and for each space by `memtable_bytes` (small spaces: a quarter): one table that
/// is written and at most four that wait for their flush. What is not in use is not allocated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region's directory; made if it does not exist. Not used with `in_memory`.
    pub dir: PathBuf,
    /// Keeps everything in a temporary folder that goes with the engine, and never waits for the disk: nothing is
    /// durable.
    pub in_memory: bool,
    /// Blocks of tables kept in memory, beside what the operating system caches.
    pub cache_bytes: u64,
    /// How much of items or of the log is gathered in memory before it becomes a table on disk. Fixed for a keyspace
    /// when it is made: for the spaces when the directory is new, for the log every hour.
    pub memtable_bytes: u64,
    /// Commits are refused while the file system has less free than this and what flushes and compactions may still
    /// need. Running into the end of the disk would stop writes until a restart.
    pub reserve_bytes: u64,
}

impl Settings {
    pub fn new(dir: impl Into<PathBuf>) -> Settings {
        Settings {
            dir: dir.into(),
            in_memory: false,
            cache_bytes: 128 * MIB,
            memtable_bytes: 32 * MIB,
            // One new journal file: fjall gives each 64 MiB when it begins it.
            reserve_bytes: 64 * MIB,
        }
    }

    pub fn in_memory() -> Settings {
        Settings { in_memory: true, reserve_bytes: 0, ..Settings::new("") }
    }
}
