//! Evicting a region that is away too long, and what becomes of it when it comes back.
//!
//! 1. The replicas that stay take nothing more from it (`EVICTING`), and say what they have of it: the levels.
//! 2. They exchange its rows, so that all of them have the same of it. Only then it is no replica any more, and stable no
//!    longer waits for it.
//! 3. When it is back it learns of this, sets its rows aside, and joins as a new replica. What only it had, as the levels
//!    tell, goes to the conflict log as `evicted`, never into the table: the others went on without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Engine, Space};
use tradewind_model::key::after_prefix;
use tradewind_model::{Incarnation, ItemKey, Region, StoredItem};
use tradewind_wire::ApiError;

use super::unavailable;
use crate::conflict::Conflict;
use crate::partition::arrival::SnapshotRow;
use crate::partition::group::Op;
use crate::partition::owner::explain;
use crate::region::Database;
use crate::table::Table;
use crate::table::document::{Replica, ReplicaStatus, TableDocument};
use crate::table::elements::copy_overrides_of;
use crate::table::global::{Former, Level};

/// Tables whose rows an eviction has made worthless, by incarnation, until what is left of them is kept.
const ASIDE: &str = "aside";
/// Rows of one step.
const STEP: usize = 200;

/// A table of an evicted region.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Aside {
    pub document: TableDocument,
    /// Who was evicted, as those who stayed say.
    pub former: BTreeMap<Region, Former>,
    pub at_ms: u64,
}

impl Aside {
    /// Whether those who stayed may not have this row.
    fn is_leftover(&self, key: &ItemKey, row: &StoredItem) -> bool {
        let former = self.former.get(&row.origin());
        former.is_some_and(|former| row.version.hlc > former.level(key.hash()))
    }
}

impl<E: Engine + Documents> Database<E> {
    /// Takes nothing more from these replicas, as soon as this is answered and every other one that stays has heard of it.
    pub async fn begin_eviction(&self, name: &str, gone: &[Region]) -> Result<(), ApiError> {
        let here = self.region();
        let begun = self.change(name, |document| {
            for region in gone {
                if let Some(replica) = document.replicas.get_mut(region) {
                    replica.status = ReplicaStatus::Evicting;
                    replica.seen_to_by = Some(here);
                }
            }
            Ok(())
        });
        begun.await.map(|_| ())
    }

    /// What this region has of each of `of`, from which it takes nothing more.
    pub async fn levels(&self, name: &str, of: &[Region]) -> Result<BTreeMap<Region, Vec<Level>>, ApiError> {
        let table = self.existing(name)?;
        let document = table.document();
        let takes = |region: &Region| {
            document.replicas.get(region).is_some_and(|replica| replica.status != ReplicaStatus::Evicting)
        };
        if let Some(region) = of.iter().find(|region| takes(region)) {
            return Err(ApiError::resource_in_use(format!("Region {region} still is a replica of {name}")));
        }
        // Groups decided before the document changed may still have taken something.
        table.submit_to_all(|_| Op::Barrier).await?;
        let mut levels: BTreeMap<Region, Vec<Level>> =
            of.iter().map(|region| (*region, Vec::new())).collect();
        for (position, range) in document.partitions.iter().enumerate() {
            let state = table.state(position).await.map_err(|error| explain(&error))?;
            for (region, levels) in &mut levels {
                levels.push(Level { from: range.from, to: range.to, hlc: state.seen(*region) });
            }
        }
        Ok(levels)
    }

    /// All that stay have the same of the evicted regions: these are replicas no more.
    pub async fn finish_eviction(
        &self,
        name: &str,
        mut levels: BTreeMap<Region, Vec<Level>>,
    ) -> Result<(), ApiError> {
        let gone: Vec<_> = levels.keys().copied().collect();
        let here = self.region();
        self.change(name, |document| {
            for region in &gone {
                let Some(replica) = document.replicas.remove(region) else { continue };
                let levels = levels.remove(region).unwrap_or_default();
                document.global.generation += 1;
                let generation = document.global.generation;
                document.global.former.insert(*region, Former { replica, generation, levels });
            }
            if document.replicas.keys().all(|region| *region == here) {
                document.replicas.clear();
            }
            Ok(())
        })
        .await?;
        let table = self.existing(name)?;
        for region in gone {
            table.submit_to_all(|_| Op::Leave(region)).await?;
        }
        Ok(())
    }

    /// Sets a table aside whose other replicas have evicted this region, as their document says: it is not served any
    /// more, and its rows stay until what is left of them is kept.
    pub async fn set_aside(&self, theirs: &TableDocument) -> Result<(), ApiError> {
        let _alone = self.control.lock().await;
        let table = self.existing(&theirs.name)?;
        let document = table.document();
        if !document.is_evicted_by(self.region(), theirs) {
            return Ok(());
        }
        tracing::warn!(
            table = theirs.name, region = %self.region(),
            "this region was evicted while it was away; the table is seeded again, and what only it had is kept as conflicts"
        );
        self.put_aside(&table, theirs.global.former.clone()).await
    }

    /// Takes a table out of service. Its rows stay until a replica of its name has joined and what only they say, by the
    /// levels of `former`, is kept as conflicts there. For a caller that holds the control lock.
    pub(super) async fn put_aside(
        &self,
        table: &Arc<Table<E>>,
        former: BTreeMap<Region, Former>,
    ) -> Result<(), ApiError> {
        let document = (*table.document()).clone();
        let name = document.incarnation.to_string();
        let aside = Aside { document, former, at_ms: self.shared.clock.now_ms() };
        let body = serde_json::to_vec(&aside).expect("plain data");
        self.put(ASIDE, &name, &body).await?;
        self.drop_table(table).await
    }

    /// What is set aside here.
    pub async fn asides(&self) -> Result<Vec<Aside>, ApiError> {
        let listed = self.shared.engine.list(ASIDE).await.map_err(unavailable)?;
        Ok(listed.iter().filter_map(|(_, stored)| serde_json::from_slice(&stored.body).ok()).collect())
    }

    /// Makes a region a replica again whose table was set aside there.
    pub(crate) async fn readmit(
        &self,
        name: &str,
        region: Region,
        incarnation: Incarnation,
    ) -> Result<(), ApiError> {
        let here = self.region();
        let readmitted = self.change(name, |document| {
            let former = document.global.former.get(&region);
            let evicted = former.is_some_and(|former| former.replica.incarnation == Some(incarnation));
            if evicted && let Some(former) = document.global.former.remove(&region) {
                let mut replica = Replica::new(Some(here));
                copy_overrides_of(&former.replica, &mut replica);
                document.replicas.entry(here).or_insert_with(|| Replica {
                    status: ReplicaStatus::Active,
                    incarnation: Some(document.incarnation),
                    ..Replica::new(None)
                });
                document.replicas.insert(region, replica);
            }
            Ok(())
        });
        readmitted.await.map(|_| ())
    }

    /// Keeps what only this region had, now that it is a replica again: as conflicts of the table's new life. May run again
    /// after a crash, with the same outcome.
    pub async fn keep_leftovers(&self, aside: &Aside) -> Result<(), ApiError> {
        let old = aside.document.incarnation;
        let table = self.existing(&aside.document.name)?;
        for (space, end) in
            [(Space::Items, after_prefix(old.as_bytes())), (Space::Conflicts, after_prefix(old.as_bytes()))]
        {
            let mut from = old.as_bytes().to_vec();
            loop {
                let (ops, next) = self.leftovers(aside, space, &from, &end).await?;
                for (hash, op) in ops {
                    table.submit_at(table.position(hash), op).await?;
                }
                match next {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        let name = old.to_string();
        if let Some(stored) = self.shared.engine.get(ASIDE, &name).await.map_err(unavailable)? {
            self.set(ASIDE, &name, Some(stored.revision), None).await?;
        }
        self.announce();
        Ok(())
    }

    /// A step: what is to be recorded, each by the partition of its hash, and where the next step begins.
    async fn leftovers(
        &self,
        aside: &Aside,
        space: Space,
        from: &[u8],
        end: &[u8],
    ) -> Result<(Vec<(u64, Op)>, Option<Vec<u8>>), ApiError> {
        let (mut ops, mut looked_at, mut next) = (Vec::new(), 0, None);
        self.shared
            .engine
            .range(space, from..end, false, |key, value| {
                if looked_at == STEP {
                    next = Some(key.to_vec());
                    return false;
                }
                looked_at += 1;
                match space {
                    Space::Conflicts => ops.extend(
                        Conflict::decode(key, value)
                            .map(|conflict| (conflict.key.hash(), Op::Record(vec![conflict]))),
                    ),
                    _ => {
                        let row = ItemKey::from_stored(key).zip(StoredItem::decode(value));
                        let row = row.filter(|(key, row)| aside.is_leftover(key, row));
                        ops.extend(row.map(|(key, row)| {
                            let hash = key.hash();
                            let rows = vec![SnapshotRow { key, row }];
                            (hash, Op::Leftovers { at_ms: aside.at_ms, rows })
                        }));
                    }
                }
                true
            })
            .await
            .map_err(|error| explain(&error))?;
        Ok((ops, next))
    }

    /// For how many milliseconds each other region has not been heard of.
    pub fn sight(&self) -> BTreeMap<Region, u64> {
        self.neighbours().map(|neighbours| neighbours.sight()).unwrap_or_default()
    }
}
