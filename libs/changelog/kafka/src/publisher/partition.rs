//! One partition's publishing, from its start under one epoch to its end.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tradewind_changelog::{ChangeLog, Error as LogError, Page};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Change, PartitionId, Sequence};

use crate::codec::Encoded;
use crate::order::Span;
use crate::progress::Mark;
use crate::publisher::lag::State;
use crate::publisher::published::Published;
use crate::publisher::window::Window;
use crate::publisher::{BUDGET_BYTES, DRAIN, Shared};
use crate::topic::{Topic, count};

const PAGE_CHANGES: usize = 1000;
const PAGE_BYTES: usize = 512 * 1024;
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// Between looks at what only an operator can change.
const REFUSED: Duration = Duration::from_secs(10);
/// Sequences without changes are told of when no change came for so long.
const QUIET: Duration = Duration::from_millis(200);

/// Why publishing stopped.
pub(super) enum Stop {
    Again(String),
    Refused(String),
    Fenced,
}

impl Stop {
    pub fn again(error: impl ToString) -> Stop {
        Stop::Again(error.to_string())
    }
}

pub(super) struct Task<E> {
    pub shared: Arc<Shared<E>>,
    pub published: Arc<Published<E>>,
    stop: CancellationToken,
}

/// A page of the engine's log, and the room it takes.
struct Read {
    page: Page,
    _room: OwnedSemaphorePermit,
}

type Reading = Pin<Box<dyn Future<Output = Result<Read, LogError>> + Send>>;

impl<E: Engine + Documents> Task<E> {
    pub fn new(shared: Arc<Shared<E>>, published: Arc<Published<E>>, stop: CancellationToken) -> Task<E> {
        Task { shared, published, stop }
    }

    pub async fn run(self) {
        let mut retry = RETRY_FIRST;
        loop {
            let before = self.published.sequence();
            let stop = match self.attempt().await {
                Ok(()) => return,
                Err(stop) => stop,
            };
            retry =
                if self.published.sequence() > before { RETRY_FIRST } else { (2 * retry).min(RETRY_MOST) };
            let Some(pause) = self.pause(stop, retry).await else { return };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// How long to wait before the next attempt; `None`: there is none.
    async fn pause(&self, stop: Stop, retry: Duration) -> Option<Duration> {
        let (partition, table) = (self.published.partition, &self.published.topic.table);
        let topic = self.published.topic.name(&self.shared.settings.prefix);
        self.shared.replace_if_broken();
        self.shared.topics.doubt(&topic).await;
        let before = self.published.state();
        let (state, pause) = match stop {
            Stop::Fenced => {
                tracing::info!(table, %partition, "a newer owner publishes");
                self.published.stands(State::Fenced);
                return None;
            }
            Stop::Refused(reason) => {
                if !matches!(before, State::Refused(_)) {
                    tracing::error!(table, %partition, reason, "changes are not published");
                }
                (State::Refused(reason), REFUSED)
            }
            Stop::Again(reason) => {
                if !matches!(before, State::Stalled(_)) {
                    tracing::warn!(table, %partition, reason, "changes wait to be published");
                }
                (State::Stalled(reason), retry)
            }
        };
        self.published.stands(state);
        Some(pause)
    }

    async fn attempt(&self) -> Result<(), Stop> {
        let position = tokio::select! {
            position = self.start() => position?,
            () = self.stop.cancelled() => return Ok(()),
        };
        let mut window = Window::default();
        let ended = self.publish(position, &mut window).await;
        if ended.is_err() {
            // What is still on its way comes first, so that the next attempt sees what there is.
            window.settle().await;
        }
        ended
    }

    /// Sends what follows `position` until it is told to stop.
    async fn publish(&self, position: Sequence, window: &mut Window) -> Result<(), Stop> {
        let partition = self.published.partition;
        let topic = self.published.topic.name(&self.shared.settings.prefix);
        let producer = self.shared.producer();
        let mut previous = position;
        let mut waiting = Waiting::default();
        let mut reading = self.read(position);
        loop {
            let size = match waiting.encode(&self.published.topic, partition, previous) {
                Some(record) => record.bytes().min(BUDGET_BYTES) as u32,
                None => 0,
            };
            let room = self.shared.budget.clone().acquire_many_owned(size);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.drain(window).await,
                delivered = window.next() => self.confirm(delivered.map_err(Stop::Again)?, window)?,
                permit = room, if size > 0 && window.has_room() => {
                    let (Ok(permit), Some(record)) = (permit, waiting.encoded.take()) else { continue };
                    previous = record.span.sequence;
                    self.published.sent(record.created_ms);
                    window
                        .send(&producer, &topic, count(partition.number), record, permit)
                        .map_err(Stop::again)?;
                }
                read = &mut reading, if size == 0 => {
                    let read = read.map_err(Stop::again)?;
                    reading = self.read(read.page.through);
                    waiting.take(read);
                }
            }
        }
    }

    /// Waits for changes after `after`, and reads them. Asks again after a while where there are only sequences without
    /// any, so that a change that comes meanwhile is not held up by a mark, and marks are few.
    fn read(&self, after: Sequence) -> Reading {
        let (shared, published) = (self.shared.clone(), self.published.clone());
        Box::pin(async move {
            let partition = published.partition;
            shared.log.wait(partition, after).await;
            let room = shared.pages.clone().acquire_owned().await;
            let room = room.map_err(|error| LogError::Unavailable(error.to_string()))?;
            let mut page = look(&shared, &published, after).await?;
            if page.changes.is_empty() {
                tokio::time::sleep(QUIET).await;
                page = look(&shared, &published, after).await?;
            }
            Ok(Read { page, _room: room })
        })
    }

    fn confirm(&self, mark: Mark, window: &Window) -> Result<(), Stop> {
        if self.published.confirm(mark, window.oldest_ms()) {
            Ok(())
        } else {
            Err(Stop::again("the topic was made anew"))
        }
    }

    async fn drain(&self, window: &mut Window) -> Result<(), Stop> {
        let drained = timeout(DRAIN, async {
            while !window.is_empty() {
                let Ok(mark) = window.next().await else { break };
                if self.confirm(mark, window).is_err() {
                    break;
                }
            }
        });
        // What is not confirmed by then the next owner finds in the topic, or sends again.
        let _ = drained.await;
        Ok(())
    }
}

async fn look<E: Engine + Documents>(
    shared: &Shared<E>,
    published: &Published<E>,
    after: Sequence,
) -> Result<Page, LogError> {
    let at_ms = (shared.clock)();
    let page = shared.log.read(published.partition, after, PAGE_CHANGES, PAGE_BYTES).await?;
    let tail = *shared.log.tail().watch(published.partition).borrow();
    if page.through.next().0 >= tail {
        published.looked(page.through, at_ms);
    }
    Ok(page)
}

/// What was read and is not on its way yet.
#[derive(Default)]
struct Waiting {
    changes: VecDeque<(Sequence, Change)>,
    /// Up to here there is nothing behind the changes.
    through: Sequence,
    encoded: Option<Encoded>,
    room: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    fn take(&mut self, read: Read) {
        self.changes = read.page.changes.into();
        (self.through, self.room) = (read.page.through, Some(read._room));
    }

    /// The next record, which follows `previous`.
    fn encode(&mut self, topic: &Topic, partition: PartitionId, previous: Sequence) -> Option<&Encoded> {
        if self.encoded.is_none() {
            if let Some((sequence, change)) = self.changes.pop_front() {
                let span = Span { previous, sequence };
                self.encoded = Some(Encoded::change(topic, partition, span, change));
            } else if self.through > previous {
                let span = Span { previous, sequence: self.through };
                self.encoded = Some(Encoded::mark(partition, span));
            } else {
                self.room = None;
            }
        }
        self.encoded.as_ref()
    }
}
