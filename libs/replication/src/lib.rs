//! Replication between regions: links that push a region's changes to the others, and the life of a table's replicas.
//!
//! [`link`] decides, purely, what a link sends next; [`sender`] runs it against a change log and a [`Peer`]. [`join`]
//! brings a new replica up, [`evict`] ends one that is lost, [`repair`] levels a database that was restored with the others,
//! [`verify`] says whether regions are equal. [`Replicator`] keeps all of that running for a region.

mod comparisons;
mod evict;
mod join;
pub mod link;
mod local;
mod meters;
mod order;
mod pace;
mod peer;
mod remote;
mod repair;
mod replicator;
mod report;
mod sender;
mod share;
mod sight;
pub mod verify;

pub use comparisons::Comparison;
pub use join::Error;
pub use local::{Chaos, LocalPeer, Trouble};
pub use order::{Order, Ordered};
pub use peer::{Peer, PeerError};
pub use remote::{RegionLinks, RemotePeer};
pub use repair::Repaired;
pub use replicator::{EVICT_AFTER, LinkState, LinkStatus, Replicator};
pub use report::{LinkReport, TableReport, by_table, has_stopped};
pub use share::Share;
