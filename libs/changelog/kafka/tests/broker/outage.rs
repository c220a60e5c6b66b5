//! The broker dies while changes are written: writes go on, and in the end everything is there, in order.

use std::time::Duration;

use tradewind_changelog_kafka::State;
use tradewind_changelog_kafka::testing::Broker;
use tradewind_model::Sequence;

use crate::is_long;
use crate::region::{PARTITIONS, Region, START_MS, partition, put, settings};

const GROUP: u64 = 100;

async fn write(region: &mut Region, from: u64, to: u64) {
    for first in (from..to).step_by(GROUP as usize) {
        for number in 0..PARTITIONS {
            let changes = (first..first + GROUP).map(|sequence| Some(put(sequence))).collect();
            region.commit(partition(number), changes).await;
        }
        // The publisher runs beside.
        tokio::task::yield_now().await;
    }
}

/// Kills the broker twice: soon back, and, in the long form, away for a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_and_reorders_nothing() {
    if std::env::var_os("TRADEWIND_TEST_KAFKA").is_some() {
        eprintln!("skipped: the broker is not ours to kill");
        return;
    }
    let each = if is_long() { 75_000 } else { 6_000 };
    let away = Duration::from_secs(if is_long() { 60 } else { 8 });
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(folder.path()).unwrap();
    let mut region = Region::new(settings(broker.address()));
    let third = each / 3 / GROUP * GROUP;

    write(&mut region, 1, 1 + third).await;
    // In the middle of what was just written.
    region.log_has_some(partition(0)).await;
    broker.kill().unwrap();
    write(&mut region, 1 + third, 1 + 2 * third).await;
    region.clock.set(START_MS + 90_000);
    // Longer than a delivery may take: what was on its way is given up, and read again.
    region.until(partition(0), |state| matches!(state, State::Stalled(_))).await;
    tokio::time::sleep(away).await;
    let lag = region.publisher.lag();
    let behind = lag.iter().find(|lag| lag.partition == partition(0)).unwrap();
    assert!(behind.pending >= third, "{behind:?}");
    assert!(behind.oldest >= Duration::from_secs(60), "{behind:?}");
    tokio::task::block_in_place(|| broker.resume()).unwrap();

    write(&mut region, 1 + 2 * third, 1 + each).await;
    // And once more, shorter than a delivery may take: the producer sends again by itself.
    tokio::task::block_in_place(|| {
        broker.kill().unwrap();
        broker.resume().unwrap();
    });

    let last = each.div_ceil(GROUP) * GROUP;
    for number in 0..PARTITIONS {
        region.shown(partition(number), Sequence(last)).await;
        let found = region.all(partition(number), 0, last).await;
        assert_eq!(found.len() as u64, last);
        assert!(found.iter().copied().eq(1..=last));
    }
    assert!(region.publisher.lag().iter().all(|lag| lag.pending == 0 && lag.state == State::Running));
}
