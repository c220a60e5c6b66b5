//! The names of things: regions, lives of tables, partitions, epochs and sequences.
//!
//! Each is a type of its own because none may be taken for another, and each is `Copy` because they travel with
//! every change.

use std::fmt;

/// The name of a region, at most [`Region::MAX_LEN`] bytes, ordered by its bytes.
///
/// Kept inline: a region is part of every version, and versions are compared on the hot path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region {
    // Zero padded, so that comparing the arrays is comparing the names.
    bytes: [u8; Region::MAX_LEN],
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a region's name is 1 to 24 letters, digits and hyphens, not {0:?}")]
pub struct BadRegion(String);

impl Region {
    pub const MAX_LEN: usize = 24;

    pub fn new(name: &str) -> Result<Region, BadRegion> {
        let fits = (1..=Self::MAX_LEN).contains(&name.len());
        if !fits || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(BadRegion(name.to_owned()));
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Region { bytes })
    }

    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|b| *b == 0).unwrap_or(Self::MAX_LEN);
        std::str::from_utf8(&self.bytes[..len]).expect("checked to be ASCII when made")
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Region {
    type Err = BadRegion;
    fn from_str(name: &str) -> Result<Region, BadRegion> {
        Region::new(name)
    }
}

impl serde::Serialize for Region {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Region {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Region::new(&name).map_err(serde::de::Error::custom)
    }
}

/// One life of a table in one region: dropping and re-creating a table gives a new one. It is the table's `TableId`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub uuid::Uuid);

impl Incarnation {
    pub const LEN: usize = 16;

    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A hash range of a table: the unit of ordering and of ownership. Numbers are never used twice in one incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct PartitionId {
    pub incarnation: Incarnation,
    pub number: u32,
}

impl PartitionId {
    pub const LEN: usize = Incarnation::LEN + 4;

    /// incarnation ‖ number, big-endian: sorts as the type does.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..Incarnation::LEN].copy_from_slice(self.incarnation.as_bytes());
        bytes[Incarnation::LEN..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.number)
    }
}

/// Grows at each change of a partition's owner; a commit with another epoch than the newest writes nothing.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The gapless number of a change in its partition's log. The first change has 1; 0 means "before all".
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    pub const ZERO: Sequence = Sequence(0);

    /// What a sequence number begins at, so that all have 21 digits and compare as text too.
    const NUMBER_BASE: u128 = 100_000_000_000_000_000_000;

    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }

    /// The sequence number that the Streams API, Kafka and functions show for it.
    pub fn number(self) -> u128 {
        Self::NUMBER_BASE + u128::from(self.0)
    }

    /// The sequence of a sequence number; one that no change can have is before or after all.
    pub fn from_number(number: u128) -> Sequence {
        Sequence(u64::try_from(number.saturating_sub(Self::NUMBER_BASE)).unwrap_or(u64::MAX - 1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_sort_by_name_and_refuse_bad_names() {
        let region = |name| Region::new(name).unwrap();
        assert!(region("eu-west-1") < region("us-east-1"));
        assert!(region("eu") < region("eu-west-1"));
        assert_eq!(region("ap-southeast-1").as_str(), "ap-southeast-1");
        assert!(Region::new("").is_err());
        assert!(Region::new("a b").is_err());
        assert!(Region::new(&"a".repeat(25)).is_err());
    }
}
