//! What a process counts, as Prometheus reads it.
//!
//! What happens often is counted where it happens, by handles that were resolved before ([`RegionMeters`]): a few atomic
//! additions and no look-up by name. What can be asked for any time (lags, queues, tombstones) is asked when somebody
//! reads: such numbers are [`Sample`]s. [`declared`] lists every metric there is; nothing else is ever shown.
//!
//! Cardinality is bounded: of a region's tables, at most [`MAX_TABLES`] have numbers of their own.

pub mod declared;
mod disk;
mod process;
mod region;

use std::collections::BTreeMap;

use prometheus::{CounterVec, Encoder, GaugeVec, Opts, Registry, TextEncoder};

pub use declared::{Kind, Metric};
pub use disk::Disk;
pub use process::started;
pub use region::{MAX_TABLES, Outcome, RegionMeters, TableMeters};

/// The content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One number as it is now.
#[derive(Clone, Debug)]
pub struct Sample {
    pub metric: &'static Metric,
    /// In the order of the metric's labels.
    pub labels: Vec<String>,
    pub value: f64,
}

impl Sample {
    /// # Panics
    /// If there is not one value for each label: a mistake of the caller's text.
    pub fn new(metric: &'static Metric, labels: &[&str], value: f64) -> Sample {
        assert_eq!(metric.labels.len(), labels.len(), "the labels of {}", metric.name);
        Sample { metric, labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }
}

/// Everything this process has counted, and these numbers, as Prometheus' text.
pub fn render(mut samples: Vec<Sample>) -> String {
    process::samples(&mut samples);
    let mut families = region::gather();
    families.extend(sampled(samples).gather());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).expect("a vector takes all");
    String::from_utf8(text).expect("Prometheus' text is UTF-8")
}

/// A registry of these numbers. Of two for the same labels, the last counts.
fn sampled(samples: Vec<Sample>) -> Registry {
    let registry = Registry::new();
    let mut families: BTreeMap<&str, (&Metric, Vec<Sample>)> = BTreeMap::new();
    for sample in samples {
        let family = families.entry(sample.metric.name).or_insert_with(|| (sample.metric, Vec::new()));
        family.1.push(sample);
    }
    for (metric, samples) in families.into_values() {
        let opts = Opts::new(metric.name, metric.help);
        let registered = match metric.kind {
            Kind::Counter => {
                let family = CounterVec::new(opts, metric.labels).expect("declared names are valid");
                for sample in samples {
                    let counter = family.with_label_values(&sample.labels);
                    counter.reset();
                    counter.inc_by(sample.value.max(0.0));
                }
                registry.register(Box::new(family))
            }
            Kind::Gauge | Kind::Histogram => {
                let family = GaugeVec::new(opts, metric.labels).expect("declared names are valid");
                for sample in samples {
                    family.with_label_values(&sample.labels).set(sample.value);
                }
                registry.register(Box::new(family))
            }
        };
        registered.expect("each name is registered once");
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_shown_with_its_labels_and_type() {
        let text = render(vec![Sample::new(&declared::PENDING_REPLICATION_COUNT, &["a", "t", "b"], 7.0)]);
        assert!(text.contains("# TYPE tradewind_pending_replication_count gauge"), "{text}");
        let line = r#"tradewind_pending_replication_count{region="a",table="t",to="b"} 7"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }

    #[test]
    fn names_are_declared_once_and_are_of_their_kind() {
        let mut names: Vec<_> = declared::ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for metric in declared::ALL {
            let is_counter = metric.name.ends_with("_total");
            assert_eq!(is_counter, metric.kind == Kind::Counter, "{}", metric.name);
        }
    }
}
