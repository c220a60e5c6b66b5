//! A table's topic: its name and its settings, made when it is missing and refused when it is another's.
//!
//! `<prefix>.<region>.<table>.<8 hex of incarnation>`; Kafka allows 249 characters, and a longer name has its table
//! shortened, with a hash of the whole in its place.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Mutex;
use tradewind_model::{Incarnation, KeySchema, Region};
use xxhash_rust::xxh3::xxh3_64;

use crate::settings::{MAX_MESSAGE_BYTES, Settings, Told};

/// Kafka's own limit.
const MAX_NAME: usize = 249;
const TIMEOUT: Duration = Duration::from_secs(10);
/// A topic that was right is not looked at again for this long.
const TRUST: Duration = Duration::from_secs(60);

/// What of a table its topic depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub region: Region,
    pub table: String,
    pub incarnation: Incarnation,
    /// As many as the table has, by their numbers.
    pub partitions: u32,
    pub keys: KeySchema,
}

impl Topic {
    pub fn name(&self, prefix: &str) -> String {
        let life = &self.incarnation.0.simple().to_string()[..8];
        let (head, tail) = (format!("{prefix}.{}.", self.region), format!(".{life}"));
        let name = format!("{head}{}{tail}", self.table);
        if name.len() <= MAX_NAME {
            return name;
        }
        let hash = format!("-{:016x}", xxh3_64(name.as_bytes()));
        let room = MAX_NAME.saturating_sub(head.len() + hash.len() + tail.len());
        // Names of tables are ASCII.
        format!("{head}{}{hash}{tail}", &self.table[..room.min(self.table.len())])
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum TopicError {
    /// Stays so until an operator does something.
    #[error(
        "the topic {topic} has {setting} = {found} where {wanted} is needed; delete it, or choose another prefix"
    )]
    Foreign { topic: String, setting: &'static str, found: String, wanted: String },
    /// May be tried again.
    #[error("the broker does not answer: {0}")]
    Unavailable(String),
}

impl From<KafkaError> for TopicError {
    fn from(error: KafkaError) -> TopicError {
        TopicError::Unavailable(error.to_string())
    }
}

pub(crate) struct Topics {
    settings: Settings,
    admin: AdminClient<Told>,
    /// Topics that were as they should, and when; held while one is looked at, so that its partitions ask once.
    right: Mutex<HashMap<String, Instant>>,
}

impl Topics {
    pub fn new(settings: &Settings) -> Result<Topics, KafkaError> {
        let admin = AdminClient::from_config_and_context(&settings.client(), Told)?;
        Ok(Topics { settings: settings.clone(), admin, right: Mutex::default() })
    }

    /// Sees to it that the topic is there and as it should be; answers its name.
    pub async fn ensure(&self, topic: &Topic) -> Result<String, TopicError> {
        let name = topic.name(&self.settings.prefix);
        let mut right = self.right.lock().await;
        if right.get(&name).is_some_and(|at| at.elapsed() < TRUST) {
            return Ok(name);
        }
        if !self.create(&name, topic.partitions).await? {
            self.check(&name, topic.partitions).await?;
        }
        right.insert(name.clone(), Instant::now());
        Ok(name)
    }

    /// Looks at it again next time: something went wrong with it.
    pub async fn doubt(&self, name: &str) {
        self.right.lock().await.remove(name);
    }

    /// Removes a dropped table's topic; one that is not there is no error.
    pub async fn delete(&self, topic: &Topic) -> Result<(), TopicError> {
        let name = topic.name(&self.settings.prefix);
        self.doubt(&name).await;
        let deleted = self.admin.delete_topics(&[&name], &options()).await?;
        match deleted.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::UnknownTopicOrPartition => Err(refused(code)),
            _ => Ok(()),
        }
    }

    /// Whether it was not there before.
    async fn create(&self, name: &str, partitions: u32) -> Result<bool, TopicError> {
        let wanted = self.wanted();
        let copies = self.settings.replication.map_or(-1, i32::from);
        let topic = NewTopic::new(name, count(partitions), TopicReplication::Fixed(copies));
        let topic = wanted.iter().fold(topic, |topic, (setting, value)| topic.set(setting, value));
        let created = self.admin.create_topics(&[topic], &options()).await?;
        match created.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(refused(code)),
            Some(Ok(_)) => {
                tracing::info!(topic = name, partitions, "a topic was made");
                Ok(true)
            }
            None => Err(TopicError::Unavailable("the broker said nothing of the topic".to_owned())),
        }
    }

    fn wanted(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", self.settings.retention.as_millis().to_string()),
            ("retention.bytes", "-1".to_owned()),
            // Counted from when the broker got it: neither a wrong clock nor a publisher that was long behind makes a
            // record expire early.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", MAX_MESSAGE_BYTES.to_string()),
        ]
    }

    async fn check(&self, name: &str, partitions: u32) -> Result<(), TopicError> {
        let described = self.admin.describe_configs([&ResourceSpecifier::Topic(name)], &options()).await?;
        let described = described.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::UnknownTopic));
        let described = described.map_err(refused)?;
        for (setting, wanted) in self.wanted() {
            let found = described.get(setting).and_then(|entry| entry.value.clone());
            agrees(name, setting, found, wanted)?;
        }
        let found = self.partitions(name).await?;
        agrees(name, "partitions", found.map(|found| found.to_string()), partitions.to_string())
    }

    /// How many there are; `None`: the broker does not know the topic yet.
    async fn partitions(&self, name: &str) -> Result<Option<usize>, TopicError> {
        // The metadata request blocks.
        let (admin, name) = (self.settings.client(), name.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let client = AdminClient::from_config_and_context(&admin, Told)?;
            let metadata = client.inner().fetch_metadata(Some(&name), TIMEOUT)?;
            Ok::<_, KafkaError>(
                metadata.topics().first().map(|topic| topic.partitions().len()).filter(|found| *found > 0),
            )
        });
        asked.await.map_err(|error| TopicError::Unavailable(error.to_string()))?.map_err(Into::into)
    }
}

/// A topic that another node has just made may be known to a broker before its settings are: that is no reason to refuse it.
fn agrees(
    topic: &str,
    setting: &'static str,
    found: Option<String>,
    wanted: String,
) -> Result<(), TopicError> {
    match found {
        None => {
            Err(TopicError::Unavailable(format!("it does not say the {setting} of the topic {topic} yet")))
        }
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(TopicError::Foreign { topic: topic.to_owned(), setting, found, wanted }),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn refused(code: RDKafkaErrorCode) -> TopicError {
    TopicError::Unavailable(code.to_string())
}

/// A partition's number, as Kafka has it.
pub(crate) fn count(number: u32) -> i32 {
    // Tables have at most some hundreds.
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_model::{KeyAttribute, Type};

    fn topic(table: &str) -> Topic {
        Topic {
            region: Region::new("us-east-1").unwrap(),
            table: table.to_owned(),
            incarnation: Incarnation(uuid::Uuid::from_bytes([0xab; 16])),
            partitions: 4,
            keys: KeySchema { hash: KeyAttribute { name: "pk".to_owned(), kind: Type::S }, range: None },
        }
    }

    #[test]
    fn what_a_broker_does_not_say_is_waited_for_and_what_differs_is_refused() {
        let found = |value: Option<&str>| {
            agrees("t", "cleanup.policy", value.map(str::to_owned), "delete".to_owned())
        };
        assert!(found(Some("delete")).is_ok());
        assert!(matches!(found(Some("compact")), Err(TopicError::Foreign { .. })));
        assert!(matches!(found(None), Err(TopicError::Unavailable(_))));
    }

    #[test]
    fn names_say_region_table_and_life() {
        assert_eq!(topic("orders").name("tradewind"), "tradewind.us-east-1.orders.abababab");
    }

    #[test]
    fn long_names_are_shortened_and_still_differ() {
        let name = |last: &str| topic(&format!("{}{last}", "t".repeat(254))).name("tradewind");
        let (a, b) = (name("a"), name("b"));
        assert_eq!(a.len(), MAX_NAME);
        assert_ne!(a, b);
        assert!(a.starts_with("tradewind.us-east-1.tttt") && a.ends_with(".abababab"), "{a}");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(a.bytes().all(allowed), "{a}");
        let fits = topic(&"t".repeat(MAX_NAME - "tradewind.us-east-1..abababab".len()));
        assert!(fits.name("tradewind").contains(&format!(".{}.", fits.table)));
    }
}
