//! The arguments of services that publish or read changes on Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use tradewind_changelog_kafka::{RETENTION, Settings};

#[derive(Args, Clone)]
pub struct Kafka {
    /// Kafka's brokers, host:port with commas between: changes are published there, one topic a table, and streams and
    /// replication read them there [default: they read the database]
    #[arg(long = "kafka", env = "TRADEWIND_KAFKA", value_name = "BROKERS")]
    pub brokers: Option<String>,
    /// What all topics' names begin with
    #[arg(
        long = "kafka-prefix",
        env = "TRADEWIND_KAFKA_PREFIX",
        value_name = "NAME",
        default_value = "tradewind",
        value_parser = prefix
    )]
    pub prefix: String,
    /// Hours that changes are kept in topics, at least 24
    #[arg(
        long = "kafka-retention-hours",
        env = "TRADEWIND_KAFKA_RETENTION_HOURS",
        value_name = "HOURS",
        default_value_t = 24,
        value_parser = clap::value_parser!(u64).range(24..=87600)
    )]
    pub retention_hours: u64,
    /// Copies of each topic [default: the brokers' own default]
    #[arg(
        long = "kafka-replication",
        env = "TRADEWIND_KAFKA_REPLICATION",
        value_name = "COPIES",
        value_parser = clap::value_parser!(u16).range(1..=100)
    )]
    pub replication: Option<u16>,
    /// A property of librdkafka, for what the brokers ask of their clients; may be given again (in the environment with
    /// spaces between)
    #[arg(
        long = "kafka-property",
        env = "TRADEWIND_KAFKA_PROPERTIES",
        value_name = "NAME=VALUE",
        value_delimiter = ' ',
        hide_env_values = true,
        value_parser = property
    )]
    pub properties: Vec<(String, String)>,
}

impl Kafka {
    /// `None`: no Kafka.
    pub fn settings(&self) -> Option<Settings> {
        let retention = Duration::from_secs(self.retention_hours * 3600).max(RETENTION);
        Some(Settings {
            prefix: self.prefix.clone(),
            retention,
            replication: self.replication,
            properties: self.properties.iter().cloned().collect::<BTreeMap<_, _>>(),
            ..Settings::new(self.brokers.as_deref()?)
        })
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_prefix = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    if is_prefix { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits, dots, _ and -".to_owned()) }
}

/// Said without the text itself, which may hold a password.
fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE, as security.protocol=sasl_ssl")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Told {
        #[command(flatten)]
        kafka: Kafka,
    }

    fn told(arguments: &[&str]) -> Result<Kafka, clap::Error> {
        Told::try_parse_from([&["tradewind"], arguments].concat()).map(|told| told.kafka)
    }

    #[test]
    fn without_brokers_there_is_no_kafka() {
        assert!(told(&[]).unwrap().settings().is_none());
        let told = told(&["--kafka", "a:9092,b:9092", "--kafka-property", "security.protocol=ssl"]).unwrap();
        let settings = told.settings().unwrap();
        assert_eq!((&*settings.brokers, &*settings.prefix), ("a:9092,b:9092", "tradewind"));
        assert_eq!(settings.properties["security.protocol"], "ssl");
        assert_eq!(settings.retention, RETENTION);
    }

    #[test]
    fn what_kafka_or_the_streams_api_would_refuse_is_refused() {
        for bad in [
            ["--kafka-prefix", "a/b"],
            ["--kafka-retention-hours", "23"],
            ["--kafka-replication", "0"],
            ["--kafka-property", "nothing"],
        ] {
            assert!(told(&bad).is_err(), "{bad:?}");
        }
    }
}
