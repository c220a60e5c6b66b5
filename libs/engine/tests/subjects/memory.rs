//! The simulator's engine, as a subject of the suite.

use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_engine::suite::{ManualClock, Subject};

pub struct MemorySubject {
    disk: MemoryDisk,
    clock: ManualClock,
    engine: MemoryEngine,
}

impl MemorySubject {
    pub fn new() -> MemorySubject {
        let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
        MemorySubject { engine: MemoryEngine::open(&disk, clock.clock()), disk, clock }
    }
}

impl Subject for MemorySubject {
    type Engine = MemoryEngine;

    fn engine(&self) -> &MemoryEngine {
        &self.engine
    }

    async fn reopen(&mut self) {
        self.engine = MemoryEngine::open(&self.disk, self.clock.clock());
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}
