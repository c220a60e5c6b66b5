//! The engine's log in a process that writes none of it: its ends are looked at again and again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tradewind_engine::Engine;
use tradewind_model::{PartitionId, Sequence};

use crate::{ChangeLog, Embedded, Error, Page, Tail};

/// How often an end is looked at that moves, and one that has not moved for long.
const OFTEN: Duration = Duration::from_millis(10);
const RARELY: Duration = Duration::from_millis(500);

type Watched = Mutex<HashMap<PartitionId, watch::Sender<u64>>>;

pub struct Polled<E> {
    log: Embedded<E>,
    engine: Arc<E>,
    /// One task for each partition that somebody waits for; it ends when nobody does.
    watched: Arc<Watched>,
}

impl<E: Engine> Polled<E> {
    pub fn new(engine: Arc<E>) -> Polled<E> {
        let log = Embedded::new(engine.clone(), Tail::default());
        Polled { log, engine, watched: Arc::default() }
    }
}

impl<E: Engine> ChangeLog for Polled<E> {
    async fn read(
        &self,
        partition: PartitionId,
        after: Sequence,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.log.read(partition, after, limit, max_bytes).await
    }

    async fn kept(&self, partition: PartitionId) -> Result<Range<Sequence>, Error> {
        self.log.kept(partition).await
    }

    async fn wait(&self, partition: PartitionId, after: Sequence) {
        let mut end = self.watch(partition);
        // An error: its task has ended with the runtime.
        let _ = end.wait_for(|next| *next > after.next().0).await;
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<u64> {
        let mut watched = self.watched.lock().expect("no panic while held");
        if let Some(end) = watched.get(&partition) {
            return end.subscribe();
        }
        let (end, receiver) = watch::channel(0);
        watched.insert(partition, end);
        tokio::spawn(look(self.engine.clone(), partition, Arc::downgrade(&self.watched)));
        receiver
    }
}

async fn look<E: Engine>(engine: Arc<E>, partition: PartitionId, watched: Weak<Watched>) {
    let mut pause = OFTEN;
    loop {
        let next = engine.kept(partition).await.map(|kept| kept.end.0);
        {
            let Some(watched) = watched.upgrade() else { return };
            let mut watched = watched.lock().expect("no panic while held");
            let Some(end) = watched.get(&partition) else { return };
            // Under the lock: nobody can subscribe in between.
            if end.receiver_count() == 0 {
                watched.remove(&partition);
                return;
            }
            let moved = next.is_ok_and(|next| {
                end.send_if_modified(|known| std::mem::replace(known, next.max(*known)) < next)
            });
            pause = if moved { OFTEN } else { (pause * 5 / 4).min(RARELY) };
        }
        tokio::time::sleep(pause).await;
    }
}
