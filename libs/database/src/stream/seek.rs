//! Finding a time in a partition's log.
//!
//! The versions of changes that were made here grow with their sequences, and are greater than all that came from elsewhere
//! before them: one that is earlier than the time proves that everything before it is, and halves what is left. What came
//! from elsewhere proves only that it is not later than itself. The last stretch is read from its beginning.

use tradewind_changelog::{ChangeLog, Error, Log};
use tradewind_model::{PartitionId, Region, Sequence};

/// Changes read at a time, and bytes of them.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 1024 * 1024;
/// So few are read one after another.
const STRETCH: u64 = 1000;

pub struct Seek {
    pub log: Log,
    pub partition: PartitionId,
    pub here: Region,
    pub epoch_ms: u64,
}

/// What a look into the middle has shown.
enum Look {
    /// Everything up to here is earlier.
    EarlierUpTo(Sequence),
    /// This one is not.
    NotEarlier(Sequence),
    Nothing,
}

impl Seek {
    /// The position before the first change that was written at the time or later; everything up to `from` is earlier, and
    /// the log ends before `end`.
    pub async fn run(&self, from: Sequence, end: Sequence) -> Result<Sequence, Error> {
        let (mut after, mut before) = (from, end);
        // What nothing can be told of from the middle on is read from `after` on.
        let mut middle_of = before;
        while middle_of.0 > after.0 + STRETCH {
            let middle = Sequence(after.0 + (middle_of.0 - after.0) / 2);
            match self.look(middle, before).await? {
                Look::EarlierUpTo(sequence) => (after, middle_of) = (sequence, before),
                Look::NotEarlier(sequence) => (before, middle_of) = (sequence, middle.min(sequence)),
                Look::Nothing => middle_of = middle,
            }
        }
        self.read_on(after).await
    }

    /// The first change behind `middle` that tells anything.
    async fn look(&self, middle: Sequence, before: Sequence) -> Result<Look, Error> {
        let page = self.log.read(self.partition, middle, PAGE, PAGE_BYTES).await?;
        for (sequence, change) in page.changes.iter().take_while(|(sequence, _)| *sequence < before) {
            match change.version.hlc.ms() >= self.epoch_ms {
                true => return Ok(Look::NotEarlier(*sequence)),
                false if change.version.origin == self.here => return Ok(Look::EarlierUpTo(*sequence)),
                false => (),
            }
        }
        Ok(Look::Nothing)
    }

    async fn read_on(&self, mut after: Sequence) -> Result<Sequence, Error> {
        loop {
            let page = self.log.read(self.partition, after, PAGE, PAGE_BYTES).await?;
            let later = page.changes.iter().find(|(_, change)| change.version.hlc.ms() >= self.epoch_ms);
            if let Some((sequence, _)) = later {
                return Ok(Sequence(sequence.0 - 1));
            }
            if page.changes.is_empty() {
                return Ok(page.through);
            }
            after = page.through;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::watch;
    use tradewind_changelog::Page;
    use tradewind_model::{Change, Hlc, Incarnation, ItemKey, Vector, Version};

    use super::*;

    /// Origins and times of changes 1, 2, …
    #[derive(Clone)]
    struct Written(Arc<Vec<(Region, u64)>>, Arc<AtomicUsize>);

    impl ChangeLog for Written {
        async fn read(&self, _: PartitionId, after: Sequence, limit: usize, _: usize) -> Result<Page, Error> {
            let numbered = self.0.iter().enumerate().skip(after.0 as usize).take(limit);
            let changes: Vec<_> = numbered.map(|(at, one)| (Sequence(at as u64 + 1), change(*one))).collect();
            self.1.fetch_add(changes.len(), Ordering::Relaxed);
            let through = changes.last().map_or(after, |(sequence, _)| *sequence);
            Ok(Page { changes, through })
        }

        async fn kept(&self, _: PartitionId) -> Result<Range<Sequence>, Error> {
            Ok(Sequence(1)..Sequence(self.0.len() as u64 + 1))
        }

        async fn wait(&self, _: PartitionId, _: Sequence) {}

        fn watch(&self, _: PartitionId) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
    }

    fn change((origin, ms): (Region, u64)) -> Change {
        Change {
            version: Version { hlc: Hlc::from_ms(ms), origin },
            stable: Hlc::ZERO,
            vector: Vector::default(),
            key: ItemKey::new(b"k", b""),
            existed: false,
            exists: false,
            old: None,
            new: None,
            same: false,
            expired: false,
            request: None,
            trace: None,
        }
    }

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    /// The position found, and how many changes were read for it.
    async fn seek(log: &[(Region, u64)], epoch_ms: u64) -> (u64, usize) {
        let written = Written(Arc::new(log.to_vec()), Arc::default());
        let partition = PartitionId { incarnation: Incarnation(uuid::Uuid::nil()), number: 0 };
        let end = Sequence(log.len() as u64 + 1);
        let seek = Seek { log: Log::new(written.clone()), partition, here: region("here"), epoch_ms };
        let found = seek.run(Sequence::ZERO, end).await.unwrap();
        (found.0, written.1.load(Ordering::Relaxed))
    }

    fn by_reading_all(log: &[(Region, u64)], epoch_ms: u64) -> u64 {
        log.iter().position(|(_, ms)| *ms >= epoch_ms).unwrap_or(log.len()) as u64
    }

    #[tokio::test]
    async fn a_time_in_a_long_log_costs_a_few_pages() {
        let log: Vec<_> = (0..100_000).map(|at| (region("here"), 1_000 + at / 3)).collect();
        for epoch_ms in [0, 1_000, 1_001, 17_777, 34_332, 34_333, 34_334, 99_999] {
            let (found, read) = seek(&log, epoch_ms).await;
            assert_eq!(found, by_reading_all(&log, epoch_ms), "{epoch_ms}");
            assert!(read < 5_000, "{read} changes were read for {epoch_ms}");
        }
    }

    /// What comes from elsewhere is older than what is written here, by as much as its link was late.
    #[tokio::test]
    async fn what_came_late_from_elsewhere_misleads_nobody() {
        let mut random = 7u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for round in 0..60 {
            let (mut now, mut late, mut log) = (100_000, 0, Vec::new());
            for _ in 0..6_000 {
                now += next(4);
                if next(500) == 0 {
                    late = next(50_000);
                }
                // Long stretches from elsewhere alone.
                match next(1_000) < 5 * (round % 7) {
                    true => log.push((region("here"), now)),
                    false => log.push((region("there"), now - late)),
                }
            }
            let epoch_ms = 100_000 + next(12_000);
            let (found, _) = seek(&log, epoch_ms).await;
            assert_eq!(found, by_reading_all(&log, epoch_ms), "round {round}");
        }
    }
}
