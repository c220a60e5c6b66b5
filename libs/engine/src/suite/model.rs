//! An engine against a model of plain maps, over any steps: property tests make the steps.

use std::collections::BTreeMap;

use bytes::Bytes;
use tradewind_model::Sequence;

use super::{Owner, Subject, logs::START_MS, partition, put, remove};
use crate::{Engine, Error, Space};

/// A commit's part: partition, rows, number of changes.
pub type Part = (u32, Rows, u64);

/// Keys, each with the length of its new value; none removes the row.
pub type Rows = Vec<(u8, Option<usize>)>;

/// Keys and partitions are numbers, so that steps meet each other.
#[derive(Clone, Debug)]
pub enum Step {
    Commit(Vec<Part>),
    /// The same with an epoch that is too old in its last part.
    StaleCommit(Vec<Part>),
    TakeOver(u32),
    Reopen,
    SetHour(u64),
    TrimBefore(u64),
}

pub const PARTITIONS: u32 = 3;

struct Model {
    owners: Vec<Owner>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    hour: u64,
    /// By partition: sequence, and the hour by the clock; `None` once a trim was allowed to drop the change.
    changes: Vec<BTreeMap<u64, Option<u64>>>,
    written: u8,
}

/// Applies the steps to the engine and to the model, and compares all that can be seen after each.
pub async fn run(subject: &mut impl Subject, steps: &[Step]) {
    let mut model = Model::new(subject).await;
    for step in steps {
        model.apply(subject, step).await;
        model.compare(subject.engine()).await;
    }
}

impl Model {
    async fn new(subject: &impl Subject) -> Model {
        let mut owners = Vec::new();
        for number in 0..PARTITIONS {
            owners.push(Owner::of(subject.engine(), number).await);
        }
        Model {
            changes: vec![BTreeMap::new(); owners.len()],
            owners,
            rows: BTreeMap::new(),
            hour: 0,
            written: 0,
        }
    }

    async fn apply(&mut self, subject: &mut impl Subject, step: &Step) {
        match step {
            Step::Commit(parts) => self.commit(subject.engine(), parts).await,
            Step::StaleCommit(parts) => self.commit_stale(subject.engine(), parts).await,
            Step::TakeOver(number) => self.take_over(subject.engine(), *number).await,
            Step::Reopen => subject.reopen().await,
            Step::SetHour(hour) => {
                self.hour = *hour;
                subject.clock().set(ms_of(*hour));
            }
            Step::TrimBefore(hour) => {
                subject.engine().trim(ms_of(*hour)).await.expect("trims");
                for filed in self.changes.iter_mut().flat_map(BTreeMap::values_mut) {
                    filed.take_if(|filed| *filed < *hour);
                }
            }
        }
    }

    async fn commit(&mut self, engine: &impl Engine, parts: &[Part]) {
        let mut batch = Vec::new();
        for (number, rows, changes) in parts {
            let rows = self.write(rows);
            let first = self.owners[*number as usize].next.0;
            batch.push(self.owners[*number as usize].part(rows, *changes));
            self.changes[*number as usize].extend((first..first + changes).map(|n| (n, Some(self.hour))));
        }
        engine.commit(batch).await.expect("commits");
    }

    fn write(&mut self, rows: &Rows) -> Vec<crate::Row> {
        let mut written = Vec::new();
        for (key, len) in rows {
            self.written = self.written.wrapping_add(1);
            match len {
                Some(len) => {
                    let value = vec![self.written; *len];
                    written.push(put(Space::Items, [*key], &value));
                    self.rows.insert(vec![*key], value);
                }
                None => {
                    written.push(remove(Space::Items, [*key]));
                    self.rows.remove(&vec![*key]);
                }
            }
        }
        written
    }

    async fn commit_stale(&mut self, engine: &impl Engine, parts: &[Part]) {
        let (owners, rows, written) = (self.owners.clone(), self.rows.clone(), self.written);
        let mut batch = Vec::new();
        for (number, rows, changes) in parts {
            let rows = self.write(rows);
            batch.push(self.owners[*number as usize].part(rows, *changes));
        }
        (self.owners, self.rows, self.written) = (owners, rows, written);
        let Some(last) = batch.last_mut() else { return };
        last.epoch.0 -= 1;
        let answer = engine.commit(batch).await;
        assert!(matches!(answer, Err(Error::Fenced { .. })), "{answer:?}");
    }

    async fn take_over(&mut self, engine: &impl Engine, number: u32) {
        let former = &self.owners[number as usize];
        let owner = Owner::of(engine, number).await;
        assert_eq!((owner.epoch.0, owner.next), (former.epoch.0 + 1, former.next));
        assert_eq!(owner.max_hlc, former.max_hlc);
        self.owners[number as usize] = owner;
    }

    async fn compare(&self, engine: &impl Engine) {
        for reverse in [false, true] {
            let mut rows = Vec::new();
            let gather = |key: &[u8], value: &[u8]| {
                rows.push((key.to_vec(), value.to_vec()));
                true
            };
            engine.range(Space::Items, b""..&[0xff, 0xff], reverse, gather).await.expect("reads");
            if reverse {
                rows.reverse();
            }
            assert!(rows.iter().map(|(key, value)| (key, value)).eq(&self.rows), "{rows:?} {:?}", self.rows);
        }
        self.compare_points(engine).await;
        for number in 0..PARTITIONS {
            self.compare_log(engine, number).await;
        }
    }

    async fn compare_points(&self, engine: &impl Engine) {
        let keys: Vec<[u8; 1]> = (0..=u8::MAX).map(|key| [key]).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let read = engine.read(Space::Items, &keys).await.expect("reads");
        let expected = keys.iter().map(|key| self.rows.get(*key).cloned().map(Bytes::from));
        assert!(read.into_iter().eq(expected));
    }

    /// `kept` begins where it must, and from there on `changes` has exactly what was committed.
    async fn compare_log(&self, engine: &impl Engine, number: u32) {
        let committed = &self.changes[number as usize];
        let kept = engine.kept(partition(number)).await.expect("reads");
        assert_eq!(kept.end, self.owners[number as usize].next);
        let must_keep = committed.iter().find(|(_, filed)| filed.is_some());
        let must_keep = must_keep.map_or(kept.end.0, |(sequence, _)| *sequence);
        assert!(kept.start.0 <= must_keep, "{kept:?} must begin at {must_keep}");
        let changes =
            engine.changes(partition(number), Sequence(kept.start.0 - 1), usize::MAX, usize::MAX).await;
        let changes = changes.expect("reads").into_iter().map(|(sequence, _)| sequence.0);
        assert!(changes.eq(committed.range(kept.start.0..).map(|(sequence, _)| *sequence)));
    }
}

fn ms_of(hour: u64) -> u64 {
    // On the hour, so that "before hour n" means whole hours.
    START_MS - START_MS % 3_600_000 + hour * 3_600_000
}
