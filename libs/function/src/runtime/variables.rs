//! The environment variables of a function: those Lambda sets, the function's own, and nothing of ours.
//!
//! See "Defined runtime environment variables" in the Lambda developer guide. AWS_ENDPOINT_URL is added, so that SDK
//! calls of the function come back to this program.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use chrono::DateTime;
use uuid::Uuid;

use super::Settings;
use crate::catalogue::Function;

/// What a function may not set itself.
pub const RESERVED: [&str; 17] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

pub fn variables(
    function: &Function,
    settings: &Settings,
    code: &Path,
    runtime_folder: &Path,
    runtime_api: SocketAddr,
    now_ms: u64,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [
        ("AWS_ENDPOINT_URL", settings.endpoint_url.clone()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", settings.path.clone()),
        ("TZ", ":UTC".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    variables.extend(function.environment.clone());
    let given = given(function, settings, code, runtime_folder, runtime_api, now_ms);
    variables.extend(given.into_iter().map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// What the function's own variables cannot override.
fn given(
    function: &Function,
    settings: &Settings,
    code: &Path,
    runtime_folder: &Path,
    runtime_api: SocketAddr,
    now_ms: u64,
) -> Vec<(&'static str, String)> {
    let mut given = vec![
        ("_HANDLER", function.handler.clone()),
        ("AWS_DEFAULT_REGION", settings.region.clone()),
        ("AWS_REGION", settings.region.clone()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", function.version_text()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", function.log_format.as_str().to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", function.log_group()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream(function, now_ms)),
        ("AWS_ACCESS_KEY_ID", settings.credentials.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", settings.credentials.secret_access_key.clone()),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("LAMBDA_TASK_ROOT", code.display().to_string()),
        ("LAMBDA_RUNTIME_DIR", runtime_folder.display().to_string()),
    ];
    if let Some(token) = &settings.credentials.session_token {
        given.push(("AWS_SESSION_TOKEN", token.clone()));
    }
    if let Some(runtime) = &function.runtime {
        given.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_{runtime}")));
    }
    given
}

/// `2024/05/31/[$LATEST]` and 32 hexadecimal digits: one stream per environment.
fn log_stream(function: &Function, now_ms: u64) -> String {
    let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    format!("{}/[{}]{}", now.format("%Y/%m/%d"), function.version_text(), Uuid::new_v4().simple())
}
