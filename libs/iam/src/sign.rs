//! Signing requests, for tools that call an AWS API themselves.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::authorization::{ALGORITHM, DATE, SESSION_TOKEN, Scope, TERMINATOR};
use crate::signing_key::{SigningKey, SigningKeys};
use crate::timestamp::Timestamp;
use crate::{Credentials, Request, canonical, hex};

/// Headers that proxies and HTTP libraries add or change on the way, so that a signature must not cover them.
const UNSIGNED: [&str; 11] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
];

/// Signs in one name for one service of one region.
pub struct Signer {
    credentials: Credentials,
    region: Box<str>,
    service: Box<str>,
    keys: SigningKeys,
}

/// The headers to add to the request, in place of any of the same name that it has.
#[derive(Debug)]
pub struct Signature {
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignError {
    #[error("a request needs a Host header before it can be signed")]
    NoHost,
    #[error("{0} has characters that no header can have")]
    NotAHeader(&'static str),
}

impl Signature {
    /// Puts the headers into those of the request that was signed.
    pub fn apply(self, headers: &mut HeaderMap) {
        // The time is in `x-amz-date`; a `date` beside it was not signed and would be misleading.
        headers.remove(header::DATE);
        replace(headers, self.headers);
    }
}

impl Signer {
    pub fn new(credentials: Credentials, region: &str, service: &str) -> Signer {
        Signer { credentials, region: region.into(), service: service.into(), keys: SigningKeys::new() }
    }

    /// Signs a request as it will be sent, given the time in Unix seconds. `Host` must be among its headers; all
    /// headers are signed but those that are changed on the way. A date, session token or signature that it has
    /// already is ignored and replaced.
    pub fn sign(&self, request: &Request<'_>, now: i64) -> Result<Signature, SignError> {
        if !request.headers.contains_key(header::HOST) {
            return Err(SignError::NoHost);
        }
        let time = Timestamp::at(now);
        let mut added = self.headers_to_sign(&time)?;
        let mut headers = request.headers.clone();
        headers.remove(header::DATE);
        headers.remove(&SESSION_TOKEN);
        replace(&mut headers, added.iter().cloned());
        let signed_headers = names_to_sign(&headers);
        let signature = self.signature(&Request { headers: &headers, ..*request }, &signed_headers, &time);
        added.push((header::AUTHORIZATION, self.authorization(&time, &signed_headers, &signature)?));
        Ok(Signature { headers: added })
    }

    fn headers_to_sign(&self, time: &Timestamp) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        let date = HeaderValue::from_str(time.as_str()).expect("digits and two letters are a header");
        let mut headers = vec![(DATE.clone(), date)];
        if let Some(token) = self.credentials.session_token() {
            let mut token = HeaderValue::from_str(token.expose())
                .map_err(|_| SignError::NotAHeader("the session token"))?;
            token.set_sensitive(true);
            headers.push((SESSION_TOKEN.clone(), token));
        }
        Ok(headers)
    }

    fn signature(&self, request: &Request<'_>, signed_headers: &str, time: &Timestamp) -> String {
        let scope = self.scope(time);
        let mut text = Vec::with_capacity(1024);
        canonical::append_request(request, signed_headers, false, &mut text);
        let digest = Sha256::digest(&text).into();
        text.clear();
        canonical::append_string_to_sign(time, &scope, &digest, &mut text);
        let signature = self.key(&scope).sign(&text);
        text.clear();
        hex::append(&signature, &mut text);
        String::from_utf8(text).expect("hexadecimal digits are ASCII")
    }

    fn key(&self, scope: &Scope<'_>) -> SigningKey {
        self.keys.find(scope).unwrap_or_else(|| {
            let key = SigningKey::derive(self.credentials.secret_access_key(), scope);
            self.keys.keep(scope, key.clone());
            key
        })
    }

    fn scope<'s>(&'s self, time: &'s Timestamp) -> Scope<'s> {
        Scope {
            access_key_id: Cow::Borrowed(self.credentials.access_key_id()),
            day: Cow::Borrowed(time.day()),
            region: Cow::Borrowed(&self.region),
            service: Cow::Borrowed(&self.service),
            terminator: Cow::Borrowed(TERMINATOR),
        }
    }

    fn authorization(
        &self,
        time: &Timestamp,
        signed_headers: &str,
        signature: &str,
    ) -> Result<HeaderValue, SignError> {
        let Scope { access_key_id, day, region, service, terminator } = self.scope(time);
        let text = format!(
            "{ALGORITHM} Credential={access_key_id}/{day}/{region}/{service}/{terminator}, \
             SignedHeaders={signed_headers}, Signature={signature}"
        );
        HeaderValue::from_str(&text).map_err(|_| SignError::NotAHeader("the credential"))
    }
}

fn replace(headers: &mut HeaderMap, by: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
    for (name, value) in by {
        headers.insert(name, value);
    }
}

fn names_to_sign(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| !UNSIGNED.contains(name)).collect();
    names.sort_unstable();
    names.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, Verifier};

    const NOW: i64 = 1_440_938_160;

    fn signer(credentials: &Credentials) -> Signer {
        Signer::new(credentials.clone(), "eu-west-1", "dynamodb")
    }

    fn credentials() -> Credentials {
        Credentials::new("AKID", Secret::new("secret")).with_session_token(Secret::new("token"))
    }

    fn request(headers: &HeaderMap) -> Request<'_> {
        Request { method: "POST", path: "/", query: None, headers, body: b"{}" }
    }

    #[test]
    fn what_is_signed_is_accepted_and_may_be_signed_again() {
        let verifier = Verifier::new(["eu-west-1"]);
        verifier.set_credentials([credentials()]);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:8000"));
        headers.insert("date", HeaderValue::from_static("tomorrow"));
        headers.insert("user-agent", HeaderValue::from_static("before"));
        for now in [NOW, NOW + 86_400] {
            let signature = signer(&credentials()).sign(&request(&headers), now).unwrap();
            signature.apply(&mut headers);
            headers.insert("user-agent", HeaderValue::from_static("after"));
            let identity = verifier.verify(&request(&headers), "dynamodb", now).unwrap();
            assert_eq!(identity.access_key_id, "AKID");
        }
        assert_eq!(headers.get_all(&DATE).iter().count(), 1);
        assert_eq!(headers.get_all(&SESSION_TOKEN).iter().count(), 1);
    }

    #[test]
    fn a_request_without_a_host_is_not_signed() {
        let refused = signer(&credentials()).sign(&request(&HeaderMap::new()), NOW).unwrap_err();
        assert_eq!(refused, SignError::NoHost);
    }

    #[test]
    fn a_session_token_that_is_no_header_is_not_signed() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost"));
        let credentials = credentials().with_session_token(Secret::new("a\nb"));
        let refused = signer(&credentials).sign(&request(&headers), NOW).unwrap_err();
        assert_eq!(refused, SignError::NotAHeader("the session token"));
    }
}
