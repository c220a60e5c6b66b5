//! What all senders of a run share: endpoints, items, the ledger, and the figures of each thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::client::Endpoint;
use crate::figures::Figures;
use crate::item::Items;
use crate::keys::{Key, Space};
use crate::ledger::{Ledger, lock};
use crate::scenario::Scenario;

pub struct Load {
    pub scenario: Scenario,
    pub endpoints: Vec<Arc<Endpoint>>,
    pub items: Items,
    pub ledger: Ledger,
    /// Items of each region's own key space: those that were loaded, and all.
    loaded: Vec<AtomicU64>,
    population: Vec<AtomicU64>,
    /// Whether the warm-up is over.
    pub measuring: AtomicBool,
    /// Whether senders are to end before their time.
    pub stop: AtomicBool,
    pub threads: Vec<Mutex<Figures>>,
    pub seed: u64,
}

impl Load {
    pub fn new(
        scenario: Scenario,
        endpoints: Vec<Arc<Endpoint>>,
        items: Items,
        threads: usize,
        seed: u64,
    ) -> Load {
        let counters = || endpoints.iter().map(|_| AtomicU64::new(0)).collect();
        Load {
            ledger: Ledger::new(endpoints.len()),
            loaded: counters(),
            population: counters(),
            measuring: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            threads: (0..threads).map(|_| Mutex::default()).collect(),
            scenario,
            endpoints,
            items,
            seed,
        }
    }

    pub fn population(&self, region: usize) -> u64 {
        self.population[region].load(Ordering::Relaxed)
    }

    pub fn loaded(&self, region: usize) -> u64 {
        self.loaded[region].load(Ordering::Relaxed)
    }

    pub fn set_loaded(&self, region: usize, items: u64) {
        self.loaded[region].store(items, Ordering::Relaxed);
        self.population[region].fetch_max(items, Ordering::Relaxed);
    }

    /// The key of an item that is not there yet.
    pub fn new_key(&self, region: usize) -> Key {
        let index = self.population[region].fetch_add(1, Ordering::Relaxed);
        Key { space: Space::Region(region as u8), index }
    }

    /// One of the region's own keys.
    pub fn own_key(&self, region: usize, random: &mut fastrand::Rng) -> Key {
        let index = self.scenario.keys.choose(self.population(region), random);
        Key { space: Space::Region(region as u8), index }
    }

    /// One of the region's own keys, or with the chosen share one of those that all regions write.
    pub fn key(&self, region: usize, random: &mut fastrand::Rng) -> Key {
        let share = self.scenario.conflict_share;
        if share > 0.0 && random.f64() < share {
            return Key { space: Space::Shared, index: random.u64(0..self.scenario.shared_items) };
        }
        self.own_key(region, random)
    }

    /// Different keys of the region's own; fewer where there are not so many.
    pub fn own_keys(&self, region: usize, count: usize, random: &mut fastrand::Rng) -> Vec<Key> {
        let count = count.min(self.population(region) as usize);
        let mut keys: Vec<Key> = Vec::with_capacity(count);
        // A few more draws than keys: where some keys are hardly ever drawn, the batch is smaller.
        for _ in 0..count * 4 {
            let key = self.own_key(region, random);
            if keys.len() < count && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What was recorded since the last time.
    pub fn collect(&self) -> Figures {
        let mut collected = Figures::default();
        self.threads.iter().for_each(|figures| collected.take(&mut lock(figures)));
        collected
    }
}
