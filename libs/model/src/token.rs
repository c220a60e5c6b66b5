//! What a client remembers of a write, so that a read elsewhere can wait until that region has it.
//!
//! ```text
//! format:1 = 1   incarnation:16   number:varint   sequence:varint   region
//! ```
//!
//! A varint has seven bits to a byte, the least first; the last byte is below 128. Nothing in it is secret, and nothing can
//! be had by one that was made up but a wait, which is bounded.

use crate::id::{Incarnation, PartitionId, Region, Sequence};

const FORMAT: u8 = 1;

/// All changes of a partition's log in a region up to a sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Token {
    pub region: Region,
    pub partition: PartitionId,
    pub sequence: Sequence,
}

impl Token {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(FORMAT);
        out.extend_from_slice(self.partition.incarnation.as_bytes());
        put_varint(&mut out, u64::from(self.partition.number));
        put_varint(&mut out, self.sequence.0);
        out.extend_from_slice(self.region.as_str().as_bytes());
        out
    }

    /// `None` if the bytes are no token, or of a format this program does not know.
    pub fn decode(bytes: &[u8]) -> Option<Token> {
        let (format, rest) = bytes.split_first()?;
        let (incarnation, mut rest) = rest.split_at_checked(Incarnation::LEN)?;
        let incarnation = Incarnation(uuid::Uuid::from_slice(incarnation).ok()?);
        let number = u32::try_from(varint(&mut rest)?).ok()?;
        let sequence = Sequence(varint(&mut rest)?);
        let region = Region::new(std::str::from_utf8(rest).ok()?).ok()?;
        (*format == FORMAT).then_some(Token {
            region,
            partition: PartitionId { incarnation, number },
            sequence,
        })
    }
}

/// Of several writes: for each partition the last. What covers that covers all.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    pub fn one(token: Token) -> Tokens {
        Tokens(vec![token])
    }

    pub fn add(&mut self, token: Token) {
        let same = |known: &&mut Token| known.region == token.region && known.partition == token.partition;
        match self.0.iter_mut().find(same) {
            Some(known) => known.sequence = known.sequence.max(token.sequence),
            None => self.0.push(token),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<Token> for Tokens {
    fn extend<T: IntoIterator<Item = Token>>(&mut self, tokens: T) {
        tokens.into_iter().for_each(|token| self.add(token));
    }
}

impl FromIterator<Token> for Tokens {
    fn from_iter<T: IntoIterator<Item = Token>>(tokens: T) -> Tokens {
        let mut all = Tokens::default();
        all.extend(tokens);
        all
    }
}

impl IntoIterator for Tokens {
    type Item = Token;
    type IntoIter = std::vec::IntoIter<Token>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn token(number: u32, sequence: u64) -> Token {
        let region = Region::new("eu-west-1").unwrap();
        let partition = PartitionId { incarnation: Incarnation(uuid::Uuid::from_u128(7)), number };
        Token { region, partition, sequence: Sequence(sequence) }
    }

    /// Clients keep tokens: the bytes of a released format may never change.
    #[test]
    fn format_1_is_still_read() {
        let encoded = token(3, 300).encode();
        let wanted = [&[1][..], &[0; 15], &[7, 3, 0xac, 2], b"eu-west-1"].concat();
        assert_eq!(encoded, wanted);
        assert_eq!(Token::decode(&wanted), Some(token(3, 300)));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let encoded = token(3, 300).encode();
        for length in 0..=encoded.len() - 9 {
            assert_eq!(Token::decode(&encoded[..length]), None, "cut to {length}");
        }
        assert_eq!(Token::decode(&[&[2], &encoded[1..]].concat()), None, "another format");
        let endless = [&encoded[..17], &[0xff; 12], b"eu-west-1"].concat();
        assert_eq!(Token::decode(&endless), None);
    }

    #[test]
    fn the_last_write_of_a_partition_stands_for_all() {
        let tokens: Tokens = [token(1, 5), token(2, 9), token(1, 7), token(2, 3)].into_iter().collect();
        assert_eq!(tokens.into_iter().collect::<Vec<_>>(), [token(1, 7), token(2, 9)]);
    }

    proptest! {
        #[test]
        fn tokens_are_read_as_they_were_written(number in any::<u32>(), sequence in any::<u64>()) {
            assert_eq!(Token::decode(&token(number, sequence).encode()), Some(token(number, sequence)));
        }

        #[test]
        fn foreign_bytes_do_no_harm(bytes in any::<Vec<u8>>()) {
            let _ = Token::decode(&bytes);
        }
    }
}
