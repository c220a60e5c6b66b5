//! The embedded engine on a directory of its own, as a subject of the suite.

use tempfile::TempDir;
use tradewind_engine::fjall::{FjallEngine, Settings};
use tradewind_engine::suite::{ManualClock, Subject};

pub struct FjallSubject {
    folder: TempDir,
    clock: ManualClock,
    /// `None` only while it is opened again.
    engine: Option<FjallEngine>,
}

impl FjallSubject {
    pub fn new() -> FjallSubject {
        let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::default());
        let engine = Some(open(&folder, &clock));
        FjallSubject { folder, clock, engine }
    }
}

/// Small memtables, so that rows also come from tables on disk.
fn open(folder: &TempDir, clock: &ManualClock) -> FjallEngine {
    let settings = Settings { memtable_bytes: 64 * 1024, ..Settings::new(folder.path()) };
    FjallEngine::open(&settings, clock.clock()).unwrap()
}

impl Subject for FjallSubject {
    type Engine = FjallEngine;

    fn engine(&self) -> &FjallEngine {
        self.engine.as_ref().unwrap()
    }

    async fn reopen(&mut self) {
        drop(self.engine.take());
        self.engine = Some(open(&self.folder, &self.clock));
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}
