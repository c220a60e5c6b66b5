//! The port through which regions reach each other, both ends: what a call says and what became of it.
//!
//! Both ends have a certificate of one authority that the operator gives ([`LinkTls`]), and it says for which region its
//! holder may ask; without TLS a port is served and
//! asked on loopback only.

mod authority;
mod client;
mod server;
mod speaker;

use bytes::Bytes;

pub use authority::LinkAuthority;
pub use client::{Destination, LinkClient};
pub use server::{LinkAnswering, LinkServer, Links};
pub use speaker::speaks_for;

/// The generated protocol.
pub(crate) mod protocol {
    tonic::include_proto!("tradewind.link.v1");
}

/// The largest message: a batch of 1 MiB that ends with the largest change, or a piece of a snapshot, is far below.
const MAX_MESSAGE_BYTES: usize = 32 << 20;
/// Calls of all askers that a process carries out at the same time; more are told that it is busy.
const MAX_UNDER_WAY: usize = 64;

/// A certificate with its chain, its key, and the authority that the other end's is of; all PEM.
#[derive(Clone)]
pub struct LinkTls {
    pub certificate_pem: String,
    pub key_pem: String,
    pub authority_pem: String,
}

/// What is asked, of a table.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkCall {
    /// The names of the regions that ask and are asked.
    pub from: String,
    pub to: String,
    pub table: String,
    pub body: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkQuestion {
    Push,
    Ask,
}

/// Why there is no answer: cut by what the asker may do next.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// It may or may not have been done; again, later.
    #[error("{0}")]
    Failed(String),
    /// It was not done, and will not be before something changes.
    #[error("{0}")]
    Refused(String),
    /// It was not done: the destination has enough to do.
    #[error("the region is busy")]
    Busy,
}
