//! The end of a run: everything is healed, what is under way arrives, tombstones go.

use super::violation::{Property, Violation};
use super::weather::Weather;
use super::world::World;

/// Rounds in which all tombstones must be gone: one for watermarks, one for what was seen of them, one to prune, and as many
/// again for regions that were behind.
const ROUNDS: usize = 6;
/// Longer than any skew: nothing is from the future any more.
const CATCH_UP_MS: u64 = 10_000;

impl World {
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.heal()?;
        self.live_to_end()?;
        for _ in 0..ROUNDS {
            self.round()?;
        }
        Ok(())
    }

    fn heal(&mut self) -> Result<(), Violation> {
        self.note("all is well from here".to_owned());
        let calm = Weather::calm(self.weather.partitions);
        self.weather = Weather { keys: self.weather.keys, page: self.weather.page, ..calm };
        self.network.mend_all();
        self.disconnect(|_| true);
        for region in 0..self.nodes.len() {
            self.nodes[region].skew_ms = 0;
            if self.is_down(region) {
                self.reopen(region)?;
            }
        }
        self.advance(CATCH_UP_MS);
        Ok(())
    }

    /// Idle clocks are raised, every link sends all it has, tombstones go that may.
    pub fn round(&mut self) -> Result<(), Violation> {
        self.advance(1000);
        self.places().into_iter().for_each(|place| self.raise(place));
        self.step_all()?;
        self.sync()?;
        self.places().into_iter().for_each(|place| self.prune(place));
        self.step_all()
    }

    pub fn step_all(&mut self) -> Result<(), Violation> {
        for place in self.places() {
            while !self.nodes[place.region].partitions[place.partition].waiting.is_empty() {
                self.step(place)?;
            }
        }
        Ok(())
    }

    /// Until every link has sent its log to the end, and once more what was seen of others.
    pub fn sync(&mut self) -> Result<(), Violation> {
        let names: Vec<_> = self.routes.keys().copied().collect();
        for _ in 0..2 {
            for name in names.iter().filter(|name| self.is_linked(**name)).copied().collect::<Vec<_>>() {
                self.sync_link(name)?;
            }
        }
        Ok(())
    }

    pub(super) fn sync_link(&mut self, name: super::LinkName) -> Result<(), Violation> {
        // Enough for a log that is sent change by change.
        for _ in 0..10_000 {
            self.deliver_all()?;
            let partition = &self.nodes[name.from.region].partitions[name.from.partition];
            let end = partition.durable.next;
            self.walk(name)?;
            self.walk(name)?;
            self.walk(name)?;
            self.deliver_all()?;
            let route = &self.routes[&name];
            if route.link.as_ref().is_some_and(|link| link.acknowledged.next() >= end) {
                return Ok(());
            }
            if let Some((_, until_ms)) = route.awaited {
                self.advance(until_ms.saturating_sub(self.time_ms) + 1);
            }
        }
        Property::Converged.check(false, || format!("{name} does not come to its end"))
    }

    /// Until nothing is under way; with delays, as far as time has come.
    pub fn deliver_all(&mut self) -> Result<(), Violation> {
        loop {
            let mut moved = false;
            while self.deliver() {
                moved = true;
            }
            self.step_all()?;
            if !moved {
                return Ok(());
            }
        }
    }
}
