//! Which partition keys of a table are used most: contributor insights, in bounded memory.
//!
//! The space-saving sketch (Metwally, Agrawal, El Abbadi 2005) keeps a fixed number of keys; one that is not among them
//! takes the place, and the count, of the least. So no key that has more than 1/[`KEYS`] of the requests is missed, and a
//! count is too great by at most the least one. One request of [`EACH`] is looked at, and none that would have to wait.

use std::cell::Cell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

/// Keys of a table that are followed.
pub const KEYS: usize = 64;
/// One request of so many is looked at, and stands for all of them.
pub const EACH: u64 = 8;
/// Longer keys are not followed: a bound on memory.
const MAX_KEY_BYTES: usize = 2048;
/// Counts are of this time and as much before it.
const WINDOW: Duration = Duration::from_secs(60);

/// A partition key in its stored form, and about how many requests were for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contributor {
    pub key: Vec<u8>,
    pub requests: u64,
    /// At most so many of them were for others.
    pub error: u64,
}

#[derive(Default)]
struct Sketch {
    /// By hash, beside: a key of another hash is another one, and no bytes are compared.
    entries: Vec<(u64, Contributor)>,
}

impl Sketch {
    fn add(&mut self, key: &[u8], weight: u64) {
        let hash = xxh3_64(key);
        let same = |(known, entry): &(u64, Contributor)| *known == hash && entry.key == key;
        if let Some(at) = self.entries.iter().position(same) {
            self.entries[at].1.requests += weight;
        } else if self.entries.len() < KEYS {
            self.entries.push((hash, Contributor { key: key.to_vec(), requests: weight, error: 0 }));
        } else if let Some((known, least)) = self.entries.iter_mut().min_by_key(|(_, entry)| entry.requests) {
            *known = hash;
            least.key.clear();
            least.key.extend_from_slice(key);
            least.error = least.requests;
            least.requests += weight;
        }
    }
}

struct Windows {
    now: Sketch,
    before: Sketch,
    since: Option<Instant>,
}

impl Windows {
    fn turn(&mut self, at: Instant) {
        let since = *self.since.get_or_insert(at);
        let age = at.saturating_duration_since(since);
        if age >= WINDOW {
            let now = std::mem::take(&mut self.now);
            self.before = if age >= 2 * WINDOW { Sketch::default() } else { now };
            self.since = Some(at);
        }
    }
}

/// A table's sketch.
pub struct Insights(Mutex<Windows>);

impl Default for Insights {
    fn default() -> Insights {
        Insights(Mutex::new(Windows { now: Sketch::default(), before: Sketch::default(), since: None }))
    }
}

thread_local! {
    static TICK: Cell<u64> = const { Cell::new(0) };
}

impl Insights {
    /// A request is for the items of this partition key.
    pub fn touch(&self, partition_key: &[u8]) {
        let tick = TICK.get();
        TICK.set(tick.wrapping_add(1));
        if tick.is_multiple_of(EACH) && partition_key.len() <= MAX_KEY_BYTES {
            self.add(partition_key, EACH, Instant::now());
        }
    }

    fn add(&self, key: &[u8], weight: u64, at: Instant) {
        if let Ok(mut windows) = self.0.try_lock() {
            windows.turn(at);
            windows.now.add(key, weight);
        }
    }

    /// The keys that were used most in the last minutes, at most `limit`, the first the most.
    pub fn top(&self, limit: usize) -> Vec<Contributor> {
        self.top_at(limit, Instant::now())
    }

    fn top_at(&self, limit: usize, at: Instant) -> Vec<Contributor> {
        let mut windows = self.0.lock().expect("no panic while held");
        windows.turn(at);
        let mut all: Vec<Contributor> = windows.now.entries.iter().map(|(_, entry)| entry.clone()).collect();
        for (_, earlier) in &windows.before.entries {
            match all.iter_mut().find(|entry| entry.key == earlier.key) {
                Some(entry) => {
                    entry.requests += earlier.requests;
                    entry.error += earlier.error;
                }
                None => all.push(earlier.clone()),
            }
        }
        all.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.key.cmp(&b.key)));
        all.truncate(limit);
        all
    }
}

/// What stands for a key where the key itself is not to be shown.
pub fn hashed(key: &[u8]) -> String {
    format!("{:016x}", xxh3_64(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_key_is_found_among_many_others() {
        let insights = Insights::default();
        let at = Instant::now();
        for round in 0..20_000_u32 {
            insights.add(format!("cold {round}").as_bytes(), 1, at);
            if round % 10 == 0 {
                insights.add(b"hot", 1, at);
            }
        }
        let top = insights.top_at(1, at);
        assert_eq!(top[0].key, b"hot");
        assert!(top[0].requests >= 2000 && top[0].requests - top[0].error <= 2000, "{top:?}");
    }

    #[test]
    fn memory_is_bounded() {
        let insights = Insights::default();
        let at = Instant::now();
        (0..10_000_u32).for_each(|key| insights.add(&key.to_be_bytes(), 1, at));
        assert_eq!(insights.0.lock().unwrap().now.entries.len(), KEYS);
    }

    #[test]
    fn what_was_hot_long_ago_is_forgotten() {
        let insights = Insights::default();
        let at = Instant::now();
        insights.add(b"old", 9, at);
        insights.add(b"new", 5, at + WINDOW);
        let both = insights.top_at(9, at + WINDOW);
        assert_eq!(both.iter().map(|entry| entry.requests).collect::<Vec<_>>(), [9, 5]);
        let later = insights.top_at(9, at + 2 * WINDOW);
        assert_eq!(later.iter().map(|entry| &entry.key[..]).collect::<Vec<_>>(), [b"new"]);
    }

    #[test]
    fn one_request_of_some_stands_for_all() {
        let insights = Insights::default();
        (0..EACH * 100).for_each(|_| insights.touch(b"k"));
        assert_eq!(insights.top(1)[0].requests, EACH * 100);
    }
}
