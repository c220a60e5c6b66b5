//! What happened, line by line, and one number for all of it.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

#[derive(Default)]
pub struct Trace {
    lines: Vec<String>,
    hash: Xxh3,
    counts: BTreeMap<&'static str, usize>,
}

impl Trace {
    pub fn line(&mut self, line: String) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.lines.push(line);
    }

    /// Counts something worth reaching: a simulation in which it never happens proves nothing of it.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.counts
    }

    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
