//! Wall time: the only place that reads it.
//!
//! Time follows the machine's monotonic clock, so that a wall clock that jumps forward cannot carry versions with it: a
//! jump of more than [`MAX_STEP_MS`] is adopted only once it is confirmed (by a database's or a peer's clock). Until then
//! time goes on as if the jump had not happened.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A wall clock may run this far ahead of monotonic time without asking anybody.
pub const MAX_STEP_MS: u64 = 500;

/// Unix time in milliseconds.
pub trait Clock: Send + Sync + 'static {
    fn now_ms(&self) -> u64;
}

/// What wall and monotonic time together say; pure.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    wall_ms: u64,
    monotonic_ms: u64,
    refused: Option<u64>,
}

impl Steps {
    pub fn new(wall_ms: u64, monotonic_ms: u64) -> Steps {
        Steps { wall_ms, monotonic_ms, refused: None }
    }

    /// The time to use, given what both clocks read now.
    pub fn observe(&mut self, wall_ms: u64, monotonic_ms: u64) -> u64 {
        let expected = self.wall_ms + monotonic_ms.saturating_sub(self.monotonic_ms);
        let forward = wall_ms.saturating_sub(expected);
        self.refused = (forward > MAX_STEP_MS).then_some(forward);
        self.wall_ms = if self.refused.is_some() { expected } else { wall_ms };
        self.monotonic_ms = monotonic_ms;
        self.wall_ms
    }

    /// Another clock that is trusted reads `ms`: time may go as far.
    pub fn confirm(&mut self, ms: u64) {
        self.wall_ms = self.wall_ms.max(ms);
    }

    /// By how many milliseconds the wall clock is ahead, where that was not adopted.
    pub fn refused_ms(&self) -> Option<u64> {
        self.refused
    }
}

/// The machine's clock, and an offset by which tests and `tradewind chaos` skew it.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    steps: Mutex<Steps>,
    /// Without anybody to confirm a step, as in a process that holds all regions, waiting for it would be for ever.
    confirms_itself: bool,
    skew_ms: AtomicI64,
}

impl SystemClock {
    pub fn new(confirms_itself: bool) -> SystemClock {
        let steps = Mutex::new(Steps::new(wall_ms(), 0));
        SystemClock { started: Instant::now(), steps, confirms_itself, skew_ms: AtomicI64::new(0) }
    }

    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    pub fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    pub fn confirm(&self, ms: u64) {
        self.steps.lock().expect("no panic while held").confirm(ms);
    }

    pub fn refused_ms(&self) -> Option<u64> {
        self.steps.lock().expect("no panic while held").refused_ms()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let wall = wall_ms();
        let now = if self.confirms_itself {
            wall
        } else {
            let monotonic = self.started.elapsed().as_millis() as u64;
            self.steps.lock().expect("no panic while held").observe(wall, monotonic)
        };
        now.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_clock_is_bounded() {
        let mut steps = Steps::new(1_000_000, 0);
        assert_eq!(steps.observe(1_000_400, 10), 1_000_400, "a small step is adopted");
        assert_eq!(steps.observe(9_000_000, 20), 1_000_410, "a jump is not");
        assert!(steps.refused_ms().is_some());
        steps.confirm(9_000_000);
        assert_eq!(steps.observe(9_000_005, 25), 9_000_005, "unless somebody confirms it");
        assert_eq!(steps.refused_ms(), None);
    }

    #[test]
    fn a_clock_set_back_is_followed() {
        let mut steps = Steps::new(1_000_000, 0);
        assert_eq!(steps.observe(400_000, 10), 400_000);
    }
}
