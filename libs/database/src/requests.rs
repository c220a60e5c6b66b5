//! What other nodes have had done here lately, by the request's id: a request that comes twice is carried out once, and
//! a lost answer can be asked for.
//!
//! Bounded: answers are kept for longer than anybody asks for them, and go earlier where they are too large together;
//! what is not known here any more is looked for in the log.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::{Done, ForwardError, RequestId};
use crate::partition::group::{Answer, Written};

/// Longer than a request may wait anywhere.
const KEEP: Duration = Duration::from_secs(30);
const MOST: usize = 200_000;
const MOST_BYTES: usize = 64 * 1024 * 1024;

pub(crate) type Result = std::result::Result<Done, ForwardError>;
pub(crate) type Waiting = watch::Receiver<Option<Arc<Result>>>;

#[derive(Default)]
pub(crate) struct Requests(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// `None` in the channel: under way.
    by_id: HashMap<RequestId, Waiting>,
    /// In the order they ended, with their sizes.
    ended: VecDeque<(Instant, RequestId, usize)>,
    bytes: usize,
    /// When an answer was let go that was not old enough.
    forgot_at: Option<Instant>,
}

/// A request that is carried out now.
pub(crate) struct UnderWay {
    id: RequestId,
    answer: watch::Sender<Option<Arc<Result>>>,
}

/// What is known of a request.
pub(crate) enum Seen {
    New(UnderWay),
    Before(Waiting),
}

impl Requests {
    /// One whose outcome is not known may come again: the epoch it names tells whether it may be done.
    pub fn begin(&self, id: RequestId) -> Seen {
        let mut known = self.known();
        known.let_go(Instant::now());
        if let Some(answer) = known.by_id.get(&id) {
            let in_doubt = matches!(answer.borrow().as_deref(), Some(Err(ForwardError::Unknown(_))));
            if !in_doubt {
                return Seen::Before(answer.clone());
            }
        }
        let (answer, waiting) = watch::channel(None);
        known.by_id.insert(id, waiting);
        Seen::New(UnderWay { id, answer })
    }

    /// The answer, once there is one; `None` where the request is not known, or was surely not carried out.
    pub async fn answer(&self, id: RequestId) -> Option<Result> {
        let waiting = self.known().by_id.get(&id).cloned();
        wait(waiting?).await
    }

    /// What surely was not done is forgotten: it may be tried again.
    pub fn end(&self, request: UnderWay, answer: Result) {
        let mut known = self.known();
        if not_done(&answer) {
            known.by_id.remove(&request.id);
        } else {
            let size = size(&answer);
            known.bytes += size;
            known.ended.push_back((Instant::now(), request.id, size));
        }
        drop(known);
        request.answer.send_replace(Some(Arc::new(answer)));
    }

    /// Whether a request may have been forgotten that is still asked for.
    pub fn has_forgotten(&self) -> bool {
        self.known().forgot_at.is_some_and(|at| at.elapsed() < KEEP)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of a request that was seen before.
pub(crate) async fn wait(mut waiting: Waiting) -> Option<Result> {
    let answer = waiting.wait_for(Option::is_some).await.ok()?;
    let answer = answer.as_deref().cloned();
    answer.filter(|answer| !not_done(answer))
}

/// A stale epoch is as good as no attempt.
fn not_done(answer: &Result) -> bool {
    matches!(
        answer,
        Err(ForwardError::Moved | ForwardError::NotSent(_)) | Ok(Done { answer: Answer::Stale, .. })
    )
}

impl Known {
    fn let_go(&mut self, now: Instant) {
        while let Some((at, id, size)) = self.ended.front().copied() {
            let young = now.duration_since(at) < KEEP;
            if young && self.ended.len() <= MOST && self.bytes <= MOST_BYTES {
                return;
            }
            if young {
                self.forgot_at = Some(now);
            }
            self.ended.pop_front();
            self.bytes -= size;
            self.by_id.remove(&id);
        }
    }
}

fn size(answer: &Result) -> usize {
    let images = |written: &Written| {
        [&written.old, &written.new].into_iter().flatten().map(|item| item.as_bytes().len()).sum()
    };
    match answer {
        Ok(Done { answer: Answer::Written(Ok(written)), .. }) => images(written),
        Ok(Done { answer: Answer::Written(Err(refused)), .. }) => {
            refused.old.as_ref().map_or(0, |item| item.as_bytes().len())
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_model::{Epoch, Hlc, Sequence};

    fn done(next: u64) -> Result {
        let next = Sequence(next);
        Ok(Done { answer: Answer::Done { next, max_hlc: Hlc::ZERO }, next, epoch: Epoch(1) })
    }

    fn begun(requests: &Requests) -> UnderWay {
        match requests.begin([1; 16]) {
            Seen::New(request) => request,
            Seen::Before(_) => panic!("it is new"),
        }
    }

    #[tokio::test]
    async fn a_request_that_comes_twice_has_one_answer() {
        let requests = Requests::default();
        let first = begun(&requests);
        let Seen::Before(waiting) = requests.begin([1; 16]) else { panic!("it is under way") };
        requests.end(first, done(3));
        assert_eq!(wait(waiting).await, Some(done(3)));
        assert_eq!(requests.answer([1; 16]).await, Some(done(3)));
        assert_eq!(requests.answer([2; 16]).await, None);
    }

    #[tokio::test]
    async fn what_was_not_done_may_come_again() {
        let requests = Requests::default();
        requests.end(begun(&requests), Err(ForwardError::Moved));
        requests.end(begun(&requests), Err(ForwardError::Unknown(String::new())));
        begun(&requests);
    }

    #[test]
    fn answers_are_kept_for_their_time_and_no_longer() {
        let requests = Requests::default();
        requests.end(begun(&requests), done(1));
        let mut known = requests.known();
        known.let_go(Instant::now() + KEEP / 2);
        assert_eq!(known.by_id.len(), 1);
        known.let_go(Instant::now() + KEEP);
        assert!(known.by_id.is_empty() && known.ended.is_empty());
    }
}
