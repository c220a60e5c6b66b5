//! The key that signs one day's requests to one service of one region, and a small cache of such keys.
//!
//! Deriving a key takes four HMACs, as much work as the rest of a check together.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::Secret;
use crate::authorization::{Scope, TERMINATOR};

type HmacSha256 = Hmac<Sha256>;

/// Holds the keyed state of the hash, so that signing does not hash the key again.
#[derive(Clone)]
pub(crate) struct SigningKey(HmacSha256);

impl SigningKey {
    pub(crate) fn derive(secret: &Secret, scope: &Scope<'_>) -> SigningKey {
        let mut key = keyed(&[b"AWS4", secret.expose().as_bytes()].concat());
        for part in [&*scope.day, &scope.region, &scope.service, TERMINATOR] {
            key.update(part.as_bytes());
            key = keyed(&key.finalize().into_bytes());
        }
        SigningKey(key)
    }

    pub(crate) fn sign(mut self, string_to_sign: &[u8]) -> [u8; 32] {
        self.0.update(string_to_sign);
        self.0.finalize().into_bytes().into()
    }

    /// Whether that is the signature, in a time that does not depend on where it differs.
    pub(crate) fn accepts(mut self, string_to_sign: &[u8], signature: &[u8; 32]) -> bool {
        self.0.update(string_to_sign);
        self.0.verify_slice(signature).is_ok()
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The keys lately used of one secret. They live and die with it, so that a changed secret finds no old key.
pub(crate) struct SigningKeys {
    recent: ArcSwap<Vec<Arc<Scoped>>>,
}

struct Scoped {
    day: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: SigningKey,
}

impl SigningKeys {
    /// Two services in eight regions, today and yesterday. What is beyond is derived again each time it comes back.
    const CAPACITY: usize = 32;

    pub(crate) fn new() -> SigningKeys {
        SigningKeys { recent: ArcSwap::default() }
    }

    pub(crate) fn find(&self, scope: &Scope<'_>) -> Option<SigningKey> {
        self.recent.load().iter().find(|kept| kept.fits(scope)).map(|kept| kept.key.clone())
    }

    /// Keeps the key in place of the oldest. Call it only after a request with this scope was verified: others must
    /// not be able to fill the cache.
    pub(crate) fn keep(&self, scope: &Scope<'_>, key: SigningKey) {
        let new = Arc::new(Scoped {
            day: scope.day.as_ref().into(),
            region: scope.region.as_ref().into(),
            service: scope.service.as_ref().into(),
            key,
        });
        self.recent.rcu(|recent| {
            let others = recent.iter().filter(|kept| !kept.fits(scope)).cloned();
            std::iter::once(Arc::clone(&new)).chain(others).take(Self::CAPACITY).collect::<Vec<_>>()
        });
    }
}

impl Scoped {
    fn fits(&self, scope: &Scope<'_>) -> bool {
        *self.day == *scope.day && *self.region == *scope.region && *self.service == *scope.service
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn scope(region: &str) -> Scope<'_> {
        Scope {
            access_key_id: Cow::Borrowed("AKIDEXAMPLE"),
            day: Cow::Borrowed("20150830"),
            region: Cow::Borrowed(region),
            service: Cow::Borrowed("iam"),
            terminator: Cow::Borrowed(TERMINATOR),
        }
    }

    fn secret() -> Secret {
        Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    }

    /// The example of "Create a signed AWS API request" in the IAM User Guide.
    #[test]
    fn the_published_example_comes_out() {
        let key = SigningKey::derive(&secret(), &scope("us-east-1"));
        let string_to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                              f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let mut signature = Vec::new();
        crate::hex::append(&key.sign(string_to_sign.as_bytes()), &mut signature);
        assert_eq!(
            String::from_utf8(signature).unwrap(),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_cache_is_bounded_and_forgets_the_oldest() {
        let keys = SigningKeys::new();
        let regions: Vec<String> = (0..=SigningKeys::CAPACITY).map(|nth| format!("region-{nth}")).collect();
        for region in &regions {
            keys.keep(&scope(region), SigningKey::derive(&secret(), &scope(region)));
        }
        assert_eq!(keys.recent.load().len(), SigningKeys::CAPACITY);
        assert!(keys.find(&scope("region-0")).is_none());
        assert!(regions[1..].iter().all(|region| keys.find(&scope(region)).is_some()));
    }

    #[test]
    fn a_key_that_is_kept_twice_takes_one_place() {
        let keys = SigningKeys::new();
        for _ in 0..2 {
            keys.keep(&scope("a"), SigningKey::derive(&secret(), &scope("a")));
        }
        assert_eq!(keys.recent.load().len(), 1);
    }
}
