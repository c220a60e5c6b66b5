//! A region's node: its disk, what is in memory while it lives, and what waits for it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt;
use tradewind_changelog::{Embedded, Tail};
use tradewind_database::partition::group::Op;
use tradewind_database::partition::owner;
use tradewind_database::partition::state::State;
use tradewind_database::table::document::{Range, TableDocument};
use tradewind_engine::Engine;
use tradewind_engine::faults::{Faults, Faulty};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_model::{PartitionId, Region, Version};

use super::history::WriteId;
use super::table::{BEGIN_MS, document, region};

pub type Disk = Faulty<MemoryEngine>;

/// The answer of a future that is ready at once, as all of the engine in memory are.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("an engine in memory answers at once")
}

/// An operation in a partition's queue, and who waits for its answer.
pub struct Job {
    pub op: Op,
    pub from: From,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum From {
    Client(Vec<WriteId>),
    /// A delivery of a batch, by its number.
    Batch(u64),
    House,
    /// A stage in the life of a replica, by its number.
    Life(u64),
}

/// What stands at a sequence of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Logged {
    pub version: Version,
    pub write: WriteId,
}

/// An earlier owner that does not know yet that it is none any more.
pub struct Zombie {
    pub engine: Arc<Disk>,
    pub state: State,
}

pub struct Partition {
    pub id: PartitionId,
    pub range: Range,
    /// The owner's state while the node lives.
    pub live: Option<State>,
    /// What is committed, whether or not anybody knows.
    pub durable: State,
    /// The log as it must be: sequence `n` at `n - 1`.
    pub log: Vec<Logged>,
    pub waiting: VecDeque<Job>,
    pub zombie: Option<Zombie>,
}

pub struct Node {
    pub region: Region,
    pub table: TableDocument,
    disk: MemoryDisk,
    pub faults: Faults,
    pub engine: Arc<Disk>,
    pub log: Embedded<Disk>,
    pub skew_ms: i64,
    pub partitions: Vec<Partition>,
    /// How many it has had before.
    pub lives: u8,
}

impl Node {
    pub fn new(index: usize, partitions: u32) -> Node {
        Node::reborn(index, partitions, 0)
    }

    /// A new life of the region's table, on an empty disk.
    pub fn reborn(index: usize, partitions: u32, lives: u8) -> Node {
        let table = document(index, partitions, lives);
        let disk = MemoryDisk::default();
        let faults = Faults::default();
        let engine = start(&disk, &faults);
        let partitions = table.partitions.iter().map(|range| first(&engine, &table, *range)).collect();
        Node {
            region: region(index),
            table,
            disk,
            faults,
            log: Embedded::new(engine.clone(), Tail::default()),
            engine,
            skew_ms: 0,
            partitions,
            lives,
        }
    }

    pub fn position(&self, hash: u64) -> usize {
        self.partitions
            .iter()
            .position(|partition| partition.range.contains(hash))
            .expect("ranges cover every hash")
    }

    pub fn overlapping(&self, from: u64, to: u64) -> Vec<usize> {
        (0..self.partitions.len()).filter(|at| self.partitions[*at].range.overlaps(from, to)).collect()
    }

    /// A new process on the same disk.
    pub fn restart(&mut self) {
        self.engine = start(&self.disk, &self.faults);
        self.log = Embedded::new(self.engine.clone(), Tail::default());
    }

    /// Opens a partition as its owner does.
    pub fn open(&self, partition: usize) -> State {
        let partition = &self.partitions[partition];
        ready(owner::open(&*self.engine, partition.id, partition.range)).expect("nothing was planned to fail")
    }
}

fn start(disk: &MemoryDisk, faults: &Faults) -> Arc<Disk> {
    // Nothing is trimmed here: which hour a change is filed under does not matter.
    let engine = MemoryEngine::open(disk, Arc::new(|| BEGIN_MS));
    Arc::new(Faulty::new(engine, faults.clone()))
}

fn first<E: Engine>(engine: &Arc<E>, table: &TableDocument, range: Range) -> Partition {
    let id = table.partition_id(range.number);
    let state = ready(owner::open(&**engine, id, range)).expect("nothing was planned to fail");
    Partition {
        id,
        range,
        live: Some(state.clone()),
        durable: state,
        log: Vec::new(),
        waiting: VecDeque::new(),
        zombie: None,
    }
}
