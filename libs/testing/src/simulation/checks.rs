//! Properties of the moment: what every commit must leave true, seen from outside, with all regions in view.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_database::conflict::Conflict;
use tradewind_database::merge::Kind;
use tradewind_database::partition::state::{LinkState, Source, State};
use tradewind_database::table::document::TableStatus;
use tradewind_engine::{Engine, PartitionCommit, Space};
use tradewind_model::StoredItem;

use super::expected::Expected;
use super::history::WriteId;
use super::node::{Logged, ready};
use super::violation::{Property, Violation};
use super::world::{Place, World};

impl World {
    /// The conflicts of a commit are those there are; answers the losers.
    pub(super) fn check_conflicts(
        &self,
        commit: &PartitionCommit,
        expected: &Expected<'_>,
    ) -> Result<Vec<WriteId>, Violation> {
        let rows = commit.rows.iter().filter(|row| row.space == Space::Conflicts);
        let mut logged = BTreeSet::new();
        for row in rows {
            let conflict = row.value.as_ref().and_then(|value| Conflict::decode(&row.key, value));
            let conflict = conflict.expect("a group encodes what it commits");
            // Rows that are refused: had they not to be, the rows on disk would not be those that are expected.
            if conflict.kind != Kind::Late {
                logged.insert(self.check_conflict(&conflict, expected)?);
            }
        }
        Property::ConflictsAreTrue.check(logged == expected.conflicts, || {
            format!("logged (loser, winner) {logged:?}, but there were {:?}", expected.conflicts)
        })?;
        Ok(logged.into_iter().map(|(loser, _)| loser).collect())
    }

    /// A record names two writes and says rightly how the winner came about.
    fn check_conflict(
        &self,
        conflict: &Conflict,
        expected: &Expected<'_>,
    ) -> Result<(WriteId, WriteId), Violation> {
        let key = self.history.key_index(&conflict.key);
        let id_of = |row: &StoredItem| {
            let written = expected.written.iter().find(|(_, version, _)| *version == row.version);
            written.map(|(id, ..)| *id).or_else(|| self.history.by_version(key, row.version))
        };
        let winner = conflict.winner.as_ref().and_then(id_of);
        let pair = id_of(&conflict.loser).zip(winner);
        let told = pair.filter(|(loser, winner)| {
            let (lost, won) = (&self.history.writes[*loser], &self.history.writes[*winner]);
            let kind = if won.expires { Kind::Expired } else { Kind::Conflict };
            conflict.kind == kind && lost.value == conflict.loser.item
        });
        Property::ConflictsAreTrue.check(told.is_some(), || format!("{pair:?} is logged as {conflict:?}"))?;
        Ok(pair.expect("it was just told"))
    }

    /// The rows on disk are the ones that the history expects.
    pub(super) fn check_rows(
        &self,
        place: Place,
        rows: &BTreeMap<usize, Option<WriteId>>,
    ) -> Result<(), Violation> {
        for (key, write) in rows {
            let stored = self.row(place.region, *key);
            let expected = write.map(|id| &self.history.writes[id]);
            let same = match (&stored, expected) {
                (None, None) => true,
                (Some(row), Some(write)) => Some(row.version) == write.version && row.item == write.value,
                _ => false,
            };
            Property::NewestWins.check(same, || {
                format!("{place} k{key} is {stored:?} and should be write {write:?} {expected:?}")
            })?;
        }
        Ok(())
    }

    /// The row of a key in a region's engine.
    pub fn row(&self, region: usize, key: usize) -> Option<StoredItem> {
        let node = &self.nodes[region];
        let key = self.history.keys[key].stored(node.table.incarnation);
        let rows = ready(node.engine.read(Space::Items, &[&key])).expect("reads do not fail");
        let row = rows.into_iter().next().flatten()?;
        Some(StoredItem::decode(&row).expect("rows are as they were encoded"))
    }

    /// What a link has passed is applied, and what it was promised holds.
    pub(super) fn check_links(&self, place: Place, before: &State) -> Result<(), Violation> {
        let now = &self.nodes[place.region].partitions[place.partition].durable;
        for (source, link) in &now.links {
            if before.links.get(source) != Some(link) {
                self.check_link(place, source, link, before.links.get(source))?;
            }
        }
        Ok(())
    }

    fn check_link(
        &self,
        place: Place,
        source: &Source,
        link: &LinkState,
        before: Option<&LinkState>,
    ) -> Result<(), Violation> {
        // A life of a region that is over promises nothing any more.
        let node = self.nodes.iter().find(|node| node.table.incarnation == source.incarnation);
        let Some(node) = node else { return Ok(()) };
        let log = &node.partitions[source.number as usize].log;
        let joins = self.nodes[place.region].table.status == TableStatus::Creating;
        let range = self.nodes[place.region].partitions[place.partition].range;
        let passed = before.map(|link| link.cursor).unwrap_or_default().0 as usize;
        let (cursor, ours) =
            (link.cursor.0 as usize, |logged: &&Logged| logged.version.origin == source.region);
        Property::SameLog
            .check(cursor <= log.len(), || format!("{place} is at {cursor} of {}", log.len()))?;
        for logged in log[passed..cursor].iter().filter(ours) {
            let concerns = range.contains(self.history.keys[self.history.writes[logged.write].key].hash());
            // What a joiner's links begin behind comes with the snapshot; it is asked for when the joiner is done.
            let seeded = joins || before.is_none();
            let applied = !concerns || seeded || self.history.knows(place.region, logged.write);
            Property::NothingSkipped.check(applied, || format!("{place} passed {logged:?} without it"))?;
        }
        for logged in log[cursor..].iter().filter(ours) {
            let holds = logged.version.hlc > link.watermark;
            Property::WatermarkHolds
                .check(holds, || format!("{place} was promised {}: {logged:?}", link.watermark))?;
        }
        Ok(())
    }

    /// No destination was promised that these versions would not come.
    pub(super) fn check_announced(&self, place: Place, log: &[Logged]) -> Result<(), Violation> {
        let here = &self.nodes[place.region];
        let number = here.partitions[place.partition].range.number;
        let source = Source { region: here.region, incarnation: here.table.incarnation, number };
        let links = self.nodes.iter().flat_map(|node| &node.partitions);
        let promised =
            links.filter_map(|partition| partition.durable.links.get(&source)).map(|link| link.watermark);
        let Some(promised) = promised.max() else { return Ok(()) };
        let broken =
            log.iter().find(|logged| logged.version.origin == here.region && logged.version.hlc <= promised);
        Property::WatermarkHolds
            .check(broken.is_none(), || format!("{place} promised {promised}, then {broken:?}"))
    }

    /// Stable never goes back, and every region has applied what lies below it.
    pub(super) fn check_stable(&self, place: Place, before: &State) -> Result<(), Violation> {
        let partition = &self.nodes[place.region].partitions[place.partition];
        let stable = partition.durable.stable;
        Property::StableHolds.check(stable >= before.stable, || {
            format!("{place} goes from {} back to {stable}", before.stable)
        })?;
        if stable == before.stable {
            return Ok(());
        }
        let here = &self.nodes[place.region];
        // A joiner's stable starts at what it has itself; later it is what all have.
        let joins = here.table.status == TableStatus::Creating;
        let counted: Vec<_> = (0..self.nodes.len())
            .filter(|at| {
                if joins {
                    *at == place.region
                } else {
                    here.table.replicas.contains_key(&self.nodes[*at].region)
                }
            })
            .collect();
        let members = self.members();
        for (id, write, version) in self.history.committed() {
            // Of an evicted region's writes those count that somebody who stayed has.
            let counts =
                members.contains(&write.region) || members.iter().any(|at| self.history.knows(*at, id));
            let below = counts
                && !write.buried
                && version.hlc <= stable
                && partition.range.contains(self.history.keys[write.key].hash());
            let lacking = counted.iter().find(|region| below && !self.history.knows(**region, id));
            Property::StableHolds.check(lacking.is_none(), || {
                format!("{place} has stable {stable}, {lacking:?} lacks write {id}")
            })?;
        }
        Ok(())
    }
}
