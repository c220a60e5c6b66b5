//! A topic beside others: read by anybody, written to by anybody, made by somebody else, deleted by an operator.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tradewind_changelog::ChangeLog;
use tradewind_changelog_kafka::{KafkaLog, Lag, State, trim_bound};
use tradewind_engine::{Documents, Engine};
use tradewind_model::{Change, Item, Sequence};

use crate::region::{PARTITIONS, Region, START_MS, partition, put, settings, topic};
use crate::shared;

fn region() -> Region {
    Region::new(settings(shared()))
}

fn puts(numbers: std::ops::RangeInclusive<u64>) -> Vec<Option<Change>> {
    numbers.map(|number| Some(put(number))).collect()
}

async fn raw(region: &Region, number: i32, offset: i64) -> OwnedMessage {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &region.settings.brokers)
        .set("group.id", "tests")
        .create()
        .unwrap();
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(&region.topic_name(), number, Offset::Offset(offset)).unwrap();
    consumer.assign(&at).unwrap();
    consumer.recv().await.unwrap().detach()
}

/// Writes a record again, as a publisher does that does not know whether it was written.
async fn repeat(region: &Region, number: i32, offset: i64) {
    let message = raw(region, number, offset).await;
    let producer: rdkafka::producer::FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &region.settings.brokers).create().unwrap();
    let topic = region.topic_name();
    let mut record = rdkafka::producer::FutureRecord::<[u8], [u8]>::to(&topic).partition(number);
    record.key = message.key();
    record.payload = message.payload();
    record.headers = message.headers().cloned();
    producer.send(record, Duration::from_secs(30)).await.unwrap();
}

/// A reader that has nothing in memory.
fn fresh(region: &Region) -> KafkaLog<impl tradewind_engine::Documents> {
    KafkaLog::new(&region.settings, region.engine.clone()).unwrap()
}

async fn sequences(log: &impl ChangeLog, after: u64) -> Vec<u64> {
    let page = log.read(partition(0), Sequence(after), 1000, usize::MAX).await.unwrap();
    page.changes.iter().map(|(sequence, _)| sequence.0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_twice_are_read_once() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=3)).await;
    region.shown(partition(0), last).await;
    repeat(&region, 0, 1).await;
    repeat(&region, 0, 0).await;
    let last = region.commit(partition(0), puts(4..=4)).await;
    region.shown(partition(0), last).await;
    assert_eq!(sequences(&fresh(&region), 0).await, [1, 2, 3, 4]);
    assert_eq!(sequences(&fresh(&region), 1).await, [2, 3, 4]);
    // From memory: what was followed before the duplicates came.
    assert_eq!(sequences(&region.log, 2).await, [3, 4]);
    assert_eq!(raw(&region, 0, 5).await.offset(), 5, "they are in the topic, six records in all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_to_a_topic_is_passed_over() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=2)).await;
    region.shown(partition(0), last).await;
    region.inject(0, &[], "key", Some(b"not ours")).await;
    // A reader whose first record is none of ours.
    let log = fresh(&region);
    assert_eq!(sequences(&log, 0).await, [1, 2]);
    let last = region.commit(partition(0), puts(3..=3)).await;
    region.shown(partition(0), last).await;
    assert_eq!(sequences(&log, 0).await, [1, 2, 3]);
    assert_eq!(sequences(&fresh(&region), 0).await, [1, 2, 3]);
}

/// Somebody who repeats records out of order, or a failed delivery that is not sent again yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_not_read_over() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=2)).await;
    region.shown(partition(0), last).await;
    let number = |sequence: u64| Sequence(sequence).number().to_string();
    let (incarnation, previous, sequence) = (partition(0).incarnation.to_string(), number(8), number(9));
    let headers = [("incarnation", &*incarnation), ("previous", &previous), ("sequence", &sequence)];
    // A mark that claims sequence 9 after 8; 3 to 8 are nowhere.
    region.inject(0, &headers, "", None).await;
    let read = fresh(&region).read(partition(0), Sequence(2), 10, usize::MAX).await;
    assert!(matches!(read, Err(tradewind_changelog::Error::Unavailable(_))), "{read:?}");
    assert_eq!(sequences(&region.log, 0).await, [1, 2]);
    // What is missing comes after all.
    let last = region.commit(partition(0), puts(3..=10)).await;
    region.shown(partition(0), last).await;
    assert_eq!(region.all(partition(0), 0, 10).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(sequences(&fresh(&region), 2).await, (3..=10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcat_reads_a_topic() {
    if std::process::Command::new("kcat").arg("-V").output().is_err() {
        eprintln!("skipped: there is no kcat here (Debian has it as a package)");
        return;
    }
    let mut region = region();
    let last = region.commit(partition(1), puts(1..=2)).await;
    region.shown(partition(1), last).await;
    let read = tokio::process::Command::new("kcat")
        .args(["-C", "-e", "-q", "-p", "1", "-f", "%h\t%k\t%s\n", "-b", &region.settings.brokers])
        .args(["-t", &region.topic_name()])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&read.stdout);
    let records: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(records.len(), 2, "{text}");
    let [headers, key, value] = records[1][..] else { panic!("{text}") };
    assert_eq!(key, r#"{"pk":{"S":"item 2"}}"#);
    for wanted in ["sequence=100000000000000000002", "previous=100000000000000000001", "origin=us-east-1"] {
        assert!(headers.contains(wanted), "{wanted} in {headers}");
    }
    let value: serde_json::Value = serde_json::from_str(value).unwrap();
    assert_eq!(value["eventName"], "INSERT");
    assert_eq!(value["dynamodb"]["NewImage"]["number"]["N"], "2");
}

async fn refused(region: &Region) -> String {
    match region.until(partition(0), |state| matches!(state, State::Refused(_))).await {
        State::Refused(reason) => reason,
        _ => unreachable!("it was waited for"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_other_settings_is_refused_by_name() {
    for (name, value, partitions) in [
        ("cleanup.policy", "compact", PARTITIONS),
        ("message.timestamp.type", "CreateTime", PARTITIONS),
        ("partitions", "", PARTITIONS - 1),
    ] {
        let mut region = region();
        let topic = region.topic_name();
        let mut new = NewTopic::new(&topic, partitions as i32, TopicReplication::Fixed(1))
            .set("retention.ms", "86400000")
            .set("retention.bytes", "-1")
            .set("max.message.bytes", "16777216");
        new = new.set(
            "message.timestamp.type",
            if name == "message.timestamp.type" { value } else { "LogAppendTime" },
        );
        new = new.set("cleanup.policy", if name == "cleanup.policy" { value } else { "delete" });
        region.admin().create_topics(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        region.commit(partition(0), puts(1..=1)).await;
        let reason = refused(&region).await;
        assert!(reason.contains(&topic) && reason.contains(name) && reason.contains(value), "{reason}");
    }
}

/// Once an operator has removed it, everything that is kept goes into a topic of our own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_topic_that_goes_away_is_made_and_filled() {
    let mut region = region();
    let name = region.topic_name();
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    region.admin().create_topics(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let last = region.commit(partition(0), puts(1..=5)).await;
    refused(&region).await;
    region.admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    region.shown(partition(0), last).await;
    assert_eq!(sequences(&region.log, 0).await, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_deleted_is_filled_again() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=5)).await;
    region.shown(partition(0), last).await;
    region.publisher.disown(partition(0)).await;
    let name = region.topic_name();
    region.admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    region.take_over().await;
    let last = region.commit(partition(0), puts(6..=6)).await;
    region.shown(partition(0), last).await;
    assert_eq!(sequences(&region.log, 0).await, [1, 2, 3, 4, 5, 6]);
}

/// A database that was restored from a backup gives its numbers twice: readers would drop what is new as repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_before_its_topic_is_refused() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=5)).await;
    region.shown(partition(0), last).await;
    region.publisher.disown(partition(0)).await;
    let (collection, name) = ("kafka-progress", partition(0).to_string());
    let kept = region.engine.get(collection, &name).await.unwrap().unwrap();
    // Another database that has the progress, and less of the log.
    let mut restored = Region::new(region.settings.clone());
    restored.engine.compare_and_set(collection, &name, None, Some(&kept.body)).await.unwrap();
    restored.commit(partition(0), puts(1..=3)).await;
    let reason = refused(&restored).await;
    assert!(reason.contains(&restored.topic_name()) && reason.contains("restored from a backup"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_another_history_is_refused() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=2)).await;
    region.shown(partition(0), last).await;
    // The records are in the topic, and this database has never heard of them.
    let mut other = Region::new(region.settings.clone());
    other.commit(partition(0), puts(1..=1)).await;
    let reason = refused(&other).await;
    assert!(reason.contains(&other.topic_name()) && reason.contains("knows nothing of"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_owner_goes_on_and_the_older_is_fenced() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=100)).await;
    region.shown(partition(0), last).await;
    let old = region.publisher.clone();
    region.take_over().await;
    let last = region.commit(partition(0), puts(101..=200)).await;
    region.shown(partition(0), last).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while old.lag().iter().any(|lag| lag.state != State::Fenced) {
        assert!(tokio::time::Instant::now() < until, "{:?}", old.lag());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(region.all(partition(0), 0, 200).await, (1..=200).collect::<Vec<_>>());
    assert_eq!(sequences(&fresh(&region), 150).await, (151..=200).collect::<Vec<_>>());
}

/// Readers anywhere in a log of some length, each at its own place: all begin where they should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_are_behind_begin_where_they_should() {
    const LAST: u64 = 20_000;
    let mut region = region();
    for first in (1..=LAST).step_by(500) {
        region.commit(partition(0), puts(first..=first + 499)).await;
    }
    region.shown(partition(0), Sequence(LAST)).await;
    let log = fresh(&region);
    for after in [0, 1, 499, 7_777, 12_345, 19_998, 19_999, LAST] {
        let page = log.read(partition(0), Sequence(after), 10, usize::MAX).await.unwrap();
        let found: Vec<_> = page.changes.iter().map(|(sequence, _)| sequence.0).collect();
        assert_eq!(found, (after + 1..=LAST.min(after + 10)).collect::<Vec<_>>());
        let clocks = page.changes.iter().map(|(sequence, change)| change == &put(sequence.0));
        assert!(clocks.into_iter().all(|same| same));
    }
    // Two at once, page by page.
    let (a, b) = tokio::join!(region.all(partition(0), 0, LAST), region.all(partition(0), 10_000, LAST));
    assert_eq!(a, (1..=LAST).collect::<Vec<_>>());
    assert_eq!(b, (10_001..=LAST).collect::<Vec<_>>());
}

/// A link that waits is woken in the middle of whatever it does, and reads on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_gives_up_early_hinders_no_later_one() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=3)).await;
    region.shown(partition(0), last).await;
    let log = fresh(&region);
    let mut given_up = 0;
    for patience_ms in 0..40 {
        let read = log.read(partition(0), Sequence(2), 10, usize::MAX);
        given_up += u32::from(tokio::time::timeout(Duration::from_millis(patience_ms), read).await.is_err());
    }
    assert!(given_up > 0, "nobody gave up");
    assert_eq!(sequences(&log, 2).await, [3]);
}

/// 400 KB that JSON escapes, in both images: five megabytes of text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_items_pass() {
    let large = |fill: &str| {
        Item::build(|out| {
            out.name("pk");
            out.string("large");
            out.name("text");
            out.string(&fill.repeat(400 * 1024 - 32));
        })
    };
    let mut region = region();
    let change = Change { old: Some(large("\u{1}")), new: Some(large("\u{2}")), existed: true, ..put(1) };
    let last = region.commit(partition(0), vec![Some(change.clone()), Some(put(2))]).await;
    region.shown(partition(0), last).await;
    let page = fresh(&region).read(partition(0), Sequence(0), 10, usize::MAX).await.unwrap();
    assert!(page.changes == [(Sequence(1), change), (Sequence(2), put(2))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_keeps_what_is_not_published() {
    let mut region = region();
    let all: Vec<_> = (0..2).map(partition).collect();
    let last = region.commit(partition(0), puts(1..=3)).await;
    region.shown(partition(0), last).await;
    region.publisher.disown(partition(0)).await;
    assert_eq!(trim_bound(&region.engine, &all).await.unwrap(), None, "everything is published");
    // Nobody publishes this one.
    let opened = region.engine.open(partition(1)).await.unwrap();
    let commit = tradewind_engine::PartitionCommit {
        partition: partition(1),
        epoch: opened.epoch,
        first: opened.next,
        next: Sequence(2),
        max_hlc: 0,
        rows: Vec::new(),
        changes: vec![(Sequence(1), put(1).encode().into())],
    };
    region.engine.commit(vec![commit]).await.unwrap();
    assert_eq!(trim_bound(&region.engine, &all[..1]).await.unwrap(), None);
    assert_eq!(trim_bound(&region.engine, &all).await.unwrap(), Some(0), "nothing of it ever was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_lags_when_all_is_published() {
    let mut region = region();
    let last = region.commit(partition(2), puts(1..=3)).await;
    region.shown(partition(2), last).await;
    region.clock.set(START_MS + 60_000);
    let lag = region.publisher.lag();
    let [Lag { pending: 0, oldest: Duration::ZERO, published: Sequence(3), state: State::Running, .. }] =
        lag[..]
    else {
        panic!("{lag:?}")
    };
    assert_eq!(region.publisher.published(partition(2)), Some(Sequence(3)));
}

/// The table's topic goes with the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_tables_topic_is_removed() {
    let mut region = region();
    let last = region.commit(partition(0), puts(1..=1)).await;
    region.shown(partition(0), last).await;
    region.log.forget(partition(0)).await;
    region.publisher.remove(&topic()).await.unwrap();
    region.publisher.remove(&topic()).await.unwrap();
    let found = region.admin().inner().fetch_metadata(None, Duration::from_secs(30)).unwrap();
    assert!(!found.topics().iter().any(|topic| topic.name() == region.topic_name()));
    assert!(trim_bound(&region.engine, &[partition(0)]).await.unwrap().is_some(), "it is known no more");
}
