//! Every metric there is: its name, what it says, its kind and its labels.
//!
//! Names are CloudWatch's where it has one, in Prometheus' spelling: SuccessfulRequestLatency is
//! `tradewind_successful_request_latency_seconds`. Times are seconds, sizes bytes. Dashboards and alerts are tested
//! against this list.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Its name ends in `_total`.
    Counter,
    Gauge,
    /// Shown as `_bucket`, `_sum` and `_count`.
    Histogram,
}

#[derive(PartialEq, Eq, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Metric =
                Metric { name: $name, help: $help, kind: Kind::$kind, labels: &[$($label),*] };
        )*

        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    SUCCESSFUL_REQUEST_LATENCY Histogram "tradewind_successful_request_latency_seconds" ["region" "operation"]
        "Time from a request's arrival to its answer, of requests that succeeded";
    USER_ERRORS Counter "tradewind_user_errors_total" ["region" "operation"]
        "Requests refused for what they asked";
    SYSTEM_ERRORS Counter "tradewind_system_errors_total" ["region" "operation"]
        "Requests that failed by a fault of the service";
    THROTTLED_REQUESTS Counter "tradewind_throttled_requests_total" ["region" "operation"]
        "Requests refused because a table or index has no throughput left";
    CONDITIONAL_CHECK_FAILED Counter "tradewind_conditional_check_failed_requests_total" ["region" "operation"]
        "Requests whose condition did not hold";
    TRANSACTION_CONFLICT Counter "tradewind_transaction_conflict_total" ["region" "operation"]
        "Requests refused because another transaction was about the same item";
    CONSUMED_READ Counter "tradewind_consumed_read_capacity_units_total" ["region" "table"]
        "Read capacity units used, indexes included";
    CONSUMED_WRITE Counter "tradewind_consumed_write_capacity_units_total" ["region" "table"]
        "Write capacity units used, indexes included";
    THROTTLE_EVENTS Counter "tradewind_throttle_events_total" ["region" "table"]
        "Reads and writes of a table that met its throughput bound";
    TTL_DELETED Counter "tradewind_time_to_live_deleted_item_count_total" ["region" "table"]
        "Items this region deleted because they had expired";
    CONFLICTS Counter "tradewind_conflicts_total" ["region" "table"]
        "Conflicts recorded here: writes that lost to one they did not know";
    HOT_KEY Gauge "tradewind_hot_key_requests" ["region" "table" "key"]
        "Estimated requests of the last minutes for a table's most used partition keys; the key is a hash unless asked for";
    COMMIT_DURATION Histogram "tradewind_commit_duration_seconds" ["region"]
        "Time of a partition's commit, from handing it to the engine until it is durable";
    COMMIT_OPERATIONS Histogram "tradewind_commit_operations" ["region"]
        "Operations that were committed together";
    TABLES Gauge "tradewind_tables" ["region"]
        "Tables of the region";
    PARTITIONS_OWNED Gauge "tradewind_partitions_owned" ["region"]
        "Partitions whose owner runs in this process";
    TOMBSTONES Gauge "tradewind_tombstones" ["region" "table"]
        "Deletes remembered until every replica has them, of partitions owned here";
    TOMBSTONES_WAITING Gauge "tradewind_tombstones_waiting" ["region" "table" "for"]
        "Of these, by the replica that is furthest behind";
    REPLICATION_LATENCY Gauge "tradewind_replication_latency_seconds" ["region" "table" "to"]
        "From a write to its application in another region, of the last batch; the slowest partition";
    PENDING_REPLICATION_COUNT Gauge "tradewind_pending_replication_count" ["region" "table" "to"]
        "Changes that another region has not confirmed yet";
    OLDEST_UNREPLICATED Gauge "tradewind_age_of_oldest_unreplicated_record_seconds" ["region" "table" "to"]
        "How long the oldest change waits that another region has not confirmed";
    LINKS Gauge "tradewind_links" ["region" "to" "state"]
        "Links to another region by what they do";
    PUBLISH_PENDING Gauge "tradewind_publish_pending_changes" ["region" "table"]
        "Changes of partitions owned here that are not in Kafka yet";
    PUBLISH_OLDEST Gauge "tradewind_publish_oldest_seconds" ["region" "table"]
        "How old the oldest of them is";
    PUBLISH_STALLED Gauge "tradewind_publish_stalled_partitions" ["region" "table"]
        "Partitions whose changes Kafka does not take";
    INVOCATIONS Counter "tradewind_function_invocations_total" ["region" "function"]
        "Invocations of a function";
    FUNCTION_ERRORS Counter "tradewind_function_errors_total" ["region" "function"]
        "Invocations that ended in an error of the function";
    FUNCTION_THROTTLES Counter "tradewind_function_throttles_total" ["region" "function"]
        "Invocations refused because the function's concurrency was used up";
    FUNCTION_DURATION Counter "tradewind_function_duration_seconds_total" ["region" "function"]
        "Time spent in invocations";
    CONCURRENT_EXECUTIONS Gauge "tradewind_function_concurrent_executions" ["region" "function"]
        "Invocations under way";
    ASYNC_RECEIVED Counter "tradewind_function_async_events_received_total" ["region" "function"]
        "Asynchronous invocations accepted";
    ASYNC_DROPPED Counter "tradewind_function_async_events_dropped_total" ["region" "function"]
        "Asynchronous invocations given up";
    ITERATOR_AGE Gauge "tradewind_iterator_age_seconds" ["region" "function" "mapping"]
        "Age of the oldest record that a mapping has not settled; 0 when idle";
    POLLED_EVENTS Counter "tradewind_polled_event_count_total" ["region" "function" "mapping"]
        "Records read for a mapping";
    FILTERED_EVENTS Counter "tradewind_filtered_out_event_count_total" ["region" "function" "mapping"]
        "Records that a mapping's filters left out";
    INVOKED_EVENTS Counter "tradewind_invoked_event_count_total" ["region" "function" "mapping"]
        "Records given to the function";
    FAILED_INVOKE_EVENTS Counter "tradewind_failed_invoke_event_count_total" ["region" "function" "mapping"]
        "Records of invocations that failed";
    DROPPED_EVENTS Counter "tradewind_dropped_event_count_total" ["region" "function" "mapping"]
        "Records given up";
    DESTINATION_DELIVERED Counter "tradewind_on_failure_destination_delivered_event_count_total" ["region" "function" "mapping"]
        "Given-up records that went to the mapping's destination";
    DESTINATION_FAILURES Counter "tradewind_destination_delivery_failures_total" ["region" "function" "mapping"]
        "Given-up records that the mapping's destination did not take";
    DISK_FREE Gauge "tradewind_disk_free_bytes" ["path"]
        "Free space where data is kept";
    DISK_SIZE Gauge "tradewind_disk_size_bytes" ["path"]
        "Size of the file system where data is kept";
    BUILD Gauge "tradewind_build_info" ["version"]
        "1, labelled with the version that runs";
    RESIDENT_MEMORY Gauge "process_resident_memory_bytes" []
        "Resident memory";
    CPU_SECONDS Counter "process_cpu_seconds_total" []
        "User and system time";
    OPEN_FDS Gauge "process_open_fds" []
        "Open file descriptors";
    MAX_FDS Gauge "process_max_fds" []
        "The most file descriptors that may be open";
    THREADS Gauge "process_threads" []
        "Threads";
    START_TIME Gauge "process_start_time_seconds" []
        "When the process started, in Unix seconds";
}
