//! A table of this region: its document, and the owners of those of its partitions that sit at this node.

pub mod document;
pub mod elements;
mod errand;
pub mod global;
pub mod log;
mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tradewind_engine::{Documents, Engine, Error};
use tradewind_model::{Epoch, ItemKey, PartitionId, Sequence};
use tradewind_wire::ApiError;

use self::document::{TableDocument, TableStatus};
use self::errand::Errand;
pub(crate) use self::errand::LATE;
use crate::cluster::{Address, Seat};
use crate::partition::group::{Answer, Op};
use crate::partition::owner::{self, Owner, Setting, Unanswered};
use crate::partition::state::State;
use crate::region::{Shared, TABLES};

pub struct Table<E> {
    document: Arc<ArcSwap<TableDocument>>,
    /// Of the document, or less: what is decided by the document is not older than this says.
    revision: AtomicU64,
    /// By position in the document's partitions; opened at first use, so that a thousand idle tables cost nothing.
    slots: Vec<Slot>,
    /// Counts the times that clocks were raised because somebody waits for what links announce.
    raised: watch::Sender<u64>,
    shared: Arc<Shared<E>>,
}

#[derive(Default)]
struct Slot {
    /// The owner, where this node is it or was it last.
    running: ArcSwapOption<Owner>,
    /// Held while the partition is opened.
    starting: tokio::sync::Mutex<()>,
    /// The partition's next sequence was at least this.
    known_next: AtomicU64,
    /// The epoch under which its owner took an operation last; 0 where none was asked yet.
    known_epoch: AtomicU64,
}

/// Why a partition has no owner at this node.
pub(crate) enum Unowned {
    /// It sits elsewhere.
    Seat,
    /// It cannot be opened now.
    Closed(Error),
    /// The table is gone.
    Gone,
}

impl<E: Engine + Documents> Table<E> {
    pub(crate) fn new(document: TableDocument, revision: u64, shared: Arc<Shared<E>>) -> Table<E> {
        let slots = document.partitions.iter().map(|_| Slot::default()).collect();
        let last_hashes: Vec<_> = document.partitions.iter().map(|range| (range.number, range.to)).collect();
        shared.engine.place(document.incarnation, &last_hashes);
        let document = Arc::new(ArcSwap::from_pointee(document));
        Table { document, revision: AtomicU64::new(revision), slots, raised: watch::Sender::new(0), shared }
    }

    /// Changes when clocks were raised: links have something to announce.
    pub fn watch_raised(&self) -> watch::Receiver<u64> {
        self.raised.subscribe()
    }

    pub(crate) fn announce_raised(&self) {
        self.raised.send_modify(|count| *count += 1);
    }

    pub(crate) fn shared(&self) -> &Shared<E> {
        &self.shared
    }

    pub fn document(&self) -> Arc<TableDocument> {
        self.document.load_full()
    }

    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// From the next group on, the partitions decide by this document, unless they have a newer one.
    pub(crate) fn set_document(&self, document: TableDocument, revision: u64) {
        if revision > self.revision() && !self.is_gone() {
            self.document.store(Arc::new(document));
            self.revision.fetch_max(revision, Ordering::AcqRel);
        }
    }

    /// The position of the partition that holds `hash`.
    pub fn position(&self, hash: u64) -> usize {
        let document = self.document.load();
        document.partitions.partition_point(|range| range.to < hash)
    }

    /// The position of the partition with this number.
    pub fn position_of(&self, number: u32) -> Option<usize> {
        self.document.load().partitions.iter().position(|range| range.number == number)
    }

    pub fn partition_count(&self) -> usize {
        self.slots.len()
    }

    pub fn partition_id(&self, position: usize) -> PartitionId {
        let document = self.document.load();
        document.partition_id(document.partitions[position].number)
    }

    /// Whether the partition is to be owned by this node.
    pub fn sits_here(&self, position: usize) -> bool {
        self.shared.cluster.seat(self.partition_id(position)) == Seat::Here
    }

    /// The owner, if it runs at this node.
    pub fn running(&self, position: usize) -> Option<Arc<Owner>> {
        self.slots[position].running.load_full().filter(|owner| owner.is_running())
    }

    /// The owner, started if need be, where it is to run at this node; refused where it is another's.
    pub async fn owner(&self, position: usize) -> Result<Arc<Owner>, ApiError> {
        self.own(position).await.map_err(|unowned| unowned.explain())
    }

    pub(crate) async fn own(&self, position: usize) -> Result<Arc<Owner>, Unowned> {
        if let Some(owner) = self.running(position) {
            return Ok(owner);
        }
        let slot = &self.slots[position];
        let _alone = slot.starting.lock().await;
        if let Some(owner) = self.running(position) {
            return Ok(owner);
        }
        let owner = Arc::new(self.start(position).await?);
        slot.running.store(Some(owner.clone()));
        // Dropped while it was opened: whoever drops the table looks only once.
        if self.is_gone() {
            self.end(slot).await;
            return Err(Unowned::Gone);
        }
        self.shared.owned.send_modify(|count| *count += 1);
        Ok(owner)
    }

    /// Runs one at a time per partition.
    async fn start(&self, position: usize) -> Result<Owner, Unowned> {
        if self.is_gone() {
            return Err(Unowned::Gone);
        }
        if !self.sits_here(position) {
            return Err(Unowned::Seat);
        }
        let id = self.partition_id(position);
        let range = self.document.load().partitions[position];
        let state = owner::open(&*self.shared.engine, id, range).await.map_err(Unowned::Closed)?;
        self.read_again().await.map_err(Unowned::Closed)?;
        let setting = Setting {
            engine: self.shared.engine.clone(),
            clock: self.shared.clock.clone(),
            tail: self.shared.tail.clone(),
            cluster: self.shared.cluster.clone(),
            here: self.shared.region,
            meters: self.shared.meters.clone(),
            table: self.document.clone(),
            recent: self.shared.recent.clone(),
            id,
            range,
            catch_up_share: self.shared.catch_up_share,
            runtime: self.shared.data[position % self.shared.data.len()].clone(),
        };
        Ok(Owner::start(setting, state))
    }

    /// The document as it is now that the partition is taken over: the owner before may have decided by a newer one than
    /// this node has heard of, or the table may have been dropped, whose owners are fenced only once.
    pub(crate) async fn read_again(&self) -> Result<(), Error> {
        if self.shared.alone {
            return Ok(());
        }
        let known = self.document();
        let stored = self.shared.engine.get(TABLES, &known.name).await?;
        let Some(stored) = stored else {
            self.mark_gone();
            return Ok(());
        };
        let document = decode(&known.name, &stored.body)?;
        match document.incarnation == known.incarnation {
            true => self.set_document(document, stored.revision),
            false => self.mark_gone(),
        }
        Ok(())
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.document.load().status == TableStatus::Deleting
    }

    /// From now on no owner starts at this node.
    pub(crate) fn mark_gone(&self) {
        let document = TableDocument::clone(&self.document.load());
        self.document.store(Arc::new(TableDocument { status: TableStatus::Deleting, ..document }));
    }

    /// Ends all owners at this node.
    pub(crate) async fn close(&self) {
        for slot in &self.slots {
            self.end(slot).await;
        }
    }

    async fn end(&self, slot: &Slot) {
        if let Some(owner) = slot.running.load_full() {
            owner.close().await;
            self.shared.owned.send_modify(|count| *count += 1);
        }
    }

    /// Hands over what sits elsewhere now: what waits is decided first, what comes later goes to the new owner.
    pub(crate) async fn hand_over(&self) {
        for (position, slot) in self.slots.iter().enumerate() {
            if self.running(position).is_none() {
                continue;
            }
            let id = self.partition_id(position);
            if let Seat::At(node) = self.shared.cluster.seat(id) {
                tracing::info!(partition = %id, to = %node.0, "handing a partition over");
                self.end(slot).await;
            }
        }
    }

    /// The partition's durable state: the owner's, where it runs at this node.
    pub async fn state(&self, position: usize) -> Result<Arc<State>, Error> {
        // An owner that lost its lease may not know that it lost its partition.
        if let Some(owner) = self.running(position).filter(|_| self.shared.cluster.holds_lease()) {
            return Ok(owner.state());
        }
        let range = self.document.load().partitions[position];
        owner::peek(&*self.shared.engine, self.partition_id(position), range).await.map(Arc::new)
    }

    pub(crate) fn address(&self, position: usize) -> Address {
        let document = self.document.load();
        Address {
            table: document.name.clone(),
            partition: document.partition_id(document.partitions[position].number),
            revision: self.revision(),
        }
    }

    fn known_next(&self, position: usize) -> Sequence {
        Sequence(self.slots[position].known_next.load(Ordering::Acquire))
    }

    fn known_epoch(&self, position: usize) -> Epoch {
        Epoch(self.slots[position].known_epoch.load(Ordering::Acquire))
    }

    fn learn_epoch(&self, position: usize, epoch: Epoch) {
        self.slots[position].known_epoch.fetch_max(epoch.0, Ordering::AcqRel);
    }

    fn learn_next(&self, position: usize, next: Sequence) {
        self.slots[position].known_next.fetch_max(next.0, Ordering::AcqRel);
    }

    /// Through the queue of the partition that holds `key`.
    pub async fn submit(&self, key: &ItemKey, op: Op) -> Result<Answer, ApiError> {
        self.submit_at(self.position(key.hash()), op).await
    }

    /// Through the queue of the partition at `position`, wherever it is owned.
    pub async fn submit_at(&self, position: usize, op: Op) -> Result<Answer, ApiError> {
        // With other nodes it may have to be sent again, and needs a name for that.
        if !self.shared.alone {
            return Box::pin(Errand::new(self, position, op).run()).await;
        }
        let queued = {
            let running = self.slots[position].running.load();
            match running.as_ref() {
                Some(owner) => owner.enqueue(Box::new(op)),
                None => Err(Unanswered::Returned(Box::new(op))),
            }
        };
        let answer = match queued {
            Ok(ticket) => ticket.answer().await,
            Err(unanswered) => Err(unanswered),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(Unanswered::Failed(error) | Unanswered::Unknown(_, error)) => Err(error),
            Err(Unanswered::Returned(op)) => Box::pin(Errand::new(self, position, *op).run()).await,
        }
    }

    /// Through every partition's queue, all at the same time; the answers are in the partitions' order.
    pub async fn submit_to_all(&self, op: impl Fn(usize) -> Op) -> Result<Vec<Answer>, ApiError> {
        let submitted = (0..self.slots.len()).map(|position| self.submit_at(position, op(position)));
        futures_util::future::join_all(submitted).await.into_iter().collect()
    }
}

impl Unowned {
    pub fn explain(&self) -> ApiError {
        match self {
            Unowned::Seat => ApiError::unavailable("the partition is at another node"),
            Unowned::Closed(error) => owner::explain(error),
            Unowned::Gone => gone(),
        }
    }
}

fn gone() -> ApiError {
    ApiError::resource_not_found("Requested resource not found")
}

/// A table's document, as the catalogue keeps it.
pub(crate) fn decode(name: &str, body: &[u8]) -> Result<TableDocument, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Corrupt(format!("the document of table {name}: {error}")))
}
