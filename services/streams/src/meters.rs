//! The functions' counters, under the names by which all of Tradewind's metrics are shown.

use tradewind_engine::{Documents, Engine};
use tradewind_function::metrics::Sample as Counted;
use tradewind_telemetry::metrics::{Metric, Sample, declared};

use crate::Streams;

impl<E: Engine + Documents> Streams<E> {
    /// Everything that functions and mappings count.
    pub fn samples(&self, out: &mut Vec<Sample>) {
        let region = self.region.as_str();
        let now_ms = (self.functions.environments().clock())();
        out.extend(self.metrics().snapshot(now_ms).iter().filter_map(|counted| sample(region, counted)));
    }
}

fn sample(region: &str, counted: &Counted) -> Option<Sample> {
    let (metric, unit) = metric(counted.name)?;
    let labels = [Some(region), Some(&*counted.function), counted.mapping.as_deref()];
    let labels: Vec<&str> = labels.into_iter().flatten().collect();
    Some(Sample::new(metric, &labels, counted.value / unit))
}

/// By Lambda's name, with how many of Lambda's units make one of ours.
fn metric(name: &str) -> Option<(&'static Metric, f64)> {
    const MS: f64 = 1000.0;
    Some(match name {
        "Invocations" => (&declared::INVOCATIONS, 1.0),
        "Errors" => (&declared::FUNCTION_ERRORS, 1.0),
        "Throttles" => (&declared::FUNCTION_THROTTLES, 1.0),
        "Duration" => (&declared::FUNCTION_DURATION, MS),
        "ConcurrentExecutions" => (&declared::CONCURRENT_EXECUTIONS, 1.0),
        "AsyncEventsReceived" => (&declared::ASYNC_RECEIVED, 1.0),
        "AsyncEventsDropped" => (&declared::ASYNC_DROPPED, 1.0),
        "IteratorAge" => (&declared::ITERATOR_AGE, MS),
        "PolledEventCount" => (&declared::POLLED_EVENTS, 1.0),
        "FilteredOutEventCount" => (&declared::FILTERED_EVENTS, 1.0),
        "InvokedEventCount" => (&declared::INVOKED_EVENTS, 1.0),
        "FailedInvokeEventCount" => (&declared::FAILED_INVOKE_EVENTS, 1.0),
        "DroppedEventCount" => (&declared::DROPPED_EVENTS, 1.0),
        "OnFailureDestinationDeliveredEventCount" => (&declared::DESTINATION_DELIVERED, 1.0),
        "DestinationDeliveryFailures" => (&declared::DESTINATION_FAILURES, 1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tradewind_function::metrics::Metrics;

    use super::*;

    /// What functions count more one day is shown too.
    #[test]
    fn every_number_of_functions_has_a_name_here() {
        let metrics = Metrics::default();
        metrics.function("f");
        metrics.mapping("m", "f").set_oldest("shard", Some(2000));
        let counted = metrics.snapshot(5000);
        let samples: Vec<_> = counted.iter().filter_map(|counted| sample("r", counted)).collect();
        assert_eq!(samples.len(), counted.len());
        let age =
            samples.iter().find(|sample| sample.metric == &declared::ITERATOR_AGE).expect("it is there");
        assert_eq!((age.value, &*age.labels), (3.0, &["r", "f", "m"].map(str::to_owned)[..]));
    }
}
