//! Request ids: 52 upper-case letters and digits.

use std::fmt;

/// Five bits of each character are random.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LENGTH: usize = 52;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    pub fn from_random(random: [u8; 32]) -> RequestId {
        let mut text = [0; LENGTH];
        for (i, character) in text.iter_mut().enumerate() {
            let bit = i * 5;
            let high = u16::from(random[bit / 8]) << 8;
            let low = random.get(bit / 8 + 1).map_or(0, |byte| u16::from(*byte));
            let five = (high | low) >> (11 - bit % 8) & 31;
            *character = ALPHABET[usize::from(five)];
        }
        RequestId(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_52_letters_and_digits_and_every_bit_counts() {
        let mut seen = HashSet::new();
        for bit in 0..256 {
            let mut random = [0; 32];
            random[bit / 8] = 1 << (bit % 8);
            let id = RequestId::from_random(random).to_string();
            assert_eq!(id.len(), 52);
            assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
            assert!(seen.insert(id), "bit {bit}");
        }
    }
}
