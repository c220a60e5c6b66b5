//! Versions: a total order over all writes to an item, and vectors that tell what a write knew of.
//!
//! A version is a hybrid logical clock and the region that took it. A later write of one partition always has a greater
//! clock, and applying a remote version raises the partition's clock first: so whoever has seen a write and writes
//! again wins over it, whatever the clocks of the machines say. (Kulkarni et al., "Logical Physical Clocks", 2014.)

use std::fmt;

use crate::id::Region;

/// 48 bits of Unix milliseconds, 16 bits of counter.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    pub const ZERO: Hlc = Hlc(0);

    pub fn from_ms(ms: u64) -> Hlc {
        Hlc(ms << 16)
    }

    /// The clock's wall part: Unix milliseconds, or somewhat ahead of them.
    pub fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// The clock of the next local write, given the greatest one of the partition so far.
    pub fn tick(now_ms: u64, max: Hlc) -> Hlc {
        Hlc::from_ms(now_ms).max(Hlc(max.0 + 1))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ms(), self.0 & 0xffff)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Compared clock first, then region: equal clocks of two regions have a winner that both know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Version {
    pub hlc: Hlc,
    pub origin: Region,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hlc, self.origin)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Per region the greatest clock in a write's causal past. The write's own version stands beside it and counts as an
/// entry. Sorted by region; entries at or below stable may be missing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Vector(Vec<(Region, Hlc)>);

impl Vector {
    pub fn get(&self, region: Region) -> Option<Hlc> {
        self.0.iter().find(|(found, _)| *found == region).map(|(_, hlc)| *hlc)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Region, Hlc)> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Raises the entry of `region` to at least `hlc`.
    pub fn raise(&mut self, region: Region, hlc: Hlc) {
        match self.0.binary_search_by_key(&region, |(found, _)| *found) {
            Ok(at) => self.0[at].1 = self.0[at].1.max(hlc),
            Err(at) => self.0.insert(at, (region, hlc)),
        }
    }

    pub fn union(&mut self, other: &Vector) {
        other.iter().for_each(|(region, hlc)| self.raise(region, hlc));
    }

    /// Drops the entries that every region is known to have applied.
    pub fn prune(&mut self, stable: Hlc) {
        self.0.retain(|(_, hlc)| *hlc > stable);
    }
}

impl FromIterator<(Region, Hlc)> for Vector {
    fn from_iter<I: IntoIterator<Item = (Region, Hlc)>>(entries: I) -> Vector {
        let mut vector = Vector::default();
        entries.into_iter().for_each(|(region, hlc)| vector.raise(region, hlc));
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    #[test]
    fn tie_breaks_by_region() {
        let (a, b) = (region("ap"), region("eu"));
        assert!(Version { hlc: Hlc(7), origin: a } < Version { hlc: Hlc(7), origin: b });
        assert!(Version { hlc: Hlc(8), origin: a } > Version { hlc: Hlc(7), origin: b });
    }

    #[test]
    fn slow_clock_later_write_wins() {
        let seen = Hlc::from_ms(5_000);
        assert!(Hlc::tick(1_000, seen) > seen);
        assert_eq!(Hlc::tick(6_000, seen), Hlc::from_ms(6_000));
    }
}
