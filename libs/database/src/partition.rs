//! A partition: one writer, natural groups, one durable commit per group.
//!
//! [`owner`] runs it: it drains what is waiting, reads the items, lets [`group`] decide, commits, and only then answers.
//! [`state`], [`decide`], [`arrival`] and [`group`] are pure.

pub mod arrival;
pub mod decide;
pub mod group;
pub mod owner;
pub mod state;
