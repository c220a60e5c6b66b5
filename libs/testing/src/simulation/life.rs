//! The life of replicas: a region that joins, one that is evicted, and the same one joining again in a new life.
//!
//! Each is a row of stages, as the replicator drives them, with anything else in between; a stage that is not answered (a
//! crash, a commit that failed) is tried again, and a join sometimes from its beginning.

use std::collections::BTreeMap;

use tradewind_database::partition::arrival::SnapshotRow;
use tradewind_database::partition::group::Op;
use tradewind_database::partition::state::{LinkState, Source};
use tradewind_database::table::document::{ReplicaStatus, TableStatus};
use tradewind_model::{Hlc, Sequence};

use super::broken::Broken;
use super::clients::Ask;
use super::node::{From, Node};
use super::table::REGIONS;
use super::violation::{Property, Violation};
use super::world::{Place, World};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    Create,
    Count,
    Begin,
    Link,
    Seed,
    Watermark,
    Wait,
    Finish,
    Refuse,
    Level,
    Leave,
}

/// What is under way.
#[derive(Clone, Debug)]
pub struct Life {
    pub stage: Stage,
    /// The region that drives it.
    pub by: usize,
    pub of: usize,
    watermark: Hlc,
    /// Keys of the snapshot that went over.
    seeded: usize,
}

impl World {
    /// Regions that serve the table and are replicas of each other.
    pub fn members(&self) -> Vec<usize> {
        let is_member = |at: &usize| {
            let (node, others) = (&self.nodes[*at], &self.nodes);
            node.table.status == TableStatus::Active
                && others.iter().enumerate().any(|(other, there)| {
                    other != *at && there.table.counts(node.region, node.table.incarnation)
                })
        };
        (0..self.nodes.len()).filter(is_member).collect()
    }

    /// The region has no table, and is no replica.
    pub fn leave_out(&mut self, of: usize) {
        let region = self.nodes[of].region;
        self.nodes.iter_mut().for_each(|node| _ = node.table.replicas.remove(&region));
        self.nodes[of].table.status = TableStatus::Deleting;
    }

    pub fn begin_join(&mut self, by: usize, of: usize) {
        self.note(format!("{} joins by {}", REGIONS[of], REGIONS[by]));
        self.life = Some(Life { stage: Stage::Create, by, of, watermark: Hlc::ZERO, seeded: 0 });
    }

    pub fn begin_eviction(&mut self, by: usize, of: usize) {
        self.note(format!("{} evicts {}", REGIONS[by], REGIONS[of]));
        self.life = Some(Life { stage: Stage::Refuse, by, of, watermark: Hlc::ZERO, seeded: 0 });
    }

    /// Until it is over.
    pub fn live_to_end(&mut self) -> Result<(), Violation> {
        for _ in 0..10_000 {
            if self.life.is_none() {
                return Ok(());
            }
            // Clocks have to pass a watermark that some clock was ahead to give.
            self.advance(10);
            self.sync()?;
            self.live()?;
        }
        Property::Converged.check(false, || format!("no end of {:?}", self.life))
    }

    /// The stages up to `stage`, which is left to come.
    pub fn live_until(&mut self, stage: Stage) -> Result<(), Violation> {
        for _ in 0..10_000 {
            if self.life.as_ref().is_none_or(|life| life.stage == stage) {
                return Ok(());
            }
            self.live()?;
        }
        Property::Converged.check(false, || format!("no end of {:?}", self.life))
    }

    /// Begins something now and then, and goes on with it.
    pub(super) fn live_some(&mut self) -> Result<(), Violation> {
        let members = self.members();
        match &self.life {
            Some(life)
                if life.stage > Stage::Count && life.stage < Stage::Finish && self.choices.permille(10) =>
            {
                // The driver died: it begins anew.
                let life = Life { stage: Stage::Count, seeded: 0, ..life.clone() };
                self.life = Some(life);
                Ok(())
            }
            Some(_) => self.live(),
            None if members.len() < 3 => {
                let out = (0..3).find(|at| !members.contains(at)).unwrap_or_default();
                let by = self.choices.pick(&members);
                self.begin_join(by, out);
                Ok(())
            }
            None => {
                let of = self.choices.below(3);
                let by = (of + 1 + self.choices.below(2)) % 3;
                self.begin_eviction(by, of);
                Ok(())
            }
        }
    }

    /// The next stage, if all whom it needs are up.
    pub fn live(&mut self) -> Result<(), Violation> {
        let Some(life) = self.life.clone() else { return Ok(()) };
        let stay: Vec<_> = self.members().into_iter().filter(|at| *at != life.of).collect();
        let joins = life.stage < Stage::Refuse;
        let needed = stay.iter().chain(joins.then_some(&life.of));
        if needed.into_iter().any(|at| self.is_down(*at)) {
            return Ok(());
        }
        let next = match life.stage {
            Stage::Create => Some(self.create(&life)),
            Stage::Count => self.count_joiner(&life, &stay)?,
            Stage::Begin => self.begin_links(&life)?,
            Stage::Link => Some(self.link(&life, &stay)),
            Stage::Seed => self.seed(&life)?,
            Stage::Watermark => self.common_watermark(&life, &stay)?,
            Stage::Wait => self.wait_for(&life, &stay)?,
            Stage::Finish => self.finish_join(&life, &stay)?,
            Stage::Refuse => self.refuse(&life, &stay)?,
            Stage::Level => self.level(&life, &stay)?,
            Stage::Leave => self.evicted(&life, &stay)?,
        };
        if let (Some(life), Some(next)) = (self.life.as_mut(), next) {
            life.stage = next;
            self.note(format!("on to {next:?}"));
        }
        Ok(())
    }

    fn create(&mut self, life: &Life) -> Stage {
        let lives = self.nodes[life.of].lives + 1;
        let count = self.weather.partitions[life.of];
        self.bury(life.of);
        let mut node = Node::reborn(life.of, count, lives);
        let mut replicas = self.nodes[life.by].table.replicas.clone();
        let mut own = node.table.replicas[&node.region].clone();
        own.status = ReplicaStatus::Creating;
        replicas.insert(node.region, own);
        node.table.replicas = replicas;
        node.table.status = TableStatus::Creating;
        node.table.global = self.nodes[life.by].table.global.clone();
        node.skew_ms = self.nodes[life.of].skew_ms;
        self.nodes[life.of] = node;
        self.disconnect(|name| name.from.region == life.of || name.to == life.of);
        Stage::Count
    }

    /// A life of a region is over: what nobody else has of it is gone with it, as an eviction wants.
    pub(super) fn bury(&mut self, of: usize) {
        let members: Vec<_> = self.members().into_iter().filter(|at| *at != of).collect();
        for id in 0..self.history.writes.len() {
            let had = members.iter().any(|at| self.history.knows(*at, id));
            if self.history.writes[id].region == of && !had {
                self.history.writes[id].buried = true;
            }
        }
        self.history.forget(of);
    }

    fn count_joiner(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let joiner = self.nodes[life.of].region;
        let mut counted = self.nodes[life.of].table.replicas[&joiner].clone();
        counted.incarnation = None;
        for at in stay {
            self.nodes[*at].table.replicas.insert(joiner, counted.clone());
        }
        let answered = self.at_all(stay, |_| Op::Barrier)?;
        Ok(answered.then_some(Stage::Begin))
    }

    fn begin_links(&mut self, life: &Life) -> Result<Option<Stage>, Violation> {
        if !self.at_all(&[life.by], |_| Op::Barrier)? {
            return Ok(None);
        }
        let node = &self.nodes[life.by];
        let joiner = self.nodes[life.of].region;
        let mut links = self.ends(life.by);
        for partition in &node.partitions {
            for (source, link) in partition.durable.links.iter().filter(|(source, _)| source.region != joiner)
            {
                let known =
                    links.entry(*source).or_insert_with(|| LinkState::begin(link.cursor, link.from, link.to));
                known.cursor = known.cursor.min(link.cursor);
            }
        }
        let answered = self.begin_in(life.of, &links)?;
        Ok(answered.then_some(Stage::Link))
    }

    /// Where the region's logs end.
    fn ends(&self, of: usize) -> BTreeMap<Source, LinkState> {
        let node = &self.nodes[of];
        let (region, incarnation) = (node.region, node.table.incarnation);
        let ends = node.partitions.iter().map(|partition| {
            let source = Source { region, incarnation, number: partition.range.number };
            let end = Sequence(partition.durable.next.0 - 1);
            (source, LinkState::begin(end, partition.range.from, partition.range.to))
        });
        ends.collect()
    }

    fn begin_in(&mut self, of: usize, links: &BTreeMap<Source, LinkState>) -> Result<bool, Violation> {
        let links = links.clone();
        self.at_all(&[of], move |range| {
            let overlapping = links.iter().filter(|(_, link)| range.overlaps(link.from, link.to));
            Op::Begin(overlapping.map(|(source, link)| (*source, link.clone())).collect())
        })
    }

    fn link(&mut self, life: &Life, stay: &[usize]) -> Stage {
        let joiner = self.nodes[life.of].region;
        let own = self.nodes[life.of].table.replicas[&joiner].clone();
        for at in stay {
            self.nodes[*at].table.replicas.insert(joiner, own.clone());
        }
        Stage::Seed
    }

    /// A piece of the snapshot.
    fn seed(&mut self, life: &Life) -> Result<Option<Stage>, Violation> {
        let end = (life.seeded + 1 + self.choices.below(3)).min(self.history.keys.len());
        for key in life.seeded..end {
            // Taken before the row: what is settled with it later comes by links as well.
            let settled = self.history.settled(life.by, key);
            if !self.send_row(life.by, life.of, key)? {
                return Ok(None);
            }
            self.history.settle(life.of, key, &settled);
        }
        if let Some(life) = &mut self.life {
            life.seeded = end;
        }
        Ok((end == self.history.keys.len()).then_some(Stage::Watermark))
    }

    /// One row of one region to another: `false` if it is not known to have arrived.
    fn send_row(&mut self, from: usize, to: usize, key: usize) -> Result<bool, Violation> {
        let known = self.history.known(from, key);
        let Some(mut row) = self.row(from, key) else {
            return Ok(true);
        };
        if self.broken == Some(Broken::SnapshotForgetsTombstones) && row.item.is_none() {
            return Ok(true);
        }
        let at = self.place_of(from, key).partition;
        let stable = self.nodes[from].partitions[at].durable.stable;
        row.stable = row.stable.max(Some(stable));
        if self.broken == Some(Broken::RowsForgetStable) {
            row.stable = None;
        }
        self.seeds.insert((key, row.version), known);
        let place = self.place_of(to, key);
        let rows = vec![SnapshotRow { key: self.history.keys[key].clone(), row }];
        let joins = self.nodes[to].table.status == TableStatus::Creating;
        let seed = if joins { Op::Seed(rows) } else { Op::Mend(rows) };
        self.now_at(place, seed)
    }

    /// The row was refused as one that was deleted: it is deleted where it came from.
    fn forget_late(&mut self, from: usize, key: usize) -> Result<(), Violation> {
        if std::mem::take(&mut self.late) == 0 {
            return Ok(());
        }
        self.trace.count("an evicted region's delete is told on");
        self.ask(from, vec![(key, Ask::Delete)]);
        let place = self.place_of(from, key);
        while !self.nodes[place.region].partitions[place.partition].waiting.is_empty() {
            self.step(place)?;
        }
        Ok(())
    }

    fn common_watermark(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let all: Vec<_> = stay.iter().copied().chain([life.of]).collect();
        if !self.at_all(&all, |_| Op::Raise)? {
            return Ok(None);
        }
        let watermark = all.iter().map(|at| self.max_hlc(*at)).max().unwrap_or_default();
        if let Some(life) = &mut self.life {
            life.watermark = watermark;
        }
        Ok(Some(Stage::Wait))
    }

    fn wait_for(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let seen = stay.iter().map(|at| self.seen(life.of, *at)).min().unwrap_or_default();
        if seen >= life.watermark {
            return Ok(Some(Stage::Finish));
        }
        self.at_all(stay, |_| Op::Raise).map(|_| None)
    }

    fn finish_join(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let ends = self.ends(life.of);
        for at in stay {
            if !self.begin_in(*at, &ends)? {
                return Ok(None);
            }
        }
        let start = match self.broken {
            Some(Broken::JoinerStartsAtZero) => Hlc::ZERO,
            _ => life.watermark,
        };
        if !self.at_all(&[life.of], |_| Op::Joined(start))? {
            return Ok(None);
        }
        self.history.know_what_is_settled(life.of);
        let joiner = self.nodes[life.of].region;
        for at in stay.iter().chain([&life.of]) {
            let node = &mut self.nodes[*at];
            if let Some(replica) = node.table.replicas.get_mut(&joiner) {
                replica.status = ReplicaStatus::Active;
            }
        }
        self.nodes[life.of].table.status = TableStatus::Active;
        self.trace.count("a replica joins");
        self.life = None;
        Ok(None)
    }

    fn refuse(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let gone = self.nodes[life.of].region;
        if self.broken != Some(Broken::EvictedIsStillTaken) {
            for at in stay {
                if let Some(replica) = self.nodes[*at].table.replicas.get_mut(&gone) {
                    replica.status = ReplicaStatus::Evicting;
                }
            }
        }
        let answered = self.at_all(stay, |_| Op::Barrier)?;
        Ok(answered.then_some(Stage::Level))
    }

    fn level(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        if self.broken == Some(Broken::SurvivorsAreNotLevelled) {
            return Ok(Some(Stage::Leave));
        }
        let gone = self.nodes[life.of].region;
        for from in stay {
            for to in stay.iter().filter(|to| *to != from) {
                for key in 0..self.history.keys.len() {
                    let concerns = self.row(*from, key).is_some_and(|row| row.origin() == gone);
                    if concerns && !self.send_row(*from, *to, key)? {
                        return Ok(None);
                    }
                    self.forget_late(*from, key)?;
                    // What a greater write stands over already needs no row: nobody will send it again.
                    let known = self.history.of_region(&self.history.settled(*from, key), life.of);
                    self.history.settle(*to, key, &known);
                }
            }
        }
        Ok(Some(Stage::Leave))
    }

    fn evicted(&mut self, life: &Life, stay: &[usize]) -> Result<Option<Stage>, Violation> {
        let gone = self.nodes[life.of].region;
        for at in stay {
            let table = &mut self.nodes[*at].table;
            if table.replicas.remove(&gone).is_some() {
                table.global.generation += 1;
            }
        }
        if !self.at_all(stay, |_| Op::Leave(gone))? {
            return Ok(None);
        }
        self.trace.count("a replica is evicted");
        self.life = None;
        Ok(None)
    }

    /// An operation at every partition of these regions; whether all have answered.
    fn at_all(
        &mut self,
        regions: &[usize],
        op: impl Fn(&tradewind_database::table::document::Range) -> Op,
    ) -> Result<bool, Violation> {
        let mut all = true;
        for region in regions {
            for partition in 0..self.nodes[*region].partitions.len() {
                let op = op(&self.nodes[*region].partitions[partition].range);
                all &= self.now_at(Place { region: *region, partition }, op)?;
            }
        }
        Ok(all)
    }

    /// Through a partition's queue, with what waits there; whether it was answered.
    fn now_at(&mut self, place: Place, op: Op) -> Result<bool, Violation> {
        self.tokens += 1;
        let token = self.tokens;
        self.enqueue(place, op, From::Life(token));
        while !self.nodes[place.region].partitions[place.partition].waiting.is_empty() {
            self.step(place)?;
        }
        Ok(self.answered.remove(&token))
    }
}
