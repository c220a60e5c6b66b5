//! Runs one link: reads the log, pushes batches, and tries again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tradewind_changelog::{ChangeLog, Log, Page};
use tradewind_database::Database;
use tradewind_database::partition::arrival::Arrived;
use tradewind_database::partition::group::Op;
use tradewind_database::partition::state::{LinkState as Known, Source, State};
use tradewind_database::question::{Question, Reply};
use tradewind_database::replica::{Pin, Position};
use tradewind_database::table::Table;
use tradewind_database::table::document::{ReplicaStatus, TableDocument};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Change, PartitionId, Sequence};

use crate::link::{Announcement, BATCH_BYTES, BATCH_CHANGES, Link, diverged};
use crate::meters;
use crate::pace::Pace;
use crate::peer::{self, Peer, PeerError};
use crate::replicator::{LinkState, LinkStatus};
use crate::sight::Sight;

/// An idle link says that it is idle this often; more often while somebody waits for its watermark.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_WAITED_FOR: Duration = Duration::from_secs(1);
/// A joiner waits for watermarks that others raise for it.
const HEARTBEAT_JOINING: Duration = Duration::from_millis(20);
/// Batches without changes of this region go at most so often: others' changes alone are no news to the destination.
const EMPTY: Duration = Duration::from_secs(1);
/// Between attempts at a destination that does not take a batch.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// A destination that needs what is not kept may have been repaired from its side.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub struct Sender<E, P> {
    pub database: Arc<Database<E>>,
    pub table: Arc<Table<E>>,
    /// The partition's position in the table.
    pub position: usize,
    pub peer: Arc<P>,
    pub log: Log,
    pub status: watch::Sender<LinkStatus>,
    pub sight: Arc<Sight>,
    pub pace: Mutex<Pace>,
}

/// How a push went.
enum Pushed {
    /// Go on; whether somebody waits for this link's watermark.
    Taken { waited_for: bool },
    /// The same again, after a pause.
    Again,
    /// Connect anew.
    Over,
}

/// Why a walk ended.
enum Walked {
    /// Connect anew.
    Out,
    /// What the destination needs next is not kept any more.
    Trimmed,
}

impl<E: Engine + Documents, P: Peer> Sender<E, P> {
    /// Runs until the table is gone, here or there. While it has to stand still, the status says why.
    pub async fn run(self) {
        let mut retry = RETRY_FIRST;
        while !self.is_gone() {
            self.rest().await;
            let Some(mut link) = self.connect().await else {
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MOST);
                continue;
            };
            retry = RETRY_FIRST;
            if let Walked::Trimmed = self.walk(&mut link).await {
                self.stop(LinkState::Trimmed).await;
                self.until_catalogue_changes(LOOK_AGAIN).await;
            }
        }
    }

    /// Nothing is sent of a log that others have not followed, before it is repaired. Every link obeys, whoever has found it
    /// out; and each tells its destination, in case that its place is not its own any more and another still sends.
    async fn rest(&self) {
        let mut told = None;
        loop {
            let document = self.table.document();
            let log = document.global.log;
            if log.is_sound() || self.is_gone() {
                break;
            }
            self.stop(LinkState::Diverged).await;
            if told != Some(log.term) && self.fence(&document).await {
                told = Some(log.term);
            }
            self.until_catalogue_changes(RETRY_MOST).await;
        }
        self.status.send_if_modified(|status| {
            let rested = status.state == LinkState::Diverged;
            if rested {
                status.state = LinkState::Unknown;
            }
            rested
        });
    }

    /// Whether the destination takes nothing more that was sent before the log was known not to be sound.
    async fn fence(&self, document: &TableDocument) -> bool {
        let range = document.partitions[self.position];
        let link = Known::begin(Sequence::ZERO, range.from, range.to);
        let pin = Pin { source: self.source(document), link }.under(document.global.log.term);
        peer::fence(&*self.peer, &document.name, vec![pin]).await.is_ok()
    }

    /// Says that the link stands still until somebody does something.
    async fn stop(&self, state: LinkState) {
        let news =
            self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state) != state);
        if news {
            tracing::error!(table = self.name(), to = %self.peer.region(), ?state, "a link has stopped; see `tradewind replication repair`");
        }
        self.fall_behind().await;
    }

    async fn until_catalogue_changes(&self, most: Duration) {
        let mut catalogue = self.database.watch_catalogue();
        let _ = timeout(most, catalogue.changed()).await;
    }

    fn name(&self) -> String {
        self.table.document().name.clone()
    }

    fn source(&self, document: &TableDocument) -> Source {
        let number = document.partitions[self.position].number;
        Source { region: self.database.region(), incarnation: document.incarnation, number }
    }

    /// Asks the destination where it stands, and checks that it stands in this log. `None`: to be tried again.
    async fn connect(&self) -> Option<Link> {
        let document = self.table.document();
        let range = document.partitions[self.position];
        let source = self.source(&document);
        let question = Question::Position { source, from: range.from, to: range.to };
        let position = match self.peer.ask(&document.name, question).await {
            Ok(Reply::Position(position)) => position,
            Ok(_) => return None,
            Err(error) => {
                self.failed(&error);
                self.fall_behind().await;
                return None;
            }
        };
        match self.stands_here(&document, &position).await? {
            true => Some(Link::new(source, range.from, range.to, position.cursor)),
            false => {
                self.found_diverged(&document, &position).await;
                None
            }
        }
    }

    /// Whether the destination's position is one of this log. `None`: that cannot be told just now.
    async fn stands_here(&self, document: &TableDocument, position: &Position) -> Option<bool> {
        let term = document.global.log.term;
        if position.term > term {
            // Either this process has not heard of a repair yet, or the whole region has forgotten it.
            self.database.refresh_catalogue().await.ok()?;
            return (self.table.document().global.log.term == term).then_some(false);
        }
        let partition = document.partition_id(document.partitions[self.position].number);
        // By the engine: what is published may still lag behind what the destination had of an earlier link.
        let next = self.table.state(self.position).await.ok()?.next;
        let found = self.at(partition, position.cursor).await;
        Some(!diverged(position.cursor, position.at, next, found.as_ref()))
    }

    /// None of the table's links goes on, whoever runs them: what they would announce denies what the old log has sent.
    async fn found_diverged(&self, document: &TableDocument, position: &Position) {
        let (name, to) = (&document.name, self.peer.region());
        tracing::error!(table = name, %to, ?position, "the destination has followed another log");
        if let Err(error) = self.database.set_diverged(name, document.global.log.term, position.term).await {
            tracing::error!(table = name, %to, %error, "it cannot be told that a log has diverged; it is tried again");
        }
    }

    /// The change at a sequence, if any log has it still.
    async fn at(&self, partition: PartitionId, sequence: Sequence) -> Option<Change> {
        let before = Sequence(sequence.0.saturating_sub(1));
        for log in [Log::new(self.database.engine_log()), self.log.clone()] {
            let page = log.read(partition, before, 1, 1).await.unwrap_or_default();
            let found = page.changes.into_iter().find(|(found, _)| *found == sequence);
            if let Some((_, change)) = found {
                return Some(change);
            }
        }
        None
    }

    /// Sends what there is, waits for more, and so on.
    async fn walk(&self, link: &mut Link) -> Walked {
        let mut retry = RETRY_FIRST;
        let mut empty_at: Option<Instant> = None;
        let mut raised = self.table.watch_raised();
        while !self.is_gone() {
            // Before the state is read, which then has what was raised.
            let asked_for = raised.has_changed().unwrap_or(false);
            raised.mark_unchanged();
            let Some(state) = self.state_after(link).await else { break };
            let page = match self.log.read(state.id, link.walked(), BATCH_CHANGES, BATCH_BYTES).await {
                Ok(page) => page,
                Err(tradewind_changelog::Error::Trimmed { .. }) => return Walked::Trimmed,
                Err(error) => {
                    tracing::warn!(%error, "a link cannot read its log");
                    tokio::time::sleep(RETRY_MOST).await;
                    break;
                }
            };
            let empty = !link.carries(&page);
            let early = empty_at.map(|at| EMPTY.saturating_sub(at.elapsed())).filter(|left| !left.is_zero());
            if let Some(left) = early.filter(|_| empty && !asked_for && !self.is_joining()) {
                let moves = page.through > link.walked();
                link.pass(&page);
                // At the end of the log, or of what is published of it.
                if !moves || link.walked().next() >= state.next {
                    self.wait(link, left, raised.clone()).await;
                }
                continue;
            }
            let caught_up = link.walked().next() >= state.next;
            match self.push(link, &state, page).await {
                Pushed::Over => break,
                Pushed::Again => {
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MOST);
                }
                Pushed::Taken { waited_for } => {
                    retry = RETRY_FIRST;
                    empty_at = empty.then(Instant::now).or(empty_at);
                    if caught_up {
                        self.idle(link, waited_for, raised.clone()).await;
                    }
                }
            }
        }
        Walked::Out
    }

    /// The partition's state. `None`: a database that was away, or has less than the destination, may have come back as
    /// another one, and where the destination stands is to be asked again.
    async fn state_after(&self, link: &Link) -> Option<Arc<State>> {
        match self.table.state(self.position).await {
            Ok(state) => Some(state).filter(|state| state.next > link.acknowledged),
            Err(error) => {
                tracing::warn!(%error, "a partition cannot be opened for its link");
                tokio::time::sleep(RETRY_MOST).await;
                None
            }
        }
    }

    async fn push(&self, link: &mut Link, state: &State, page: Page) -> Pushed {
        let document = self.table.document();
        if !document.global.log.is_sound() {
            return Pushed::Over;
        }
        let sent = Instant::now();
        let mut batch = link.batch(page, &Announcement::of(state, &document));
        let mut spans = meters::sending(&self.name(), self.peer.region(), &mut batch);
        let oldest = batch.changes.first().map(|(_, change)| change.version.hlc.ms());
        match self.peer.push(&self.name(), batch).await {
            Ok(pushed) => {
                self.sight.heard(self.peer.region());
                let ahead = matches!(pushed.arrived, Arrived::Ahead { .. });
                link.answered(pushed.arrived);
                if let Arrived::Stranger { .. } = pushed.arrived {
                    return self
                        .refused("it knows of an eviction or a repair that this region does not")
                        .await;
                }
                self.delivered(link, state, oldest, ahead, sent);
                match ahead || matches!(pushed.arrived, Arrived::Gap { .. }) {
                    true => Pushed::Again,
                    false => Pushed::Taken { waited_for: pushed.waits || state.tombstones > 0 },
                }
            }
            Err(PeerError::Refused { cause, .. }) => {
                self.sight.heard(self.peer.region());
                self.refused(&cause).await
            }
            Err(PeerError::Busy { region }) => {
                self.sight.heard(region);
                self.waits(link, state, oldest);
                Pushed::Again
            }
            Err(error) => {
                spans.iter_mut().for_each(|span| span.fail("unreachable"));
                self.failed(&error);
                self.waits(link, state, oldest);
                Pushed::Again
            }
        }
    }

    /// The destination knows something of the table that this region does not: they tell each other before it goes on.
    async fn refused(&self, cause: &str) -> Pushed {
        let region = self.peer.region();
        self.failed(&PeerError::Refused { region, cause: cause.to_owned() });
        tokio::time::sleep(RETRY_MOST).await;
        Pushed::Over
    }

    fn is_joining(&self) -> bool {
        let document = self.table.document();
        document.replicas.values().any(|replica| replica.status == ReplicaStatus::Creating)
    }

    /// Until the log goes on, or the catalogue changes, or somebody waits for an announcement, or the time is over.
    async fn wait(&self, link: &Link, most: Duration, mut raised: watch::Receiver<u64>) {
        let mut catalogue = self.database.watch_catalogue();
        let document = self.table.document();
        let partition = document.partition_id(document.partitions[self.position].number);
        tokio::select! {
            _ = timeout(most, self.log.wait(partition, link.walked())) => (),
            _ = catalogue.changed() => (),
            _ = raised.changed() => (),
        }
    }

    /// Waits for more in the log, or until a heartbeat is due; before one that somebody waits for, an idle partition's
    /// clock is raised, durably, so that what it announces is true.
    async fn idle(&self, link: &Link, waited_for: bool, mut raised: watch::Receiver<u64>) {
        let mut catalogue = self.database.watch_catalogue();
        let document = self.table.document();
        let joining = self.is_joining();
        let heartbeat = match (joining, waited_for) {
            (true, _) => HEARTBEAT_JOINING,
            (false, true) => HEARTBEAT_WAITED_FOR,
            (false, false) => HEARTBEAT,
        };
        let partition = document.partition_id(document.partitions[self.position].number);
        self.status.send_if_modified(|status| {
            let idle = status.state == LinkState::Running && status.pending == 0;
            if idle {
                status.state = LinkState::Idle;
            }
            idle
        });
        let woken = tokio::select! {
            woken = timeout(heartbeat, self.log.wait(partition, link.walked())) => woken.is_ok(),
            // A replica may have begun to join.
            _ = catalogue.changed() => return,
            _ = raised.changed() => return,
        };
        if !woken && waited_for && !joining {
            // Refused only where nothing can be written; the next heartbeat tries again.
            let _ = self.table.submit_at(self.position, Op::Raise).await;
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

    /// A link that stands still is further behind with every write, and says so.
    fn waits(&self, link: &Link, state: &State, oldest_ms: Option<u64>) {
        self.status.send_modify(|status| {
            status.pending = (state.next.0 - 1).saturating_sub(link.acknowledged.0);
            status.oldest_unsent_ms = status.oldest_unsent_ms.or(oldest_ms);
        });
    }

    fn delivered(&self, link: &Link, state: &State, oldest_ms: Option<u64>, ahead: bool, sent: Instant) {
        let now_ms = self.database.clock().now_ms();
        let pending = state.next.0 - 1 - link.acknowledged.0.min(state.next.0 - 1);
        self.status.send_modify(|status| {
            status.state = if ahead { LinkState::Ahead } else { LinkState::Running };
            status.pending = pending;
            status.acknowledged = link.acknowledged;
            status.oldest_unsent_ms = None;
            status.error = None;
            status.last_answer_ms = now_ms;
            status.left_ms = self.pace.lock().expect("no panic while held").left_ms(pending, Instant::now());
            if let Some(oldest_ms) = oldest_ms {
                status.latency_ms =
                    Some(now_ms.saturating_sub(oldest_ms).max(sent.elapsed().as_millis() as u64));
            }
        });
    }

    async fn fall_behind(&self) {
        if let Ok(state) = self.table.state(self.position).await {
            self.status.send_modify(|status| {
                status.pending = (state.next.0 - 1).saturating_sub(status.acknowledged.0);
            });
        }
    }

    fn failed(&self, error: &PeerError) {
        if let PeerError::Refused { region, .. } = error {
            self.database.unshare_settings(self.table.document().incarnation, *region);
        }
        self.status.send_modify(|status| {
            status.state = LinkState::Stalled;
            status.error = Some(error.to_string());
        });
    }
}
