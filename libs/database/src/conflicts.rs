//! Reading the conflict log, restoring what lost, and letting old entries go.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Incarnation, Item, ItemKey, Region};
use tradewind_wire::ApiError;

use crate::conflict::Conflict;
use crate::item;
use crate::merge::Kind;
use crate::partition::decide::{Action, Write};
use crate::partition::group::{Answer, Op};
use crate::partition::owner::explain;
use crate::region::Database;

/// Entries that are kept of each table, and for how long.
pub const KEPT: usize = 100_000;
pub const KEPT_MS: u64 = 30 * 24 * 3600 * 1000;
/// Entries that one question looks at.
const LOOKED_AT: usize = 10_000;
/// Entries that one commit removes.
const STEP: usize = 500;

/// Which conflicts to list; what is not said does not matter.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wanted {
    pub key: Option<ItemKey>,
    /// One of the two writes was made there.
    pub region: Option<Region>,
    /// Unix milliseconds, the first included, the last not.
    pub from_ms: Option<u64>,
    pub to_ms: Option<u64>,
    /// A position that an earlier answer gave to go on from.
    pub after: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listed {
    /// With the names by which they are restored, oldest first.
    pub conflicts: Vec<(String, Conflict)>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

/// How often writes of one region have lost to another's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pair {
    pub lost: Region,
    /// `None`: there was no item.
    pub won: Option<Region>,
    pub kind: Kind,
}

impl Wanted {
    fn wants(&self, conflict: &Conflict) -> bool {
        let won = conflict.winner.as_ref().map(|row| row.origin());
        let of_region = |region: &Region| *region == conflict.loser.origin() || Some(*region) == won;
        self.key.as_ref().is_none_or(|key| *key == conflict.key) && self.region.as_ref().is_none_or(of_region)
    }
}

impl<E: Engine + Documents> Database<E> {
    /// The table's conflicts as this region saw them, at most `limit`.
    pub async fn conflicts(&self, name: &str, wanted: &Wanted, limit: usize) -> Result<Listed, ApiError> {
        let table = self.existing(name)?.document().incarnation;
        let prefix = table.as_bytes();
        let after = wanted.after.as_ref().map(|after| from_id(table, after)).transpose()?;
        let first = [prefix, &wanted.from_ms.unwrap_or(0).to_be_bytes()[..]].concat();
        let start = after.map_or(first.clone(), |after| [&after[..], &[0]].concat()).max(first);
        let end = match wanted.to_ms {
            Some(to_ms) => [prefix, &to_ms.to_be_bytes()[..]].concat().into(),
            None => after_prefix(prefix),
        };
        let mut listed = Listed::default();
        if start[..] >= end[..] {
            return Ok(listed);
        }
        let (mut looked_at, mut last) = (0, None);
        self.shared
            .engine
            .range(Space::Conflicts, &start[..]..&end[..], false, |key, value| {
                if listed.conflicts.len() == limit || looked_at == LOOKED_AT {
                    listed.next = last.take();
                    return false;
                }
                looked_at += 1;
                last = Some(to_id(key));
                let conflict = Conflict::decode(key, value).filter(|conflict| wanted.wants(conflict));
                listed.conflicts.extend(conflict.map(|conflict| (to_id(key), conflict)));
                true
            })
            .await
            .map_err(|error| explain(&error))?;
        Ok(listed)
    }

    /// An item of the table by its key attributes.
    pub fn item_key(&self, name: &str, key: &Item) -> Result<ItemKey, ApiError> {
        item::key_of_key(&self.existing(name)?.document(), key.as_ref())
    }

    /// Of the entries that are kept, how many there are of each pair of regions.
    pub async fn conflict_counts(&self, name: &str) -> Result<BTreeMap<Pair, u64>, ApiError> {
        let prefix = self.existing(name)?.document().incarnation;
        let end = after_prefix(prefix.as_bytes());
        let mut counts = BTreeMap::new();
        self.shared
            .engine
            .range(Space::Conflicts, &prefix.as_bytes()[..]..&end[..], false, |key, value| {
                if let Some(conflict) = Conflict::decode(key, value) {
                    let won = conflict.winner.as_ref().map(|row| row.origin());
                    let pair = Pair { lost: conflict.loser.origin(), won, kind: conflict.kind };
                    *counts.entry(pair).or_default() += 1;
                }
                true
            })
            .await
            .map_err(|error| explain(&error))?;
        Ok(counts)
    }

    /// Makes the item what lost in a conflict, if it still is what won: an ordinary conditional write, which goes to other
    /// regions, streams and functions like any other.
    pub async fn restore_conflict(&self, name: &str, id: &str) -> Result<(), ApiError> {
        let table = self.existing(name)?;
        let document = table.document();
        let key = from_id(document.incarnation, id)?;
        let stored = self.shared.engine.read(Space::Conflicts, &[&key]).await;
        let stored = stored.map_err(|error| explain(&error))?.into_iter().next().flatten();
        let conflict = stored.and_then(|value| Conflict::decode(&key, &value));
        let conflict =
            conflict.ok_or_else(|| ApiError::validation("There is no such conflict, or no more"))?;
        if let Some(lost) = &conflict.loser.item {
            // Indexes may have been added since.
            item::check_put(&document, lost.as_ref())?;
        }
        self.admit_write(&document)?;
        let over = conflict.winner.and_then(|row| row.item);
        let write = Write {
            key: conflict.key.clone(),
            action: Action::Restore { item: conflict.loser.item, over },
            condition: None,
            item_on_failure: true,
            request: None,
            trace: None,
        };
        match table.submit(&conflict.key, Op::Write(write)).await? {
            Answer::Written(Err(refused)) => Err(refused.error),
            _ => Ok(()),
        }
    }

    /// Lets entries go that are older than `age_ms`, and of the others all but the newest `count`.
    pub async fn trim_conflicts(&self, age_ms: u64, count: usize) -> Result<(), ApiError> {
        let before_ms = self.shared.clock.now_ms().saturating_sub(age_ms);
        for table in self.tables() {
            let incarnation = table.document().incarnation;
            let expired = self.conflict_keys(incarnation, usize::MAX, Some(before_ms)).await?;
            self.unrecord(&table, expired).await?;
            let kept = self.count_conflicts(incarnation).await?;
            if kept > count {
                let oldest = self.conflict_keys(incarnation, kept - count, None).await?;
                self.unrecord(&table, oldest).await?;
            }
        }
        Ok(())
    }

    async fn count_conflicts(&self, table: Incarnation) -> Result<usize, ApiError> {
        let end = after_prefix(table.as_bytes());
        let mut count = 0;
        let visited =
            self.shared.engine.range(Space::Conflicts, &table.as_bytes()[..]..&end[..], false, |_, _| {
                count += 1;
                true
            });
        visited.await.map_err(|error| explain(&error))?;
        Ok(count)
    }

    /// The keys of the oldest entries.
    async fn conflict_keys(
        &self,
        table: Incarnation,
        count: usize,
        before_ms: Option<u64>,
    ) -> Result<Vec<Vec<u8>>, ApiError> {
        let end = match before_ms {
            Some(before_ms) => [&table.as_bytes()[..], &before_ms.to_be_bytes()[..]].concat().into(),
            None => after_prefix(table.as_bytes()),
        };
        let mut keys = Vec::new();
        let visited =
            self.shared.engine.range(Space::Conflicts, &table.as_bytes()[..]..&end[..], false, |key, _| {
                keys.push(key.to_vec());
                keys.len() < count
            });
        visited.await.map_err(|error| explain(&error))?;
        Ok(keys)
    }

    async fn unrecord(&self, table: &crate::table::Table<E>, keys: Vec<Vec<u8>>) -> Result<(), ApiError> {
        let mut parts: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for key in keys {
            let hash = key.len().checked_sub(8).and_then(|at| key[at..].try_into().ok());
            parts.entry(table.position(hash.map_or(0, u64::from_be_bytes))).or_default().push(key);
        }
        for (position, keys) in parts {
            for step in keys.chunks(STEP) {
                table.submit_at(position, Op::Unrecord(step.to_vec())).await?;
            }
        }
        Ok(())
    }
}

fn to_id(key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(key.get(Incarnation::LEN..).unwrap_or_default())
}

fn from_id(table: Incarnation, id: &str) -> Result<Vec<u8>, ApiError> {
    let key = URL_SAFE_NO_PAD.decode(id).map_err(|_| ApiError::validation("That is no conflict's name"))?;
    Ok([&table.as_bytes()[..], &key[..]].concat())
}
