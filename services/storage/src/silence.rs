//! Connections without a request: closed when they have been silent for long enough, and drained when the service stops.
//!
//! A connection has one timer for its life, which finds out at its end what has happened since it was set: a timer for each
//! request, or a look at the stop signal each time a connection wakes, would be a good part of what a small request costs.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Since when a connection has neither had a request under way nor written anything.
pub struct Silence {
    opened: Instant,
    requests: AtomicUsize,
    /// After `opened`.
    since_ms: AtomicU64,
}

impl Silence {
    pub fn new() -> Silence {
        Silence { opened: Instant::now(), requests: AtomicUsize::new(0), since_ms: AtomicU64::new(0) }
    }

    /// A request is under way until this is dropped.
    pub fn request(&self) -> UnderWay<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    fn break_now(&self) {
        self.since_ms.store(self.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When it will have lasted for `most`, if nothing happens.
    fn lasts(&self, most: Duration) -> Instant {
        match self.requests.load(Ordering::Relaxed) {
            0 => self.opened + Duration::from_millis(self.since_ms.load(Ordering::Relaxed)) + most,
            _ => Instant::now() + most,
        }
    }
}

pub struct UnderWay<'a>(&'a Silence);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.break_now();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose writing breaks the silence: an answer may be read as slowly as one likes.
pub struct Heard<'a, S> {
    pub stream: S,
    pub silence: &'a Silence,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.silence.break_now();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.silence.break_now();
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    Nothing,
    /// The service stops.
    Stop,
    /// The connection has been silent for too long.
    Silence,
}

/// Looks out for the end of the service and for a silence of `most`. It belongs to one task, which it wakes for either:
/// what it waits for is registered once, and afterwards only looked at.
pub struct Watch<'a> {
    silence: &'a Silence,
    most: Duration,
    stop: CancellationToken,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    alarm: Pin<Box<Sleep>>,
    is_registered: bool,
}

impl<'a> Watch<'a> {
    pub fn new(silence: &'a Silence, most: Duration, stop: CancellationToken) -> Watch<'a> {
        let stopped = Box::pin(stop.clone().cancelled_owned());
        Watch { silence, most, stop, stopped, alarm: Box::pin(sleep(most)), is_registered: false }
    }

    pub fn look(&mut self, context: &mut Context<'_>) -> Seen {
        if !self.is_registered {
            self.is_registered = true;
            // What it says is asked below.
            let _ = self.stopped.as_mut().poll(context);
            let _ = self.alarm.as_mut().poll(context);
        }
        while self.alarm.is_elapsed() {
            let end = self.silence.lasts(self.most);
            if end <= Instant::now() {
                return Seen::Silence;
            }
            self.alarm.as_mut().reset(end);
            let _ = self.alarm.as_mut().poll(context);
        }
        if self.stop.is_cancelled() { Seen::Stop } else { Seen::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const MOST: Duration = Duration::from_secs(30);

    /// Waits until the watch sees something.
    async fn seen(watch: &mut Watch<'_>) -> Seen {
        poll_fn(|context| match watch.look(context) {
            Seen::Nothing => Poll::Pending,
            seen => Poll::Ready(seen),
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_ends_when_it_has_lasted_since_the_last_answer() {
        let (silence, began) = (Silence::new(), Instant::now());
        let mut watch = Watch::new(&silence, MOST, CancellationToken::new());
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(silence.request());
        assert_eq!(seen(&mut watch).await, Seen::Silence);
        assert_eq!(began.elapsed().as_secs(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_no_silence() {
        let (silence, began) = (Silence::new(), Instant::now());
        let mut watch = Watch::new(&silence, MOST, CancellationToken::new());
        let request = silence.request();
        let unseen = tokio::time::timeout(10 * MOST, seen(&mut watch)).await;
        assert!(unseen.is_err(), "{unseen:?}");
        drop(request);
        assert_eq!(seen(&mut watch).await, Seen::Silence);
        assert!(began.elapsed() >= 11 * MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_service_is_seen_at_once() {
        let (silence, stop, began) = (Silence::new(), CancellationToken::new(), Instant::now());
        let mut watch = Watch::new(&silence, MOST, stop.clone());
        let ending = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.cancel();
        };
        let (seen, ()) = tokio::join!(seen(&mut watch), ending);
        assert_eq!((seen, began.elapsed().as_secs()), (Seen::Stop, 5));
    }
}
