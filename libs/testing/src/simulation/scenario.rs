//! Histories that are told step by step, through the same machinery as the random ones.

use tradewind_database::conflict::Conflict;
use tradewind_database::partition::arrival::Arrived;
use tradewind_database::table::document::{Replica, ReplicaStatus};
use tradewind_engine::{Engine, Space};
use tradewind_model::{Hlc, Item, Region, Sequence};

use super::broken::Broken;
use super::choices::Choices;
use super::clients::Ask;
use super::history::WriteId;
use super::node::ready;
use super::violation::Violation;
use super::weather::Weather;
use super::world::{LinkName, World};

impl World {
    /// Regions 0, 1 and 2 with so many partitions each; nothing goes wrong that is not asked for.
    pub fn told(partitions: [u32; 3]) -> World {
        World::new(Weather::calm(partitions), Choices::new(0), None)
    }

    /// The same with a broken rule.
    pub fn told_with(partitions: [u32; 3], broken: Broken) -> World {
        World::new(Weather::calm(partitions), Choices::new(0), Some(broken))
    }

    /// Links read so many changes at once.
    pub fn set_page(&mut self, changes: usize) {
        self.weather.page = changes;
    }

    pub fn put(&mut self, region: usize, key: usize, value: &str) -> Result<WriteId, Violation> {
        self.now(region, key, Ask::Put(value.to_owned()))
    }

    pub fn delete(&mut self, region: usize, key: usize) -> Result<WriteId, Violation> {
        self.now(region, key, Ask::Delete)
    }

    /// An item whose TTL has passed.
    pub fn put_expiring(&mut self, region: usize, key: usize, value: &str) -> Result<WriteId, Violation> {
        self.now(region, key, Ask::PutExpiring(value.to_owned()))
    }

    fn now(&mut self, region: usize, key: usize, ask: Ask) -> Result<WriteId, Violation> {
        let ids = self.ask(region, vec![(key, ask)]);
        self.step_all()?;
        Ok(ids[0])
    }

    /// Every link from one region to another sends all it has, and it is applied.
    pub fn pass(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        self.between(from, to).into_iter().try_for_each(|name| self.sync_link(name))
    }

    /// The same for one partition of the source.
    pub fn pass_from(&mut self, from: usize, partition: usize, to: usize) -> Result<(), Violation> {
        let names = self.between(from, to).into_iter().filter(|name| name.from.partition == partition);
        names.collect::<Vec<_>>().into_iter().try_for_each(|name| self.sync_link(name))
    }

    /// Every link from one region to another sends one batch, which stays under way.
    pub fn dispatch(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        for name in self.between(from, to) {
            self.routes.get_mut(&name).expect("every link has its route").awaited = None;
            (0..3).try_for_each(|_| self.walk(name))?;
        }
        Ok(())
    }

    /// What is under way comes into the queues of its destinations, and is not decided yet.
    pub fn queue_all(&mut self) {
        while self.deliver() {}
    }

    /// What is under way is lost.
    pub fn lose(&mut self) {
        while self.receive().is_some() {}
    }

    /// The links take what they sent last for applied, as if they did not wait for answers.
    pub fn believe(&mut self, from: usize, to: usize) {
        for name in self.between(from, to) {
            let end = self.nodes[from].partitions[name.from.partition].durable.next;
            let link = self.routes.get_mut(&name).and_then(|route| route.link.as_mut());
            link.expect("it is connected").answered(Arrived::Through { cursor: Sequence(end.0 - 1) });
        }
    }

    pub fn raise_all(&mut self) -> Result<(), Violation> {
        self.places().into_iter().for_each(|place| self.raise(place));
        self.step_all()
    }

    pub fn prune_all(&mut self) -> Result<(), Violation> {
        (0..self.nodes.len()).try_for_each(|region| self.prune_region(region))
    }

    pub fn prune_region(&mut self, region: usize) -> Result<(), Violation> {
        self.places().into_iter().filter(|place| place.region == region).for_each(|place| self.prune(place));
        self.step_all()
    }

    pub fn set_skew_ms(&mut self, region: usize, skew_ms: i64) {
        self.nodes[region].skew_ms = skew_ms;
    }

    /// The region's next commit does not happen, and says so.
    pub fn refuse_next_commit(&mut self, region: usize) {
        self.refused = Some(region);
    }

    /// Every region counts a replica that has not announced anything.
    pub fn count_another_replica(&mut self) {
        let joiner = Region::new("joiner").expect("a valid name");
        for node in &mut self.nodes {
            let replica =
                Replica { status: ReplicaStatus::Creating, ..node.table.replicas[&node.region].clone() };
            node.table.replicas.insert(joiner, replica);
        }
    }

    /// How many changes a region's logs hold.
    pub fn logged(&self, region: usize) -> usize {
        self.nodes[region].partitions.iter().map(|partition| partition.log.len()).sum()
    }

    fn between(&self, from: usize, to: usize) -> Vec<LinkName> {
        self.routes.keys().filter(|name| name.from.region == from && name.to == to).copied().collect()
    }

    /// The item as reads in the region see it.
    pub fn item(&self, region: usize, key: usize) -> Option<Item> {
        self.row(region, key)?.item
    }

    /// The region's conflict log, oldest first.
    pub fn conflicts(&self, region: usize) -> Vec<Conflict> {
        let node = &self.nodes[region];
        let prefix = node.table.incarnation.as_bytes();
        let end = tradewind_model::key::after_prefix(prefix);
        let mut found = Vec::new();
        let visited = node.engine.range(Space::Conflicts, &prefix[..]..&end[..], false, |key, value| {
            found.extend(Conflict::decode(key, value));
            true
        });
        ready(visited).expect("reads do not fail");
        found
    }

    /// What a region's partition furthest behind has applied of another.
    pub fn seen(&self, region: usize, of: usize) -> Hlc {
        let of = self.nodes[of].region;
        let partitions = self.nodes[region].partitions.iter();
        partitions.map(|partition| partition.durable.seen(of)).min().unwrap_or_default()
    }

    pub fn stable(&self, region: usize) -> Hlc {
        let partitions = self.nodes[region].partitions.iter();
        partitions.map(|partition| partition.durable.stable).min().unwrap_or_default()
    }

    pub fn max_hlc(&self, region: usize) -> Hlc {
        let partitions = self.nodes[region].partitions.iter();
        partitions.map(|partition| partition.durable.max_hlc).max().unwrap_or_default()
    }

    pub fn tombstone_count(&self, region: usize) -> i64 {
        self.nodes[region].partitions.iter().map(|partition| partition.durable.tombstones).sum()
    }

    /// Heals, drains, and checks all that must hold in the end.
    pub fn finish(&mut self) -> Result<(), Violation> {
        self.settle()?;
        self.judge()
    }
}
