//! What processes of the cluster say to each other: gRPC over HTTP/2 with mutual TLS.
//!
//! This crate carries bytes and tells exactly what a failed call may have done ([`CallError`]); what the bytes mean is the
//! callers'. `proto/` draws the protocol.

mod authority;
mod call;
mod client;
mod link;
mod server;

pub use authority::{Authority, AuthorityError, Identity};
pub use call::{CallError, Question};
pub use client::Nodes;
pub use link::{
    Destination, LinkAnswering, LinkAuthority, LinkCall, LinkClient, LinkError, LinkQuestion, LinkServer,
    LinkTls, Links, speaks_for,
};
pub use server::{Answering, Node, Serving, serve};

/// The generated protocol.
mod node {
    tonic::include_proto!("tradewind.node.v1");
}
