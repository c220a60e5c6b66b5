//! What holds the replicas of a table together: versions of settings, who is changing them, and who was a replica once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::{Hlc, Incarnation, Region, Version};

use super::document::{Replica, TableDocument};
use super::log::OwnLog;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Global {
    /// When each element of the settings was changed last, and where: see [`elements`](super::elements). One that is
    /// marked here and not in the document was removed.
    pub marks: BTreeMap<String, Version>,
    /// Grows with every eviction; links carry it.
    pub generation: u64,
    /// Regions that were evicted, until they are replicas again.
    pub former: BTreeMap<Region, Former>,
    /// Replicas that could not be made, and why, until they are deleted. They count in nothing, and each region has its own.
    pub failed: BTreeMap<Region, String>,
    /// The control operation under way somewhere.
    pub claim: Option<Claim>,
    /// Each region has its own.
    pub log: OwnLog,
}

/// A control operation that another must not cross: the table is UPDATING in every region that it could reach.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Claim {
    pub id: uuid::Uuid,
    pub by: Region,
    /// It holds no longer, whatever happened to whoever made it.
    pub until_ms: u64,
}

/// A replica that was evicted, and how much of it those who stayed have.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Former {
    pub replica: Replica,
    pub generation: u64,
    pub levels: Vec<Level>,
}

/// All of a region's changes with a version up to `hlc` whose hash is in `from..=to` are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Level {
    pub from: u64,
    pub to: u64,
    pub hlc: Hlc,
}

impl Former {
    /// Those who stayed have all of its changes with such a hash up to here.
    pub fn level(&self, hash: u64) -> Hlc {
        let known = self.levels.iter().filter(|level| (level.from..=level.to).contains(&hash));
        known.map(|level| level.hlc).max().unwrap_or_default()
    }
}

impl Claim {
    pub fn holds(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }
}

impl TableDocument {
    /// The greatest version of any setting.
    pub fn settings_version(&self) -> Option<Version> {
        self.global.marks.values().max().copied()
    }

    /// Whether those who sent `theirs` have evicted `here`, whose document this is.
    pub fn is_evicted_by(&self, here: Region, theirs: &TableDocument) -> bool {
        let former = theirs.global.former.get(&here);
        former.is_some_and(|former| former.replica.incarnation == Some(self.incarnation))
    }

    /// Whether a region's life of the table is a replica of this one. Of a joiner nothing is taken before its life is known
    /// here: a former life of its region may still be sending.
    pub fn counts(&self, region: Region, incarnation: Incarnation) -> bool {
        self.replicas.get(&region).is_some_and(|replica| replica.incarnation == Some(incarnation))
    }
}
