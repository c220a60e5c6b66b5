//! What one local write does to one item: pure, and free to run again.

use serde::{Deserialize, Serialize};
use tradewind_expression::{Condition, Update};
use tradewind_model::change::Trace;
use tradewind_model::{Item, ItemKey, ItemRef, Number, ValueRef};
use tradewind_wire::ApiError;

use crate::item;
use crate::table::document::TableDocument;

/// A write of one item, as a request asks for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Write {
    pub key: ItemKey,
    pub action: Action,
    pub condition: Option<Condition>,
    /// Whether a failed condition answers the item it met.
    pub item_on_failure: bool,
    pub request: Option<[u8; 16]>,
    /// The trace it is part of, if it is traced.
    #[serde(default)]
    pub trace: Option<Trace>,
}

impl Write {
    /// Bytes of the item or key that the request carries.
    pub fn size(&self) -> usize {
        match &self.action {
            Action::Put(item) => item.size(),
            _ => self.key.partition_key().len() + self.key.sort_key().len(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Action {
    Put(Item),
    /// `key` holds the key attributes that a new item starts from.
    Update {
        key: Item,
        update: Option<Update>,
    },
    Delete,
    /// Only the condition.
    Check,
    /// What lost in a conflict, in the place of what won, as long as that stands. `None`: no item.
    Restore {
        item: Option<Item>,
        over: Option<Item>,
    },
    /// A delete by TTL: only if the item still is expired at `now_s`.
    Expire {
        attribute: String,
        now_s: u64,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// Nothing to write, and nothing that could have been.
    Nothing,
    /// The item is to be this; `None`: deleted.
    Set(Option<Item>),
}

/// Why a write did not take place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub error: ApiError,
    /// The item it met: what the capacity of a failed condition counts.
    pub old: Option<Item>,
}

/// What `write` does, given the item as it is.
pub fn decide(table: &TableDocument, write: &Write, old: Option<ItemRef<'_>>) -> Result<Decision, ApiError> {
    if let Some(condition) = &write.condition
        && !condition.holds(old)
    {
        let item = old.filter(|_| write.item_on_failure).map(ItemRef::to_item);
        return Err(ApiError::condition_failed(item));
    }
    match &write.action {
        Action::Put(item) => Ok(Decision::Set(Some(item.clone()))),
        Action::Update { key, update } => updated(table, key, update.as_ref(), old),
        Action::Delete => Ok(Decision::Set(None)),
        Action::Check => Ok(Decision::Nothing),
        Action::Restore { item, over } => {
            if old != over.as_ref().map(Item::as_ref) {
                let item = old.filter(|_| write.item_on_failure).map(ItemRef::to_item);
                return Err(ApiError::condition_failed(item));
            }
            Ok(Decision::Set(item.clone()))
        }
        Action::Expire { attribute, now_s } => {
            let expired = old.and_then(|item| item.get(attribute)).is_some_and(|at| is_expired(at, *now_s));
            Ok(if expired { Decision::Set(None) } else { Decision::Nothing })
        }
    }
}

fn updated(
    table: &TableDocument,
    key: &Item,
    update: Option<&Update>,
    old: Option<ItemRef<'_>>,
) -> Result<Decision, ApiError> {
    let Some(update) = update else {
        let item = old.map_or_else(|| key.clone(), ItemRef::to_item);
        return Ok(Decision::Set(Some(item)));
    };
    let new = update.apply(key.as_ref(), old).map_err(|error| ApiError::validation(error.to_string()))?;
    let Some(new) = new else {
        return Ok(Decision::Set(None));
    };
    item::check_updated(table, new.as_ref())?;
    Ok(Decision::Set(Some(new)))
}

/// Five years: times longer ago are taken for something else than an expiry time. (Developer guide, "Time to Live".)
pub const OLDEST_EXPIRY_S: u64 = 5 * 365 * 24 * 3600;

/// The second at which an item with this TTL attribute expires.
pub fn expires_at(value: ValueRef<'_>) -> Option<u64> {
    value.as_number().as_ref().and_then(Number::trunc_i64).and_then(|second| u64::try_from(second).ok())
}

fn is_expired(value: ValueRef<'_>, now_s: u64) -> bool {
    expires_at(value).is_some_and(|at| at <= now_s && at + OLDEST_EXPIRY_S >= now_s)
}
