//! Runs one link: reads the log, pushes batches, and tries again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tradewind_changelog::{ChangeLog, Embedded};
use tradewind_database::Database;
use tradewind_database::partition::arrival::Arrived;
use tradewind_database::partition::group::Op;
use tradewind_database::partition::state::{Source, State};
use tradewind_database::table::Table;
use tradewind_database::table::document::ReplicaStatus;
use tradewind_engine::{Documents, Engine};
use tradewind_model::Sequence;

use crate::link::{Announcement, BATCH_BYTES, BATCH_CHANGES, Link, diverged};
use crate::peer::{Peer, PeerError};
use crate::replicator::{LinkState, LinkStatus};

/// An idle link says that it is idle this often; more often while somebody waits for its watermark.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_WAITED_FOR: Duration = Duration::from_secs(1);
/// A joiner waits for watermarks that others raise for it.
const HEARTBEAT_JOINING: Duration = Duration::from_millis(20);
/// Between attempts at a destination that does not take a batch.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(2);

pub struct Sender<E, P> {
    pub database: Arc<Database<E>>,
    pub table: Arc<Table<E>>,
    /// The partition's position in the table.
    pub position: usize,
    pub peer: Arc<P>,
    pub log: Embedded<E>,
    pub status: watch::Sender<LinkStatus>,
}

/// Why a link stops for good, until somebody does something.
enum Stop {
    /// The source's log is not the one the destination followed.
    Diverged,
    /// What the destination needs next is not kept any more.
    Trimmed,
    /// The table is gone, here or there.
    Gone,
}

impl<E: Engine + Documents, P: Peer> Sender<E, P> {
    /// Runs until the table is gone or the link has to stop; the status says why.
    pub async fn run(self) {
        let mut retry = RETRY_FIRST;
        let stop = loop {
            match self.connect().await {
                Ok(mut link) => match self.walk(&mut link).await {
                    Some(stop) => break stop,
                    None => retry = RETRY_FIRST,
                },
                Err(_) if self.is_gone() => break Stop::Gone,
                Err(Some(stop)) => break stop,
                Err(None) => {
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MOST);
                }
            }
        };
        let state = match stop {
            Stop::Diverged => LinkState::Diverged,
            Stop::Trimmed => LinkState::Trimmed,
            Stop::Gone => return,
        };
        tracing::error!(table = self.name(), to = %self.peer.region(), ?state, "a link has stopped; see `tradewind replication repair`");
        self.status.send_modify(|status| status.state = state);
    }

    fn name(&self) -> String {
        self.table.document().name.clone()
    }

    /// Asks the destination where it stands, and checks that it stands in this log.
    async fn connect(&self) -> Result<Link, Option<Stop>> {
        let document = self.table.document();
        let range = document.partitions[self.position];
        let source = Source {
            region: self.database.region(),
            incarnation: document.incarnation,
            number: range.number,
        };
        let position = match self.peer.position(&document.name, source, range.from, range.to).await {
            Ok(position) => position,
            Err(error) => {
                self.failed(&error);
                return Err(None);
            }
        };
        let partition = document.partition_id(range.number);
        let next = self.log.kept(partition).await.map_err(|_| None)?.end;
        let before = Sequence(position.cursor.0.saturating_sub(1));
        let found = self.log.read(partition, before, 1, 1).await.unwrap_or_default();
        let found = found.changes.iter().find(|(sequence, _)| *sequence == position.cursor);
        if diverged(position.cursor, position.at, next, found.map(|(_, change)| change)) {
            return Err(Some(Stop::Diverged));
        }
        Ok(Link::new(source, range.from, range.to, position.cursor))
    }

    /// Sends what there is, waits for more, and so on. `None`: connect again.
    async fn walk(&self, link: &mut Link) -> Option<Stop> {
        let mut retry = RETRY_FIRST;
        loop {
            let state = match self.owner_state().await {
                Some(state) => state,
                None => return Some(Stop::Gone),
            };
            let caught_up = link.acknowledged.next() >= state.next;
            let page = match self.log.read(state.id, link.acknowledged, BATCH_CHANGES, BATCH_BYTES).await {
                Ok(page) => page,
                Err(tradewind_changelog::Error::Trimmed { .. }) => return Some(Stop::Trimmed),
                Err(error) => {
                    tracing::warn!(%error, "a link cannot read its log");
                    tokio::time::sleep(RETRY_MOST).await;
                    return None;
                }
            };
            let announcement = self.announce(&state);
            let sent = Instant::now();
            let batch = link.batch(page, &announcement);
            let oldest = batch.changes.first().map(|(_, change)| change.version.hlc.ms());
            let waited_for = match self.peer.push(&self.name(), batch).await {
                Ok(pushed) => {
                    let ahead = matches!(pushed.arrived, Arrived::Ahead { .. });
                    let stuck = ahead || matches!(pushed.arrived, Arrived::Gap { .. });
                    link.answered(pushed.arrived);
                    self.delivered(link, &state, oldest, ahead, sent);
                    if stuck {
                        tokio::time::sleep(retry).await;
                        retry = (retry * 2).min(RETRY_MOST);
                        continue;
                    }
                    retry = RETRY_FIRST;
                    pushed.waits || state.tombstones > 0
                }
                Err(error @ PeerError::Refused { .. }) => {
                    self.failed(&error);
                    tokio::time::sleep(RETRY_MOST).await;
                    return self.is_gone().then_some(Stop::Gone);
                }
                Err(error) => {
                    self.failed(&error);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MOST);
                    continue;
                }
            };
            if caught_up {
                self.idle(link, waited_for).await;
            }
        }
    }

    fn announce(&self, state: &State) -> Announcement {
        Announcement::of(state, self.table.document().replicas.keys().copied())
    }

    /// Waits for more in the log, or until a heartbeat is due; before one that somebody waits for, an idle partition's
    /// clock is raised, durably, so that what it announces is true.
    async fn idle(&self, link: &Link, waited_for: bool) {
        let mut catalogue = self.database.watch_catalogue();
        let document = self.table.document();
        let joining = document.replicas.values().any(|replica| replica.status == ReplicaStatus::Creating);
        let heartbeat = match (joining, waited_for) {
            (true, _) => HEARTBEAT_JOINING,
            (false, true) => HEARTBEAT_WAITED_FOR,
            (false, false) => HEARTBEAT,
        };
        let partition = document.partition_id(document.partitions[self.position].number);
        let woken = tokio::select! {
            woken = timeout(heartbeat, self.log.wait(partition, link.acknowledged)) => woken.is_ok(),
            // A replica may have begun to join.
            _ = catalogue.changed() => return,
        };
        if !woken
            && waited_for
            && !joining
            && let Ok(owner) = self.table.owner(self.position).await
        {
            // Refused only where nothing can be written; the next heartbeat tries again.
            let _ = owner.submit(Op::Raise).await;
        }
    }

    async fn owner_state(&self) -> Option<Arc<State>> {
        loop {
            if self.is_gone() {
                return None;
            }
            match self.table.owner(self.position).await {
                Ok(owner) => return Some(owner.state()),
                Err(error) => tracing::warn!(%error, "a partition cannot be opened for its link"),
            }
            tokio::time::sleep(RETRY_MOST).await;
        }
    }

    /// Whether the table was dropped, or the destination is no replica any more.
    fn is_gone(&self) -> bool {
        let document = self.table.document();
        let same = self
            .database
            .table(&document.name)
            .is_some_and(|table| table.document().incarnation == document.incarnation);
        !same || !document.replicas.contains_key(&self.peer.region())
    }

    fn delivered(&self, link: &Link, state: &State, oldest_ms: Option<u64>, ahead: bool, sent: Instant) {
        let now_ms = self.database.clock().now_ms();
        let pending = state.next.0 - 1 - link.acknowledged.0.min(state.next.0 - 1);
        self.status.send_modify(|status| {
            status.state = if ahead { LinkState::Ahead } else { LinkState::Running };
            status.pending = pending;
            status.acknowledged = link.acknowledged;
            status.error = None;
            status.last_answer_ms = now_ms;
            if let Some(oldest_ms) = oldest_ms {
                status.latency_ms =
                    Some(now_ms.saturating_sub(oldest_ms).max(sent.elapsed().as_millis() as u64));
            }
        });
    }

    fn failed(&self, error: &PeerError) {
        self.status.send_modify(|status| {
            status.state = LinkState::Stalled;
            status.error = Some(error.to_string());
        });
    }
}
