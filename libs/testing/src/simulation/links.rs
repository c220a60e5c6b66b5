//! Links as the replicator runs them, each step by itself, so that anything may happen in between: connect, announce,
//! read and send, hear the answer.

use futures_util::FutureExt;
use tradewind_changelog::ChangeLog;
use tradewind_database::partition::arrival::{Arrival, Arrived};
use tradewind_database::partition::group::Op;
use tradewind_database::partition::state::Source;
use tradewind_database::replica::{Position, part_of};
use tradewind_database::table::document::{ReplicaStatus, TableStatus};
use tradewind_model::Sequence;
use tradewind_replication::link::{Announcement, BATCH_BYTES, Link, diverged};

use super::network::{Envelope, Message};
use super::node::{From, Job, ready};
use super::violation::{Property, Violation};
use super::world::{LinkName, World};

/// A batch that is not answered for this long is taken for lost.
const PATIENCE_MS: u64 = 300;

#[derive(Default)]
pub struct Route {
    pub link: Option<Link>,
    /// Taken from the durable state, and not sent yet.
    pub announcement: Option<Announcement>,
    /// The number of the batch that is under way, and when to give it up.
    pub awaited: Option<(u64, u64)>,
    attempts: u64,
}

/// A batch at its destination, until all partitions that it concerns have answered.
pub struct Delivery {
    link: LinkName,
    attempt: u64,
    expected: usize,
    answers: Vec<Arrived>,
}

impl World {
    /// Whatever a link believed of its destination is forgotten: it connects again.
    pub(super) fn disconnect(&mut self, applies: impl Fn(&LinkName) -> bool) {
        for (_, route) in self.routes.iter_mut().filter(|(name, _)| applies(name)) {
            (route.link, route.announcement, route.awaited) = (None, None, None);
        }
    }

    /// The next thing the link does, if it can do any.
    pub(super) fn walk(&mut self, name: LinkName) -> Result<(), Violation> {
        let node = &self.nodes[name.from.region];
        if node.partitions[name.from.partition].live.is_none() {
            return Ok(());
        }
        let now_ms = self.time_ms;
        let route = self.routes.get_mut(&name).expect("every link has its route");
        if route.awaited.is_some_and(|(_, until_ms)| until_ms < now_ms) {
            route.awaited = None;
        }
        match route {
            Route { link: None, .. } => self.connect(name),
            Route { announcement: None, .. } => {
                self.announce(name);
                Ok(())
            }
            Route { awaited: Some(_), .. } => Ok(()),
            _ => {
                self.push(name);
                Ok(())
            }
        }
    }

    fn source(&self, name: LinkName) -> Source {
        let node = &self.nodes[name.from.region];
        let number = node.partitions[name.from.partition].range.number;
        Source { region: node.region, incarnation: node.table.incarnation, number }
    }

    fn connect(&mut self, name: LinkName) -> Result<(), Violation> {
        let there_and_back = [(name.from.region, name.to), (name.to, name.from.region)];
        let cut = there_and_back.iter().any(|(from, to)| self.network.is_cut(*from, *to));
        let Some(position) = self.position(name).filter(|_| !cut) else { return Ok(()) };
        let (source, node) = (self.source(name), &self.nodes[name.from.region]);
        let partition = &node.partitions[name.from.partition];
        let next = ready(node.log.kept(partition.id)).expect("reads do not fail").end;
        let before = Sequence(position.cursor.0.saturating_sub(1));
        let page = ready(node.log.read(partition.id, before, 1, 1)).expect("reads do not fail");
        let found = page.changes.iter().find(|(sequence, _)| *sequence == position.cursor);
        let lost = diverged(position.cursor, position.at, next, found.map(|(_, change)| change));
        Property::SameLog.check(!lost, || format!("{name} stands at {} of {next}", position.cursor))?;
        let link = Link::new(source, partition.range.from, partition.range.to, position.cursor);
        let route = self.routes.get_mut(&name).expect("every link has its route");
        (route.link, route.announcement, route.awaited) = (Some(link), None, None);
        self.note(format!("{name} connects at {}", position.cursor));
        Ok(())
    }

    /// Where the destination stands: the least of its partitions, all of which must answer.
    fn position(&self, name: LinkName) -> Option<Position> {
        let range = self.nodes[name.from.region].partitions[name.from.partition].range;
        if !self.is_linked(name) {
            return None;
        }
        let there = &self.nodes[name.to];
        let source = self.source(name);
        let positions = there.overlapping(range.from, range.to).into_iter().map(|at| {
            let link = there.partitions[at].live.as_ref()?.links.get(&source);
            Some(Position {
                cursor: link.map(|link| link.cursor).unwrap_or_default(),
                at: link.and_then(|link| link.at),
                term: link.map_or(0, |link| link.term),
            })
        });
        positions.collect::<Option<Vec<_>>>()?.into_iter().min_by_key(|position| position.cursor)
    }

    /// Whether the source serves and knows the destination's life, and the destination takes anything from it.
    pub(super) fn is_linked(&self, name: LinkName) -> bool {
        let (here, there) = (&self.nodes[name.from.region], &self.nodes[name.to]);
        let replica = here.table.replicas.get(&there.region);
        let known = replica.is_some_and(|replica| replica.incarnation == Some(there.table.incarnation));
        let taken = there.table.counts(here.region, here.table.incarnation)
            && there.table.replicas[&here.region].status != ReplicaStatus::Evicting;
        known && taken && here.table.status == TableStatus::Active && self.has_begun(name.to)
    }

    /// A joiner takes nothing before it knows where links begin.
    fn has_begun(&self, at: usize) -> bool {
        let there = &self.nodes[at];
        let begun = there.partitions.iter().all(|partition| !partition.durable.links.is_empty());
        there.table.status != TableStatus::Creating || begun
    }

    fn announce(&mut self, name: LinkName) {
        let now_ms = self.now_ms(name.from.region);
        let node = &self.nodes[name.from.region];
        let Some(state) = &node.partitions[name.from.partition].live else { return };
        let mut announcement = Announcement::of(state, &node.table);
        if let Some(broken) = self.broken {
            broken.announcement(&mut announcement, now_ms);
        }
        self.routes.get_mut(&name).expect("every link has its route").announcement = Some(announcement);
    }

    fn push(&mut self, name: LinkName) {
        let limit = self.choices.between(1, self.weather.page as u64) as usize;
        let goes_on = self.choices.percent(self.weather.pipeline);
        let node = &self.nodes[name.from.region];
        let id = node.partitions[name.from.partition].id;
        let route = self.routes.get_mut(&name).expect("every link has its route");
        let Some((link, mut announcement)) = route.link.as_mut().zip(route.announcement.take()) else {
            return;
        };
        announcement.generation = node.table.global.generation;
        let page = node.log.read(id, link.walked(), limit, BATCH_BYTES).now_or_never();
        let page = page.expect("an engine in memory answers at once").expect("reads do not fail");
        let mut arrival = link.batch(page, &announcement);
        if let Some(broken) = self.broken {
            broken.batch(&mut arrival, &announcement);
        }
        route.attempts += 1;
        let attempt = route.attempts;
        route.awaited = Some((attempt, self.time_ms + PATIENCE_MS));
        if goes_on {
            // No link of today does; that gaps are refused makes it safe, and this is how gaps come about.
            link.answered(Arrived::Through { cursor: arrival.through });
            route.awaited = None;
        }
        self.note(format!(
            "{name} sends ({}, {}] of {}, W {}",
            arrival.after,
            arrival.through,
            arrival.changes.len(),
            arrival.watermark
        ));
        self.send(Envelope { link: name, message: Message::Batch { attempt, arrival } });
    }

    /// Takes a message from the network; `false` if none is due.
    pub(super) fn deliver(&mut self) -> bool {
        let Some(envelope) = self.receive() else { return false };
        match envelope.message {
            Message::Batch { attempt, arrival } => self.accept(envelope.link, attempt, &arrival),
            Message::Answer { attempt, arrived } => self.hear(envelope.link, attempt, arrived),
        }
        true
    }

    /// The parts of a batch go into the queues of the partitions that live; only if all answer, the batch is answered.
    fn accept(&mut self, link: LinkName, attempt: u64, arrival: &Arrival) {
        if !self.has_begun(link.to) {
            return;
        }
        let there = &mut self.nodes[link.to];
        let concerned = there.overlapping(arrival.from, arrival.to);
        self.accepted += 1;
        let number = self.accepted;
        for at in &concerned {
            let partition = &mut there.partitions[*at];
            if partition.live.is_some() {
                let op = Op::Arrive(part_of(arrival, &partition.range));
                partition.waiting.push_back(Job { op, from: From::Batch(number) });
            }
        }
        self.deliveries
            .insert(number, Delivery { link, attempt, expected: concerned.len(), answers: Vec::new() });
    }

    /// A partition has answered its part of a batch, durably.
    pub(super) fn arrived(&mut self, number: u64, arrived: Arrived) {
        let Some(delivery) = self.deliveries.get_mut(&number) else { return };
        delivery.answers.push(arrived);
        if delivery.answers.len() < delivery.expected {
            return;
        }
        let (link, attempt) = (delivery.link, delivery.attempt);
        let least = delivery.answers.iter().min_by_key(|answer| answer.cursor()).copied();
        self.deliveries.remove(&number);
        if let Some(arrived) = least {
            self.send(Envelope { link, message: Message::Answer { attempt, arrived } });
        }
    }

    /// Answers to earlier batches are believed as well: each tells where the destination once stood.
    fn hear(&mut self, name: LinkName, attempt: u64, arrived: Arrived) {
        self.note(format!("{name} hears {arrived:?}"));
        let route = self.routes.get_mut(&name).expect("every link has its route");
        if let Some(link) = &mut route.link {
            link.answered(arrived);
        }
        if matches!(arrived, Arrived::Stranger { .. }) {
            (route.link, route.announcement) = (None, None);
        }
        route.awaited = route.awaited.filter(|(awaited, _)| *awaited != attempt);
    }
}
