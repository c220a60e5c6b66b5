//! NextToken: where the next page of a SELECT begins, and which statement it belongs to.
//!
//! ```text
//! format:1 = 1  fingerprint:16  range:4  [position]          in Base64; integers are big-endian
//! ```
//!
//! The position is a row's key, behind which the reading goes on; without one it begins at the range's beginning. It
//! is taken only inside the range that the statement itself asks for, so that a forged token reads nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tradewind_wire::ApiError;
use tradewind_wire::request::statement::Statement;
use xxhash_rust::xxh3::Xxh3;

const FORMAT: u8 = 1;

/// The place of a page's beginning, among the ranges of keys that a statement reads one after another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Start {
    pub range: usize,
    pub position: Option<Bytes>,
}

/// Tells a statement, with its parameters, from others.
pub(super) fn fingerprint(statement: &Statement) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(statement.text.as_bytes());
    for parameter in &statement.parameters {
        hash.update(&(parameter.len() as u64).to_be_bytes());
        hash.update(parameter);
    }
    hash.digest128()
}

pub(super) fn encode(fingerprint: u128, start: &Start) -> String {
    let mut token = vec![FORMAT];
    token.extend(fingerprint.to_be_bytes());
    token.extend((start.range as u32).to_be_bytes());
    token.extend(start.position.iter().flatten());
    BASE64.encode(token)
}

pub(super) fn decode(token: &str, fingerprint: u128) -> Result<Start, ApiError> {
    let bytes = BASE64.decode(token).map_err(|_| invalid())?;
    let (of, start) = take_apart(&bytes).ok_or_else(invalid)?;
    match of == fingerprint {
        true => Ok(start),
        false => Err(ApiError::validation("NextToken does not match request")),
    }
}

fn take_apart(bytes: &[u8]) -> Option<(u128, Start)> {
    let (format, rest) = bytes.split_first()?;
    let (fingerprint, rest) = rest.split_first_chunk::<16>()?;
    let (range, position) = rest.split_first_chunk::<4>()?;
    let position = (!position.is_empty()).then(|| Bytes::copy_from_slice(position));
    let start = Start { range: u32::from_be_bytes(*range) as usize, position };
    (*format == FORMAT).then_some((u128::from_be_bytes(*fingerprint), start))
}

pub(super) fn invalid() -> ApiError {
    ApiError::validation("Invalid NextToken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(parameters: &[&[u8]]) -> Statement {
        Statement {
            text: "SELECT".to_owned(),
            parameters: parameters.iter().map(|parameter| parameter.to_vec()).collect(),
            consistent: false,
            fresh: false,
            item_on_failure: false,
        }
    }

    #[test]
    fn tokens_round_trip() {
        for position in [None, Some(Bytes::from_static(b"row"))] {
            let start = Start { range: 3, position };
            assert_eq!(decode(&encode(7, &start), 7).unwrap(), start);
        }
    }

    #[test]
    fn tokens_belong_to_their_statement() {
        let error = decode(&encode(7, &Start::default()), 8).unwrap_err();
        assert_eq!(error.message, "NextToken does not match request");
        assert_ne!(fingerprint(&statement(&[b"ab", b"c"])), fingerprint(&statement(&[b"a", b"bc"])));
    }

    #[test]
    fn noise_is_no_token() {
        for token in ["", "abc", "AQ==", "?", &encode(7, &Start::default())[..20]] {
            assert_eq!(decode(token, 7).unwrap_err().message, "Invalid NextToken", "{token}");
        }
    }
}
