//! What is asked of another node, and what a failed call may have done.

use bytes::Bytes;
use tonic::Status;

use crate::node::{Moved, Reply, Unknown, reply};

/// What can be asked of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Submit,
    Hold,
    Release,
    Inquire,
    Announce,
    Lambda,
    Spend,
    Replicate,
}

/// Why there is no answer: cut by what the caller may do next.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CallError {
    /// The request surely did not reach the node.
    #[error("the node could not be reached: {0}")]
    NotSent(String),
    /// The node says that it is not its to answer: nothing was done.
    #[error("the partition is not that node's any more")]
    Moved,
    /// It may or may not have been done.
    #[error("the answer was lost: {0}")]
    Unknown(String),
    /// The node refuses, for the client to hear; the encoded error.
    #[error("refused")]
    Refused(Bytes),
}

impl CallError {
    /// What a status means that no handler of ours made: those answer inside a [`Reply`].
    pub(crate) fn of(status: &Status) -> CallError {
        let reason = described(status);
        match status.code() {
            // An older node, which does not know the question.
            tonic::Code::Unimplemented => CallError::NotSent(reason),
            _ if never_connected(status) => CallError::NotSent(reason),
            _ => CallError::Unknown(reason),
        }
    }

    pub(crate) fn into_reply(self) -> Reply {
        let outcome = match self {
            CallError::Refused(error) => reply::Outcome::Refused(error),
            CallError::Unknown(reason) => reply::Outcome::Unknown(Unknown { reason }),
            // As far as the asker is concerned: nothing was done here.
            CallError::Moved | CallError::NotSent(_) => reply::Outcome::Moved(Moved {}),
        };
        Reply { outcome: Some(outcome) }
    }

    pub(crate) fn from_reply(reply: Reply) -> Result<Bytes, CallError> {
        match reply.outcome {
            Some(reply::Outcome::Answer(answer)) => Ok(answer),
            Some(reply::Outcome::Moved(Moved {})) => Err(CallError::Moved),
            Some(reply::Outcome::Unknown(Unknown { reason })) => Err(CallError::Unknown(reason)),
            Some(reply::Outcome::Refused(error)) => Err(CallError::Refused(error)),
            None => Err(CallError::Unknown("a newer node answered what this one does not know".to_owned())),
        }
    }
}

/// Whether the call failed before there was a connection to send it over.
fn never_connected(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<tonic::ConnectError>())
}

/// A status says little; what it was made of says why.
pub(crate) fn described(status: &Status) -> String {
    let cause = causes(status).last().map(ToString::to_string);
    cause.unwrap_or_else(|| status.message().to_owned())
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |error| error.source())
}
