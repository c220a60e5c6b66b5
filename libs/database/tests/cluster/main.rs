//! Three nodes of one region over one store: who owns what, what is forwarded, and what holds when nodes freeze and die.
//!
//! All run on one thread and in paused time, so that what waits for a time-out does not wait.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod network;
mod node;
mod random;
mod region;
mod transactions;
