//! The canonical request and the string to sign: the bytes on which client and server must agree.
//!
//! ```text
//! canonical request   method ⏎ path ⏎ query ⏎ (name:value ⏎)* ⏎ signed headers ⏎ hex(sha256(body))
//! string to sign      AWS4-HMAC-SHA256 ⏎ time ⏎ day/region/service/aws4_request ⏎ hex(sha256(canonical request))
//! ```
//!
//! The body is always hashed as sent: `x-amz-content-sha256` is a header like any other here, so `UNSIGNED-PAYLOAD`
//! never takes the body out of the signature.

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::authorization::{ALGORITHM, SIGNATURE_PARAMETER, Scope, TERMINATOR};
use crate::timestamp::Timestamp;
use crate::{Request, hex, uri};

/// Appends the canonical request. `signed_headers` are lower case names joined by `;`, ascending.
pub(crate) fn append_request(
    request: &Request<'_>,
    signed_headers: &str,
    is_presigned: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    uri::append_path(request.path, out);
    out.push(b'\n');
    if let Some(query) = request.query {
        uri::append_query(query, is_presigned.then_some(SIGNATURE_PARAMETER), out);
    }
    out.push(b'\n');
    for name in signed_headers.split(';') {
        append_header(name, request.headers, out);
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    hex::append(&Sha256::digest(request.body), out);
}

/// Appends the string to sign for the canonical request given.
pub(crate) fn append_string_to_sign(
    time: &Timestamp,
    scope: &Scope<'_>,
    canonical: &[u8; 32],
    out: &mut Vec<u8>,
) {
    for part in
        [ALGORITHM, "\n", time.as_str(), "\n", &scope.day, "/", &scope.region, "/", &scope.service, "/"]
    {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(TERMINATOR.as_bytes());
    out.push(b'\n');
    hex::append(canonical, out);
}

/// Appends `name:value⏎`, the values of a repeated header joined by commas. A header that is signed and not there has
/// an empty value.
fn append_header(name: &str, headers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for (nth, value) in headers.get_all(name).iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        append_collapsed(value.as_bytes(), out);
    }
    out.push(b'\n');
}

/// Appends a header's value trimmed, and each run of white space in it as one space.
fn append_collapsed(value: &[u8], out: &mut Vec<u8>) {
    // Most values have no white space: two fast searches are cheaper than looking at each byte.
    if !value.contains(&b' ') && !value.contains(&b'\t') {
        return out.extend_from_slice(value);
    }
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (nth, word) in words.enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn header(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("my-header", HeaderValue::from_str(value).unwrap());
        }
        let mut out = Vec::new();
        append_header("my-header", &headers, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn white_space_in_values_is_trimmed_and_collapsed() {
        assert_eq!(header(&["  a   b\t\tc "]), "my-header:a b c\n");
        assert_eq!(header(&["\"a   b\""]), "my-header:\"a b\"\n", "quotes protect nothing");
        assert_eq!(header(&["plain"]), "my-header:plain\n");
        assert_eq!(header(&["  "]), "my-header:\n");
    }

    #[test]
    fn repeated_headers_are_joined_in_their_order() {
        assert_eq!(header(&["b", " a ", "c"]), "my-header:b,a,c\n");
        assert_eq!(header(&[]), "my-header:\n");
    }
}
