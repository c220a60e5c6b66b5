//! What every engine holds its callers to before a batch is taken: a broken batch is a mistake in the program, and
//! must stop the caller, not the thread that commits for everybody.

use crate::{Batch, MAX_KEY_BYTES, PartitionCommit};

/// Panics if a key is empty or too long, or if changes do not ascend within `first..next`.
pub fn assert_well_formed(batch: &Batch) {
    for part in batch {
        assert!(part.first <= part.next, "partition {}: next is less than first", part.partition);
        assert!(part.rows.iter().all(|row| is_key(&row.key)), "partition {}: bad key length", part.partition);
        assert_ascending(part);
    }
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len())
}

fn assert_ascending(part: &PartitionCommit) {
    let mut from = part.first;
    for (sequence, _) in &part.changes {
        assert!((from..part.next).contains(sequence), "partition {}: change out of order", part.partition);
        from = sequence.next();
    }
}

/// Panics if the collection cannot be told from the name in a key of `collection ‖ 0 ‖ name`.
pub fn assert_document(collection: &str, name: &str) {
    assert!(!collection.contains('\0'), "a collection's name has no zero byte");
    assert!(collection.len() + name.len() < MAX_KEY_BYTES, "a document's name is too long");
}
