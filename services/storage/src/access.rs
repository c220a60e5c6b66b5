//! Who may ask: signatures verified, or only required to have their shape.

use std::sync::Arc;

use tradewind_iam::{Error, Identity, Request, Verifier};
use tradewind_model::Clock;
use tradewind_wire::ApiError;
use tradewind_wire::error::Code;

pub enum Access {
    /// Any credentials are accepted, as DynamoDB Local does. The header must be there all the same: no web page can make a
    /// browser send it unasked.
    Anyone,
    Verified {
        verifier: Verifier,
        clock: Arc<dyn Clock>,
    },
}

impl Access {
    pub fn check<'a>(&self, request: &Request<'a>, service: &str) -> Result<Identity<'a>, Error> {
        match self {
            Access::Anyone => tradewind_iam::shape(request.headers),
            Access::Verified { verifier, clock } => {
                verifier.verify(request, service, (clock.now_ms() / 1000) as i64)
            }
        }
    }
}

/// The refusal as DynamoDB says it.
pub fn refused(error: &Error) -> ApiError {
    let code = match error.code() {
        "MissingAuthenticationTokenException" => Code::MissingAuthenticationToken,
        "IncompleteSignatureException" => Code::IncompleteSignature,
        "UnrecognizedClientException" => Code::UnrecognizedClient,
        _ => Code::InvalidSignature,
    };
    ApiError::new(code, error.message())
}
