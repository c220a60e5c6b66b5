//! Properties of the end, when all regions have heard all there is.

use std::collections::BTreeMap;

use tradewind_engine::Engine;
use tradewind_model::{Change, Sequence, Version};

use super::history::{Write, WriteId};
use super::node::ready;
use super::violation::{Property, Violation};
use super::world::{Place, World};

impl World {
    pub(super) fn judge(&mut self) -> Result<(), Violation> {
        let members = self.members();
        (0..self.nodes.len()).filter(|at| !members.contains(at)).for_each(|at| self.bury(at));
        for key in 0..self.history.keys.len() {
            self.judge_item(key)?;
        }
        self.judge_losses()?;
        self.places().into_iter().try_for_each(|place| self.judge_log(place))?;
        let places = self.places().into_iter().filter(|place| members.contains(&place.region));
        places.collect::<Vec<_>>().into_iter().try_for_each(|place| self.judge_tombstones(place))
    }

    /// Every region has the greatest write, or nothing where that is a delete.
    fn judge_item(&mut self, key: usize) -> Result<(), Violation> {
        let last = self.last_write(key);
        let expected = last.map(|(_, write)| write).filter(|write| write.value.is_some());
        let expected = expected.map(|write| (write.version, write.value.clone()));
        for region in self.members() {
            let live = self.row(region, key).filter(|row| row.item.is_some());
            let live = live.map(|row| (Some(row.version), row.item));
            Property::Converged.check(live == expected, || {
                format!("k{key} is {live:?} in {}, and should be {expected:?}", self.nodes[region].region)
            })?;
        }
        self.note(format!("k{key} ends as {:?}", expected.map(|(version, _)| version)));
        Ok(())
    }

    fn last_write(&self, key: usize) -> Option<(Version, &Write)> {
        let writes = self.history.committed().filter(|(_, write, _)| write.key == key && !write.buried);
        writes.map(|(_, write, version)| (version, write)).max_by_key(|(version, _)| *version)
    }

    fn judge_losses(&self) -> Result<(), Violation> {
        let mut overwritten = BTreeMap::<WriteId, WriteId>::new();
        for (later, write, _) in self.history.committed() {
            (0..self.history.writes.len()).filter(|id| write.past.contains(*id)).for_each(|id| {
                overwritten.insert(id, later);
            });
        }
        for (id, write) in
            self.history.writes.iter().enumerate().filter(|(_, write)| write.acknowledged && !write.buried)
        {
            let Some(version) = write.version else {
                // An expiry that found nothing to delete.
                Property::NoSilentLoss
                    .check(write.expires, || format!("write {id} was acknowledged, not committed"))?;
                continue;
            };
            let last = self.last_write(write.key).is_some_and(|(greatest, _)| greatest == version);
            let kept = last
                || write.logged
                || overwritten.contains_key(&id)
                || self.lost_to_its_equal(write, version);
            Property::NoSilentLoss.check(kept, || format!("write {id} is lost: {write:?}"))?;
        }
        Ok(())
    }

    /// Whether a greater write of the same value stands for it.
    fn lost_to_its_equal(&self, write: &Write, version: Version) -> bool {
        self.history.committed().any(|(_, other, greater)| {
            other.key == write.key && other.value == write.value && greater > version
        })
    }

    /// The log on disk is what was committed, from its first change to its last.
    fn judge_log(&self, place: Place) -> Result<(), Violation> {
        let node = &self.nodes[place.region];
        let partition = &node.partitions[place.partition];
        let read = node.engine.changes(partition.id, Sequence::ZERO, usize::MAX, usize::MAX);
        let found = ready(read).expect("reads do not fail");
        let same = found.len() == partition.log.len()
            && found.iter().zip(&partition.log).zip(1..).all(|(((sequence, bytes), logged), expected)| {
                let version = Change::decode(bytes).map(|change| change.version);
                *sequence == Sequence(expected) && version == Some(logged.version)
            });
        Property::Gapless.check(same, || format!("the log of {place} is not what was committed"))
    }

    fn judge_tombstones(&self, place: Place) -> Result<(), Violation> {
        let counted = self.nodes[place.region].partitions[place.partition].durable.tombstones;
        let waiting = self.tombstones(place).len();
        let rows = (0..self.history.keys.len()).filter(|key| self.place_of(place.region, *key) == place);
        let rows =
            rows.filter(|key| self.row(place.region, *key).is_some_and(|row| row.item.is_none())).count();
        Property::TombstonesGo.check((counted, waiting, rows) == (0, 0, 0), || {
            format!("{place} counts {counted}, lists {waiting} and has {rows} tombstones")
        })
    }
}
