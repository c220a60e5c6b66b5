//! Replication between regions: links that push a region's changes to the others, and the life of a table's replicas.
//!
//! [`link`] decides, purely, what a link sends next; [`sender`] runs it against a change log and a [`Peer`]. [`join`]
//! brings a new replica up. [`Replicator`] keeps a region's links and joins running.

mod join;
pub mod link;
mod local;
mod peer;
mod replicator;
mod sender;

pub use local::{Chaos, LocalPeer, Trouble};
pub use peer::{Peer, PeerError};
pub use replicator::{LinkStatus, Replicator};
