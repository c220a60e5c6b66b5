//! What is not published yet, for gauges and health checks.

use std::time::Duration;

use tradewind_model::{PartitionId, Sequence};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Finding out where publishing stands.
    #[default]
    Starting,
    Running,
    /// The broker does not take what it is given; it is tried again.
    Stalled(String),
    /// Somebody has to do something: the topic is another's, say.
    Refused(String),
    /// A newer owner publishes.
    Fenced,
}

/// One partition's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lag {
    pub partition: PartitionId,
    pub table: String,
    pub state: State,
    pub published: Sequence,
    /// Sequences beyond that; of some there may be no change.
    pub pending: u64,
    /// At most this old is the oldest change that is not published.
    pub oldest: Duration,
}
