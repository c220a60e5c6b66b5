//! How the broker is reached and how its topics are kept; and the clients' own settings, each with its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// A record may be this large: an item of 400 KB can be nine times that as JSON with both images.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// What is published is kept at least this long, as the Streams API promises.
pub const RETENTION: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port`, several by commas.
    pub brokers: String,
    /// What all topics' names begin with.
    pub prefix: String,
    pub retention: Duration,
    /// Copies of each topic; `None`: what the broker has as its default.
    pub replication: Option<u16>,
    /// Properties of librdkafka on top, for what a cluster asks of its clients: TLS and SASL, say.
    pub properties: BTreeMap<String, String>,
    /// How long a record may be on its way before it is read from the engine again.
    pub delivery_timeout: Duration,
}

impl Settings {
    pub fn new(brokers: impl Into<String>) -> Settings {
        Settings {
            brokers: brokers.into(),
            prefix: "tradewind".to_owned(),
            retention: RETENTION,
            replication: None,
            properties: BTreeMap::new(),
            delivery_timeout: Duration::from_secs(30),
        }
    }

    /// What every client has.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "tradewind")
            // A broker that comes back is found within a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // In order and without duplicates of its own; implies acks=all.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            // What waits this long fills a batch under load, and is little beside a broker's own sync.
            .set("linger.ms", "2")
            .set("batch.size", "1000000")
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", self.delivery_timeout.as_millis().to_string())
            // Its own bound lies above the publisher's, which is the one that holds.
            .set("queue.buffering.max.kbytes", (4 * crate::publisher::BUDGET_BYTES / 1024).to_string())
            .set("queue.buffering.max.messages", "1000000");
        config
    }

    /// `wait`: how long the broker holds a fetch that finds nothing.
    pub(crate) fn consumer(&self, wait: Duration, queue_bytes: usize) -> ClientConfig {
        let mut config = self.client();
        config
            // Partitions are assigned by us. A name is asked for, no group is ever joined.
            .set("group.id", format!("{}-assigned", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", wait.as_millis().to_string())
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.message.max.bytes", (1024 * 1024).to_string())
            .set("fetch.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("receive.message.max.bytes", (2 * MAX_MESSAGE_BYTES).to_string())
            .set("queued.max.messages.kbytes", (queue_bytes / 1024).to_string());
        config
    }
}

/// What librdkafka says goes to the log, below what an operator has to see: whoever uses a client says what matters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told;

impl ClientContext for Told {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

impl ConsumerContext for Told {}
