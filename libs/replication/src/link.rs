//! A link: from one partition of this region to one other region. Pure: it is given pages of the log and answers of the
//! destination, and says what to send and when.
//!
//! ```text
//! log      1 … acknowledged │ … walked │ … through │ … next-1
//!                            │          └─  page ───┤
//!                            └──────── batch ───────┘
//! ```
//!
//! A link walks the whole log. A batch covers `(after, through]` and carries the changes in between that were born here,
//! so loops are impossible. The cursor lives at the destination; what the link remembers is only its last answer, and how
//! far it has walked since over changes that do not travel: those alone are worth no batch but now and then.

use std::collections::BTreeMap;

use tradewind_changelog::Page;
use tradewind_database::partition::arrival::{Arrival, Arrived};
use tradewind_database::partition::state::{Source, State};
use tradewind_database::table::document::TableDocument;
use tradewind_model::{Change, Hlc, Region, Sequence, Version};

/// Changes in one batch.
pub const BATCH_CHANGES: usize = 1000;
/// Bytes of changes gathered before a batch is closed.
pub const BATCH_BYTES: usize = 1024 * 1024;

/// What a source announces with a batch: facts of its partition, taken before the log was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Announcement {
    /// The last sequence of the log at that time.
    pub last: Sequence,
    /// No change of this region with a version up to this follows `last`.
    pub watermark: Hlc,
    pub seen: BTreeMap<Region, Hlc>,
    /// How many evictions of the table's replicas this region knows of; asked after the log was read, whose changes may
    /// know of them.
    pub generation: u64,
    /// Of the log, which is sound: asked as late as that, too.
    pub term: u64,
}

impl Announcement {
    /// From the partition's durable state.
    pub fn of(state: &State, table: &TableDocument) -> Announcement {
        let seen = table.replicas.keys().map(|region| (*region, state.seen(*region))).collect();
        Announcement {
            last: Sequence(state.next.0 - 1),
            watermark: state.max_hlc,
            seen,
            generation: table.global.generation,
            term: table.global.log.term,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    source: Source,
    from: u64,
    to: u64,
    /// What the destination has, as far as it said.
    pub acknowledged: Sequence,
    /// Nothing between that and this is to travel.
    walked: Sequence,
    /// The version of the change at `walked`, unless the destination has told it.
    walked_at: Option<Version>,
}

impl Link {
    /// From the destination's answer to where it stands.
    pub fn new(source: Source, from: u64, to: u64, acknowledged: Sequence) -> Link {
        Link { source, from, to, acknowledged, walked: acknowledged, walked_at: None }
    }

    /// Where the next page begins.
    pub fn walked(&self) -> Sequence {
        self.walked
    }

    /// Whether any change of the page is to travel.
    pub fn carries(&self, page: &Page) -> bool {
        page.changes.iter().any(|(_, change)| self.is_born_here(change))
    }

    /// Goes on without a batch for the page, of which nothing is to travel.
    pub fn pass(&mut self, page: &Page) {
        if page.through > self.walked {
            self.walked = page.through;
            self.walked_at = version_at(page, page.through);
        }
    }

    fn is_born_here(&self, change: &Change) -> bool {
        change.version.origin == self.source.region
    }

    /// The batch for a page read after [`Link::walked`].
    ///
    /// Its watermark is told from this page and this announcement alone: the destination keeps the greatest it got, and
    /// one that was sent before may not hold at this batch's end, if the destination has gone back since (it lost a batch,
    /// or is a new replica).
    pub fn batch(&self, page: Page, announcement: &Announcement) -> Arrival {
        let through = page.through.max(self.walked);
        let at = version_at(&page, through).or(self.walked_at.filter(|_| through == self.walked));
        let changes: Vec<_> =
            page.changes.into_iter().filter(|(_, change)| self.is_born_here(change)).collect();
        // Versions of one region ascend in its log.
        let newest = changes.last().map_or(Hlc::ZERO, |(_, change)| change.version.hlc);
        let at_end = through >= announcement.last;
        let announced = if at_end { announcement.watermark } else { Hlc::ZERO };
        // What was applied from others came after what this batch ends with, too.
        let seen = if at_end { announcement.seen.clone() } else { BTreeMap::new() };
        Arrival {
            source: self.source,
            from: self.from,
            to: self.to,
            after: self.acknowledged,
            through,
            at,
            changes,
            watermark: newest.max(announced),
            seen,
            generation: announcement.generation,
            term: announcement.term,
        }
    }

    /// The destination's answer to a batch.
    pub fn answered(&mut self, arrived: Arrived) {
        let passed = self.acknowledged..=self.walked;
        self.acknowledged = arrived.cursor();
        // Only what lies between the two is known not to travel: a destination that has gone back gets all of it again.
        if !passed.contains(&self.acknowledged) {
            (self.walked, self.walked_at) = (self.acknowledged, None);
        }
    }
}

fn version_at(page: &Page, sequence: Sequence) -> Option<Version> {
    page.changes.last().filter(|(last, _)| *last == sequence).map(|(_, change)| change.version)
}

/// Whether the destination's position is none of this log, which holds exactly that change there, or has trimmed it. That of a
/// database that was restored from a backup does not. What is found in the log may be newer than what is known of its end.
pub fn diverged(position: Sequence, at: Option<Version>, next: Sequence, found: Option<&Change>) -> bool {
    match found {
        Some(found) => at.is_some_and(|at| at != found.version),
        None => position >= next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tradewind_model::{Incarnation, ItemKey, Vector};

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn change(hlc: u64, origin: &str) -> Change {
        Change {
            version: Version { hlc: Hlc(hlc), origin: region(origin) },
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

    fn link() -> Link {
        let incarnation = Incarnation(uuid::Uuid::nil());
        let source = Source { region: region("a"), incarnation, number: 0 };
        Link::new(source, 0, u64::MAX, Sequence::ZERO)
    }

    fn announcement(last: u64, watermark: u64) -> Announcement {
        let (last, watermark) = (Sequence(last), Hlc(watermark));
        Announcement { last, watermark, seen: BTreeMap::new(), generation: 0, term: 0 }
    }

    #[test]
    fn only_changes_born_here_travel() {
        let changes = vec![(Sequence(1), change(5, "a")), (Sequence(2), change(6, "b"))];
        let batch = link().batch(Page { changes, through: Sequence(2) }, &announcement(2, 9));
        assert_eq!(batch.changes.len(), 1);
        assert_eq!((batch.after, batch.through), (Sequence(0), Sequence(2)), "the batch answers for both");
        assert_eq!(batch.at.unwrap().origin, region("b"), "the position is told by whatever stands there");
    }

    #[test]
    fn a_watermark_is_announced_only_at_the_end_of_the_log() {
        let page =
            |through| Page { changes: vec![(Sequence(1), change(5, "a"))], through: Sequence(through) };
        assert_eq!(link().batch(page(1), &announcement(7, 99)).watermark, Hlc(5));
        assert_eq!(link().batch(page(1), &announcement(1, 99)).watermark, Hlc(99));
    }

    /// A applies a delete of C's after its own write, which has not gone out yet: were B told of the delete first, it would
    /// let its tombstone go, and the write that knew nothing of the delete would meet no row and leave no conflict.
    #[test]
    fn what_was_seen_is_announced_only_at_the_end_of_the_log() {
        let page =
            |through| Page { changes: vec![(Sequence(1), change(5, "a"))], through: Sequence(through) };
        let seen: BTreeMap<_, _> = [(region("c"), Hlc(8))].into();
        let announcement = Announcement { seen: seen.clone(), ..announcement(7, 99) };
        assert_eq!(link().batch(page(1), &announcement).seen, BTreeMap::new());
        assert_eq!(link().batch(page(7), &announcement).seen, seen);
    }

    /// A watermark announced at sequence 7 says nothing of a batch that ends at 1, after the destination went back.
    #[test]
    fn watermark_belongs_to_its_sequence() {
        let mut link = link();
        let page =
            |through| Page { changes: vec![(Sequence(1), change(5, "a"))], through: Sequence(through) };
        assert_eq!(link.batch(page(7), &announcement(7, 99)).watermark, Hlc(99));
        link.answered(Arrived::Through { cursor: Sequence(7) });
        link.answered(Arrived::Gap { cursor: Sequence::ZERO });
        assert_eq!(link.batch(page(1), &announcement(7, 99)).watermark, Hlc(5));
    }

    /// Two pages of others' changes are passed: the batch that comes next answers for them, and names what stands at its end.
    #[test]
    fn what_does_not_travel_is_passed_and_answered_for_later() {
        let mut link = link();
        let foreign = |at| Page { changes: vec![(Sequence(at), change(at, "b"))], through: Sequence(at) };
        for at in [1, 2] {
            assert!(!link.carries(&foreign(at)));
            link.pass(&foreign(at));
        }
        assert_eq!((link.acknowledged, link.walked()), (Sequence(0), Sequence(2)));
        let heartbeat = link.batch(Page { changes: Vec::new(), through: Sequence(2) }, &announcement(2, 9));
        assert_eq!((heartbeat.after, heartbeat.through), (Sequence(0), Sequence(2)));
        assert_eq!(heartbeat.at.map(|at| at.hlc), Some(Hlc(2)), "or a sound log would be taken for another");
        let page = Page { changes: vec![(Sequence(3), change(3, "a"))], through: Sequence(3) };
        let batch = link.batch(page, &announcement(3, 9));
        assert_eq!((batch.after, batch.through, batch.changes.len()), (Sequence(0), Sequence(3), 1));
        link.answered(Arrived::Through { cursor: Sequence(1) });
        assert_eq!((link.acknowledged, link.walked()), (Sequence(1), Sequence(2)));
        link.answered(Arrived::Gap { cursor: Sequence::ZERO });
        assert_eq!(link.walked(), Sequence::ZERO, "further back than it passed: all of it goes again");
    }

    #[test]
    fn a_gap_goes_back_to_what_the_destination_has() {
        let mut link = link();
        link.answered(Arrived::Through { cursor: Sequence(9) });
        link.answered(Arrived::Gap { cursor: Sequence(4) });
        assert_eq!(link.acknowledged, Sequence(4));
    }

    #[test]
    fn a_restored_log_is_found_out() {
        let version = |hlc| Some(Version { hlc: Hlc(hlc), origin: region("a") });
        assert!(diverged(Sequence(10), version(5), Sequence(8), None), "the log ends before the position");
        assert!(
            diverged(Sequence(3), version(5), Sequence(8), Some(&change(6, "a"))),
            "another change there"
        );
        assert!(!diverged(Sequence(3), version(5), Sequence(8), Some(&change(5, "a"))));
        assert!(!diverged(Sequence(3), version(5), Sequence(8), None), "trimmed");
        let newest = change(5, "a");
        assert!(!diverged(Sequence(8), version(5), Sequence(8), Some(&newest)), "committed just now");
    }
}
