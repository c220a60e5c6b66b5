//! A node's own belief in its lease.
//!
//! The others count six seconds from when the database took the renewal; this node counts five from before it sent it, so
//! that it stops before anybody may take its place, whatever the message took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// What the database is asked for.
pub const LEASE: Duration = Duration::from_secs(6);
/// What this node makes of it.
pub const BELIEVED: Duration = Duration::from_secs(5);
pub const RENEW_EVERY: Duration = Duration::from_secs(2);

/// A moment of the machine's time since its start, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(u64);

impl Moment {
    /// By a clock that also goes on while the machine is suspended, which std's does not on Linux.
    pub fn now() -> Moment {
        let time = clock_gettime(CLOCK).expect("every kernel has this clock");
        Moment(Duration::from(time).as_millis() as u64)
    }

    pub fn after(self, duration: Duration) -> Moment {
        Moment(self.0 + duration.as_millis() as u64)
    }

    pub fn until(self, later: Moment) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// Until when the lease is believed in. Zero: there is none.
#[derive(Debug, Default)]
pub struct Lease(AtomicU64);

impl Lease {
    pub fn holds(&self) -> bool {
        self.holds_at(Moment::now())
    }

    fn holds_at(&self, now: Moment) -> bool {
        now.0 < self.0.load(Ordering::Acquire)
    }

    /// A renewal that was sent at `sent` has come through.
    pub fn renewed(&self, sent: Moment) {
        self.0.fetch_max(sent.after(BELIEVED).0, Ordering::AcqRel);
    }

    pub fn give_up(&self) {
        self.0.store(0, Ordering::Release);
    }

    pub fn ends(&self) -> Moment {
        Moment(self.0.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_before_the_renewal_was_sent() {
        let lease = Lease::default();
        let sent = Moment::now();
        assert!(!lease.holds(), "there is none before the first");
        lease.renewed(sent);
        let ends = sent.after(BELIEVED);
        assert!(lease.holds_at(sent) && lease.holds_at(Moment(ends.0 - 1)) && !lease.holds_at(ends));
    }

    #[test]
    fn a_late_answer_does_not_shorten_it_and_giving_up_ends_it() {
        let lease = Lease::default();
        let first = Moment::now();
        let second = first.after(RENEW_EVERY);
        lease.renewed(second);
        lease.renewed(first);
        assert_eq!(lease.ends(), second.after(BELIEVED));
        lease.give_up();
        assert!(!lease.holds());
    }
}
