//! Keys longer than an index entry may be.
//!
//! ```text
//! key of at most 2,000 bytes     its space's table
//! longer                         its first 2,001 bytes are a mark in that table (a row without value);
//!                                long_rows (space, head = SHA-256 of the bytes so far, rest = what follows)
//! rest longer than 2,000 bytes   its first 2,001 bytes are a mark in long_rows, and so on
//! ```
//!
//! A mark is longer than any key beside it, so the two never meet, and it sorts where the keys behind it belong: a range
//! that comes to a mark goes on behind it. Where a key lies follows from the key alone, so a point read asks once. Marks stay
//! when their keys go, until the whole prefix is cleared.

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A B-tree entry has at most 2,704 bytes, a digest and headers included.
pub const MAX_SHORT: usize = 2000;
const MARK: usize = MAX_SHORT + 1;

pub fn is_long(key: &[u8]) -> bool {
    key.len() > MAX_SHORT
}

pub type Head = [u8; 32];

/// Where a long key's row lies.
pub struct Place<'a> {
    pub head: Head,
    pub rest: &'a [u8],
}

pub fn place(key: &[u8]) -> Place<'_> {
    place_behind(key, marks_of(key))
}

/// The marks that lead to a long key: the first in its space's table, the others in `long_rows`.
pub fn marks(key: &[u8]) -> (&[u8], impl Iterator<Item = Place<'_>>) {
    let later = |at| Place { rest: &key[at * MARK..(at + 1) * MARK], ..place_behind(key, at) };
    (&key[..MARK], (1..marks_of(key)).map(later))
}

fn marks_of(key: &[u8]) -> usize {
    (key.len() - MAX_SHORT).div_ceil(MARK)
}

fn place_behind(key: &[u8], marks: usize) -> Place<'_> {
    let (before, rest) = key.split_at(marks * MARK);
    Place { head: Sha256::digest(before).into(), rest }
}

/// One level of a range: keys that begin with `path`, by what follows it, from `start` up to and without `end`.
#[derive(Clone, Debug)]
pub struct Level {
    pub path: Bytes,
    pub start: Bytes,
    pub end: Bytes,
}

impl Level {
    pub fn top(start: &[u8], end: &[u8]) -> Level {
        Level { path: Bytes::new(), start: lower(start), end: upper(end) }
    }

    pub fn head(&self) -> Head {
        Sha256::digest(&self.path).into()
    }

    /// The level behind a mark, for a range of whole keys.
    pub fn behind(&self, mark: &[u8], start: &[u8], end: &[u8]) -> Level {
        let path = [&self.path, mark].concat();
        Level {
            start: lower(start.strip_prefix(&path[..]).unwrap_or_default()),
            end: end.strip_prefix(&path[..]).map_or_else(|| vec![0xFF; MARK + 1].into(), upper),
            path: path.into(),
        }
    }

    /// What is left after a row, going in one direction.
    pub fn after(&self, row: &[u8], reverse: bool) -> Level {
        if reverse {
            Level { end: Bytes::copy_from_slice(row), ..self.clone() }
        } else {
            Level { start: [row, &[0]].concat().into(), ..self.clone() }
        }
    }
}

/// The first row at which keys from `start` on may lie: perhaps the mark before it.
fn lower(start: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&start[..start.len().min(MARK)])
}

/// The end of the rows at which keys before `end` may lie: beyond the mark that `end` begins with.
fn upper(end: &[u8]) -> Bytes {
    if end.len() < MARK { Bytes::copy_from_slice(end) } else { [&end[..MARK], &[0]].concat().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 7) as u8).collect()
    }

    #[test]
    fn every_mark_leads_to_the_next_and_the_last_to_the_row() {
        for len in [2001, 2002, 4000, 4001, 4002, 4003, 6002, 6003, 6004, 19_500, 32_768] {
            let key = key(len);
            let (first, later) = marks(&key);
            let mut path = first.to_vec();
            for mark in later {
                assert_eq!(mark.head, <Head>::from(Sha256::digest(&path)), "{len}");
                assert_eq!(mark.rest.len(), MARK);
                path.extend_from_slice(mark.rest);
            }
            let place = place(&key);
            assert_eq!(place.head, <Head>::from(Sha256::digest(&path)), "{len}");
            path.extend_from_slice(place.rest);
            assert!(place.rest.len() <= MAX_SHORT, "{len}");
            assert_eq!(path, key);
        }
    }
}
