//! The heart of a region: tables and their partitions, writes and reads, merging what other regions wrote, streams.
//!
//! Every change of an item goes through its partition's queue and one commit of the engine ([`partition`]); reads see
//! what is committed. This crate knows DynamoDB's rules and no HTTP, SQL or Kafka.

mod capacity;
pub mod conflict;
mod conflicts;
mod control;
mod describe;
mod execute;
pub mod expiry;
mod housekeeping;
mod index;
mod item;
pub mod merge;
mod page;
mod partiql;
pub mod partition;
mod query;
mod read;
pub mod region;
pub mod replica;
mod scan;
mod settings;
mod sizes;
pub mod stream;
pub mod table;
mod throttle;
pub mod tombstone;
mod transaction;
mod write;

pub use housekeeping::RETENTION;
pub use region::{Database, Regions, Settings};
