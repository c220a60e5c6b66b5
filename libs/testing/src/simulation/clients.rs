//! Clients, and the housekeeping that uses the same queues.

use tradewind_database::partition::decide::{Action, Write};
use tradewind_database::partition::group::Op;
use tradewind_database::table::document::TableStatus;
use tradewind_database::tombstone;
use tradewind_engine::{Engine, Space};
use tradewind_model::{Hlc, ItemKey};

use super::history::{WriteId, request_of};
use super::node::{From, Job, ready};
use super::table::{TTL, item};
use super::world::{Place, World};

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    Put(String),
    /// An item that expires at once.
    PutExpiring(String),
    Delete,
    Expire,
}

impl World {
    /// A random request of a random client.
    pub(super) fn ask_anything(&mut self) {
        let region = self.choices.below(self.nodes.len());
        if self.nodes[region].table.status != TableStatus::Active {
            return;
        }
        let key = self.choices.below(self.history.keys.len());
        let first = self.anything();
        let mut asks = vec![(key, first)];
        if self.choices.percent(10) {
            let at = self.place_of(region, key);
            let other = self.choices.below(self.history.keys.len());
            if other != key && self.place_of(region, other) == at {
                asks.push((other, self.anything()));
            }
        }
        self.ask(region, asks);
    }

    fn anything(&mut self) -> Ask {
        let unique = format!("w{}", self.history.writes.len());
        match self.choices.below(100) {
            0..50 => Ask::Put(unique),
            // Equal values, in one region or in several at the same time.
            50..62 => Ask::Put("same".to_owned()),
            62..70 => Ask::PutExpiring(unique),
            70..92 => Ask::Delete,
            _ => Ask::Expire,
        }
    }

    pub(super) fn place_of(&self, region: usize, key: usize) -> Place {
        Place { region, partition: self.nodes[region].position(self.history.keys[key].hash()) }
    }

    /// Puts one write, or a transaction of several in one partition, into its queue.
    pub(super) fn ask(&mut self, region: usize, asks: Vec<(usize, Ask)>) -> Vec<WriteId> {
        let place = self.place_of(region, asks[0].0);
        let (ids, writes): (Vec<_>, Vec<_>) =
            asks.into_iter().map(|(key, ask)| self.write(region, key, ask)).unzip();
        let op = match <[Write; 1]>::try_from(writes) {
            Ok([write]) => Op::Write(write),
            Err(writes) => Op::Transact(writes),
        };
        self.enqueue(place, op, From::Client(ids.clone()));
        ids
    }

    fn write(&mut self, region: usize, key: usize, ask: Ask) -> (WriteId, Write) {
        let value = match &ask {
            Ask::Put(value) => Some(item(key, value, false)),
            Ask::PutExpiring(value) => Some(item(key, value, true)),
            Ask::Delete | Ask::Expire => None,
        };
        let id = self.history.ask(region, key, value.clone(), matches!(ask, Ask::Expire));
        let now_s = self.now_ms(region) / 1000;
        let action = match (value, &ask) {
            (Some(value), _) => Action::Put(value),
            (None, Ask::Expire) => Action::Expire { attribute: TTL.to_owned(), now_s },
            (None, _) => Action::Delete,
        };
        self.note(format!("client {id} {} k{key} {ask:?}", self.place_of(region, key)));
        let key = self.history.keys[key].clone();
        let request = Some(request_of(id));
        (id, Write { key, action, condition: None, item_on_failure: false, request, trace: None })
    }

    /// Into the partition's queue; a node that is down loses it.
    pub(super) fn enqueue(&mut self, place: Place, op: Op, from: From) {
        let partition = &mut self.nodes[place.region].partitions[place.partition];
        if partition.live.is_some() {
            partition.waiting.push_back(Job { op, from });
        }
    }

    pub(super) fn raise(&mut self, place: Place) {
        self.enqueue(place, Op::Raise, From::House);
    }

    /// Asks for the removal of every tombstone: the partition itself must know which may go.
    pub(super) fn prune(&mut self, place: Place) {
        let tombstones = self.tombstones(place);
        if !tombstones.is_empty() {
            self.enqueue(place, Op::Prune(tombstones), From::House);
        }
    }

    /// The tombstones the partition waits to remove.
    pub(super) fn tombstones(&self, place: Place) -> Vec<(Hlc, ItemKey)> {
        let node = &self.nodes[place.region];
        let prefix = node.partitions[place.partition].id.to_bytes();
        let end = tradewind_model::key::after_prefix(&prefix);
        let mut found = Vec::new();
        let visited = node.engine.range(Space::Tombstones, &prefix[..]..&end[..], false, |key, _| {
            found.extend(tombstone::decode(key));
            true
        });
        ready(visited).expect("reads do not fail");
        found
    }
}
