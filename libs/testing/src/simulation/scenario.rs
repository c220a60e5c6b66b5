//! Histories that are told step by step, through the same machinery as the random ones.

use tradewind_model::Item;

use super::choices::Choices;
use super::clients::Ask;
use super::history::WriteId;
use super::violation::Violation;
use super::weather::Weather;
use super::world::{LinkName, World};

impl World {
    /// Regions 0, 1 and 2 with so many partitions each; nothing goes wrong that is not asked for.
    pub fn told(partitions: [u32; 3]) -> World {
        World::new(Weather::calm(partitions), Choices::new(0), None)
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

    fn now(&mut self, region: usize, key: usize, ask: Ask) -> Result<WriteId, Violation> {
        let ids = self.ask(region, vec![(key, ask)]);
        self.step_all()?;
        Ok(ids[0])
    }

    /// Every link from one region to another sends all it has, and it is applied.
    pub fn pass(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        self.between(from, to).into_iter().try_for_each(|name| self.sync_link(name))
    }

    /// Every link from one region to another sends one batch, which stays under way.
    pub fn dispatch(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        for name in self.between(from, to) {
            self.routes.get_mut(&name).expect("every link has its route").awaited = None;
            (0..3).try_for_each(|_| self.walk(name))?;
        }
        Ok(())
    }

    /// What is under way is lost.
    pub fn lose(&mut self) {
        while self.receive().is_some() {}
    }

    fn between(&self, from: usize, to: usize) -> Vec<LinkName> {
        self.routes.keys().filter(|name| name.from.region == from && name.to == to).copied().collect()
    }

    /// The item as reads in the region see it.
    pub fn item(&self, region: usize, key: usize) -> Option<Item> {
        self.row(region, key)?.item
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
