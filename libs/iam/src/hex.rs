//! Lower case hexadecimal, the only form in which digests appear in a signature.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub(crate) const DIGEST_LEN: usize = 32;

/// Appends two digits for each byte.
pub(crate) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The digest written as 64 lower case digits; anything else is none.
pub(crate) fn digest(text: &str) -> Option<[u8; DIGEST_LEN]> {
    let text: &[u8; 2 * DIGEST_LEN] = text.as_bytes().try_into().ok()?;
    let mut digest = [0; DIGEST_LEN];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_was_written() {
        let bytes: [u8; DIGEST_LEN] = std::array::from_fn(|i| (i * 37) as u8);
        let mut text = Vec::new();
        append(&bytes, &mut text);
        assert_eq!(digest(std::str::from_utf8(&text).unwrap()), Some(bytes));
    }

    #[test]
    fn upper_case_and_wrong_lengths_are_no_digest() {
        assert_eq!(digest(&"A".repeat(64)), None);
        assert_eq!(digest(&"a".repeat(63)), None);
        assert_eq!(digest(&"a".repeat(65)), None);
        assert_eq!(digest(&"g".repeat(64)), None);
    }
}
