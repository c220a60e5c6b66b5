//! A partition: one writer, natural groups, one durable commit per group.
//!
//! [`owner`] is its handle. Its task drains what is waiting, reads the items ([`rows`]), lets [`group`] decide, commits, and
//! only then answers.
//! [`state`], [`decide`], [`arrival`], [`catch_up`] and [`group`] are pure.

pub mod arrival;
pub mod catch_up;
pub mod decide;
pub mod group;
pub mod held;
pub mod owner;
pub mod rows;
pub mod state;
mod task;
