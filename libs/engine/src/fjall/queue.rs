//! The committer's queue. A request stands in line at once; the committer is called a moment later, when every task that
//! was ready to write has done so: they share one fdatasync, and one that comes alone has lost next to nothing.
//!
//! Whoever was put in line is committed: a call is made when its handle is dropped, at the latest.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::task::Poll;
use std::time::Duration;

use super::group::Request;

/// A group that grows beyond either would keep its first request waiting for nothing.
const MAX_GROUP_REQUESTS: usize = 4096;
const MAX_GROUP_BYTES: u64 = 8 * 1024 * 1024;

pub fn queue() -> (Requests, Line) {
    let ((line, requests), (rope, calls)) = (channel(), sync_channel(1));
    let bell = Bell { waiting: Arc::default(), rope };
    let waiting = bell.waiting.clone();
    (Requests { line, bell }, Line { requests, calls, waiting, goes_on: false })
}

/// The end where requests are put in. The committer ends when the last of them has gone.
#[derive(Clone)]
pub struct Requests {
    line: Sender<Request>,
    bell: Bell,
}

impl Requests {
    /// Puts it in line now, so that the order of calls is the order of commits. `None`: the committer has ended.
    pub fn push(&self, request: Request) -> Option<Call> {
        self.bell.waiting.fetch_add(1, Ordering::AcqRel);
        self.line.send(request).ok().map(|()| Call(self.bell.clone()))
    }
}

#[derive(Clone)]
struct Bell {
    /// Requests in line.
    waiting: Arc<AtomicUsize>,
    /// Holds one call: a second one would say nothing new.
    rope: SyncSender<()>,
}

/// Calls the committer when it is dropped, if it has not come already.
pub struct Call(Bell);

impl Call {
    /// Calls it after the tasks that are ready now.
    pub async fn after_others(self) {
        turn().await;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.0.waiting.load(Ordering::Acquire) > 0 {
            self.0.rope.try_send(()).ok();
        }
    }
}

/// Not tokio's `yield_now`, which waits for what the network brings, too: with it the committer idles.
fn turn() -> impl Future<Output = ()> {
    let mut passed = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// The end of the committer.
pub struct Line {
    requests: Receiver<Request>,
    calls: Receiver<()>,
    waiting: Arc<AtomicUsize>,
    /// Whether the last group may have left something in line.
    goes_on: bool,
}

impl Line {
    /// What waits when the committer is called; nothing, if it was not called for so long. `None`: nobody will call any
    /// more.
    pub fn next(&mut self, idle: Duration) -> Option<Vec<Request>> {
        let called = if self.goes_on { Ok(()) } else { self.calls.recv_timeout(idle) };
        let group = self.take();
        let over = called == Err(RecvTimeoutError::Disconnected) && group.is_empty();
        (!over).then_some(group)
    }

    fn take(&mut self) -> Vec<Request> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        self.goes_on = false;
        while let Ok(request) = self.requests.try_recv() {
            bytes += request.bytes();
            group.push(request);
            if group.len() >= MAX_GROUP_REQUESTS || bytes >= MAX_GROUP_BYTES {
                self.goes_on = true;
                break;
            }
        }
        self.waiting.fetch_sub(group.len(), Ordering::AcqRel);
        group
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const IDLE: Duration = Duration::from_millis(1);

    fn request() -> Request {
        Request::Seal { before_hour: 0, done: oneshot::channel().0 }
    }

    #[test]
    fn whoever_is_ready_to_write_stands_in_line_before_the_committer_is_called() {
        let (requests, mut line) = queue();
        let write =
            |requests: Requests| async move { requests.push(request()).unwrap().after_others().await };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(write(requests.clone()))).collect();
            tasks.into_iter().next().unwrap().await.unwrap();
        });
        assert_eq!(line.next(IDLE).unwrap().len(), 4);
        assert!(line.next(IDLE).unwrap().is_empty(), "one call for all");
    }

    #[test]
    fn a_request_whose_caller_went_away_is_committed_all_the_same() {
        let (requests, mut line) = queue();
        drop(requests.push(request()));
        drop(requests);
        assert_eq!(line.next(Duration::from_secs(60)).unwrap().len(), 1);
        assert!(line.next(Duration::from_secs(60)).is_none());
    }

    #[test]
    fn what_a_full_group_leaves_needs_no_further_call() {
        let (requests, mut line) = queue();
        let calls: Vec<_> = (0..=MAX_GROUP_REQUESTS).map(|_| requests.push(request()).unwrap()).collect();
        drop(calls);
        let later = Duration::from_secs(60);
        assert_eq!(line.next(later).unwrap().len(), MAX_GROUP_REQUESTS);
        assert_eq!(line.next(later).unwrap().len(), 1);
    }
}
