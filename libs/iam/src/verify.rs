//! Verifying a request: everything that can be wrong is looked for in one fixed order, the signature last.

use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use crate::authorization::{Authorization, Identity, Scope, TERMINATOR};
use crate::error::unserved_region;
use crate::signing_key::{SigningKey, SigningKeys};
use crate::timestamp::Timestamp;
use crate::{Credentials, Error, Mismatch, Request, canonical, hex};

thread_local! {
    // A request's headers are bounded by the server, and so is what this grows to.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Knows the credentials that are valid and the regions that are served here.
///
/// A check takes no lock and, once the day's signing key is cached, makes no allocation unless there is a query or a
/// path other than `/`.
pub struct Verifier {
    regions: Box<[Box<str>]>,
    known: ArcSwap<HashMap<Box<str>, Arc<Known>>>,
}

struct Known {
    credentials: Credentials,
    keys: SigningKeys,
}

impl Verifier {
    /// A verifier that serves these regions (none named: any) and knows nobody yet.
    pub fn new<R: Into<Box<str>>>(regions: impl IntoIterator<Item = R>) -> Verifier {
        Verifier { regions: regions.into_iter().map(Into::into).collect(), known: ArcSwap::default() }
    }

    /// Replaces all credentials by these. Those that stay as they are keep their cached keys, so this may be called as
    /// often as the catalogue is read. Of two with one access key id the later is taken.
    pub fn set_credentials(&self, credentials: impl IntoIterator<Item = Credentials>) {
        let before = self.known.load_full();
        let known = credentials.into_iter().map(|credentials| {
            let access_key_id: Box<str> = credentials.access_key_id().into();
            let unchanged = before.get(&access_key_id).filter(|known| known.credentials == credentials);
            let known = unchanged
                .cloned()
                .unwrap_or_else(|| Arc::new(Known { credentials, keys: SigningKeys::new() }));
            (access_key_id, known)
        });
        self.known.store(Arc::new(known.collect()));
    }

    /// Who signed the request for `service` (`dynamodb`, `lambda`), given the time in Unix seconds.
    ///
    /// # Errors
    /// The first of [`Error`]'s variants that applies, in their order.
    pub fn verify<'a>(&self, request: &Request<'a>, service: &str, now: i64) -> Result<Identity<'a>, Error> {
        let authorization = Authorization::of(request.headers, request.query)?;
        let time = Timestamp::parse(&authorization.date)?;
        time.check_skew(now)?;
        authorization.check_host_is_signed()?;
        authorization.check_algorithm()?;
        let scope = authorization.scope()?;
        self.check_scope(&scope, service, &time)?;
        let known = self.known.load();
        let known = known.get(&*scope.access_key_id).ok_or(Error::UnknownClient)?;
        check_session_token(&known.credentials, &authorization)?;
        check_signature(request, &authorization, &scope, &time, known)?;
        Ok(scope.into_identity())
    }

    fn check_scope(&self, scope: &Scope<'_>, service: &str, time: &Timestamp) -> Result<(), Error> {
        let region_is_served =
            self.regions.is_empty() || self.regions.iter().any(|region| **region == *scope.region);
        if region_is_served
            && scope.service == service
            && scope.terminator == TERMINATOR
            && scope.day == time.day()
        {
            return Ok(());
        }
        let mut wrong = if region_is_served { String::new() } else { unserved_region(&scope.region) };
        if scope.service != service {
            wrong += &format!("Credential should be scoped to correct service: '{service}'. ");
        }
        if scope.terminator != TERMINATOR {
            wrong += &format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                scope.terminator
            );
        }
        if scope.day != time.day() {
            wrong += &format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{}', from '{}'. ",
                scope.day,
                time.day(),
                time.as_str()
            );
        }
        Err(Error::WrongScope { wrong })
    }
}

/// Temporary credentials need their token; long-term ones must come without any.
fn check_session_token(credentials: &Credentials, authorization: &Authorization<'_>) -> Result<(), Error> {
    let is_right = match (credentials.session_token(), &authorization.session_token) {
        (None, None) => true,
        (Some(secret), Some(sent)) => is_same_secret(secret.expose().as_bytes(), sent.as_bytes()),
        _ => false,
    };
    if is_right { Ok(()) } else { Err(Error::UnknownClient) }
}

/// Compares in a time that tells nothing but the length.
fn is_same_secret(ours: &[u8], theirs: &[u8]) -> bool {
    let difference = ours.iter().zip(theirs).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    ours.len() == theirs.len() && difference == 0
}

fn check_signature(
    request: &Request<'_>,
    authorization: &Authorization<'_>,
    scope: &Scope<'_>,
    time: &Timestamp,
    known: &Known,
) -> Result<(), Error> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    canonical::append_request(
        request,
        &authorization.signed_headers,
        authorization.is_presigned,
        &mut scratch,
    );
    let canonical_len = scratch.len();
    let digest = Sha256::digest(&scratch).into();
    canonical::append_string_to_sign(time, scope, &digest, &mut scratch);
    let (canonical, string_to_sign) = scratch.split_at(canonical_len);
    let result = if is_signed_by(known, scope, string_to_sign, &authorization.signature) {
        Ok(())
    } else {
        Err(mismatch(canonical, string_to_sign))
    };
    SCRATCH.set(scratch);
    result
}

fn is_signed_by(known: &Known, scope: &Scope<'_>, string_to_sign: &[u8], signature: &str) -> bool {
    let Some(signature) = hex::digest(signature) else { return false };
    if let Some(key) = known.keys.find(scope) {
        return key.accepts(string_to_sign, &signature);
    }
    let key = SigningKey::derive(known.credentials.secret_access_key(), scope);
    let is_signed = key.clone().accepts(string_to_sign, &signature);
    if is_signed {
        known.keys.keep(scope, key);
    }
    is_signed
}

fn mismatch(canonical: &[u8], string_to_sign: &[u8]) -> Error {
    Error::WrongSignature(Box::new(Mismatch {
        canonical_request: String::from_utf8_lossy(canonical).into_owned(),
        string_to_sign: String::from_utf8_lossy(string_to_sign).into_owned(),
    }))
}
