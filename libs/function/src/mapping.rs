//! Event source mappings at work: lease, read, invoke, settle.
//!
//! ```text
//!  Mappings ── one task per mapping (follow) ── one task per shard (drive)
//!                                                   │
//!    ShardSource.read ─► filter ─► ShardMachine ─► Invoker ─► verdict ─┐
//!                                       ▲                              │
//!                                       └──── settle, retry, split ◄───┘
//!                                       └─► Checkpoints (compare-and-set), FailedLog
//! ```
//!
//! [`shard::ShardMachine`] decides and knows neither time nor I/O; [`drive`] does what it says. A mapping's tasks share
//! nothing with those of others but the invoker, which bounds each function by itself: a slow or failing function delays
//! nobody else.

pub mod checkpoint;
mod drive;
pub mod failed;
mod follow;
pub mod metrics;
mod park;
pub(crate) mod payload;
pub mod replay;
mod runner;
pub mod seats;
pub mod shard;
pub mod source;
mod spans;
mod verdict;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod runner_tests;

pub use runner::{Mappings, RunnerSettings};
pub use seats::{Roll, Seats};
