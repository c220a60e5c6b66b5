//! What a group must do to its items, told from the history alone: which row stands in the end, what its region knows
//! then, which conflicts are logged. It follows the rules in words, not the vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tradewind_database::partition::arrival::{Arrival, Arrived, SnapshotRow};
use tradewind_database::partition::decide::{Action, Write};
use tradewind_database::partition::group::{Answer, Op};
use tradewind_database::partition::state::{Source, State};
use tradewind_model::{Change, Hlc, ItemKey, Sequence, StoredItem, Version};

use super::history::{History, Past, WriteId, write_of};
use super::violation::{Property, Violation};

pub struct Expected<'a> {
    history: &'a History,
    here: usize,
    cursors: BTreeMap<Source, Sequence>,
    /// What stable is after the group.
    stable: Hlc,
    /// The versions that the group gives to writes of this region.
    versions: BTreeMap<WriteId, Version>,
    /// By key: the write that stands; `None`: there is no row.
    pub rows: BTreeMap<usize, Option<WriteId>>,
    pub known: BTreeMap<usize, Past>,
    pub written: Vec<(WriteId, Version, Past)>,
    /// Loser and winner.
    pub conflicts: BTreeSet<(WriteId, WriteId)>,
    seeds: &'a BTreeMap<(usize, Version), Past>,
}

impl<'a> Expected<'a> {
    pub fn new(
        history: &'a History,
        here: usize,
        states: (&State, &State),
        before: &HashMap<ItemKey, Option<StoredItem>>,
        versions: BTreeMap<WriteId, Version>,
        seeds: &'a BTreeMap<(usize, Version), Past>,
    ) -> Result<Expected<'a>, Violation> {
        let (old, new) = states;
        let mut expected = Expected {
            history,
            here,
            cursors: old.links.iter().map(|(source, link)| (*source, link.cursor)).collect(),
            stable: new.stable,
            versions,
            rows: BTreeMap::new(),
            known: BTreeMap::new(),
            written: Vec::new(),
            conflicts: BTreeSet::new(),
            seeds,
        };
        before.iter().try_for_each(|(key, row)| expected.begin(key, row.as_ref()))?;
        Ok(expected)
    }

    fn begin(&mut self, key: &ItemKey, row: Option<&StoredItem>) -> Result<(), Violation> {
        let index = self.history.key_index(key);
        let write = row.map(|row| (row, self.history.by_version(index, row.version)));
        let known = write.is_none_or(|(_, write)| write.is_some());
        Property::OnlyDurableIsSeen.check(known, || format!("k{index} is {row:?}, which nobody wrote"))?;
        self.rows.insert(index, write.and_then(|(_, write)| write));
        self.known.insert(index, self.history.known(self.here, index));
        Ok(())
    }

    pub fn take(&mut self, op: &Op, answer: &Answer) -> Result<(), Violation> {
        match (op, answer) {
            (Op::Write(write), Answer::Written(Ok(_))) => self.write(write),
            (Op::Transact(writes), Answer::Transacted(Ok(_))) => {
                writes.iter().try_for_each(|write| self.write(write))
            }
            (Op::Arrive(arrival), Answer::Arrived(arrived)) => self.arrive(arrival, *arrived),
            (Op::Mend(rows), Answer::Late(late)) => {
                let refused = |row: &&SnapshotRow| late.iter().any(|(key, _)| *key == row.key);
                rows.iter().filter(|row| !refused(row)).try_for_each(|row| self.learn_row(row))
            }
            (Op::Seed(rows), _) => rows.iter().try_for_each(|row| self.learn_row(row)),
            (Op::Prune(tombstones), _) => {
                tombstones.iter().for_each(|(hlc, key)| self.prune(*hlc, key));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, write: &Write) -> Result<(), Violation> {
        let id = write_of(write.request.expect("every write of the simulation has its id"));
        let Some(version) = self.versions.get(&id).copied() else {
            let may = matches!(write.action, Action::Expire { .. });
            return Property::EveryWriteIsAChange.check(may, || format!("write {id} committed nothing"));
        };
        let key = self.history.writes[id].key;
        let known = self.known.get_mut(&key).expect("a group reads all rows it needs");
        self.written.push((id, version, known.clone()));
        known.insert(id);
        self.rows.insert(key, Some(id));
        Ok(())
    }

    /// What lies behind the cursor is applied, in order, up to the answered cursor.
    fn arrive(&mut self, arrival: &Arrival, arrived: Arrived) -> Result<(), Violation> {
        if matches!(arrived, Arrived::Gap { .. } | Arrived::Stranger { .. }) {
            return Ok(());
        }
        let cursor = self.cursors.entry(arrival.source).or_default();
        let before = std::mem::replace(cursor, arrived.cursor());
        let applied = |sequence: &Sequence| *sequence > before && *sequence <= arrived.cursor();
        arrival
            .changes
            .iter()
            .filter(|(sequence, _)| applied(sequence))
            .try_for_each(|(_, change)| self.learn(change))
    }

    fn learn(&mut self, change: &Change) -> Result<(), Violation> {
        let id = self.history.id_of(change).expect("every write of the simulation has its id");
        let write = &self.history.writes[id];
        Property::OnlyDurableIsSeen
            .check(write.version == Some(change.version), || format!("write {id} travels uncommitted"))?;
        self.apply(id, &write.past);
        Ok(())
    }

    /// A row brings all that was known of the item where it came from.
    fn learn_row(&mut self, row: &SnapshotRow) -> Result<(), Violation> {
        let key = self.history.key_index(&row.key);
        let id = self.history.by_version(key, row.row.version);
        Property::OnlyDurableIsSeen.check(id.is_some(), || format!("{row:?} was written by nobody"))?;
        if let Some(id) = id {
            self.apply(id, &self.seeds[&(key, row.row.version)]);
        }
        Ok(())
    }

    /// The write of a region that had applied `past`.
    fn apply(&mut self, id: WriteId, past: &Past) {
        let write = &self.history.writes[id];
        let known = self.known.get_mut(&write.key).expect("a group reads all rows it needs");
        if known.contains(id) {
            return;
        }
        let stored = self.rows[&write.key];
        known.extend(past);
        known.insert(id);
        let wins = stored.is_none_or(|stored| self.version(stored) < self.version(id));
        if wins {
            self.rows.insert(write.key, Some(id));
        }
        if let Some(stored) = stored {
            self.meet(stored, id, wins, past);
        }
    }

    /// The stored write did not know the incoming one, or its region would have applied it before.
    fn meet(&mut self, stored: WriteId, incoming: WriteId, incoming_wins: bool, past: &Past) {
        let write = &self.history.writes[incoming];
        let same = self.history.writes[stored].value == write.value;
        if !same && !past.contains(stored) {
            self.conflicts.insert(if incoming_wins { (stored, incoming) } else { (incoming, stored) });
        }
    }

    fn prune(&mut self, hlc: Hlc, key: &ItemKey) {
        let key = self.history.key_index(key);
        let Some(Some(stored)) = self.rows.get(&key).copied() else { return };
        let deleted = self.value_is_gone(stored) && self.version(stored).hlc == hlc;
        if deleted && hlc <= self.stable {
            self.rows.insert(key, None);
        }
    }

    fn value_is_gone(&self, id: WriteId) -> bool {
        self.history.writes[id].value.is_none()
    }

    fn version(&self, id: WriteId) -> Version {
        let given = self.versions.get(&id).copied();
        self.history.writes[id].version.or(given).expect("only committed writes stand")
    }
}
