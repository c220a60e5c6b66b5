//! The change log on Kafka: one topic a table, one Kafka partition a partition of the table.
//!
//! ```text
//! owner: engine's log ─► Publisher ─► topic ─┬─► KafkaLog: links, streams, functions, anywhere in the region
//!                            │               └─► anybody else: Kafka Connect, Flink, kcat …
//!                            └ progress ─► Documents
//! ```
//!
//! Kafka is an outlet, not the log that writes depend on. Nothing here builds upon its transactions or consumer groups:
//! each record says its sequence and the one it follows, and readers take it by that.

mod codec;
mod fetch;
mod follow;
mod log;
mod order;
mod past;
mod progress;
mod publisher;
mod ring;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod topic;
mod value;

pub use log::KafkaLog;
pub use publisher::{Lag, Publisher, State, trim_bound};
pub use rdkafka::error::KafkaError;
pub use settings::{MAX_MESSAGE_BYTES, RETENTION, Settings};
pub use topic::{Topic, TopicError};
