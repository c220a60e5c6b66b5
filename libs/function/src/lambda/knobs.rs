//! What requests say about a mapping's knobs: what may be said, and how it changes them.

use serde::Deserialize;
use serde_json::Value;

use super::constraints::Checks;
use super::names::destination_function;
use super::{ApiError, Request};
use crate::catalogue::mapping::{Knobs, OriginFilter};
use crate::filter::Filters;

/// Filters of one mapping (Lambda quotas: 5, 10 on request).
const MAX_FILTERS: usize = 10;

/// The fields that CreateEventSourceMapping and UpdateEventSourceMapping share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct KnobsInput {
    batch_size: Option<i64>,
    maximum_batching_window_in_seconds: Option<i64>,
    parallelization_factor: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    tumbling_window_in_seconds: Option<i64>,
    function_response_types: Option<Vec<String>>,
    filter_criteria: Option<FilterCriteria>,
    destination_config: Option<DestinationConfig>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    metrics_config: Option<MetricsConfig>,
    // What belongs to other kinds of sources.
    scaling_config: Option<Value>,
    source_access_configurations: Option<Vec<Value>>,
    provisioned_poller_config: Option<Value>,
    topics: Option<Value>,
    queues: Option<Value>,
    self_managed_event_source: Option<Value>,
    #[serde(rename = "DocumentDBEventSourceConfig")]
    document_db_event_source_config: Option<Value>,
    amazon_managed_kafka_event_source_config: Option<Value>,
    self_managed_kafka_event_source_config: Option<Value>,
    starting_position_timestamp: Option<Value>,
    /// `x-tradewind-origin`.
    #[serde(skip)]
    origin: Option<String>,
    /// `x-tradewind-pause-after`: failures of a shard in a row; 0 means never.
    #[serde(skip)]
    pause_after: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    pattern: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MetricsConfig {
    metrics: Vec<String>,
}

impl KnobsInput {
    /// What Lambda has no parameter for comes in headers.
    pub fn take_headers(&mut self, request: &Request<'_>) {
        self.origin = request.header("x-tradewind-origin").map(str::to_owned);
        self.pause_after = request.header("x-tradewind-pause-after").map(str::to_owned);
    }

    pub fn check(&self) -> Result<(), ApiError> {
        let mut checks = Checks::default();
        checks.range("batchSize", self.batch_size, 1..=10_000);
        checks.range("maximumBatchingWindowInSeconds", self.maximum_batching_window_in_seconds, 0..=300);
        checks.range("parallelizationFactor", self.parallelization_factor, 1..=10);
        checks.range("maximumRetryAttempts", self.maximum_retry_attempts, -1..=10_000);
        checks.range("maximumRecordAgeInSeconds", self.maximum_record_age_in_seconds, -1..=604_800);
        checks.range("tumblingWindowInSeconds", self.tumbling_window_in_seconds, 0..=900);
        let types = self.function_response_types.as_deref().unwrap_or_default();
        if types.len() > 1 {
            let given = format!("[{}]", types.join(", "));
            checks.fail("functionResponseTypes", given, "Member must have length less than or equal to 1");
        }
        for kind in types {
            checks.one_of("functionResponseTypes", Some(kind), &["ReportBatchItemFailures"]);
        }
        for metric in self.metrics_config.iter().flat_map(|config| &config.metrics) {
            checks.one_of(
                "metricsConfig.metrics",
                Some(metric),
                &["EventCount", "ErrorCount", "KafkaMetrics"],
            );
        }
        for filter in self.patterns() {
            checks.length("filterCriteria.filters.pattern", Some(filter), 0..=4096);
        }
        checks.finish()?;
        self.check_meaning()?;
        self.check_source()
    }

    fn check_meaning(&self) -> Result<(), ApiError> {
        if self.maximum_record_age_in_seconds.is_some_and(|age| (0..60).contains(&age)) {
            let message =
                "Invalid request provided: MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.";
            return Err(ApiError::invalid_parameter(message));
        }
        if self.patterns().count() > MAX_FILTERS {
            let message = format!("Too many filters: the limit is {MAX_FILTERS}.");
            return Err(ApiError::invalid_parameter(message));
        }
        if let Err(error) = Filters::parse(self.patterns()) {
            return Err(ApiError::invalid_parameter(format!("Invalid filter pattern definition. {error}")));
        }
        let metrics = self.metrics_config.iter().flat_map(|config| &config.metrics);
        if let Some(metric) = metrics.into_iter().find(|metric| *metric != "EventCount") {
            let message = format!("Metric {metric} is not supported for DynamoDB streams.");
            return Err(ApiError::invalid_parameter(message));
        }
        if self.pause_after.as_deref().is_some_and(|given| given.parse::<u32>().is_err()) {
            return Err(ApiError::invalid_parameter(
                "x-tradewind-pause-after is a number of failures, 0 for never",
            ));
        }
        self.check_destination()?;
        match self.origin.as_deref() {
            None | Some("all" | "local" | "remote") => Ok(()),
            Some(_) => Err(ApiError::invalid_parameter("x-tradewind-origin is one of all, local, remote")),
        }
    }

    /// Only a function can be told here. SQS, SNS and S3 are not part of this.
    fn check_destination(&self) -> Result<(), ApiError> {
        let config = self.destination_config.as_ref().and_then(|config| config.on_failure.as_ref());
        let given = config.and_then(|on_failure| on_failure.destination.as_deref()).unwrap_or_default();
        if given.is_empty() || destination_function(given).is_some() {
            return Ok(());
        }
        Err(ApiError::invalid_parameter(format!(
            "The destination {given} is not supported: Tradewind delivers failed batches to a function, by its ARN. \
             Without a destination they are kept, records included; see `tradewind function failed`."
        )))
    }

    /// Parameters of other sources are refused, as Lambda does.
    fn check_source(&self) -> Result<(), ApiError> {
        let accesses = self.source_access_configurations.as_ref().is_some_and(|list| !list.is_empty());
        let to = |destination: &Option<Destination>| {
            destination.as_ref().and_then(|destination| destination.destination.clone()).is_some()
        };
        let on_success = self.destination_config.as_ref().is_some_and(|config| to(&config.on_success));
        let given = [
            ("ScalingConfig", self.scaling_config.is_some()),
            ("SourceAccessConfigurations", accesses),
            ("ProvisionedPollerConfig", self.provisioned_poller_config.is_some()),
            ("Topics", self.topics.is_some()),
            ("Queues", self.queues.is_some()),
            ("SelfManagedEventSource", self.self_managed_event_source.is_some()),
            ("DocumentDBEventSourceConfig", self.document_db_event_source_config.is_some()),
            ("AmazonManagedKafkaEventSourceConfig", self.amazon_managed_kafka_event_source_config.is_some()),
            ("SelfManagedKafkaEventSourceConfig", self.self_managed_kafka_event_source_config.is_some()),
            ("StartingPositionTimestamp", self.starting_position_timestamp.is_some()),
            ("DestinationConfig.OnSuccess", on_success),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(ApiError::invalid_parameter(format!(
                "{name} is not supported for event source mappings of DynamoDB streams."
            ))),
            None => Ok(()),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.filter_criteria
            .iter()
            .flat_map(|criteria| &criteria.filters)
            .filter_map(|f| f.pattern.as_deref())
    }

    /// Changes what was given. Checked before.
    pub fn apply(&self, knobs: &mut Knobs) {
        let set = |field: &mut u32, given: Option<i64>| {
            if let Some(given) = given.and_then(|given| u32::try_from(given).ok()) {
                *field = given;
            }
        };
        set(&mut knobs.batch_size, self.batch_size);
        set(&mut knobs.batching_window_s, self.maximum_batching_window_in_seconds);
        set(&mut knobs.parallelization_factor, self.parallelization_factor);
        set(&mut knobs.tumbling_window_s, self.tumbling_window_in_seconds);
        knobs.bisect_on_error = self.bisect_batch_on_function_error.unwrap_or(knobs.bisect_on_error);
        // -1 has no place in an unsigned number, which is just what it means.
        if let Some(attempts) = self.maximum_retry_attempts {
            knobs.maximum_retry_attempts = u32::try_from(attempts).ok();
        }
        if let Some(age) = self.maximum_record_age_in_seconds {
            knobs.maximum_record_age_s = u32::try_from(age).ok();
        }
        if let Some(types) = &self.function_response_types {
            knobs.report_batch_item_failures = !types.is_empty();
        }
        if self.filter_criteria.is_some() {
            knobs.filters = self.patterns().map(str::to_owned).collect();
        }
        if let Some(on_failure) =
            self.destination_config.as_ref().and_then(|config| config.on_failure.as_ref())
        {
            knobs.on_failure = on_failure.destination.clone().filter(|arn| !arn.is_empty());
        }
        if let Some(arn) = &self.kms_key_arn {
            knobs.kms_key_arn = Some(arn.clone()).filter(|arn| !arn.is_empty());
        }
        if let Some(config) = &self.metrics_config {
            knobs.metrics.clone_from(&config.metrics);
        }
        if let Some(failures) = self.pause_after.as_ref().and_then(|given| given.parse::<u32>().ok()) {
            knobs.pause_after_failures = Some(failures).filter(|failures| *failures > 0);
        }
        knobs.origin = match self.origin.as_deref() {
            Some("local") => OriginFilter::Local,
            Some("remote") => OriginFilter::Remote,
            Some(_) => OriginFilter::All,
            None => knobs.origin,
        };
    }
}
