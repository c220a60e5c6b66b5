//! Functions and mappings as Lambda's answers show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::DateTime;
use serde_json::{Map, Value, json};

use crate::catalogue::{Code, Endpoint, Function, Mapping, MappingStatus};

/// FunctionConfiguration.
pub fn configuration(function: &Function, arn: &str) -> Value {
    let mut shown = json!({
        "FunctionName": function.name,
        "FunctionArn": arn,
        "Role": function.role,
        "Description": function.description,
        "Timeout": function.timeout_s,
        "MemorySize": function.memory_mb,
        "LastModified": last_modified(function.last_modified_ms),
        "Version": function.version_text(),
        "TracingConfig": { "Mode": function.tracing_mode },
        "RevisionId": function.revision_id,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": { "Size": function.ephemeral_storage_mb },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "LoggingConfig": { "LogFormat": function.log_format.as_str(), "LogGroup": function.log_group() },
    });
    let fields = shown.as_object_mut().expect("made above");
    add_optional(fields, function);
    add_code(fields, function);
    shown
}

fn add_optional(fields: &mut Map<String, Value>, function: &Function) {
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(runtime) = &function.runtime {
        add("Runtime", json!(runtime));
    }
    if !function.handler.is_empty() {
        add("Handler", json!(function.handler));
    }
    if !function.environment.is_empty() {
        add("Environment", json!({ "Variables": function.environment }));
    }
    if let Some(target) = &function.dead_letter_target {
        add("DeadLetterConfig", json!({ "TargetArn": target }));
    }
}

/// A folder has no size and no digest that would stay true; it is shown as what it is.
fn add_code(fields: &mut Map<String, Value>, function: &Function) {
    match &function.code {
        Code::Zip { sha256, size_bytes } => {
            fields.insert("CodeSize".to_owned(), json!(size_bytes));
            fields.insert("CodeSha256".to_owned(), json!(to_base64(sha256)));
        }
        Code::Directory { path } => {
            let local = json!({ "Directory": path, "Command": function.command });
            fields.insert("CodeSize".to_owned(), json!(0));
            fields.insert("XTradewind".to_owned(), local);
        }
        Code::Http(Endpoint { url, form, secret }) => {
            let remote = json!({ "Url": url, "Form": form, "Signed": secret.is_some() });
            fields.insert("CodeSize".to_owned(), json!(0));
            fields.insert("XTradewind".to_owned(), remote);
        }
        Code::Handler => {
            fields.insert("CodeSize".to_owned(), json!(0));
            fields.insert("XTradewind".to_owned(), json!({ "Handler": true }));
        }
    }
}

/// Lambda shows digests in base64.
pub fn to_base64(sha256: &str) -> String {
    let digit = |at: usize| u8::from_str_radix(sha256.get(at..at + 2).unwrap_or("00"), 16).unwrap_or(0);
    BASE64.encode((0..32).map(|byte| digit(byte * 2)).collect::<Vec<_>>())
}

/// `2019-09-24T18:20:35.054+0000`
fn last_modified(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// GetFunction's answer. There is no place to download the code from, so none is named.
pub fn get_function(function: &Function, configuration: Value) -> Value {
    let mut shown = json!({ "Configuration": configuration, "Code": { "RepositoryType": "Tradewind" } });
    let fields = shown.as_object_mut().expect("made above");
    if !function.tags.is_empty() {
        fields.insert("Tags".to_owned(), json!(function.tags));
    }
    if let Some(reserved) = function.reserved_concurrency {
        fields.insert("Concurrency".to_owned(), json!({ "ReservedConcurrentExecutions": reserved }));
    }
    shown
}

/// EventSourceMappingConfiguration. A generation that nobody has taken up yet is in transition.
pub fn mapping(
    mapping: &Mapping,
    status: Option<&MappingStatus>,
    function_arn: &str,
    mapping_arn: &str,
) -> Value {
    let knobs = &mapping.knobs;
    let taken_up = status.is_some_and(|status| status.generation >= mapping.generation);
    let state = match (taken_up, mapping.enabled) {
        (false, _) => mapping.transition.as_str(),
        (true, true) => "Enabled",
        (true, false) => "Disabled",
    };
    let result = status.map_or("No records processed", |status| status.last_processing_result.as_str());
    let or_minus_one = |number: Option<u32>| number.map_or(-1, i64::from);
    let on_failure = knobs.on_failure.as_ref().map_or_else(|| json!({}), |arn| json!({ "Destination": arn }));
    let responses: &[&str] =
        if knobs.report_batch_item_failures { &["ReportBatchItemFailures"] } else { &[] };
    let mut shown = json!({
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping_arn,
        "EventSourceArn": mapping.stream_arn,
        "FunctionArn": function_arn,
        "StartingPosition": mapping.starting_position,
        "BatchSize": knobs.batch_size,
        "MaximumBatchingWindowInSeconds": knobs.batching_window_s,
        "ParallelizationFactor": knobs.parallelization_factor,
        "BisectBatchOnFunctionError": knobs.bisect_on_error,
        "MaximumRetryAttempts": or_minus_one(knobs.maximum_retry_attempts),
        "MaximumRecordAgeInSeconds": or_minus_one(knobs.maximum_record_age_s),
        "TumblingWindowInSeconds": knobs.tumbling_window_s,
        "FunctionResponseTypes": responses,
        "DestinationConfig": { "OnFailure": on_failure },
        "LastModified": seconds(mapping.last_modified_ms),
        "LastProcessingResult": result,
        "State": state,
        "StateTransitionReason": mapping.pause_reason.as_deref().unwrap_or("User action"),
    });
    add_mapping_options(shown.as_object_mut().expect("made above"), mapping);
    shown
}

fn add_mapping_options(fields: &mut Map<String, Value>, mapping: &Mapping) {
    let knobs = &mapping.knobs;
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if !knobs.filters.is_empty() {
        let filters: Vec<_> = knobs.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        add("FilterCriteria", json!({ "Filters": filters }));
    }
    if let Some(arn) = &knobs.kms_key_arn {
        add("KMSKeyArn", json!(arn));
    }
    if !knobs.metrics.is_empty() {
        add("MetricsConfig", json!({ "Metrics": knobs.metrics }));
    }
}

/// Times in bodies are seconds; a float carries the milliseconds exactly for ages.
fn seconds(time_ms: u64) -> Value {
    json!(time_ms as f64 / 1000.0)
}
