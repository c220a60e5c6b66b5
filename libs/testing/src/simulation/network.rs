//! Between regions: messages that come late, twice, in another order, or never.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_database::partition::arrival::{Arrival, Arrived};

use super::world::{LinkName, World};

#[derive(Clone, Debug)]
pub enum Message {
    Batch { attempt: u64, arrival: Arrival },
    Answer { attempt: u64, arrived: Arrived },
}

#[derive(Clone, Debug)]
pub struct Envelope {
    pub link: LinkName,
    pub message: Message,
}

impl Envelope {
    fn way(&self) -> (usize, usize) {
        match self.message {
            Message::Batch { .. } => (self.link.from.region, self.link.to),
            Message::Answer { .. } => (self.link.to, self.link.from.region),
        }
    }
}

#[derive(Default)]
pub struct Network {
    /// By when they arrive, and the order in which they were sent.
    flying: BTreeMap<(u64, u64), Envelope>,
    sent: u64,
    cut: BTreeSet<(usize, usize)>,
}

impl Network {
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Cuts the way, or mends it.
    pub fn toggle(&mut self, from: usize, to: usize) -> bool {
        let cut = !self.cut.remove(&(from, to));
        if cut {
            self.cut.insert((from, to));
        }
        cut
    }

    pub fn mend_all(&mut self) {
        self.cut.clear();
    }

    fn fly(&mut self, due_ms: u64, envelope: Envelope) {
        self.sent += 1;
        self.flying.insert((due_ms, self.sent), envelope);
    }

    fn land(&mut self, now_ms: u64) -> Option<Envelope> {
        let first = self.flying.first_entry().filter(|entry| entry.key().0 <= now_ms)?;
        Some(first.remove())
    }
}

impl World {
    pub(super) fn send(&mut self, envelope: Envelope) {
        let (from, to) = envelope.way();
        if self.network.is_cut(from, to) || self.choices.percent(self.weather.drop) {
            return;
        }
        let copies = if self.choices.percent(self.weather.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let delay_ms = self.choices.between(0, self.weather.delay_most_ms);
            self.network.fly(self.time_ms + delay_ms, envelope.clone());
        }
    }

    /// The next message that is due, unless it is lost on the way.
    pub(super) fn receive(&mut self) -> Option<Envelope> {
        while let Some(envelope) = self.network.land(self.time_ms) {
            let (from, to) = envelope.way();
            if !self.network.is_cut(from, to) {
                return Some(envelope);
            }
        }
        None
    }
}
