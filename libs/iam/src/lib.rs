//! Who is calling: AWS Signature Version 4, both ends of it.
//!
//! The server's end is [`Verifier`], or [`shape`] where signatures are not verified; the client's end is [`Signer`].
//! Both write the same canonical request, so that they can not drift apart. This crate does no I/O and reads no
//! clock: the time is an argument. What a caller *may do* is not decided here.
//!
//! The rules are those of "AWS Signature Version 4 for API requests" in the IAM User Guide; the texts of refusals are
//! those that DynamoDB answers.

mod authorization;
mod canonical;
mod credentials;
mod error;
mod hex;
mod request;
mod sign;
mod signing_key;
mod timestamp;
mod uri;
mod verify;

pub use authorization::{Identity, shape};
pub use credentials::{BadProfile, Credentials, Problem, Profiles, Secret};
pub use error::{Error, Mismatch};
pub use request::Request;
pub use sign::{SignError, Signature, Signer};
pub use verify::Verifier;
