//! What links find out of other regions: who answers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use tradewind_model::Region;

#[derive(Default)]
pub struct Sight {
    heard: Mutex<BTreeMap<Region, Instant>>,
}

impl Sight {
    /// A region that has not had the time to answer yet is not away.
    pub fn expect(&self, region: Region) {
        self.heard.lock().expect("no panic while held").entry(region).or_insert_with(Instant::now);
    }

    pub fn heard(&self, region: Region) {
        self.heard.lock().expect("no panic while held").insert(region, Instant::now());
    }

    /// For how many milliseconds each region has not been heard of.
    pub fn unheard_ms(&self) -> BTreeMap<Region, u64> {
        let heard = self.heard.lock().expect("no panic while held");
        heard.iter().map(|(region, at)| (*region, at.elapsed().as_millis() as u64)).collect()
    }
}
