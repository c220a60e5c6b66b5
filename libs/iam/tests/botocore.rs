//! Requests that botocore signed (`fixtures/sign.py`): each is accepted, and none once anything signed is changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tradewind_iam::{Credentials, Error, Request, Secret, Signer, Verifier};

#[derive(Deserialize)]
struct Fixture {
    signed_at: i64,
    credentials: Vec<Key>,
    requests: Vec<Signed>,
}

#[derive(Deserialize)]
struct Key {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Signed {
    name: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
    service: String,
    region: String,
    access_key_id: String,
}

impl Fixture {
    fn read() -> Fixture {
        serde_json::from_str(include_str!("fixtures/requests.json")).unwrap()
    }

    fn verifier(&self) -> Verifier {
        let verifier = Verifier::new(["eu-west-1", "ap-southeast-2"]);
        verifier.set_credentials(self.credentials.iter().map(Key::credentials));
        verifier
    }

    fn check(&self, signed: &Signed) -> Result<(), Error> {
        signed.check(&self.verifier(), self.signed_at)
    }
}

impl Key {
    fn credentials(&self) -> Credentials {
        let credentials =
            Credentials::new(self.access_key_id.as_str(), Secret::new(self.secret_access_key.as_str()));
        match &self.session_token {
            Some(token) => credentials.with_session_token(Secret::new(token.as_str())),
            None => credentials,
        }
    }
}

impl Signed {
    fn header_map(&self) -> HeaderMap {
        let header = |(name, value): &(String, String)| {
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().map(header) {
            headers.append(name, value);
        }
        headers
    }

    fn request<'a>(&'a self, headers: &'a HeaderMap) -> Request<'a> {
        Request {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers,
            body: self.body.as_bytes(),
        }
    }

    fn check(&self, verifier: &Verifier, now: i64) -> Result<(), Error> {
        let headers = self.header_map();
        let identity = verifier.verify(&self.request(&headers), &self.service, now)?;
        assert_eq!((&*identity.access_key_id, &*identity.region), (&*self.access_key_id, &*self.region));
        assert_eq!(identity.service, self.service);
        Ok(())
    }

    fn is_presigned(&self) -> bool {
        self.query.as_ref().is_some_and(|query| query.contains("X-Amz-Algorithm"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn signed_headers(&self) -> Vec<usize> {
        let Some(authorization) = self.header("authorization") else { return Vec::new() };
        let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
        let is_signed = |nth: &usize| names.split(';').any(|name| name == self.headers[*nth].0);
        (0..self.headers.len()).filter(is_signed).collect()
    }
}

/// The text with the character at each place replaced by another of its kind, one at a time.
fn one_off(text: &str) -> Vec<String> {
    let other = |c: char| match c {
        '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(c) + 1).unwrap(),
        '9' => '0',
        'z' => 'a',
        _ => 'Q',
    };
    text.char_indices()
        .map(|(at, c)| format!("{}{}{}", &text[..at], other(c), &text[at + c.len_utf8()..]))
        .collect()
}

fn assert_mismatch(result: Result<(), Error>, change: &str) {
    let error = result.expect_err(change);
    assert!(matches!(error, Error::WrongSignature(_)), "{change}: {error}");
    assert_eq!(error.code(), "InvalidSignatureException");
}

#[test]
fn every_request_is_accepted() {
    let fixture = Fixture::read();
    assert_eq!(fixture.requests.len(), 17);
    let verifier = fixture.verifier();
    for signed in &fixture.requests {
        // The second time with the cached key.
        for _ in 0..2 {
            if let Err(error) = signed.check(&verifier, fixture.signed_at) {
                panic!("{}: {}", signed.name, error.message());
            }
        }
    }
}

#[test]
fn no_other_body_is_accepted() {
    let fixture = Fixture::read();
    for signed in &fixture.requests {
        for body in one_off(&signed.body).into_iter().chain([format!("{} ", signed.body)]) {
            assert_mismatch(fixture.check(&Signed { body, ..signed.clone() }), &signed.name);
        }
    }
}

#[test]
fn no_other_method_path_or_query_is_accepted() {
    let fixture = Fixture::read();
    for signed in &fixture.requests {
        assert_mismatch(fixture.check(&Signed { method: "PUT".into(), ..signed.clone() }), &signed.name);
        // What `..` takes along is no part of the path that is signed.
        for path in one_off(&signed.path).into_iter().filter(|path| !path.contains("..")) {
            assert_mismatch(fixture.check(&Signed { path: path.clone(), ..signed.clone() }), &path);
        }
        let more = signed.query.as_ref().map_or("a=b".into(), |query| format!("{query}&a=b"));
        assert_mismatch(fixture.check(&Signed { query: Some(more), ..signed.clone() }), &signed.name);
        if !signed.is_presigned() {
            for query in one_off(signed.query.as_deref().unwrap_or("")) {
                assert_mismatch(
                    fixture.check(&Signed { query: Some(query), ..signed.clone() }),
                    &signed.name,
                );
            }
        }
    }
}

#[test]
fn no_other_value_of_a_signed_header_is_accepted() {
    let fixture = Fixture::read();
    for signed in &fixture.requests {
        for nth in signed.signed_headers() {
            let (name, value) = signed.headers[nth].clone();
            for changed in one_off(value.trim()) {
                let mut other = signed.clone();
                other.headers[nth].1 = changed.clone();
                match (name.as_str(), fixture.check(&other)) {
                    ("date" | "x-amz-date", result) => assert!(result.is_err(), "{changed}"),
                    ("x-amz-security-token", result) => assert_eq!(result, Err(Error::UnknownClient)),
                    (_, _) if changed.split_whitespace().eq(value.split_whitespace()) => {}
                    (_, result) => assert_mismatch(result, &format!("{}: {name}: {changed}", signed.name)),
                }
            }
            let mut without = signed.clone();
            without.headers.remove(nth);
            assert!(fixture.check(&without).is_err(), "{} without {name}", signed.name);
        }
    }
}

#[test]
fn a_changed_date_is_refused_by_what_it_has_become() {
    let fixture = Fixture::read();
    let signed = fixture.requests.iter().find(|signed| signed.name == "a put").unwrap();
    let dated = |date: &str| {
        let mut other = signed.clone();
        other.headers.iter_mut().find(|(name, _)| name == "x-amz-date").unwrap().1 = date.into();
        fixture.check(&other).unwrap_err()
    };
    assert!(matches!(dated("20260301T235951Z"), Error::WrongSignature(_)));
    assert!(matches!(dated("20260302T000050Z"), Error::WrongScope { .. }));
    assert!(matches!(dated("20260301T233950Z"), Error::Expired { .. }));
    assert!(matches!(dated("20260302T001951Z"), Error::NotYetCurrent { .. }));
    assert!(matches!(dated("20260301T236050Z"), Error::BadDate { .. }));
}

#[test]
fn no_other_signature_is_accepted() {
    let fixture = Fixture::read();
    for signed in &fixture.requests {
        let text = signed.header("authorization").or(signed.query.as_deref()).unwrap();
        let (before, signature) = text.rsplit_once("Signature=").unwrap();
        let others = one_off(signature).into_iter().chain([
            signature.to_uppercase(),
            signature[1..].into(),
            format!("{signature}0"),
            "0".repeat(64),
        ]);
        for other in others {
            let mut changed = signed.clone();
            let text = format!("{before}Signature={other}");
            match changed.headers.iter_mut().find(|(name, _)| name == "authorization") {
                Some((_, value)) => *value = text,
                None => changed.query = Some(text),
            }
            assert_mismatch(fixture.check(&changed), &signed.name);
        }
    }
}

#[test]
fn our_own_signer_comes_to_the_same_signature() {
    let fixture = Fixture::read();
    // Where botocore signed a Date header, ours signs X-Amz-Date.
    for signed in
        fixture.requests.iter().filter(|signed| !signed.is_presigned() && signed.header("date").is_none())
    {
        let key = fixture.credentials.iter().find(|key| key.access_key_id == signed.access_key_id).unwrap();
        let mut headers = signed.header_map();
        let theirs = headers.remove("authorization").unwrap();
        let signer = Signer::new(key.credentials(), &signed.region, &signed.service);
        let signature = signer.sign(&signed.request(&headers), fixture.signed_at).unwrap();
        signature.apply(&mut headers);
        assert_eq!(headers["authorization"], theirs, "{}", signed.name);
    }
}
