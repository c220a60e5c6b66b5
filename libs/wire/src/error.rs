//! Every error a client can get, by DynamoDB's names: one type, made by named constructors, mapped to the wire in one
//! place.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tradewind_model::Item;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Code {
    AccessDenied,
    ConditionalCheckFailed,
    DuplicateItem,
    ExpiredIterator,
    GlobalTableAlreadyExists,
    GlobalTableNotFound,
    IdempotentParameterMismatch,
    IncompleteSignature,
    IndexNotFound,
    InternalServerError,
    InvalidSignature,
    ItemCollectionSizeLimitExceeded,
    LimitExceeded,
    MissingAuthenticationToken,
    PolicyNotFound,
    ProvisionedThroughputExceeded,
    ReplicaAlreadyExists,
    ReplicaNotFound,
    ReplicatedWriteConflict,
    RequestLimitExceeded,
    ResourceInUse,
    ResourceNotFound,
    Serialization,
    ServiceUnavailable,
    TableAlreadyExists,
    TableNotFound,
    Throttling,
    TransactionCanceled,
    TransactionConflict,
    TransactionInProgress,
    TrimmedDataAccess,
    UnknownOperation,
    UnrecognizedClient,
    Validation,
}

/// Why one action of a cancelled transaction did not take place; `code` is `None` where it was not to blame.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CancellationReason {
    pub code: Option<Cow<'static, str>>,
    pub message: Option<String>,
    pub item: Option<Item>,
}

/// What a throttled request ran into: `reason` as the API spells it, `resource` an ARN.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ThrottlingReason {
    pub reason: Cow<'static, str>,
    pub resource: String,
}

#[derive(Clone, PartialEq, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{code:?}: {message}")]
pub struct ApiError {
    pub code: Code,
    pub message: String,
    /// The current item, where a failed condition was asked to return it.
    pub item: Option<Item>,
    #[serde(default)]
    pub cancellation: Vec<CancellationReason>,
    #[serde(default)]
    pub throttling: Vec<ThrottlingReason>,
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
            item: None,
            cancellation: Vec::new(),
            throttling: Vec::new(),
        }
    }

    pub fn validation(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::Validation, message)
    }

    /// "One or more parameter values were invalid: …".
    pub fn invalid_value(message: impl std::fmt::Display) -> ApiError {
        ApiError::validation(format!("One or more parameter values were invalid: {message}"))
    }

    pub fn serialization(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::Serialization, message)
    }

    pub fn resource_not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::ResourceNotFound, message)
    }

    pub fn resource_in_use(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::ResourceInUse, message)
    }

    pub fn condition_failed(item: Option<Item>) -> ApiError {
        ApiError { item, ..ApiError::new(Code::ConditionalCheckFailed, "The conditional request failed") }
    }

    /// A transaction in which `reasons` has one entry per action, in their order.
    pub fn transaction_canceled(reasons: Vec<CancellationReason>) -> ApiError {
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code.as_deref().unwrap_or("None")).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        ApiError { cancellation: reasons, ..ApiError::new(Code::TransactionCanceled, message) }
    }

    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::InternalServerError, message)
    }

    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(Code::ServiceUnavailable, message)
    }
}
