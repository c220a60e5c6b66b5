//! The words of Tradewind as types: names, versions, values, keys, items and changes, with their stored forms.
//!
//! No I/O, nothing async; only [`clock`] reads wall time.

pub mod change;
pub mod clock;
mod code;
pub mod id;
pub mod key;
pub mod number;
pub mod row;
pub mod serial;
pub mod token;
pub mod tree;
pub mod value;
pub mod version;

pub use change::Change;
pub use clock::{Clock, SystemClock};
pub use id::{BadRegion, Epoch, Incarnation, PartitionId, Region, Sequence};
pub use key::{IndexId, ItemKey, KeyAttribute, KeySchema};
pub use number::{Number, NumberError};
pub use row::StoredItem;
pub use token::{Token, Tokens};
pub use tree::Tree;
pub use value::{Item, ItemRef, ListRef, MapRef, SetRef, Type, ValueRef, View, Writer};
pub use version::{Hlc, Vector, Version};
