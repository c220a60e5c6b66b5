//! The shapes of all requests, by operation.

pub(crate) mod item;
pub(crate) mod statement;
pub(crate) mod stream;
pub(crate) mod table;
