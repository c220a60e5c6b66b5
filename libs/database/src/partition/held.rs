//! A partition held for a transaction: nothing else is decided there until it is released.
//!
//! Which items transactions are about is known from when they begin to wait, so that of two that meet at an item the
//! second is told at once. Partitions are held in one order by everybody: the transaction that is furthest in that order
//! meets nobody, so one always wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tradewind_model::ItemKey;

use super::state::State;
use crate::cluster::RequestId;
use crate::table::document::TableDocument;

pub struct Held {
    pub state: State,
    pub table: Arc<TableDocument>,
    pub(super) release: oneshot::Sender<Option<State>>,
    pub(super) reserved: Arc<Reserved>,
}

impl Held {
    /// Lets the owner go on: from `state`, or, where the outcome of a commit is not known, from what it reads itself.
    pub fn release(self, state: Option<State>) {
        // Whoever is told of the transaction's end does not meet it any more.
        self.reserved.end();
        // An owner that is gone has been dropped with its table, or was fenced.
        let _ = self.release.send(state);
    }

    /// Whether the owner has given the hold up.
    pub fn is_over(&self) -> bool {
        self.release.is_closed()
    }
}

/// The items of one partition that transactions are about.
#[derive(Clone, Default)]
pub(super) struct Holding(Arc<Mutex<HashMap<ItemKey, RequestId>>>);

/// A transaction's items, until it has ended.
pub(super) struct Reserved {
    holding: Holding,
    keys: Vec<ItemKey>,
    request: RequestId,
}

impl Holding {
    /// The items for this transaction, or those of them that another one has. A transaction does not meet itself: a hold of
    /// its own that was lost on the way may still stand.
    pub fn reserve(&self, keys: Vec<ItemKey>, request: RequestId) -> Result<Reserved, Vec<ItemKey>> {
        let mut items = self.items();
        let met: Vec<_> =
            keys.iter().filter(|key| items.get(*key).is_some_and(|by| *by != request)).cloned().collect();
        if !met.is_empty() {
            return Err(met);
        }
        items.extend(keys.iter().map(|key| (key.clone(), request)));
        Ok(Reserved { holding: self.clone(), keys, request })
    }

    fn items(&self) -> MutexGuard<'_, HashMap<ItemKey, RequestId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved {
    pub fn keys(&self) -> &[ItemKey] {
        &self.keys
    }

    /// The items are others' again.
    pub fn end(&self) {
        let mut items = self.holding.items();
        for key in &self.keys {
            if items.get(key) == Some(&self.request) {
                items.remove(key);
            }
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_two_transactions_meets_the_first_until_it_ends() {
        let (holding, key) = (Holding::default(), |name: &str| ItemKey::new(name.as_bytes(), b""));
        let first = holding.reserve(vec![key("a"), key("b")], [1; 16]).ok().unwrap();
        assert_eq!(holding.reserve(vec![key("b"), key("c")], [2; 16]).err().unwrap(), vec![key("b")]);
        assert!(holding.reserve(vec![key("c")], [2; 16]).is_ok(), "nothing of a refused one stays");
        drop(first);
        assert!(holding.reserve(vec![key("b")], [2; 16]).is_ok());
    }

    #[test]
    fn a_transaction_does_not_meet_itself() {
        let (holding, key) = (Holding::default(), ItemKey::new(b"a", b""));
        let _lost = holding.reserve(vec![key.clone()], [1; 16]).ok().unwrap();
        assert!(holding.reserve(vec![key], [1; 16]).is_ok());
    }
}
