//! Merging a change from another region: which write an item keeps, and what must not be lost without a trace.
//!
//! The greater version wins, the whole item, deletes included. With `⊔` for merging:
//!
//! ```text
//! a ⊔ b = b ⊔ a        (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)        a ⊔ a = a
//! ```
//!
//! so that regions which have applied the same changes hold the same items, whatever the order. A conflict is two writes
//! of which neither knew the other, as the vectors tell; its loser goes to the conflict log.

use serde::{Deserialize, Serialize};
use tradewind_model::{Hlc, Item, StoredItem, Vector, Version};

/// A write that lost, to be kept in the conflict log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loser {
    /// The write that arrived.
    Incoming,
    /// The write that was stored.
    Stored,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two writes that did not know each other.
    Conflict,
    /// A write lost to a delete by TTL that did not know it.
    Expired,
    /// A version at or below stable met no row: its item was deleted, and the tombstone is gone.
    Late,
    /// An evicted region's own write.
    Evicted,
}

/// What merging changes; nothing for a version that was applied already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Merged {
    /// The row to store: the winner, or the stored row with what it has learned. `None`: it stays as it is.
    pub row: Option<StoredItem>,
    /// Whether the incoming write is the item now.
    pub applied: bool,
    pub lost: Option<(Loser, Kind)>,
}

/// `stored ⊔ incoming` in a region whose stable is `stable`. `incoming` is a row, or a change seen as one, that carries
/// its sender's stable.
pub fn merge(stored: Option<&StoredItem>, incoming: StoredItem, stable: Hlc) -> Merged {
    match stored {
        Some(stored) => merge_rows(stored, incoming, stable),
        None if incoming.version.hlc > stable => insert(incoming, stable),
        // A delete that comes after its tombstone is gone says nothing new.
        None => {
            let lost = incoming.item.is_some().then_some((Loser::Incoming, Kind::Late));
            Merged { lost, ..Merged::default() }
        }
    }
}

/// The same for a row of a snapshot: one whose version is at or below stable may well be missing here.
pub fn merge_snapshot(stored: Option<&StoredItem>, incoming: StoredItem, stable: Hlc) -> Merged {
    match stored {
        Some(stored) => merge_rows(stored, incoming, stable),
        // A tombstone that may go, and is gone already.
        None if incoming.item.is_none() && incoming.version.hlc <= stable => Merged::default(),
        None => insert(incoming, stable),
    }
}

fn insert(incoming: StoredItem, stable: Hlc) -> Merged {
    let mut row = settle(incoming, None, stable);
    row.vector.prune(row.stable.unwrap_or(stable));
    Merged { row: Some(row), applied: true, lost: None }
}

fn merge_rows(stored: &StoredItem, incoming: StoredItem, stable: Hlc) -> Merged {
    if stored.version == incoming.version {
        return Merged::default();
    }
    let incoming_knew = knew(&incoming, Hlc::ZERO, stored.version);
    let stored_knew = knew(stored, stable, incoming.version);
    let concurrent = !incoming_knew && !stored_knew;
    let wins = incoming.version > stored.version;
    let lost = concurrent.then(|| lost(stored, &incoming, wins)).flatten();
    if wins {
        let vector = pasts(stored, &incoming, stable);
        let row = settle(StoredItem { vector, ..incoming }, stored.stable, stable);
        return Merged { row: Some(row), applied: true, lost };
    }
    if stored_knew {
        return Merged::default();
    }
    let vector = pasts(&incoming, stored, stable);
    let row = settle(StoredItem { vector, ..stored.clone() }, incoming.stable, stable);
    Merged { row: Some(row), applied: false, lost }
}

/// Whether the write of `row` had `version` in its past. What is missing from a row's vector is at most the stable it
/// carries, or its holder's.
fn knew(row: &StoredItem, holders_stable: Hlc, version: Version) -> bool {
    let own = if row.version.origin == version.origin { row.version.hlc } else { Hlc::ZERO };
    let entry = row.vector.get(version.origin).unwrap_or(Hlc::ZERO);
    own.max(entry).max(holders_stable).max(row.stable.unwrap_or(Hlc::ZERO)) >= version.hlc
}

/// Whether `row` is that write or names it in its past; what stable leaves out of a vector is not asked.
pub fn names(row: &StoredItem, version: Version) -> bool {
    let own = if row.version.origin == version.origin { row.version.hlc } else { Hlc::ZERO };
    own.max(row.vector.get(version.origin).unwrap_or(Hlc::ZERO)) >= version.hlc
}

/// The winner's vector: the union of both, the loser's own version included.
fn pasts(loser: &StoredItem, winner: &StoredItem, stable: Hlc) -> Vector {
    let mut vector = winner.vector.clone();
    vector.union(&loser.vector);
    if loser.version.origin != winner.version.origin {
        vector.raise(loser.version.origin, loser.version.hlc);
    }
    vector.prune(stable.max(loser.stable.unwrap_or(Hlc::ZERO)).max(winner.stable.unwrap_or(Hlc::ZERO)));
    vector
}

/// Keeps the greatest stable that either row carried, while it is ahead of the holder's.
fn settle(mut row: StoredItem, other: Option<Hlc>, stable: Hlc) -> StoredItem {
    row.stable = row.stable.max(other).filter(|carried| *carried > stable);
    row
}

fn lost(stored: &StoredItem, incoming: &StoredItem, incoming_wins: bool) -> Option<(Loser, Kind)> {
    if stored.item == incoming.item {
        return None; // two deletes, or the same value twice
    }
    let (loser, winner) = if incoming_wins { (Loser::Stored, incoming) } else { (Loser::Incoming, stored) };
    Some((loser, if winner.expired { Kind::Expired } else { Kind::Conflict }))
}

/// The row of a local write over `stored`: it knows all that the stored row knew, and that row itself.
pub fn written(
    stored: Option<&StoredItem>,
    version: Version,
    item: Option<Item>,
    expired: bool,
    stable: Hlc,
) -> StoredItem {
    let mut row = StoredItem { version, vector: Vector::default(), stable: None, expired, item };
    if let Some(stored) = stored {
        assert!(version > stored.version, "a later write has a greater version");
        row.vector = stored.vector.clone();
        if stored.version.origin != version.origin {
            row.vector.raise(stored.version.origin, stored.version.hlc);
        }
        row = settle(row, stored.stable, stable);
        row.vector.prune(row.stable.unwrap_or(stable));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tradewind_model::{Region, Writer};

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn version(hlc: u64, origin: &str) -> Version {
        Version { hlc: Hlc(hlc), origin: region(origin) }
    }

    fn item(text: &str) -> Option<Item> {
        Some(Item::build(|out: &mut Writer| {
            out.name("v");
            out.string(text);
        }))
    }

    fn row(hlc: u64, origin: &str, value: Option<Item>, knows: &[(&str, u64)]) -> StoredItem {
        let vector = knows.iter().map(|(name, hlc)| (region(name), Hlc(*hlc))).collect();
        StoredItem { version: version(hlc, origin), vector, stable: None, expired: false, item: value }
    }

    /// What a region holds after applying `rows` in this order.
    fn held(rows: &[StoredItem]) -> Option<StoredItem> {
        rows.iter().fold(None, |stored: Option<StoredItem>, incoming| {
            merge(stored.as_ref(), incoming.clone(), Hlc::ZERO).row.or(stored)
        })
    }

    #[test]
    fn newer_version_wins() {
        let (old, new) = (row(1, "a", item("x"), &[]), row(2, "b", item("y"), &[("a", 1)]));
        let merged = merge(Some(&old), new.clone(), Hlc::ZERO);
        assert!(merged.applied);
        assert_eq!(merged.lost, None, "it knew what it overwrote");
        assert_eq!(merged.row.unwrap().item, item("y"));
        assert_eq!(merge(Some(&new), old, Hlc::ZERO), Merged::default());
    }

    #[test]
    fn tie_breaks_by_region() {
        let (a, b) = (row(5, "a", item("x"), &[]), row(5, "b", item("y"), &[]));
        assert_eq!(held(&[a.clone(), b.clone()]).unwrap().item, item("y"));
        assert_eq!(held(&[b, a]).unwrap().item, item("y"));
    }

    #[test]
    fn delete_delete_advances_version() {
        let (first, second) = (row(1, "a", None, &[]), row(2, "b", None, &[]));
        let merged = merge(Some(&first), second, Hlc::ZERO);
        assert_eq!(merged.row.unwrap().version, version(2, "b"));
        assert_eq!(merged.lost, None, "two concurrent deletes are no conflict");
    }

    #[test]
    fn the_loser_of_a_conflict_is_named_on_both_sides() {
        let (a, b) = (row(1, "a", item("x"), &[]), row(2, "b", item("y"), &[]));
        assert_eq!(merge(Some(&a), b.clone(), Hlc::ZERO).lost, Some((Loser::Stored, Kind::Conflict)));
        assert_eq!(merge(Some(&b), a, Hlc::ZERO).lost, Some((Loser::Incoming, Kind::Conflict)));
    }

    #[test]
    fn equal_values_are_no_conflict() {
        let merged = merge(Some(&row(1, "a", item("x"), &[])), row(2, "b", item("x"), &[]), Hlc::ZERO);
        assert_eq!((merged.applied, merged.lost), (true, None));
    }

    #[test]
    fn a_write_that_loses_to_expiry_is_logged_as_expired() {
        let expiry = StoredItem { expired: true, ..row(2, "b", None, &[]) };
        let merged = merge(Some(&expiry), row(1, "a", item("x"), &[]), Hlc::ZERO);
        assert_eq!(merged.lost, Some((Loser::Incoming, Kind::Expired)));
    }

    /// B puts w1 concurrently with C's w0, applies w0 and puts w2 over both. A gets w1, then w2: had B's row not kept
    /// w1's own version beside the winner's, A would log a conflict.
    #[test]
    fn union_keeps_losers_own_version() {
        let w0 = row(10, "c", item("w0"), &[]);
        let w1 = row(5, "b", item("w1"), &[]);
        let at_b = merge(Some(&w1), w0, Hlc::ZERO).row.unwrap();
        let w2 = written(Some(&at_b), version(20, "b"), item("w2"), false, Hlc::ZERO);
        let at_a = merge(Some(&w1), w2, Hlc::ZERO);
        assert_eq!((at_a.applied, at_a.lost), (true, None));
    }

    #[test]
    fn no_false_conflicts_on_causal_chain() {
        let at_a = written(None, version(1, "a"), item("1"), false, Hlc::ZERO);
        let at_b = written(Some(&at_a), version(2, "b"), item("2"), false, Hlc::ZERO);
        let at_c = written(Some(&at_b), version(3, "c"), item("3"), false, Hlc::ZERO);
        assert_eq!(merge(Some(&at_a), at_c.clone(), Hlc::ZERO).lost, None);
        assert_eq!(merge(Some(&at_c), at_b, Hlc::ZERO), Merged::default());
    }

    #[test]
    fn out_of_order_across_origins() {
        let at_a = written(None, version(1, "a"), item("1"), false, Hlc::ZERO);
        let at_b = written(Some(&at_a), version(2, "b"), item("2"), false, Hlc::ZERO);
        assert_eq!(held(&[at_b.clone(), at_a.clone()]).unwrap().item, item("2"));
        assert_eq!(merge(Some(&at_b), at_a, Hlc::ZERO).lost, None);
    }

    #[test]
    fn delete_missing_is_tombstone() {
        let merged = merge(None, row(1, "a", None, &[]), Hlc::ZERO);
        assert!(merged.row.unwrap().item.is_none());
    }

    #[test]
    fn tombstone_keeps_origin_no_loop() {
        let merged = merge(Some(&row(1, "b", item("x"), &[])), row(2, "a", None, &[("b", 1)]), Hlc::ZERO);
        assert_eq!(merged.row.unwrap().version, version(2, "a"));
    }

    #[test]
    fn late_writes_are_logged_not_applied() {
        let merged = merge(None, row(3, "a", item("x"), &[]), Hlc(3));
        assert_eq!(merged, Merged { row: None, applied: false, lost: Some((Loser::Incoming, Kind::Late)) });
        assert!(merge(None, row(4, "a", item("x"), &[]), Hlc(3)).applied);
    }

    /// B deleted k; A applied that, its stable passed it, it dropped the tombstone and put k. B's stable is behind.
    #[test]
    fn change_carries_writers_stable() {
        let at_b = row(5, "b", None, &[]);
        let put = StoredItem { stable: Some(Hlc(5)), ..row(9, "a", item("x"), &[]) };
        let merged = merge(Some(&at_b), put.clone(), Hlc::ZERO);
        assert_eq!((merged.applied, merged.lost), (true, None));
        assert_eq!(merged.row.unwrap().stable, Some(Hlc(5)), "kept until B's own has passed it");
        let unaware = StoredItem { stable: None, ..put };
        assert!(merge(Some(&at_b), unaware, Hlc::ZERO).lost.is_some());
    }

    #[test]
    fn a_missing_entry_in_a_stored_row_means_at_most_the_holders_stable() {
        let stored = row(9, "b", item("y"), &[]);
        assert_eq!(merge(Some(&stored), row(4, "a", item("x"), &[]), Hlc(4)).lost, None);
        assert!(merge(Some(&stored), row(5, "a", item("x"), &[]), Hlc(4)).lost.is_some());
    }

    fn any_row() -> impl Strategy<Value = StoredItem> {
        let origin = prop_oneof![Just("a"), Just("b"), Just("c")];
        (1u64..6, origin, 0u8..4).prop_map(|(hlc, origin, knows)| {
            // The value follows from the version, as in reality: a version names one write.
            let value = if hlc % 2 == 0 { None } else { item(&format!("{hlc}{origin}")) };
            let past = u64::from(knows).min(hlc - 1);
            let others = ["a", "b", "c"].into_iter().filter(|other| *other != origin);
            row(hlc, origin, value, &others.map(|other| (other, past)).collect::<Vec<_>>())
        })
    }

    /// Rows of one version are one write: generate each version once.
    fn any_rows() -> impl Strategy<Value = Vec<StoredItem>> {
        proptest::collection::vec(any_row(), 1..6).prop_map(|mut rows| {
            rows.sort_by_key(|row| row.version);
            rows.dedup_by_key(|row| row.version);
            rows
        })
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(rows in any_rows(), seed in any::<u64>()) {
            let mut shuffled = rows.clone();
            let mut state = seed;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            let again: Vec<_> = shuffled.iter().chain(&rows).cloned().collect();
            let outcome = |rows: &[StoredItem]| held(rows).map(|row| (row.version, row.item));
            prop_assert_eq!(outcome(&rows), outcome(&shuffled));
            prop_assert_eq!(outcome(&rows), outcome(&again));
        }

        #[test]
        fn the_greatest_version_is_kept(rows in any_rows()) {
            let greatest = rows.iter().map(|row| row.version).max().unwrap();
            prop_assert_eq!(held(&rows).unwrap().version, greatest);
        }
    }
}
