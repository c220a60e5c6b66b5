//! A whole run from a seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::broken::Broken;
use super::violation::{Property, Violation};
use super::world::World;

/// Lines of the trace that a failure shows.
const TAIL: usize = 60;

/// A run in which every property held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Of the trace: equal for equal seeds.
    pub hash: u64,
    pub writes: usize,
    /// How often what was worth reaching was reached, before the end.
    pub counts: BTreeMap<&'static str, usize>,
    pub trace: Vec<String>,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed} violates {violation}\n{}", self.tail().join("\n"))]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    pub trace: Vec<String>,
}

impl Failure {
    fn tail(&self) -> &[String] {
        &self.trace[self.trace.len().saturating_sub(TAIL)..]
    }
}

/// Runs the seed's world to its end, with `broken` rules if any.
pub fn run(seed: u64, broken: Option<Broken>) -> Result<Finished, Box<Failure>> {
    let mut world = World::of_seed(seed, broken);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live_and_settle())).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { property: Property::NoPanic, detail: said.unwrap_or_default() })
    });
    match outcome {
        Ok(()) => Ok(world.finished()),
        Err(violation) => Err(Box::new(Failure { seed, violation, trace: world.trace.lines().to_vec() })),
    }
}

impl World {
    fn live_and_settle(&mut self) -> Result<(), Violation> {
        for _ in 0..self.weather.steps {
            self.act()?;
        }
        self.counted = self.trace.counts().clone();
        self.settle()?;
        self.judge()
    }

    fn finished(&self) -> Finished {
        Finished {
            hash: self.trace.hash(),
            writes: self.history.committed().count(),
            counts: self.counted.clone(),
            trace: self.trace.lines().to_vec(),
        }
    }

    /// One thing happens, and a little time passes.
    fn act(&mut self) -> Result<(), Violation> {
        // Coarse, so that clocks of two regions are often equal.
        let ms = self.choices.pick(&[0, 0, 0, 10, 20, 60]);
        self.advance(ms);
        self.misfortune()?;
        let goes_on = self.life.is_some() && self.choices.percent(30);
        if goes_on || self.choices.permille(self.weather.life) {
            self.live_some()?;
        }
        while self.choices.percent(90) && self.deliver() {}
        if self.choices.percent(self.weather.writes) {
            self.ask_anything();
            return Ok(());
        }
        match self.choices.below(100) {
            0..40 => self.step_any(),
            40..85 => self.walk_any(),
            85..95 => {
                self.raise_some();
                Ok(())
            }
            _ => {
                self.places().into_iter().for_each(|place| self.prune(place));
                Ok(())
            }
        }
    }

    /// Idle partitions announce themselves, all at about the same time or one by one.
    fn raise_some(&mut self) {
        if self.choices.percent(self.weather.brisk) {
            self.places().into_iter().for_each(|place| self.raise(place));
        } else {
            let place = self.any_place();
            self.raise(place);
        }
    }

    fn any_place(&mut self) -> super::Place {
        let places = self.places();
        self.choices.pick(&places)
    }

    fn step_any(&mut self) -> Result<(), Violation> {
        if self.choices.percent(self.weather.brisk) {
            return self.places().into_iter().try_for_each(|place| self.step(place));
        }
        for _ in 0..1 + self.choices.below(4) {
            let place = self.any_place();
            self.step(place)?;
        }
        Ok(())
    }

    fn walk_any(&mut self) -> Result<(), Violation> {
        let names: Vec<_> = self.routes.keys().copied().collect();
        if self.choices.percent(self.weather.brisk) {
            return names.into_iter().try_for_each(|name| (0..2).try_for_each(|_| self.walk(name)));
        }
        for _ in 0..1 + self.choices.below(4) {
            let name = self.choices.pick(&names);
            (0..1 + self.choices.below(3)).try_for_each(|_| self.walk(name))?;
        }
        Ok(())
    }

    /// Crashes, cuts and clocks, as often as the weather says.
    fn misfortune(&mut self) -> Result<(), Violation> {
        let region = self.choices.below(self.nodes.len());
        if self.is_down(region) {
            if self.choices.percent(20) {
                self.reopen(region)?;
            }
        } else if self.choices.permille(self.weather.crash) {
            self.crash(region);
        }
        if self.choices.permille(self.weather.cut) {
            let to = self.choices.below(self.nodes.len());
            let cut = self.network.toggle(region, to);
            self.note(format!("{region}→{to} {}", if cut { "is cut" } else { "is mended" }));
        }
        if self.choices.permille(self.weather.skew) {
            let most = self.weather.skew_most_ms;
            let skew_ms = self.choices.between(0, most as u64 / 10) as i64 * 10 - most / 2;
            self.nodes[region].skew_ms = skew_ms;
            self.note(format!("{region} has its clock at {skew_ms} ms"));
        }
        let place = self.any_place();
        if self.choices.percent(20) { self.zombie_commits(place) } else { Ok(()) }
    }
}
