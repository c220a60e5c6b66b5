//! AWS JSON: requests to typed requests ([`decode`]), typed answers to JSON ([`encode`]), and what HTTP adds to both.
//!
//! No I/O, nothing async, no knowledge of tables that exist. Requests are read by their shapes in one pass, attribute
//! values straight into their stored form; answers are written straight from it.

pub mod attribute_value;
mod decode;
mod encode;
pub mod error;
pub mod http;
mod json;
pub mod request;
pub mod response;
mod shape;
mod shapes;
pub mod target;

pub use decode::{check_syntax, decode};
pub use encode::{encode, encode_error, render_event, sequence_text};
pub use error::ApiError;
pub use request::Request;
pub use response::Answer;
pub use target::Operation;
