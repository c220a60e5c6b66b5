//! The change log on a real broker: one Kafka for all of these tests, which ends with their process.
//!
//! `TRADEWIND_TEST_LONG` asks for the long forms.

#![expect(clippy::unwrap_used, reason = "what tests need is there, or they fail")]

mod others;
mod outage;
mod region;
mod speed;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tradewind_changelog::suite::run_all;
use tradewind_changelog_kafka::testing::Broker;

use region::{Region, settings};

/// The broker that tests share which do it no harm.
pub fn shared() -> &'static str {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(&folder()).unwrap()).address()
}

/// A folder that outlives the process, as nothing runs at its end: the next one removes it.
fn folder() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for found in std::fs::read_dir(all).unwrap().flatten() {
        let name = found.file_name().into_string().unwrap_or_default();
        let owner = name.strip_prefix("kafka-").filter(|owner| !Path::new("/proc").join(owner).exists());
        if owner.is_some() {
            let _ = std::fs::remove_dir_all(found.path());
        }
    }
    all.join(format!("kafka-{}", std::process::id()))
}

pub fn is_long() -> bool {
    std::env::var_os("TRADEWIND_TEST_LONG").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topics_log_keeps_the_contract() {
    let brokers = shared();
    run_all(async || Region::new(settings(brokers))).await;
}
