//! Errors to their bodies and statuses: names, prefixes and the spelling of `message` are the service's.

use crate::error::{ApiError, CancellationReason, Code, ThrottlingReason};
use crate::json::write::{Object, object};

const SERVICE: &str = "com.amazonaws.dynamodb.v20120810#";
const FRAMEWORK: &str = "com.amazon.coral.service#";
const VALIDATION: &str = "com.amazon.coral.validate#";
const AVAILABILITY: &str = "com.amazon.coral.availability#";

/// Appends the error's body and answers its status.
pub fn encode_error(error: &ApiError, out: &mut Vec<u8>) -> u16 {
    object(out, |out| {
        out.text("__type", &format!("{}{}", prefix(error.code), name(error.code)));
        if !error.message.is_empty() {
            out.text(message_member(error.code), &error.message);
        }
        if let Some(item) = &error.item {
            out.item("Item", item.as_ref());
        }
        if error.code == Code::TransactionCanceled {
            out.objects("CancellationReasons", &error.cancellation, cancellation);
        }
        if !error.throttling.is_empty() {
            // The model spells it so, one way for one error and another for the others.
            let member =
                if error.code == Code::Throttling { "throttlingReasons" } else { "ThrottlingReasons" };
            out.objects(member, &error.throttling, throttling);
        }
    });
    status(error.code)
}

fn cancellation(reason: &CancellationReason, out: &mut Object<'_>) {
    out.text("Code", reason.code.as_deref().unwrap_or("None"));
    out.maybe_text("Message", reason.message.as_deref());
    if let Some(item) = &reason.item {
        out.item("Item", item.as_ref());
    }
}

fn throttling(reason: &ThrottlingReason, out: &mut Object<'_>) {
    out.text("reason", &reason.reason);
    out.text("resource", &reason.resource);
}

/// The members of an error inside a batch of statements.
pub(crate) fn statement_error(error: &ApiError, out: &mut Object<'_>) {
    out.text("Code", statement_code(error.code));
    out.text("Message", &error.message);
    if let Some(item) = &error.item {
        out.item("Item", item.as_ref());
    }
}

fn statement_code(code: Code) -> &'static str {
    match code {
        Code::ConditionalCheckFailed => "ConditionalCheckFailed",
        Code::ItemCollectionSizeLimitExceeded => "ItemCollectionSizeLimitExceeded",
        Code::RequestLimitExceeded => "RequestLimitExceeded",
        Code::ProvisionedThroughputExceeded => "ProvisionedThroughputExceeded",
        Code::TransactionConflict => "TransactionConflict",
        Code::Throttling => "ThrottlingError",
        Code::InternalServerError | Code::ServiceUnavailable => "InternalServerError",
        Code::ResourceNotFound => "ResourceNotFound",
        Code::AccessDenied => "AccessDenied",
        Code::DuplicateItem => "DuplicateItem",
        _ => "ValidationError",
    }
}

fn status(code: Code) -> u16 {
    match code {
        Code::InternalServerError => 500,
        Code::ServiceUnavailable => 503,
        _ => 400,
    }
}

fn prefix(code: Code) -> &'static str {
    match code {
        Code::Validation => VALIDATION,
        Code::Throttling => AVAILABILITY,
        Code::AccessDenied
        | Code::IncompleteSignature
        | Code::InvalidSignature
        | Code::MissingAuthenticationToken
        | Code::Serialization
        | Code::ServiceUnavailable
        | Code::UnknownOperation
        | Code::UnrecognizedClient => FRAMEWORK,
        _ => SERVICE,
    }
}

fn message_member(code: Code) -> &'static str {
    match code {
        Code::AccessDenied
        | Code::IdempotentParameterMismatch
        | Code::Serialization
        | Code::TransactionCanceled
        | Code::TransactionInProgress => "Message",
        _ => "message",
    }
}

/// The error's name as SDKs know it.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::AccessDenied => "AccessDeniedException",
        Code::ConditionalCheckFailed => "ConditionalCheckFailedException",
        Code::DuplicateItem => "DuplicateItemException",
        Code::ExpiredIterator => "ExpiredIteratorException",
        Code::GlobalTableAlreadyExists => "GlobalTableAlreadyExistsException",
        Code::GlobalTableNotFound => "GlobalTableNotFoundException",
        Code::IdempotentParameterMismatch => "IdempotentParameterMismatchException",
        Code::IncompleteSignature => "IncompleteSignatureException",
        Code::InternalServerError => "InternalServerError",
        Code::InvalidSignature => "InvalidSignatureException",
        Code::ItemCollectionSizeLimitExceeded => "ItemCollectionSizeLimitExceededException",
        Code::LimitExceeded => "LimitExceededException",
        Code::MissingAuthenticationToken => "MissingAuthenticationTokenException",
        Code::PolicyNotFound => "PolicyNotFoundException",
        Code::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
        Code::ReplicaAlreadyExists => "ReplicaAlreadyExistsException",
        Code::IndexNotFound => "IndexNotFoundException",
        Code::ReplicaNotFound => "ReplicaNotFoundException",
        Code::ReplicatedWriteConflict => "ReplicatedWriteConflictException",
        Code::RequestLimitExceeded => "RequestLimitExceeded",
        Code::ResourceInUse => "ResourceInUseException",
        Code::ResourceNotFound => "ResourceNotFoundException",
        Code::Serialization => "SerializationException",
        Code::ServiceUnavailable => "ServiceUnavailable",
        Code::TableAlreadyExists => "TableAlreadyExistsException",
        Code::TableNotFound => "TableNotFoundException",
        Code::Throttling => "ThrottlingException",
        Code::TransactionCanceled => "TransactionCanceledException",
        Code::TransactionConflict => "TransactionConflictException",
        Code::TransactionInProgress => "TransactionInProgressException",
        Code::TrimmedDataAccess => "TrimmedDataAccessException",
        Code::UnknownOperation => "UnknownOperationException",
        Code::UnrecognizedClient => "UnrecognizedClientException",
        Code::Validation => "ValidationException",
    }
}
