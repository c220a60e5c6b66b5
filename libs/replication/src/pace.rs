//! How fast a link catches up, and so how long it still takes.

use std::time::Duration;

use tokio::time::Instant;

/// Less than this is no backlog.
const BACKLOG: u64 = 1000;
/// The pace is that of so long a time, at least of so short a one.
const WINDOW: Duration = Duration::from_secs(60);
const SOONEST: Duration = Duration::from_secs(1);

/// What waited at some time, and the pace before that.
#[derive(Debug, Default)]
pub struct Pace {
    since: Option<(Instant, u64)>,
    per_second: Option<f64>,
}

impl Pace {
    /// How many milliseconds it takes until nothing of `pending` waits any more, if it becomes less at all; what is added
    /// meanwhile is part of the pace.
    pub fn left_ms(&mut self, pending: u64, now: Instant) -> Option<u64> {
        if pending < BACKLOG {
            *self = Pace::default();
            return None;
        }
        let (since, before) = *self.since.get_or_insert((now, pending));
        let elapsed = now.duration_since(since);
        if elapsed >= SOONEST {
            self.per_second = Some((before as f64 - pending as f64) / elapsed.as_secs_f64());
        }
        if elapsed >= WINDOW {
            self.since = Some((now, pending));
        }
        let shrinks = self.per_second.filter(|pace| *pace > 0.0)?;
        Some((pending as f64 / shrinks * 1000.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_how_much_less_it_becomes() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.left_ms(100_000, at(0)), None, "nothing is known yet");
        assert_eq!(pace.left_ms(90_000, at(10)), Some(90_000), "a thousand a second");
        assert_eq!(pace.left_ms(40_000, at(60)), Some(40_000));
        assert_eq!(
            pace.left_ms(38_000, at(61)),
            Some(19_000),
            "the pace of the last minute, which has begun anew"
        );
        assert_eq!(pace.left_ms(999, at(70)), None, "no backlog");
        assert_eq!(pace.left_ms(5_000, at(80)), None);
        assert_eq!(pace.left_ms(6_000, at(90)), None, "it grows: there is no end");
    }
}
