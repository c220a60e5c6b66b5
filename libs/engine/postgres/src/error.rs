//! What PostgreSQL's errors mean to callers: by SQLSTATE, never by text, and never with the rows' content.

use std::fmt::Write;

use tokio_postgres::error::{DbError, Severity, SqlState};
use tradewind_engine::Error;

/// Raised by the function `fence`; the detail lists the stale partitions.
pub const STALE: &str = "TW001";

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("not a PostgreSQL URL: {0}")]
    BadUrl(String),
    #[error("no certificates: {0}")]
    BadCertificates(String),
    /// It may be reached in a moment: it is starting, or has enough connections.
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    /// A password, say, or a database that does not exist.
    #[error("PostgreSQL refuses: {0}")]
    Refused(String),
    #[error("PostgreSQL's setting {name} is {value}: {needed}")]
    Setting { name: &'static str, value: String, needed: &'static str },
    #[error(
        "the database has schema version {found}, this program knows {known}: it belongs to a newer program"
    )]
    Newer { found: i32, known: i32 },
    #[error("migration {name} was refused: {reason}")]
    Migration { name: String, reason: String },
    #[error("{0}")]
    Misplaced(String),
    #[error(transparent)]
    Storage(#[from] Error),
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> OpenError {
        // Classes 08 (connection), 53 (resources) and 57 (an operator's doing) of PostgreSQL's error codes.
        let passes =
            |db: &DbError| ["08", "53", "57"].iter().any(|class| db.code().code().starts_with(class));
        match error.as_db_error() {
            Some(db) if !passes(db) => OpenError::Refused(reason(&error)),
            _ => OpenError::Unreachable(reason(&error)),
        }
    }
}

/// In words, with what lies beneath; of what the server says only the message, since its details may quote rows.
pub fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        _ = write!(words, ": {cause}");
        source = cause.source();
    }
    words
}

/// What a failed read, or a write that surely did not happen, means to the caller.
pub fn refused(error: &tokio_postgres::Error) -> Error {
    let damaged = |db: &DbError| {
        let code = db.code();
        [
            SqlState::DATA_CORRUPTED,
            SqlState::INDEX_CORRUPTED,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_FUNCTION,
        ]
        .contains(code)
    };
    match error.as_db_error() {
        Some(db) if damaged(db) => Error::Corrupt(reason(error)),
        _ => Error::Unavailable(reason(error)),
    }
}

/// The outcome of a single statement that writes: refused by the server, or lost.
pub fn written(error: &tokio_postgres::Error) -> Error {
    if is_statement_error(error) { refused(error) } else { Error::Unknown(reason(error)) }
}

/// True if the server refused a statement and goes on, so that surely nothing of its transaction stays.
pub fn is_statement_error(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| db.parsed_severity() == Some(Severity::Error))
}

pub fn has_code(error: &tokio_postgres::Error, code: &SqlState) -> bool {
    error.code() == Some(code)
}

/// True for what another try may change: locks, cancelled statements, a server that takes no writes just now.
pub fn is_passing(error: &tokio_postgres::Error) -> bool {
    let passing = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    error.code().is_some_and(|code| passing.contains(code))
}
