//! Why a request is refused before anybody looks at what it asks for: DynamoDB's authentication errors.

use std::fmt;

/// One variant per row of what can be wrong with a signature, in the order in which they are looked for.
///
/// [`Error::code`] and [`Error::message`] are what goes on the wire. `Display` is the same except where the message
/// repeats what the client sent (its Authorization header, its signed headers): that belongs in no log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")]
    TwoSignatures,
    #[error("Request is missing Authentication Token")]
    MissingToken,
    /// The Authorization header lacks components. `lacking` is one sentence for each, `header` the header as sent.
    #[error("{lacking}")]
    MissingComponents { lacking: String, header: Sent },
    /// The presigned query lacks parameters. `lacking` is one sentence for each.
    #[error("{lacking}Re-examine the query-string parameters.")]
    MissingParameters { lacking: String },
    #[error(
        "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )]
    BadDate { date: Box<str> },
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - 15 min.)")]
    Expired { signed: String, limit: String, now: String },
    #[error("Signature not yet current: {signed} is still later than {limit} ({now} + 15 min.)")]
    NotYetCurrent { signed: String, limit: String, now: String },
    #[error("'Host' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    #[error("Unsupported AWS 'algorithm': '{algorithm}'.")]
    UnsupportedAlgorithm { algorithm: Box<str> },
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
    )]
    MalformedCredential { credential: Box<str> },
    /// `wrong` is one sentence for each element of the scope that does not fit.
    #[error("{wrong}")]
    WrongScope { wrong: String },
    /// No such access key, or not with this session token.
    #[error("The security token included in the request is invalid.")]
    UnknownClient,
    #[error("{REFUSED}")]
    WrongSignature(Box<Mismatch>),
}

const REFUSED: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                       Secret Access Key and signing method. Consult the service documentation for details.";

/// What the server hashed, for the author of a client to compare with what he hashed.
#[derive(PartialEq, Eq)]
pub struct Mismatch {
    pub canonical_request: String,
    pub string_to_sign: String,
}

/// Text that a client sent and that may authenticate it: goes back to the client, never into a log.
#[derive(PartialEq, Eq)]
pub struct Sent(pub(crate) String);

impl Error {
    /// The refusal of a well-formed signature for a region that is not served here.
    pub fn unserved_region(region: &str) -> Error {
        Error::WrongScope { wrong: unserved_region(region) }
    }

    /// The name of the error in the AWS protocols.
    pub fn code(&self) -> &'static str {
        match self {
            Error::MissingToken => "MissingAuthenticationTokenException",
            Error::MissingComponents { .. }
            | Error::MissingParameters { .. }
            | Error::BadDate { .. }
            | Error::UnsupportedAlgorithm { .. }
            | Error::MalformedCredential { .. } => "IncompleteSignatureException",
            Error::UnknownClient => "UnrecognizedClientException",
            Error::TwoSignatures
            | Error::Expired { .. }
            | Error::NotYetCurrent { .. }
            | Error::HostNotSigned
            | Error::WrongScope { .. }
            | Error::WrongSignature(_) => "InvalidSignatureException",
        }
    }

    /// The text for the client, and only for the client.
    pub fn message(&self) -> String {
        match self {
            Error::MissingComponents { lacking, header } => format!("{lacking}Authorization={}", header.0),
            Error::WrongSignature(mismatch) => format!(
                "{REFUSED}\n\nThe Canonical String for this request should have been\n'{}'\n\nThe String-to-Sign \
                 should have been\n'{}'\n",
                mismatch.canonical_request, mismatch.string_to_sign
            ),
            other => other.to_string(),
        }
    }
}

pub(crate) fn unserved_region(region: &str) -> String {
    format!("Credential should be scoped to a valid region, not '{region}'. ")
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mismatch(..)")
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_goes_into_its_answer_and_into_no_log() {
        let header = Sent("AWS4-HMAC-SHA256 Signature=abc".into());
        let mismatch =
            Mismatch { canonical_request: "x-amz-security-token:abc".into(), string_to_sign: "abc".into() };
        for error in [
            Error::MissingComponents { lacking: "lacking. ".into(), header },
            Error::WrongSignature(Box::new(mismatch)),
        ] {
            assert!(error.message().contains("abc"));
            assert!(!format!("{error} {error:?}").contains("abc"));
        }
    }

    #[test]
    fn a_region_that_is_not_served_is_named() {
        let error = Error::unserved_region("mars-1");
        assert_eq!(error.code(), "InvalidSignatureException");
        assert_eq!(error.message(), "Credential should be scoped to a valid region, not 'mars-1'. ");
    }
}
