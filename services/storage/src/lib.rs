//! The storage service's front: DynamoDB's API over HTTP for one region or several.
//!
//! A request takes one path: head ([`wire::http`](tradewind_wire::http)) → signature → decode → database → encode. It
//! runs on the thread that accepted its connection, from the first byte to the last.

mod access;
mod conflicts;
pub mod credentials;
mod dynamodb;
mod front;
pub mod lambda;
pub mod node;
mod server;
mod session;
mod silence;
mod spans;
mod tables;
mod tls;
pub mod verify;

pub use access::Access;
pub use conflicts::conflicts;
pub use front::{Answered, Front, Guard, Other, Region, Regions, metrics_answer};
pub use server::{Server, serve};
pub use tables::tables;
pub use tls::{TlsError, acceptor, pinned};
