//! The order of a partition's records in its topic, which may hold some twice and, after a failed delivery, some too early.
//!
//! Each record says which sequence it follows: between the two nothing was to be read. A record is taken if it follows a
//! position at or before the reader's and goes beyond it.
//!
//! ```text
//! position 5      record 3 → 6   taken: nothing lies between 3 and 6, and 4, 5 were taken before
//!                 record 4 → 5   repeated
//!                 record 7 → 8   ahead: what lies between 5 and 7 is missing, and comes later or from elsewhere
//! ```

use tradewind_model::Sequence;

/// Where a record stands: `(previous, sequence]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub previous: Sequence,
    pub sequence: Sequence,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Next,
    Repeated,
    Ahead,
}

impl Span {
    pub fn place(&self, position: Sequence) -> Place {
        if self.sequence <= position {
            Place::Repeated
        } else if self.previous <= position {
            Place::Next
        } else {
            Place::Ahead
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(previous: u64, sequence: u64) -> Span {
        Span { previous: Sequence(previous), sequence: Sequence(sequence) }
    }

    fn read(records: &[Span], after: u64) -> Vec<u64> {
        let mut position = Sequence(after);
        let mut taken = Vec::new();
        for record in records {
            if record.place(position) == Place::Next {
                position = record.sequence;
                taken.push(position.0);
            }
        }
        taken
    }

    #[test]
    fn replay_is_deduped_in_order() {
        // 2 was not delivered, 3 was; all was sent again from 2 on, by an owner that had published 1.
        let records = [span(0, 1), span(2, 3), span(1, 2), span(2, 3), span(3, 4)];
        assert_eq!(read(&records, 0), [1, 2, 3, 4]);
        assert_eq!(read(&records, 1), [2, 3, 4]);
        assert_eq!(read(&records, 2), [3, 4]);
        assert_eq!(span(7, 8).place(Sequence(5)), Place::Ahead);
    }

    proptest! {
        /// Whatever is lost and sent again: each sequence is taken once, in order, from any position, as long as sending
        /// goes on from what was confirmed.
        #[test]
        fn every_sequence_is_taken_once(
            windows in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..8), 1..20),
            after in 0u64..20,
        ) {
            let (mut records, mut confirmed) = (Vec::new(), 0);
            for window in windows {
                let mut whole = true;
                let start = confirmed;
                for (at, delivered) in window.iter().enumerate() {
                    let record = span(start + at as u64, start + at as u64 + 1);
                    if *delivered {
                        records.push(record);
                    }
                    whole &= delivered;
                    if whole {
                        confirmed = record.sequence.0;
                    }
                }
            }
            let expected: Vec<_> = (after + 1..=confirmed).collect();
            let taken: Vec<_> = read(&records, after).into_iter().filter(|sequence| *sequence <= confirmed).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
