//! Requests with PartiQL statements: texts that are not parsed yet, and their parameters.

use crate::request::item::ReturnCapacity;

#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// 1 to 8192 characters.
    pub text: String,
    /// Stored values, by position.
    pub parameters: Vec<Vec<u8>>,
    pub consistent: bool,
    /// Not from a standby, at the price of what `consistent` says: the reader knows of a write that it has to see.
    pub fresh: bool,
    /// ReturnValuesOnConditionCheckFailure = ALL_OLD.
    pub item_on_failure: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ExecuteStatement {
    pub statement: Statement,
    pub next_token: Option<String>,
    /// At least 1.
    pub limit: Option<usize>,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, PartialEq, Debug)]
pub struct BatchExecuteStatement {
    /// 1 to 25.
    pub statements: Vec<Statement>,
    pub capacity: ReturnCapacity,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ExecuteTransaction {
    /// 1 to 100.
    pub statements: Vec<Statement>,
    pub token: Option<String>,
    /// Of the statements: tells a repeat from another request with its token.
    pub digest: u128,
    pub capacity: ReturnCapacity,
}
