//! Functions on changes, as on Lambda: environments that speak the Lambda Runtime API, the Lambda control API, and the
//! event source mappings that lease, read, invoke and settle.
//!
//! ```text
//!  LambdaApi ──writes──► Catalogue (functions, mappings) ◄──watches── Mappings
//!      │ Invoke                                                          │ one task per mapping and shard:
//!      ▼                                                                 │ ShardSource ─► ShardMachine ─► Invoker
//!  Functions: Invoker ◄──────────────────────────────────────────────────┘            └─► Checkpoints, FailedBatches
//!      ├── handlers in this process
//!      ├── HttpFunctions: webhooks, containers behind the Runtime Interface Emulator
//!      └── Environments: a pool per function ─► Environment = process group + Runtime API on its own port
//! ```
//!
//! This crate reads no table: what it knows of streams is [`mapping::source::ShardSource`]. Wall time comes in as a
//! [`Clock`].

use std::sync::Arc;

pub mod catalogue;
pub mod code;
pub mod filter;
pub mod history;
pub mod http;
pub mod invoke;
pub mod journal;
pub mod lambda;
pub mod log;
pub mod mapping;
pub mod metrics;
pub mod runtime;

#[cfg(test)]
mod fixtures;

/// Unix time in milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
