//! The counter row of a partition: what fences stale owners and numbers the changes.
//!
//! ```text
//! key    'p' ‖ incarnation (16) ‖ partition number (4)
//! value  epoch (8) ‖ next (8) ‖ max_hlc (8) ‖ kept_from (8)        all big-endian
//! ```
//!
//! One row is written per touched partition and merged commit, with the rows and changes it counts. `kept_from` is the
//! first sequence that was surely not trimmed; the trim raises it before it removes anything.

use tradewind_model::{Epoch, Incarnation, PartitionId, Sequence};

use crate::Error;

/// The prefix of all counter rows.
pub const COUNTERS: &[u8] = b"p";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter {
    pub epoch: Epoch,
    pub next: Sequence,
    pub max_hlc: u64,
    pub kept_from: Sequence,
}

impl Counter {
    pub const LEN: usize = 32;

    /// A partition that nobody has opened yet.
    pub const UNSEEN: Counter =
        Counter { epoch: Epoch(0), next: Sequence(1), max_hlc: 0, kept_from: Sequence(1) };

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.words()) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    fn words(&self) -> [u64; 4] {
        [self.epoch.0, self.next.0, self.max_hlc, self.kept_from.0]
    }

    pub fn decode(bytes: &[u8]) -> Result<Counter, Error> {
        let bytes: &[u8; Self::LEN] = bytes
            .try_into()
            .map_err(|_| Error::Corrupt(format!("a counter row of {} bytes", bytes.len())))?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_be_bytes(word)
        };
        Ok(Counter {
            epoch: Epoch(word(0)),
            next: Sequence(word(1)),
            max_hlc: word(2),
            kept_from: Sequence(word(3)),
        })
    }
}

pub fn counter_key(partition: PartitionId) -> [u8; 1 + PartitionId::LEN] {
    let mut key = [COUNTERS[0]; 1 + PartitionId::LEN];
    key[1..].copy_from_slice(&partition.to_bytes());
    key
}

pub fn decode_counter_key(key: &[u8]) -> Result<PartitionId, Error> {
    decode_partition(key.strip_prefix(COUNTERS).unwrap_or_default())
}

pub fn decode_partition(key: &[u8]) -> Result<PartitionId, Error> {
    let split = key.split_at_checked(Incarnation::LEN);
    let (Some((incarnation, number)), PartitionId::LEN) = (split, key.len()) else {
        return Err(Error::Corrupt(format!("a partition's key of {} bytes", key.len())));
    };
    let incarnation = uuid::Uuid::from_slice(incarnation).map_err(|e| Error::Corrupt(e.to_string()))?;
    let number = number.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    Ok(PartitionId { incarnation: Incarnation(incarnation), number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_counter_reads_back(epoch: u64, next: u64, max_hlc: u64, kept: u64) {
            let counter = Counter { epoch: Epoch(epoch), next: Sequence(next), max_hlc, kept_from: Sequence(kept) };
            prop_assert_eq!(Counter::decode(&counter.encode()).unwrap(), counter);
        }

        #[test]
        fn a_partition_reads_back(incarnation in any::<u128>(), number: u32) {
            let incarnation = Incarnation(uuid::Uuid::from_u128(incarnation));
            let partition = PartitionId { incarnation, number };
            prop_assert_eq!(decode_counter_key(&counter_key(partition)).unwrap(), partition);
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        let counter = Counter { epoch: Epoch(1), next: Sequence(2), max_hlc: 3, kept_from: Sequence(4) };
        let mut expected = [0; 32];
        (expected[7], expected[15], expected[23], expected[31]) = (1, 2, 3, 4);
        assert_eq!(counter.encode(), expected);
    }

    #[test]
    fn other_lengths_are_damage() {
        assert!(matches!(Counter::decode(&[0; 31]), Err(Error::Corrupt(_))));
        assert!(matches!(decode_partition(&[0; 21]), Err(Error::Corrupt(_))));
        assert!(matches!(decode_partition(&[0; 3]), Err(Error::Corrupt(_))));
    }
}
