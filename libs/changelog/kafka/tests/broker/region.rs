//! A region with one node, as far as the change log goes: an engine, its publisher, and a reader.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tradewind_changelog::suite::Subject;
use tradewind_changelog::{ChangeLog, Embedded, Tail};
use tradewind_changelog_kafka::{KafkaLog, Publisher, Settings, State, Topic};
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_engine::suite::ManualClock;
use tradewind_engine::{Engine, Opened, PartitionCommit};
use tradewind_model::{
    Change, Hlc, Incarnation, Item, ItemKey, KeyAttribute, KeySchema, PartitionId, Region as Name, Sequence,
    Type, Vector, Version,
};

pub const START_MS: u64 = 1_700_000_000_000;
pub const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Region {
    pub settings: Settings,
    pub engine: Arc<MemoryEngine>,
    pub tail: Tail,
    pub clock: ManualClock,
    pub publisher: Publisher<MemoryEngine>,
    pub log: KafkaLog<MemoryEngine>,
    opened: HashMap<PartitionId, Opened>,
}

pub fn incarnation() -> Incarnation {
    Incarnation(uuid::Uuid::from_bytes([7; 16]))
}

pub fn partition(number: u32) -> PartitionId {
    PartitionId { incarnation: incarnation(), number }
}

pub fn topic() -> Topic {
    let key = KeyAttribute { name: "pk".to_owned(), kind: Type::S };
    Topic {
        region: Name::new("us-east-1").unwrap(),
        table: "orders".to_owned(),
        incarnation: incarnation(),
        partitions: PARTITIONS,
        keys: KeySchema { hash: key, range: None },
    }
}

/// Every test has topics of its own.
pub fn settings(brokers: &str) -> Settings {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    Settings {
        prefix: format!("test-{}", &unique[..12]),
        delivery_timeout: Duration::from_secs(5),
        ..Settings::new(brokers)
    }
}

pub fn put(number: u64) -> Change {
    let text = format!("item {}", number % 1000);
    let new = Item::build(|out| {
        out.name("pk");
        out.string(&text);
        out.name("number");
        out.number(number.into());
    });
    Change {
        version: Version { hlc: Hlc::from_ms(START_MS + number), origin: topic().region },
        stable: Hlc(3),
        vector: Vector::default(),
        key: ItemKey::new(text.as_bytes(), b""),
        existed: false,
        exists: true,
        old: None,
        new: Some(new),
        same: false,
        expired: false,
        request: None,
        trace: None,
    }
}

impl Region {
    pub fn new(settings: Settings) -> Region {
        let clock = ManualClock::default();
        clock.set(START_MS);
        let engine = Arc::new(MemoryEngine::open(&MemoryDisk::default(), clock.clock()));
        let tail = Tail::default();
        let embedded = Embedded::new(engine.clone(), tail.clone());
        let publisher = Publisher::new(&settings, engine.clone(), embedded, clock.clock()).unwrap();
        let log = KafkaLog::new(&settings, engine.clone()).unwrap();
        Region { settings, engine, tail, clock, publisher, log, opened: HashMap::new() }
    }

    pub fn topic_name(&self) -> String {
        topic().name(&self.settings.prefix)
    }

    /// Another node on the same database: nothing that was in memory is known to it.
    pub async fn take_over(&mut self) {
        let embedded = Embedded::new(self.engine.clone(), self.tail.clone());
        self.publisher =
            Publisher::new(&self.settings, self.engine.clone(), embedded, self.clock.clock()).unwrap();
        self.log = KafkaLog::new(&self.settings, self.engine.clone()).unwrap();
        let owned: Vec<_> = self.opened.keys().copied().collect();
        self.opened.clear();
        for partition in owned {
            self.own(partition).await;
        }
    }

    pub async fn own(&mut self, partition: PartitionId) -> Opened {
        if let Some(opened) = self.opened.get(&partition) {
            return *opened;
        }
        let opened = self.engine.open(partition).await.unwrap();
        self.publisher.own(partition, opened.epoch, topic());
        self.opened.insert(partition, opened);
        opened
    }

    /// Commits without waiting for the broker.
    pub async fn commit(&mut self, partition: PartitionId, changes: Vec<Option<Change>>) -> Sequence {
        let mut opened = self.own(partition).await;
        let next = Sequence(opened.next.0 + changes.len() as u64);
        let numbered = (opened.next.0..).map(Sequence).zip(changes);
        let changes = numbered
            .filter_map(|(at, change)| change.map(|change| (at, Bytes::from(change.encode()))))
            .collect();
        let commit = PartitionCommit {
            partition,
            epoch: opened.epoch,
            first: opened.next,
            next,
            max_hlc: opened.max_hlc,
            rows: Vec::new(),
            changes,
        };
        self.engine.commit(vec![commit]).await.unwrap();
        self.tail.advance(partition, next);
        opened.next = next;
        self.opened.insert(partition, opened);
        Sequence(next.0 - 1)
    }

    /// Waits until readers have something.
    pub async fn log_has_some(&self, partition: PartitionId) {
        self.log.wait(partition, Sequence::ZERO).await;
    }

    /// Waits until readers have the sequence.
    pub async fn shown(&self, partition: PartitionId, last: Sequence) {
        let mut seen = self.log.watch(partition);
        self.log.wait(partition, Sequence(last.0 - 1)).await;
        let shown = tokio::time::timeout(PATIENCE, seen.wait_for(|next| *next > last.0)).await;
        assert!(shown.is_ok(), "{:?}", self.publisher.lag());
    }

    /// Waits until the partition's publisher is in a state that `wanted` accepts.
    pub async fn until(&self, partition: PartitionId, wanted: impl Fn(&State) -> bool) -> State {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let lag = self.publisher.lag();
            let state = lag.into_iter().find(|lag| lag.partition == partition).map(|lag| lag.state);
            if let Some(state) = state.clone().filter(&wanted) {
                return state;
            }
            assert!(tokio::time::Instant::now() < until, "{state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every sequence of a partition after `after`, read page by page up to `last`.
    pub async fn all(&self, partition: PartitionId, after: u64, last: u64) -> Vec<u64> {
        let (mut at, mut found) = (Sequence(after), Vec::new());
        while at.0 < last {
            match self.log.read(partition, at, 1000, 1 << 20).await {
                Ok(page) if page.through > at => {
                    found.extend(page.changes.iter().map(|(sequence, _)| sequence.0));
                    at = page.through;
                }
                Ok(_) => {
                    let waited = tokio::time::timeout(PATIENCE, self.log.wait(partition, at)).await;
                    assert!(waited.is_ok(), "nothing follows {at}: {:?}", self.publisher.lag());
                }
                Err(tradewind_changelog::Error::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        found
    }

    /// Writes a record by hand.
    pub async fn inject(&self, number: i32, headers: &[(&str, &str)], key: &str, value: Option<&[u8]>) {
        let producer: FutureProducer =
            ClientConfig::new().set("bootstrap.servers", &self.settings.brokers).create().unwrap();
        let headers = headers.iter().fold(rdkafka::message::OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(rdkafka::message::Header { key, value: Some(*value) })
        });
        let topic = self.topic_name();
        let mut record = FutureRecord::to(&topic).partition(number).key(key).headers(headers);
        record.payload = value;
        producer.send(record, PATIENCE).await.unwrap();
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.settings.brokers).create().unwrap()
    }

    /// As retention would: everything up to now, of every partition.
    pub async fn expire(&self) {
        let mut offsets = TopicPartitionList::new();
        for number in 0..PARTITIONS as i32 {
            offsets.add_partition_offset(&self.topic_name(), number, Offset::End).unwrap();
        }
        self.admin().delete_records(&offsets, &AdminOptions::new()).await.unwrap();
    }
}

impl Subject for Region {
    type Log = KafkaLog<MemoryEngine>;

    fn log(&self) -> &KafkaLog<MemoryEngine> {
        &self.log
    }

    async fn append(&mut self, partition: PartitionId, changes: Vec<Option<Change>>) {
        let last = self.commit(partition, changes).await;
        self.shown(partition, last).await;
    }

    async fn trim(&mut self) {
        self.expire().await;
    }
}
