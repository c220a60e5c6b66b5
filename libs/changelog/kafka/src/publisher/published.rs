//! What is known of one partition's publishing: for its task, for those who ask, and for the next owner, for whom it is kept.

use std::sync::Mutex;
use std::time::Duration;

use tradewind_changelog::Embedded;
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Epoch, PartitionId, Sequence};

use crate::progress::{Mark, Progress, Store};
use crate::publisher::lag::{Lag, State};
use crate::topic::Topic;

/// A partition's publishing under one epoch.
pub(super) struct Published<E> {
    pub partition: PartitionId,
    pub epoch: Epoch,
    pub topic: Topic,
    pub store: Store<E>,
    owned_ms: u64,
    inner: Mutex<Known>,
    saving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    state: State,
    /// Once it has been read and is this owner's.
    progress: Option<(u64, Progress)>,
    latest: Option<Mark>,
    /// The engine's next sequence, at least.
    next: Sequence,
    complete_ms: u64,
    /// When the oldest change was made that is on its way, or was when it failed.
    oldest_ms: Option<u64>,
    /// All is published that was committed before the second, once the first is.
    completes: Option<(Sequence, u64)>,
    changed: bool,
}

impl<E: Engine + Documents> Published<E> {
    pub fn new(
        partition: PartitionId,
        epoch: Epoch,
        topic: Topic,
        store: Store<E>,
        owned_ms: u64,
    ) -> Published<E> {
        let (inner, saving) = (Mutex::default(), tokio::sync::Mutex::default());
        Published { partition, epoch, topic, store, owned_ms, inner, saving }
    }

    pub fn is(&self, epoch: Epoch, topic: &Topic) -> bool {
        self.epoch == epoch && self.topic == *topic && self.known().state != State::Fenced
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.known().state.clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.inner.lock().expect("no panic while held")
    }

    pub fn sequence(&self) -> Sequence {
        self.known().sequence()
    }

    pub fn lag(&self, log: &Embedded<E>, now_ms: u64) -> Lag {
        let tail = *log.tail().watch(self.partition).borrow();
        let known = self.known();
        let published = known.sequence();
        let pending = known.next.0.max(tail).saturating_sub(published.next().0);
        // Each is a time before which everything is published; at first only the last is known.
        let since_ms = known.oldest_ms.unwrap_or_default().max(known.complete_ms);
        let since_ms = if since_ms == 0 { self.owned_ms } else { since_ms };
        let oldest = match pending {
            0 => Duration::ZERO,
            _ => Duration::from_millis(now_ms.saturating_sub(since_ms)),
        };
        let (partition, table) = (self.partition, self.topic.table.clone());
        Lag { partition, table, state: known.state.clone(), published, pending, oldest }
    }

    /// Publishing goes on from `progress`, which is kept under `revision`.
    pub fn begin(&self, revision: u64, progress: Progress, reached: Option<Mark>, next: Sequence) {
        let mut known = self.known();
        known.latest = reached;
        known.changed = reached.is_some_and(|mark| mark.sequence > progress.published());
        known.complete_ms = known.complete_ms.max(progress.complete_ms);
        (known.next, known.completes) = (next, None);
        known.progress = Some((revision, progress));
        known.state = State::Running;
    }

    pub fn stands(&self, state: State) {
        self.known().state = state;
    }

    /// A record was confirmed. `false`: it lies before one that was confirmed earlier, so this is another topic.
    pub fn confirm(&self, mark: Mark, oldest_ms: Option<u64>) -> bool {
        let mut known = self.known();
        if known.latest.is_some_and(|latest| latest.offset >= mark.offset) {
            return false;
        }
        known.latest = Some(mark);
        known.oldest_ms = oldest_ms;
        known.changed = true;
        if let Some((through, at_ms)) = known.completes
            && mark.sequence >= through
        {
            (known.complete_ms, known.completes) = (at_ms, None);
        }
        true
    }

    pub fn sent(&self, created_ms: Option<u64>) {
        let mut known = self.known();
        known.oldest_ms = known.oldest_ms.or(created_ms);
    }

    /// A look at the log at `at_ms` showed everything up to `through`.
    pub fn looked(&self, through: Sequence, at_ms: u64) {
        let mut known = self.known();
        if known.sequence() >= through {
            known.complete_ms = at_ms;
        } else if known.completes.is_none() {
            known.completes = Some((through, at_ms));
        }
    }

    /// Keeps how far publishing has come. `false`: another owner has taken over.
    pub async fn save(&self) -> bool {
        let _alone = self.saving.lock().await;
        let Some((revision, progress)) = self.to_save() else { return true };
        match self.store.save(self.partition, Some(revision), &progress).await {
            Ok(Some(revision)) => {
                self.known().progress = Some((revision, progress));
                true
            }
            Ok(None) => self.lost(&progress).await,
            Err(error) => {
                tracing::warn!(partition = %self.partition, %error, "progress is kept later");
                self.known().changed = true;
                true
            }
        }
    }

    fn to_save(&self) -> Option<(u64, Progress)> {
        let mut known = self.known();
        if !std::mem::take(&mut known.changed) {
            return None;
        }
        let (revision, mut progress) = known.progress.clone()?;
        progress.complete_ms = known.complete_ms;
        known.latest.into_iter().for_each(|mark| progress.note(mark));
        Some((revision, progress))
    }

    /// Somebody else wrote: a newer owner, or this one, whose outcome was not known.
    async fn lost(&self, wanted: &Progress) -> bool {
        match self.store.load(self.partition).await {
            Ok(Some((revision, found))) if found.epoch == self.epoch.0 => {
                let mut known = self.known();
                known.changed = found.published() < wanted.published();
                known.progress = Some((revision, found));
                true
            }
            Ok(_) => {
                self.stands(State::Fenced);
                false
            }
            Err(_) => {
                self.known().changed = true;
                true
            }
        }
    }
}

impl Known {
    fn sequence(&self) -> Sequence {
        let latest = self.latest.map(|mark| mark.sequence);
        latest.or(self.progress.as_ref().map(|(_, progress)| progress.published())).unwrap_or_default()
    }
}
