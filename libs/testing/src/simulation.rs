//! Three regions in one thread, decided by one seed: random writes, links that delay, duplicate, reorder and drop, nodes
//! that crash at any step and reopen, commits whose outcome is unknown, clocks that disagree.
//!
//! ```text
//! seed ─► World::act ─► clients, groups, links, network, crashes … ─► World::settle ─► verdict
//!                          │ every commit                               │ heal, drain, prune
//!                          └► Expected, properties of the moment        └► properties of the end
//! ```
//!
//! What decides is the code that ships: `Group`, `State`, `merge`, `Link`, the embedded change log, an engine in memory
//! for a disk. What judges is [`history`], which knows every write and which writes it followed, without versions' vectors.
//! The same seed gives the same trace.

pub mod broken;
mod checks;
mod choices;
mod clients;
mod crashes;
mod expected;
mod groups;
pub mod history;
pub mod life;
mod links;
mod network;
mod node;
mod run;
mod scenario;
mod settle;
pub mod table;
mod trace;
mod verdict;
mod violation;
mod weather;
mod world;

pub use broken::Broken;
pub use run::{Failure, Finished, run};
pub use violation::{Property, Violation};
pub use weather::Weather;
pub use world::{LinkName, Place, World};
