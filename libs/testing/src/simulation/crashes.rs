//! Nodes that die and come back, and earlier owners that do not know it.

use std::collections::HashMap;

use tradewind_database::partition::group::{Group, Op};
use tradewind_database::partition::state::State;
use tradewind_engine::{Engine, Error};

use super::node::{Zombie, ready};
use super::table::REGIONS;
use super::violation::{Property, Violation};
use super::world::{Place, World};

impl World {
    pub(super) fn is_down(&self, region: usize) -> bool {
        self.nodes[region].partitions.iter().any(|partition| partition.live.is_none())
    }

    /// What is in memory is lost: queues, states, links. Sometimes the old process goes on for a while.
    pub fn crash(&mut self, region: usize) {
        self.note(format!("{} crashes", REGIONS[region]));
        self.trace.count("a node crashes");
        let node = &mut self.nodes[region];
        for partition in &mut node.partitions {
            partition.waiting.clear();
            let engine = node.engine.clone();
            partition.zombie = partition.live.take().map(|state| Zombie { engine, state });
        }
        node.restart();
        self.disconnect(|name| name.from.region == region);
    }

    pub fn reopen(&mut self, region: usize) -> Result<(), Violation> {
        self.note(format!("{} reopens", REGIONS[region]));
        (0..self.nodes[region].partitions.len())
            .try_for_each(|partition| self.reopen_partition(Place { region, partition }))
    }

    /// Under a new epoch the partition knows what was committed, no more and no less.
    pub(super) fn reopen_partition(&mut self, place: Place) -> Result<(), Violation> {
        let opened = self.nodes[place.region].open(place.partition);
        let partition = &mut self.nodes[place.region].partitions[place.partition];
        let known = State { epoch: opened.epoch, ..partition.durable.clone() };
        Property::Reopened.check(opened == known && opened.epoch > partition.durable.epoch, || {
            format!("{place} opened as {opened:?}, and was {:?}", partition.durable)
        })?;
        partition.durable = opened.clone();
        partition.live = Some(opened);
        Ok(())
    }

    /// An earlier owner commits: it must be told that it is none any more.
    pub(super) fn zombie_commits(&mut self, place: Place) -> Result<(), Violation> {
        let now_ms = self.now_ms(place.region) + 1;
        let node = &mut self.nodes[place.region];
        let partition = &mut node.partitions[place.partition];
        if partition.live.is_none() {
            return Ok(());
        }
        let Some(zombie) = partition.zombie.take() else { return Ok(()) };
        let mut group = Group::new(&node.table, node.region, now_ms, &zombie.state, HashMap::new());
        group.take(&Op::Raise);
        let Some(commit) = group.finish().0 else { return Ok(()) };
        let outcome = ready(zombie.engine.commit(vec![commit]));
        let fenced = matches!(outcome, Err(Error::Fenced { .. }));
        self.note(format!("{place} an earlier owner commits"));
        self.trace.count("an earlier owner is fenced");
        Property::Reopened.check(fenced, || format!("an earlier owner of {place} committed: {outcome:?}"))
    }
}
