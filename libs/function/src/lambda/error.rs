//! Lambda's errors: a type, an HTTP status and a message, in the shape that its SDKs read.

use serde_json::json;

use super::Response;
use crate::catalogue::CatalogueError;
use crate::code::CodeError;
use crate::mapping::failed::FailedError;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ApiError {
    pub status: u16,
    pub kind: &'static str,
    pub message: String,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, kind, message: message.into() }
    }

    /// The request breaks a constraint of the service model.
    pub fn validation(problems: &[String]) -> ApiError {
        let plural = if problems.len() == 1 { "" } else { "s" };
        let count = problems.len();
        let message = format!("{count} validation error{plural} detected: {}", problems.join("; "));
        ApiError::new(400, "ValidationException", message)
    }

    pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "InvalidParameterValueException", message)
    }

    pub fn serialization(error: &serde_json::Error) -> ApiError {
        ApiError::new(400, "SerializationException", format!("Could not parse request body: {error}"))
    }

    pub fn invalid_request_content(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "InvalidRequestContentException", message)
    }

    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(404, "ResourceNotFoundException", message)
    }

    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(409, "ResourceConflictException", message)
    }

    pub fn code_storage_exceeded(most: usize) -> ApiError {
        let message = format!("A function keeps at most {most} versions and as many aliases");
        ApiError::new(400, "CodeStorageExceededException", message)
    }

    pub fn in_use(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "ResourceInUseException", message)
    }

    pub fn precondition_failed() -> ApiError {
        let message = "The Revision Id provided does not match the latest Revision Id. Call the \
                       GetFunction/GetAlias API to retrieve the latest Revision Id";
        ApiError::new(412, "PreconditionFailedException", message)
    }

    pub fn too_large(size: usize, limit: usize) -> ApiError {
        let message =
            format!("{size} byte payload is too large for the Event invocation type (limit {limit} bytes)");
        ApiError::new(413, "RequestTooLargeException", message)
    }

    pub fn request_must_be_smaller(limit: usize) -> ApiError {
        let message = format!("Request must be smaller than {limit} bytes for the InvokeFunction operation");
        ApiError::new(413, "RequestTooLargeException", message)
    }

    pub fn unsupported_media_type(given: &str) -> ApiError {
        let message = format!("Unsupported content type: {given}. Use application/json.");
        ApiError::new(415, "UnsupportedMediaTypeException", message)
    }

    pub fn too_many_requests() -> ApiError {
        ApiError::new(429, "TooManyRequestsException", "Rate Exceeded.")
    }

    pub fn service(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "ServiceException", message)
    }

    /// Lambda has it, Tradewind does not.
    pub fn unsupported(method: &str, path: &str) -> ApiError {
        let message = format!("Tradewind does not support this Lambda operation: {method} {path}");
        ApiError::new(501, "UnsupportedOperationException", message)
    }

    pub fn response(&self) -> Response {
        let side = if self.status < 500 { "User" } else { "Service" };
        let body = json!({ "Type": side, "Message": self.message, "message": self.message });
        let mut response = Response::json(self.status, &body);
        response.headers.push(("x-amzn-errortype", self.kind.to_owned()));
        if self.status == 429 {
            response.headers.push(("retry-after", "1".to_owned()));
        }
        response
    }
}

impl From<CatalogueError> for ApiError {
    fn from(error: CatalogueError) -> ApiError {
        ApiError::service(error.to_string())
    }
}

impl From<FailedError> for ApiError {
    fn from(error: FailedError) -> ApiError {
        ApiError::service(error.to_string())
    }
}

impl From<CodeError> for ApiError {
    fn from(error: CodeError) -> ApiError {
        use crate::code::UnzipError;
        match error {
            CodeError::Unzip(UnzipError::TooLarge) => ApiError::invalid_parameter(format!(
                "Unzipped size must be smaller than {} bytes",
                crate::code::MAX_UNZIPPED
            )),
            CodeError::Unzip(UnzipError::Empty) => {
                ApiError::invalid_parameter("Uploaded file must be a non-empty zip")
            }
            CodeError::Unzip(UnzipError::Malformed(_)) => ApiError::invalid_parameter(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ),
            CodeError::Unzip(error @ (UnzipError::Outside(_) | UnzipError::Special(_))) => {
                ApiError::invalid_parameter(format!("Could not unzip uploaded file: {error}"))
            }
            other => ApiError::service(other.to_string()),
        }
    }
}
