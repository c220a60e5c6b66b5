//! How far each shard of a mapping has come: a document per shard, fenced by an epoch.
//!
//! ```text
//! mapping-checkpoints/<uuid>/<shard id> = {"owner": "node", "epoch": 3, "position": {"sequence": 41, …}, "finished": false}
//! ```
//!
//! Taking a shard over raises the epoch, whatever the former owner thinks: who owns a shard is decided elsewhere, and
//! only safety is decided here. Every save names the revision it read, so that of two owners only the newer one's saves
//! succeed; the other learns that it is [`SaveError::Fenced`], and its running invocation may overlap the next.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Document, Documents};

use super::shard::Position;

const CHECKPOINTS: &str = "mapping-checkpoints";

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Row {
    owner: String,
    epoch: u64,
    position: Position,
    /// The shard is closed and read to its end: its children may start.
    finished: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another owner has taken the shard over, or the mapping is gone: nothing was written, stop.
    #[error("shard was taken over by another owner")]
    Fenced,
    #[error(transparent)]
    Engine(#[from] tradewind_engine::Error),
    #[error("checkpoint makes no sense: {0}")]
    Corrupt(#[from] serde_json::Error),
}

/// A shard's checkpoint as others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Empty: nobody runs it.
    pub owner: String,
    pub position: Position,
    pub finished: bool,
}

pub struct Checkpoints<D> {
    documents: Arc<D>,
}

/// A shard's checkpoint at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    name: String,
    /// `None`: nobody ever ran it.
    row: Option<Row>,
    revision: Option<u64>,
}

impl Seen {
    /// Empty: nobody holds it.
    pub fn owner(&self) -> &str {
        self.row.as_ref().map_or("", |row| &row.owner)
    }
}

/// The right to save one shard's checkpoint, until somebody else takes it.
#[derive(Clone, Debug)]
pub struct Lease {
    name: String,
    row: Row,
    revision: u64,
}

impl Lease {
    pub fn position(&self) -> &Position {
        &self.row.position
    }

    pub fn epoch(&self) -> u64 {
        self.row.epoch
    }

    pub fn is_finished(&self) -> bool {
        self.row.finished
    }
}

impl<D: Documents> Checkpoints<D> {
    pub fn new(documents: Arc<D>) -> Checkpoints<D> {
        Checkpoints { documents }
    }

    /// How a shard stands, for who means to take it.
    pub async fn look(&self, mapping: &str, shard_id: &str) -> Result<Seen, SaveError> {
        let name = format!("{mapping}/{shard_id}");
        let found = self.documents.get(CHECKPOINTS, &name).await?;
        let revision = found.as_ref().map(|found| found.revision);
        Ok(Seen { name, row: found.as_ref().map(decode).transpose()?, revision })
    }

    /// Takes a shard over as it was seen; one never run before begins at `start`. `None`: its owner has saved since, or
    /// somebody else has taken it.
    pub async fn take(&self, seen: Seen, owner: &str, start: Position) -> Result<Option<Lease>, SaveError> {
        let Seen { name, row, revision } = seen;
        let row = row.unwrap_or(Row { owner: String::new(), epoch: 0, position: start, finished: false });
        let row = Row { owner: owner.to_owned(), epoch: row.epoch + 1, ..row };
        let revision = self.write(&name, revision, &row).await?;
        Ok(revision.map(|revision| Lease { name, row, revision }))
    }

    /// Lets go: nothing of this shard runs here any more, the next owner need not wait.
    pub async fn release(&self, mut lease: Lease) -> Result<(), SaveError> {
        lease.row.owner.clear();
        let (position, finished) = (lease.row.position.clone(), lease.row.finished);
        self.save(&mut lease, position, finished).await
    }

    /// Clears the owner if it is this one.
    pub async fn disown(&self, mapping: &str, shard_id: &str, owner: &str) -> Result<(), SaveError> {
        let name = format!("{mapping}/{shard_id}");
        let Some(found) = self.documents.get(CHECKPOINTS, &name).await? else { return Ok(()) };
        let row = decode(&found)?;
        if row.owner == owner {
            let row = Row { owner: String::new(), ..row };
            self.write(&name, Some(found.revision), &row).await?;
        }
        Ok(())
    }

    /// Where each shard of a mapping stands.
    pub async fn positions(
        &self,
        mapping: &str,
    ) -> Result<std::collections::BTreeMap<String, Standing>, SaveError> {
        let prefix = format!("{mapping}/");
        let mut positions = std::collections::BTreeMap::new();
        for (name, document) in self.documents.list(CHECKPOINTS).await? {
            let Some(shard_id) = name.strip_prefix(&prefix) else { continue };
            let Row { owner, position, finished, .. } = decode(&document)?;
            positions.insert(shard_id.to_owned(), Standing { owner, position, finished });
        }
        Ok(positions)
    }

    /// Saves how far the shard has come. After an unknown outcome it may be called again.
    pub async fn save(&self, lease: &mut Lease, position: Position, finished: bool) -> Result<(), SaveError> {
        let row = Row { position, finished, ..lease.row.clone() };
        let revision = match self.write(&lease.name, Some(lease.revision), &row).await? {
            Some(revision) => revision,
            None => self.save_again(lease, &row).await?,
        };
        lease.row = row;
        lease.revision = revision;
        Ok(())
    }

    /// The revision is not what was expected: our own save whose outcome was unknown, or a newer owner.
    async fn save_again(&self, lease: &Lease, row: &Row) -> Result<u64, SaveError> {
        let found = self.documents.get(CHECKPOINTS, &lease.name).await?.ok_or(SaveError::Fenced)?;
        if decode(&found)?.epoch != lease.row.epoch {
            return Err(SaveError::Fenced);
        }
        self.write(&lease.name, Some(found.revision), row).await?.ok_or(SaveError::Fenced)
    }

    /// Whether a shard was read to its end.
    pub async fn is_finished(&self, mapping: &str, shard_id: &str) -> Result<bool, SaveError> {
        let found = self.documents.get(CHECKPOINTS, &format!("{mapping}/{shard_id}")).await?;
        Ok(found.map(|found| decode(&found)).transpose()?.is_some_and(|row| row.finished))
    }

    /// Removes all of a deleted mapping.
    pub async fn forget(&self, mapping: &str) -> Result<(), SaveError> {
        let prefix = format!("{mapping}/");
        for (name, document) in self.documents.list(CHECKPOINTS).await? {
            if name.starts_with(&prefix) {
                self.documents.compare_and_set(CHECKPOINTS, &name, Some(document.revision), None).await?;
            }
        }
        Ok(())
    }

    /// The mappings that have checkpoints.
    pub async fn mappings(&self) -> Result<std::collections::BTreeSet<String>, SaveError> {
        let found = self.documents.list(CHECKPOINTS).await?;
        let uuids = found.iter().filter_map(|(name, _)| name.split_once('/'));
        Ok(uuids.map(|(uuid, _)| uuid.to_owned()).collect())
    }

    async fn write(&self, name: &str, expected: Option<u64>, row: &Row) -> Result<Option<u64>, SaveError> {
        let body = serde_json::to_vec(row)?;
        Ok(self.documents.compare_and_set(CHECKPOINTS, name, expected, Some(&body)).await?)
    }
}

fn decode(document: &Document) -> Result<Row, SaveError> {
    Ok(serde_json::from_slice(&document.body)?)
}

#[cfg(test)]
mod tests {
    use tradewind_model::Sequence;

    use super::*;
    use crate::fixtures::MemoryDocuments;

    fn at(sequence: u64) -> Position {
        Position { sequence: Sequence(sequence), window: None }
    }

    async fn taken(
        checkpoints: &Checkpoints<MemoryDocuments>,
        mapping: &str,
        owner: &str,
        start: Position,
    ) -> Lease {
        let seen = checkpoints.look(mapping, "s").await.unwrap();
        checkpoints.take(seen, owner, start).await.unwrap().expect("nobody else takes it")
    }

    #[tokio::test]
    async fn a_stale_owners_late_save_is_refused() {
        let checkpoints = Checkpoints::new(Arc::new(MemoryDocuments::default()));
        let mut old = taken(&checkpoints, "m", "one", at(7)).await;
        assert_eq!((old.position(), old.epoch()), (&at(7), 1));
        checkpoints.save(&mut old, at(9), false).await.unwrap();

        let mut new = taken(&checkpoints, "m", "two", at(0)).await;
        assert_eq!((new.position(), new.epoch()), (&at(9), 2));
        assert!(matches!(checkpoints.save(&mut old, at(50), false).await, Err(SaveError::Fenced)));
        checkpoints.save(&mut new, at(10), true).await.unwrap();
        assert!(checkpoints.is_finished("m", "s").await.unwrap());
    }

    #[tokio::test]
    async fn a_save_whose_outcome_was_unknown_can_be_repeated() {
        let checkpoints = Checkpoints::new(Arc::new(MemoryDocuments::default()));
        let mut lease = taken(&checkpoints, "m", "one", at(0)).await;
        let mut forgetful = lease.clone();
        checkpoints.save(&mut lease, at(1), false).await.unwrap();
        checkpoints.save(&mut forgetful, at(2), false).await.unwrap();
        assert_eq!(forgetful.position(), &at(2));
    }

    #[tokio::test]
    async fn a_shard_is_taken_as_it_was_seen_or_not_at_all() {
        let checkpoints = Checkpoints::new(Arc::new(MemoryDocuments::default()));
        let look = || async { checkpoints.look("m", "s").await.unwrap() };
        let take = |seen: Seen, owner: &'static str| checkpoints.take(seen, owner, at(0));
        let never = look().await;
        assert_eq!(never.owner(), "");
        let mut one = take(never.clone(), "one").await.unwrap().expect("nobody has it");
        assert!(take(never, "two").await.unwrap().is_none());
        let before = look().await;
        assert_eq!(before.owner(), "one");
        // Even to where it was: who saves is alive, whatever the taker believes.
        checkpoints.save(&mut one, at(0), false).await.unwrap();
        assert!(take(before, "two").await.unwrap().is_none());
        checkpoints.save(&mut one, at(5), false).await.unwrap();
        checkpoints.release(one).await.unwrap();
        checkpoints.disown("m", "s", "one").await.unwrap();
        let two = take(look().await, "two").await.unwrap().expect("it was let go");
        assert_eq!((two.position(), two.epoch()), (&at(5), 2));
        let mut three = take(look().await, "three").await.unwrap().expect("its owner is dead");
        assert!(matches!(checkpoints.release(two).await, Err(SaveError::Fenced)));
        checkpoints.save(&mut three, at(6), false).await.unwrap();
    }

    #[tokio::test]
    async fn a_deleted_mapping_leaves_nothing_and_its_owner_is_fenced() {
        let checkpoints = Checkpoints::new(Arc::new(MemoryDocuments::default()));
        let mut lease = taken(&checkpoints, "m", "one", at(0)).await;
        let _other = taken(&checkpoints, "m2", "one", at(0)).await;
        checkpoints.forget("m").await.unwrap();
        assert_eq!(checkpoints.mappings().await.unwrap(), ["m2".to_owned()].into());
        assert!(matches!(checkpoints.save(&mut lease, at(1), false).await, Err(SaveError::Fenced)));
    }
}
