//! Expressions: their texts, what they mean for an item, and DynamoDB's words where they are wrong.
//!
//! Everything is parsed once into a small tree that is pure and may be evaluated again. Conditions, projections and
//! key conditions read the stored form in place; updates turn only the attributes they change into trees.

pub mod condition;
mod constant;
mod error;
mod key_condition;
mod lexer;
mod parser;
pub mod partiql;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod selection;
pub mod update;

pub use condition::Condition;
pub use constant::Constant;
pub use error::{Kind, ParseError, UpdateError};
pub use key_condition::{KeyCondition, KeyTerm, KeyTest};
pub use path::{Path, Step};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use update::Update;
