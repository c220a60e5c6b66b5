//! When the next request begins.
//!
//! An open loop gives every request its intended start in advance and measures from there, whether or not a connection was
//! free then: a server that stalls can not slow the clock by which it is judged (no coordinated omission). The starts are
//! waited for with a timer of the kernel: tokio's has steps of a millisecond, which is more than most requests take.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// The starts of one region's requests on one thread.
pub struct Schedule {
    /// Requests a second; 0: as many as are answered.
    rate: f64,
    ramp_s: f64,
    begin: Instant,
    end: Instant,
    next: Cell<u64>,
    /// In the order of their starts.
    waiting: RefCell<VecDeque<(Instant, oneshot::Sender<()>)>>,
    changed: Notify,
    /// Without a timer nobody would ever be woken.
    has_failed: Cell<bool>,
}

impl Schedule {
    pub fn new(rate: f64, ramp: Duration, begin: Instant, end: Instant) -> Schedule {
        Schedule {
            rate,
            ramp_s: ramp.as_secs_f64(),
            begin,
            end,
            next: Cell::new(0),
            waiting: RefCell::default(),
            changed: Notify::new(),
            has_failed: Cell::new(false),
        }
    }

    /// Waits for the next start and answers when it was intended to be; `None` after the end.
    pub async fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.rate == 0.0 {
            return (now < self.end).then_some(now);
        }
        let start = self.begin + Duration::from_secs_f64(offset_s(self.next.get(), self.rate, self.ramp_s));
        if start >= self.end || now >= self.end || self.has_failed.get() {
            return None;
        }
        self.next.set(self.next.get() + 1);
        if start > now {
            let (wake, woken) = oneshot::channel();
            self.waiting.borrow_mut().push_back((start, wake));
            self.changed.notify_one();
            woken.await.ok()?;
        }
        Some(start)
    }

    /// Requests whose start came before the end, and that were never sent, as no connection was free by then.
    pub fn unsent(&self) -> u64 {
        let length = self.end.saturating_duration_since(self.begin).as_secs_f64();
        planned(length, self.rate, self.ramp_s).saturating_sub(self.next.get())
    }

    /// Wakes those whose time has come, until the end is over and nobody waits.
    pub async fn run(&self) -> std::io::Result<()> {
        let ran = self.wake_all().await;
        self.has_failed.set(ran.is_err());
        self.waiting.borrow_mut().clear();
        ran
    }

    async fn wake_all(&self) -> std::io::Result<()> {
        let mut timer = Timer::new()?;
        loop {
            let first = self.waiting.borrow().front().map(|(start, _)| *start);
            match first {
                Some(start) => timer.until(start).await?,
                None => tokio::select! {
                    () = self.changed.notified() => (),
                    () = tokio::time::sleep_until(self.end.into()) => return Ok(()),
                },
            }
            let now = Instant::now();
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(|(start, _)| *start <= now) {
                let (_, wake) = waiting.pop_front().expect("there is a first");
                let _ = wake.send(());
            }
        }
    }
}

/// When the nth request starts of a load whose rate grows evenly to `rate` in the ramp.
fn offset_s(nth: u64, rate: f64, ramp_s: f64) -> f64 {
    let (nth, in_ramp) = (nth as f64, rate * ramp_s / 2.0);
    if nth < in_ramp { (2.0 * nth * ramp_s / rate).sqrt() } else { ramp_s + (nth - in_ramp) / rate }
}

/// How many of them start within so long.
fn planned(length_s: f64, rate: f64, ramp_s: f64) -> u64 {
    let in_time = match length_s < ramp_s {
        true => length_s * length_s * rate / (2.0 * ramp_s),
        false => rate * (ramp_s / 2.0 + length_s - ramp_s),
    };
    in_time as u64
}

/// The kernel's timer, and the same file as tokio reads it.
#[cfg(target_os = "linux")]
struct Timer {
    timer: nix::sys::timerfd::TimerFd,
    file: tokio::net::unix::pipe::Receiver,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// Waits at least so long, so that a high rate does not mean a system call for each request.
    const LEAST: Duration = Duration::from_micros(100);

    fn new() -> std::io::Result<Timer> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let file = std::os::fd::AsFd::as_fd(&timer).try_clone_to_owned()?;
        Ok(Timer { timer, file: tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(file)? })
    }

    async fn until(&mut self, start: Instant) -> std::io::Result<()> {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        use tokio::io::AsyncReadExt;
        let wait = start.saturating_duration_since(Instant::now()).max(Timer::LEAST);
        let once = Expiration::OneShot(TimeSpec::from_duration(wait));
        self.timer.set(once, TimerSetTimeFlags::empty())?;
        // Eight bytes: how often it expired. Room for more tells tokio that nothing is left.
        self.file.read(&mut [0; 16]).await.map(drop)
    }
}

#[cfg(not(target_os = "linux"))]
struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new() -> std::io::Result<Timer> {
        Ok(Timer)
    }

    async fn until(&mut self, start: Instant) -> std::io::Result<()> {
        tokio::time::sleep_until(start.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::rc::Rc;

    proptest! {
        #[test]
        fn starts_never_go_back_and_reach_the_rate(rate in 1.0f64..100_000.0, ramp_s in 0.0f64..10.0) {
            let starts: Vec<f64> = (0..2000).map(|nth| offset_s(nth, rate, ramp_s)).collect();
            prop_assert!(starts.is_sorted());
            let after = (rate * ramp_s / 2.0).ceil() as u64 + 10;
            let step = offset_s(after + 1, rate, ramp_s) - offset_s(after, rate, ramp_s);
            prop_assert!((step * rate - 1.0).abs() < 1e-3);
            for nth in [0, 10, after, 2 * after] {
                let planned = planned(offset_s(nth, rate, ramp_s), rate, ramp_s);
                prop_assert!(planned.abs_diff(nth) <= 1, "{} for {}", planned, nth);
            }
        }
    }

    #[tokio::test]
    async fn what_was_not_sent_by_the_end_is_counted() {
        let begin = Instant::now() - Duration::from_secs(1);
        let schedule =
            Schedule::new(1000.0, Duration::ZERO, begin, Instant::now() + Duration::from_millis(20));
        for _ in 0..10 {
            schedule.next().await.unwrap();
        }
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(schedule.next().await, None);
        assert!((1000..=1020).contains(&schedule.unsent()), "{}", schedule.unsent());
    }

    /// A connection that is busy for a while finds the starts that it missed in the past, one after the other.
    #[tokio::test]
    async fn a_stall_does_not_move_later_starts() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let begin = Instant::now();
                let end = begin + Duration::from_millis(200);
                let schedule = Rc::new(Schedule::new(1000.0, Duration::ZERO, begin, end));
                let paced = schedule.clone();
                let pacer = tokio::task::spawn_local(async move { paced.run().await });
                let mut starts = Vec::new();
                while let Some(start) = schedule.next().await {
                    assert!(start <= Instant::now());
                    if starts.len() == 50 {
                        std::thread::sleep(Duration::from_millis(60));
                    }
                    starts.push(start);
                }
                assert_eq!((starts.len(), schedule.unsent()), (200, 0));
                let evenly = |pair: &[Instant]| pair[1] - pair[0] < Duration::from_micros(1001);
                assert!(starts.windows(2).all(evenly));
                pacer.await.unwrap().unwrap();
            })
            .await;
    }
}
