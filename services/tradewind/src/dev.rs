//! `tradewind dev`: regions in one process, on the embedded engine.
//!
//! Requests are answered on current-thread runtimes, as many as the machine has cores beside the committers; replication,
//! functions and housekeeping run on a runtime of their own, so that they never wait in front of a request.

mod admin;
mod chaos;
mod global;
mod process;
mod region;
mod regions;
mod verify;

pub use process::run;
