//! What tests of several crates share: a seeded simulation of regions that runs the real code ([`simulation`]).

pub mod simulation;
