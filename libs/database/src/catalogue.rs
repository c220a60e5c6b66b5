//! The copy of the catalogue that requests are answered from, and how it follows what other nodes change.
//!
//! A document has a revision that only grows, so that what was read late never replaces what is newer. The copy is read
//! again when another node announces a change, when the collection's generation has grown, and before a request is told
//! that a table is not there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tradewind_engine::{Document, Documents, Engine, Error};
use tradewind_wire::ApiError;
use tradewind_wire::request::Request;
use uuid::Uuid;

use crate::cluster::NodeId;
use crate::control::{encode, unavailable};
use crate::region::{Database, TABLES};
use crate::table::document::TableDocument;
use crate::table::{Table, decode};

/// How often the generation is asked for.
const POLL: Duration = Duration::from_millis(250);
/// How often the others are told what was taken of a table's throughput: it may be exceeded by what they serve in between.
const SHARE: Duration = Duration::from_millis(100);
/// A copy that was not looked at for so long is no answer: the node may have been frozen.
const STALE: Duration = Duration::from_secs(1);
/// An eventual read does not wait longer for the catalogue.
const EVENTUAL: Duration = Duration::from_millis(500);

impl<E: Engine + Documents> Database<E> {
    /// What one node of several does all the time, until dropped: it follows the catalogue, and hands over partitions that
    /// have moved.
    pub async fn follow(self: Arc<Self>) {
        futures_util::future::join(self.follow_catalogue(), self.share_throughput()).await;
    }

    /// A table's throughput is the region's, whichever nodes serve it.
    async fn share_throughput(&self) {
        let Some(throttle) = &self.shared.throttle else { return };
        let by = NodeId(Uuid::new_v4());
        loop {
            tokio::time::sleep(SHARE).await;
            if let Some(spent) = throttle.tell(by) {
                self.shared.cluster.spend(spent).await;
            }
        }
    }

    async fn follow_catalogue(&self) {
        let mut changed = self.shared.cluster.changed();
        loop {
            if let Err(error) = self.refresh_catalogue().await {
                tracing::warn!(region = %self.region(), %error, "the catalogue cannot be read");
            }
            tokio::select! {
                Ok(()) = changed.changed() => self.hand_over().await,
                () = tokio::time::sleep(POLL) => (),
            }
        }
    }

    async fn hand_over(&self) {
        let tables = self.tables();
        futures_util::future::join_all(tables.iter().map(|table| table.hand_over())).await;
        self.shared.owned.send_modify(|count| *count += 1);
    }

    /// Hands every partition over that this node owns, before it leaves: to be called once it is the seat of none.
    pub async fn leave(&self) {
        let tables = self.tables();
        futures_util::future::join_all(tables.iter().map(|table| table.close())).await;
    }

    /// Reads the catalogue again, if it has changed since it was read last.
    pub async fn refresh_catalogue(&self) -> Result<(), Error> {
        let read = self.read_catalogue().await;
        self.catalogue_is_away.store(read.is_err(), Ordering::Relaxed);
        read
    }

    async fn read_catalogue(&self) -> Result<(), Error> {
        let mut followed = self.followed.lock().await;
        let looked_at = Instant::now();
        let generation = self.shared.engine.generation(TABLES).await?;
        if *followed != Some(generation) {
            let listed = self.shared.engine.list(TABLES).await?;
            self.adopt_catalogue(listed)?;
            *followed = Some(generation);
        }
        *self.looked_at.lock().expect("no panic while held") = Some(looked_at);
        Ok(())
    }

    fn adopt_catalogue(&self, listed: Vec<(String, Document)>) -> Result<(), Error> {
        let known = self.tables.load_full();
        let mut tables = HashMap::with_capacity(listed.len());
        let mut changed = false;
        for (name, stored) in listed {
            let table = match known.get(&name).filter(|table| table.revision() >= stored.revision) {
                Some(table) => table.clone(),
                None => {
                    changed = true;
                    self.newer(known.get(&name), decode(&name, &stored.body)?, stored.revision)
                }
            };
            tables.insert(name, table);
        }
        changed |= known.keys().any(|name| !tables.contains_key(name));
        if changed {
            let kept = |name: &str, table| tables.get(name).is_some_and(|other| Arc::ptr_eq(other, table));
            let gone: Vec<_> = known
                .iter()
                .filter(|(name, table)| !kept(name, table))
                .map(|(_, table)| table.clone())
                .collect();
            self.tables.store(Arc::new(tables));
            gone.into_iter().for_each(|table| self.retire(table));
            self.announce();
        }
        Ok(())
    }

    /// The table with a newer document; another table where it was made again.
    fn newer(&self, known: Option<&Arc<Table<E>>>, document: TableDocument, revision: u64) -> Arc<Table<E>> {
        match known.filter(|table| table.document().incarnation == document.incarnation) {
            Some(table) => {
                table.set_document(document, revision);
                table.clone()
            }
            None => Arc::new(Table::new(document, revision, self.shared.clone())),
        }
    }

    /// Lets go of a table that is no more. Its owners were fenced by whoever dropped it.
    fn retire(&self, table: Arc<Table<E>>) {
        table.mark_gone();
        self.forget_life(&table.document());
        tokio::spawn(async move { table.close().await });
    }

    /// Nothing is kept in memory of a table that was dropped.
    fn forget_life(&self, document: &TableDocument) {
        for range in &document.partitions {
            self.shared.tail.forget(document.partition_id(range.number));
        }
        let lives = || document.indexes.iter().map(|index| index.id).chain([document.incarnation]);
        if let Some(throttle) = &self.shared.throttle {
            throttle.forget(lives());
        }
        self.shared.engine.place(document.incarnation, &[]);
        self.counted.forget(document.incarnation);
        let mut shared = self.settings_shared.lock().expect("no panic while held");
        shared.retain(|(incarnation, _), _| *incarnation != document.incarnation);
    }

    /// Compare-and-set of a table's document, which this node then decides by; `None`, and nothing happened, where another
    /// node was first. Other nodes are told by whoever calls this.
    pub(crate) async fn replace(
        &self,
        name: &str,
        expected: Option<u64>,
        document: Option<TableDocument>,
    ) -> Result<Option<()>, ApiError> {
        // The copy changes in the order of the catalogue.
        let _followed = self.followed.lock().await;
        let body = document.as_ref().map(encode);
        let set = self.shared.engine.compare_and_set(TABLES, name, expected, body.as_deref()).await;
        let Some(revision) = set.map_err(unavailable)? else { return Ok(None) };
        let known = self.table(name);
        let table = document.map(|document| self.newer(known.as_ref(), document, revision));
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            match &table {
                Some(table) => tables.insert(name.to_owned(), table.clone()),
                None => tables.remove(name),
            };
            tables
        });
        if let Some(known) = known.filter(|known| table.as_ref().is_none_or(|new| !Arc::ptr_eq(known, new))) {
            self.retire(known);
        }
        self.announce();
        Ok(Some(()))
    }

    /// Tells the other nodes of a change: when this returns they have seen it, or are not to be reached.
    pub(crate) async fn tell_nodes(&self) {
        if !self.shared.alone {
            self.shared.cluster.announce().await;
        }
    }

    /// Before a request is answered from the copy: that it is no older than a node's lease lets it be, and has the tables
    /// that the request names, if there are such.
    pub(crate) async fn look_before(&self, request: &Request) -> Result<(), ApiError> {
        let fresh = {
            let looked_at = self.looked_at.lock().expect("no panic while held");
            looked_at.is_some_and(|at| at.elapsed() < STALE)
        };
        let known = || tables_of(request).into_iter().all(|name| self.table(name).is_some());
        match known() {
            true if fresh => Ok(()),
            // It is answered from where there is an answer, as if it had come before the catalogue went away.
            true if is_eventual(request) => {
                if !self.catalogue_is_away.load(Ordering::Relaxed) {
                    let _ = tokio::time::timeout(EVENTUAL, Box::pin(self.refresh_catalogue())).await;
                }
                Ok(())
            }
            _ => Box::pin(self.refresh_catalogue()).await.map_err(unavailable),
        }
    }
}

/// Whether the request asks for no more than what was true a moment ago.
fn is_eventual(request: &Request) -> bool {
    match request {
        Request::GetItem(request) => !request.consistent && !request.fresh,
        Request::Query(request) => !request.consistent && !request.fresh,
        Request::Scan(request) => !request.consistent && !request.fresh,
        Request::BatchGetItem(request) => request.tables.iter().all(|gets| !gets.consistent && !gets.fresh),
        _ => false,
    }
}

/// The tables that a request is about, where that can be told without reading a statement.
fn tables_of(request: &Request) -> Vec<&str> {
    match request {
        Request::PutItem(request) => vec![&request.table.name],
        Request::GetItem(request) => vec![&request.table.name],
        Request::UpdateItem(request) => vec![&request.table.name],
        Request::DeleteItem(request) => vec![&request.table.name],
        Request::Query(request) => vec![&request.table.name],
        Request::Scan(request) => vec![&request.table.name],
        Request::BatchGetItem(request) => {
            request.tables.iter().map(|gets| gets.table.name.as_str()).collect()
        }
        Request::BatchWriteItem(request) => {
            request.tables.iter().map(|(table, _)| table.name.as_str()).collect()
        }
        Request::TransactWriteItems(request) => {
            request.actions.iter().map(|action| action.table.name.as_str()).collect()
        }
        Request::DescribeTable(table) | Request::DeleteTable(table) => vec![&table.name],
        // Not worth a list: they are not so many that reading the generation counts.
        _ => vec![""],
    }
}
