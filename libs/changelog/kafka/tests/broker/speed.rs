//! How long a change takes from its commit to a reader, and how fast a log is read. Measured in the long form only, and said,
//! not judged: the machine is shared.

use std::time::{Duration, Instant};

use tradewind_changelog::ChangeLog;
use tradewind_changelog_kafka::KafkaLog;
use tradewind_model::Sequence;

use crate::region::{PARTITIONS, Region, partition, put, settings};
use crate::{is_long, shared};

const SECONDS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_a_change_takes() {
    if !is_long() {
        return;
    }
    for per_second in [1000, 5000] {
        let mut region = Region::new(settings(shared()));
        region.commit(partition(0), vec![Some(put(1))]).await;
        region.shown(partition(0), Sequence(1)).await;
        let log = region.log.clone();
        let total = per_second * SECONDS + 1;
        let reader = tokio::spawn(async move {
            let (mut at, mut seen) = (Sequence(1), Vec::new());
            while at.0 < total {
                log.wait(partition(0), at).await;
                let page = log.read(partition(0), at, 1000, 1 << 20).await.unwrap();
                seen.extend(page.changes.iter().map(|_| Instant::now()));
                at = page.through;
            }
            seen
        });
        let mut committed = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let each = per_second / 500;
        while (committed.len() as u64) < total - 1 {
            tick.tick().await;
            let first = committed.len() as u64 + 2;
            region.commit(partition(0), (first..first + each).map(|n| Some(put(n))).collect()).await;
            committed.extend((0..each).map(|_| Instant::now()));
        }
        let seen = reader.await.unwrap();
        let mut took: Vec<_> =
            committed.iter().zip(&seen).map(|(from, to)| to.duration_since(*from)).collect();
        took.sort();
        let at = |part: usize| took[took.len() * part / 100];
        eprintln!(
            "{per_second} a second: p50 {:?}, p99 {:?}, max {:?}",
            at(50),
            at(99),
            took[took.len() - 1]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_fast_a_log_goes() {
    if !is_long() {
        return;
    }
    const EACH: u64 = 50_000;
    let mut region = Region::new(settings(shared()));
    let began = Instant::now();
    for first in (1..=EACH).step_by(500) {
        for number in 0..PARTITIONS {
            let changes = (first..first + 500).map(|sequence| Some(put(sequence))).collect();
            region.commit(partition(number), changes).await;
        }
    }
    for number in 0..PARTITIONS {
        while region.publisher.published(partition(number)) < Some(Sequence(EACH)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let all = EACH * u64::from(PARTITIONS);
    let rate = |began: Instant| all as f64 / began.elapsed().as_secs_f64() / 1000.0;
    eprintln!("{all} changes published: {:.0} thousand a second", rate(began));
    region.log = KafkaLog::new(&region.settings, region.engine.clone()).unwrap();
    let began = Instant::now();
    let (a, b, c, d) = tokio::join!(
        region.all(partition(0), 0, EACH),
        region.all(partition(1), 0, EACH),
        region.all(partition(2), 0, EACH),
        region.all(partition(3), 0, EACH),
    );
    assert_eq!([a.len(), b.len(), c.len(), d.len()], [EACH as usize; 4]);
    eprintln!("read from the topic: {:.0} thousand a second", rate(began));
}
