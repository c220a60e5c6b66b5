//! Cuts off a torn last batch, which fjall refuses to open.
//!
//! When the machine loses power amid a commit, the disk may have kept the end of the batch and lost pages before it: a whole
//! batch whose checksum is wrong. It was not synced, so it was not acknowledged. fjall drops a batch without an end by
//! itself, but takes this one for damage. It is cut off only if it is the very last in the newest journal: a wrong checksum
//! with batches after it is damage to what was acknowledged, and stays an error.
//!
//! ```text
//! journal  (start item* end)* then zeros
//! start    1 ‖ items (4) ‖ seqno (8)
//! item     2 ‖ type ‖ compression ‖ keyspace (8) ‖ key length (2) ‖ value length (4) ‖ stored length (4) ‖ key ‖ stored
//! end      3 ‖ xxh3 of all items (8) ‖ magic (4)
//! clear    4 ‖ keyspace (8), counts as an item                                              all little-endian
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const START_BYTES: usize = 13;
const ITEM_HEADER_BYTES: usize = 21;
const END_BYTES: usize = 13;
const CLEAR_BYTES: usize = 9;

/// Cuts the newest journal of the database before a torn last batch; answers whether there was one.
pub fn cut_torn_batch(database: &Path) -> io::Result<bool> {
    let Some(journal) = newest(database)? else { return Ok(false) };
    let bytes = fs::read(&journal)?;
    let Some(torn) = torn_batch(&bytes) else { return Ok(false) };
    tracing::warn!("cutting a torn batch off {} at {torn}", journal.display());
    let file = File::options().write(true).open(&journal)?;
    file.set_len(torn as u64)?;
    file.sync_all()?;
    Ok(true)
}

fn newest(database: &Path) -> io::Result<Option<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            journals.push((number, path));
        }
    }
    Ok(journals.into_iter().max().map(|(_, path)| path))
}

/// Where the last batch begins, if it has its end and not the checksum that stands there.
fn torn_batch(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let batch = batch_at(&bytes[at..])?;
        if !batch.is_sound {
            // The rest was never written, or it is not the last batch.
            let rest = &bytes[at + batch.len..];
            return rest.iter().all(|byte| *byte == 0).then_some(at);
        }
        at += batch.len;
    }
}

struct Batch {
    len: usize,
    is_sound: bool,
}

/// The batch at the beginning of `bytes`; `None` if there is no whole one.
fn batch_at(bytes: &[u8]) -> Option<Batch> {
    if *bytes.first()? != 1 {
        return None;
    }
    let mut at = START_BYTES;
    loop {
        let entry = bytes.get(at..)?;
        at += match entry.first()? {
            2 => item_len(entry)?,
            3 => {
                let checksum = u64::from_le_bytes(entry.get(1..9)?.try_into().ok()?);
                let is_sound = checksum == xxh3_64(&bytes[START_BYTES..at]);
                return entry.get(..END_BYTES).map(|_| Batch { len: at + END_BYTES, is_sound });
            }
            4 => CLEAR_BYTES,
            _ => return None,
        };
    }
}

fn item_len(item: &[u8]) -> Option<usize> {
    let key = u16::from_le_bytes(item.get(11..13)?.try_into().ok()?);
    let stored = u32::from_le_bytes(item.get(17..ITEM_HEADER_BYTES)?.try_into().ok()?);
    Some(ITEM_HEADER_BYTES + usize::from(key) + stored as usize)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::fjall::{FjallEngine, OpenError, Settings};
    use crate::suite::{ManualClock, Owner, put, value_of};
    use crate::{Engine, Space};

    const VALUE: [u8; 300] = [b'v'; 300];

    fn open(folder: &Path) -> Result<FjallEngine, OpenError> {
        FjallEngine::open(&Settings::new(folder), ManualClock::default().clock())
    }

    /// Commits "a", "b" and "c", one batch each, and answers the owner.
    async fn three_batches(folder: &Path) -> Owner {
        let engine = open(folder).unwrap();
        let mut owner = Owner::of(&engine, 1).await;
        for key in ["a", "b", "c"] {
            owner.commit(&engine, vec![put(Space::Items, key, VALUE)], 1).await;
        }
        owner
    }

    /// Zeroes a part of the n-th value in the journal, as a page that was lost.
    fn tear(folder: &Path, nth: usize) {
        let journal = newest(&folder.join("db")).unwrap().unwrap();
        let bytes = fs::read(&journal).unwrap();
        let starts = (0..bytes.len() - VALUE.len()).filter(|at| bytes[*at..].starts_with(&VALUE));
        let at = starts.collect::<Vec<_>>()[nth];
        File::options().write(true).open(&journal).unwrap().write_all_at(&[0; 200], at as u64).unwrap();
    }

    #[tokio::test]
    async fn a_torn_last_batch_is_as_if_it_had_never_been() {
        let folder = tempfile::tempdir().unwrap();
        let owner = three_batches(folder.path()).await;
        tear(folder.path(), 2);
        let engine = open(folder.path()).unwrap();
        assert!(value_of(&engine, Space::Items, "b").await.is_some());
        assert_eq!(value_of(&engine, Space::Items, "c").await, None);
        let kept = engine.kept(owner.partition).await.unwrap();
        assert_eq!(kept.end.next(), owner.next);
        // And it goes on, with what it recovered still there after another start.
        Owner::of(&engine, 1).await.commit(&engine, vec![put(Space::Items, "d", VALUE)], 1).await;
        drop(engine);
        let engine = open(folder.path()).unwrap();
        for key in ["a", "b", "d"] {
            assert!(value_of(&engine, Space::Items, key).await.is_some(), "{key}");
        }
    }

    #[tokio::test]
    async fn a_torn_batch_before_others_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        three_batches(folder.path()).await;
        tear(folder.path(), 1);
        let refusal = open(folder.path()).err().unwrap();
        assert!(matches!(refusal, OpenError::Damaged { .. }), "{refusal}");
        assert!(refusal.to_string().contains("ChecksumMismatch"), "{refusal}");
    }
}
