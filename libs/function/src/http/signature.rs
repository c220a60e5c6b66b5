//! Standard Webhooks: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, with a key written as `whsec_` and base64.
//!
//! The id is the same for every attempt at one batch, so that receivers can drop what they have seen. See the
//! specification "Standard Webhooks", section "Verifying signatures".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::invoke::Invocation;

const PREFIX: &str = "whsec_";
/// The specification's bounds.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A new key: 32 random bytes.
pub fn new_secret() -> String {
    let bytes = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    // Version and variant bits of the two ids are fixed: hashing spreads the 244 random ones.
    format!("{PREFIX}{}", BASE64.encode(Sha256::digest(bytes)))
}

/// The key of a secret; `None` if it is not one.
pub fn key(secret: &str) -> Option<Vec<u8>> {
    let key = BASE64.decode(secret.strip_prefix(PREFIX)?).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

pub fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// The same for each attempt at one batch, or at one asynchronous event; another for everything else.
pub fn message_id(invocation: &Invocation) -> String {
    let Some(batch) = &invocation.cause.batch else {
        return format!("msg_{}", invocation.request_id.simple());
    };
    let mut hash = Sha256::new();
    for part in [&batch.mapping, &batch.shard_id, &batch.first_sequence, &batch.last_sequence] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's own libraries test with.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_have_a_prefix_and_enough_bytes() {
        assert_eq!(key(&new_secret()).unwrap().len(), 32);
        assert_ne!(new_secret(), new_secret());
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_###"] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }
}
