//! The heart of a region: tables and their partitions, writes and reads, merging what other regions wrote, streams.
//!
//! Every change of an item goes through its partition's queue and one commit of the engine ([`partition`]); reads see
//! what is committed. This crate knows DynamoDB's rules and no HTTP, SQL or Kafka.

mod capacity;
mod catalogue;
pub mod cluster;
pub mod conflict;
pub mod conflicts;
mod control;
mod describe;
pub mod digest;
mod execute;
mod expire;
pub mod expiry;
mod housekeeping;
mod index;
mod item;
mod key_paths;
pub mod merge;
mod meters;
mod page;
mod partiql;
pub mod partition;
mod query;
pub mod question;
mod read;
pub mod region;
pub mod replica;
mod requests;
mod scan;
mod serve;
pub mod session;
mod settings;
mod sizes;
pub mod stream;
pub mod table;
mod throttle;
pub mod tombstone;
mod transaction;
mod write;

pub use expire::Pace;
pub use housekeeping::RETENTION;
pub use partition::catch_up::SHARE as CATCH_UP_SHARE;
pub use region::{Database, Outlet, Parts, Regions, Settings};
