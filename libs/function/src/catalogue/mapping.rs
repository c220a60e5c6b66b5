//! An event source mapping as the catalogue keeps it: a stream, a function and the knobs between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::Sequence;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StartingPosition {
    #[serde(rename = "TRIM_HORIZON")]
    TrimHorizon,
    #[serde(rename = "LATEST")]
    Latest,
}

/// Which changes a mapping sees, by the region that wrote them: each region's stream has all writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginFilter {
    #[default]
    All,
    Local,
    Remote,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mapping {
    pub uuid: String,
    pub stream_arn: String,
    /// The function's name, or `name:qualifier`.
    pub function: String,
    pub enabled: bool,
    pub starting_position: StartingPosition,
    /// For LATEST: where each shard's end was when the mapping was made, so that nothing written after the call's
    /// answer is missed. Shards that are not in it are read from their beginning.
    #[serde(default)]
    pub start_after: BTreeMap<String, Sequence>,
    #[serde(default)]
    pub knobs: Knobs,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// It is to be gone as soon as nothing of it runs any more, and takes no more changes.
    #[serde(default)]
    pub deleting: bool,
    /// Grows with each change; the one that runs the mapping reports which it has taken up.
    pub generation: u64,
    /// The state shown until this generation is taken up: `Creating`, `Updating`, `Enabling`, `Disabling` or
    /// `Deleting`.
    pub transition: String,
    /// Why it is not enabled, if Tradewind or a person said so.
    #[serde(default)]
    pub pause_reason: Option<String>,
    /// Made to run a part of the stream again, and gone when that is done.
    #[serde(default)]
    pub replay: Option<Replay>,
    pub last_modified_ms: u64,
}

/// The part of a stream that is run again: fixed when it is asked for, so that it ends.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Replay {
    /// The mapping whose function and knobs are used.
    pub of: String,
    /// The last sequence of each shard; shards that are not named are left out.
    pub until: BTreeMap<String, Sequence>,
    /// Only records written at this time or later.
    #[serde(default)]
    pub from_ms: Option<u64>,
    /// Only records written before.
    #[serde(default)]
    pub to_ms: Option<u64>,
}

impl Mapping {
    /// Without the qualifier.
    pub fn function_name(&self) -> &str {
        super::version::split(&self.function).0
    }
}

impl Replay {
    pub fn includes(&self, written_ms: u64) -> bool {
        self.from_ms.is_none_or(|from_ms| written_ms >= from_ms)
            && self.to_ms.is_none_or(|to_ms| written_ms < to_ms)
    }
}

/// What a mapping does with records; names and defaults are Lambda's for DynamoDB streams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Knobs {
    /// 1–10,000
    pub batch_size: u32,
    /// 0–300
    pub batching_window_s: u32,
    /// 1–10
    pub parallelization_factor: u32,
    pub bisect_on_error: bool,
    /// `None`: until the records expire.
    pub maximum_retry_attempts: Option<u32>,
    /// `None`: as long as the stream keeps them.
    pub maximum_record_age_s: Option<u32>,
    /// 0: no windows.
    pub tumbling_window_s: u32,
    pub report_batch_item_failures: bool,
    /// EventBridge patterns; a record passes if any matches or there are none.
    pub filters: Vec<String>,
    pub on_failure: Option<String>,
    pub kms_key_arn: Option<String>,
    pub metrics: Vec<String>,
    pub origin: OriginFilter,
    /// So many failed invocations of a shard in a row pause the mapping; `None`: never.
    pub pause_after_failures: Option<u32>,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs {
            batch_size: 100,
            batching_window_s: 0,
            parallelization_factor: 1,
            bisect_on_error: false,
            maximum_retry_attempts: None,
            maximum_record_age_s: None,
            tumbling_window_s: 0,
            report_batch_item_failures: false,
            filters: Vec::new(),
            on_failure: None,
            kms_key_arn: None,
            metrics: Vec::new(),
            origin: OriginFilter::All,
            pause_after_failures: None,
        }
    }
}

/// What the one that runs a mapping says about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MappingStatus {
    /// The newest generation taken up; an older one than the mapping's means a transition is under way.
    pub generation: u64,
    pub last_processing_result: String,
}
