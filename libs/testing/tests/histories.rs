//! Histories that broke products or weaker rules, told step by step through the simulation's machinery.
//!
//! Regions are 0, 1 and 2, keys 0 to 3. The histories that concern a single merge are tests of `database::merge`.

use tradewind_database::merge::Kind;
use tradewind_model::{Hlc, Item};
use tradewind_testing::simulation::life::Stage;
use tradewind_testing::simulation::table::{item, region};
use tradewind_testing::simulation::{Broken, Property, Violation, World};

type Told = Result<(), Violation>;

fn value(key: usize, text: &str) -> Option<Item> {
    Some(item(key, text, false))
}

/// A has x = 1; B's x = 2 is under way; A acknowledges a put of x = 1. Were that no change, B's older write would undo it.
#[test]
fn noop_write_is_a_change() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 0, "1")?;
    world.pass(0, 1)?;
    world.advance(15);
    world.put(1, 0, "2")?;
    world.dispatch(1, 0)?;
    world.advance(5);
    world.put(0, 0, "1")?;
    world.deliver_all()?;
    assert_eq!(world.item(0, 0), value(0, "1"));
    world.finish()?;
    assert_eq!(world.item(1, 0), value(0, "1"));
    assert_eq!(world.conflicts(0)[0].loser.item, value(0, "2"), "what lost is not lost without a trace");
    Ok(())
}

/// A region with several partitions announces for its idle ones as well, or the others keep a tombstone for ever.
#[test]
fn idle_partitions_let_tombstones_go() -> Told {
    let mut world = World::told([1, 2, 3]);
    world.put(0, 0, "1")?;
    world.sync()?;
    world.advance(10);
    world.delete(0, 0)?;
    world.sync()?;
    assert_eq!([0, 1, 2].map(|region| world.tombstone_count(region)), [1, 1, 1]);
    // Only the region that deleted has told how far it is: nothing may go yet.
    world.prune_all()?;
    assert_eq!([0, 1, 2].map(|region| world.tombstone_count(region)), [1, 1, 1]);
    world.finish()?;
    assert_eq!([0, 1, 2].map(|region| world.tombstone_count(region)), [0, 0, 0]);
    Ok(())
}

/// B has one partition, A has three, and only the first has announced itself: B knows nothing of A as a whole.
#[test]
fn what_never_announced_is_not_seen() -> Told {
    let mut world = World::told([3, 1, 1]);
    world.raise_all()?;
    world.pass_from(0, 0, 1)?;
    assert_eq!(world.seen(1, 0), Hlc::ZERO);
    world.pass(0, 1)?;
    assert_eq!(world.seen(1, 0).ms(), world.now_ms(0));
    world.finish()
}

/// A's stable has passed B's delete and the tombstone is gone; A crashes and puts. What A knew when it pruned must go with
/// the put, or B, whose stable is behind, logs a conflict between a delete and a put that followed it.
#[test]
fn stable_never_goes_back() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(1, 0, "1")?;
    world.advance(10);
    world.delete(1, 0)?;
    world.sync()?;
    world.advance(1000);
    world.raise_all()?;
    world.sync()?;
    world.prune_region(0)?;
    let stable = world.stable(0);
    assert!(stable > Hlc::ZERO && world.row(0, 0).is_none(), "A has pruned");
    assert!(world.row(1, 0).is_some() && world.stable(1) == Hlc::ZERO, "B has not");
    world.crash(0);
    world.reopen(0)?;
    assert_eq!(world.stable(0), stable);
    world.put(0, 0, "2")?;
    world.pass(0, 1)?;
    assert_eq!(world.item(1, 0), value(0, "2"));
    world.finish()?;
    assert!((0..3).all(|region| world.conflicts(region).is_empty()));
    Ok(())
}

/// A has dropped the tombstone and put; B applies that and puts again; C, which still has the tombstone, hears of B's put
/// first. B's row must have kept what A's put carried, or C logs a conflict.
#[test]
fn a_row_keeps_the_stable_it_carried() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(2, 0, "1")?;
    world.advance(10);
    world.delete(2, 0)?;
    world.sync()?;
    world.advance(1000);
    world.raise_all()?;
    world.sync()?;
    world.prune_region(0)?;
    assert!(world.row(0, 0).is_none() && world.row(2, 0).is_some(), "A has pruned, C has not");
    world.put(0, 0, "2")?;
    world.pass(0, 1)?;
    world.put(1, 0, "3")?;
    world.pass(1, 2)?;
    assert_eq!(world.item(2, 0), value(0, "3"));
    assert!(world.conflicts(2).is_empty());
    world.finish()
}

/// A replica is new after a prune: what stable would be now is zero, what it was stays.
#[test]
fn stable_stays_when_a_replica_joins() -> Told {
    let mut world = World::told([1, 2, 1]);
    world.put(1, 0, "1")?;
    world.delete(1, 0)?;
    (0..3).try_for_each(|_| world.round())?;
    let stable = world.stable(0);
    assert!(stable > Hlc::ZERO);
    world.count_another_replica();
    world.delete(0, 1)?;
    world.prune_all()?;
    assert_eq!(world.stable(0), stable);
    assert_eq!(world.tombstone_count(0), 1, "the new replica has not told how far it is");
    Ok(())
}

/// The first of two batches is lost: the second is refused, and nothing of it taken.
#[test]
fn batch_gap_is_refused() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 0, "1")?;
    world.dispatch(0, 1)?;
    world.lose();
    world.believe(0, 1);
    world.put(0, 1, "2")?;
    world.dispatch(0, 1)?;
    world.deliver_all()?;
    assert_eq!((world.item(1, 0), world.item(1, 1)), (None, None), "neither the lost nor what came after it");
    world.dispatch(0, 1)?;
    world.deliver_all()?;
    assert_eq!(
        (world.item(1, 0), world.item(1, 1)),
        (value(0, "1"), value(1, "2")),
        "it begins where the gap began"
    );
    world.finish()
}

/// W stands behind the last of three changes and is not believed before: the destination keeps its promise to wait.
#[test]
fn watermark_belongs_to_its_sequence() -> Told {
    let mut world = World::told([1, 1, 1]);
    for key in 0..3 {
        world.advance(10);
        world.put(0, key, "1")?;
    }
    world.set_page(1);
    let announced = world.max_hlc(0);
    world.dispatch(0, 1)?;
    world.deliver_all()?;
    assert!(world.seen(1, 0) < announced, "one of three changes has come");
    world.pass(0, 1)?;
    assert_eq!(world.seen(1, 0), announced);
    world.finish()
}

/// An idle owner with a fast clock announces W and dies; its successor, whose clock is slow, assigns versions above W.
#[test]
fn idle_watermark_is_committed_first() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 0, "1")?;
    world.set_skew_ms(0, 400);
    world.refuse_next_commit(0);
    world.raise_all()?;
    world.pass(0, 1)?;
    let announced = world.seen(1, 0);
    assert!(announced.ms() < world.now_ms(0), "what was not committed is not announced");
    world.advance(1000);
    world.raise_all()?;
    world.pass(0, 1)?;
    assert_eq!(world.seen(1, 0).ms(), world.now_ms(0));
    world.crash(0);
    world.set_skew_ms(0, -400);
    world.reopen(0)?;
    world.put(0, 0, "2")?;
    assert!(world.row(0, 0).is_some_and(|row| row.version.hlc > world.seen(1, 0)));
    world.finish()
}

/// Regions of one, two and three partitions over the same hashes: the last deletes arrive, and their tombstones go.
#[test]
fn unequal_partition_counts_lose_nothing() -> Told {
    let mut world = World::told([3, 1, 2]);
    for round in 0..3 {
        for key in 0..4 {
            world.advance(1);
            world.put((key + round) % 3, key, &format!("{round}"))?;
        }
        world.sync()?;
    }
    (0..4).try_for_each(|key| world.delete(key % 3, key).map(|_| ()))?;
    world.sync()?;
    for key in 0..4 {
        assert_eq!([0, 1, 2].map(|region| world.item(region, key)), [None, None, None]);
    }
    world.finish()
}

/// C's put is still under way when A deletes and B has the tombstone. Were that dropped before C has announced, the older
/// put would bring the item back.
#[test]
fn no_gc_before_watermarks() -> Told {
    let mut world = World::told([1, 2, 1]);
    world.put(2, 0, "late")?;
    world.advance(10);
    world.put(0, 0, "1")?;
    world.delete(0, 0)?;
    world.pass(0, 1)?;
    world.advance(60_000);
    for _ in 0..5 {
        world.raise_all()?;
        world.pass(0, 1)?;
        world.pass(1, 0)?;
        world.prune_all()?;
    }
    assert_eq!(world.tombstone_count(1), 1, "however long it takes");
    world.pass(2, 1)?;
    assert_eq!(world.item(1, 0), None);
    world.finish()?;
    assert_eq!(world.tombstone_count(1), 0);
    Ok(())
}

/// Whether the loser is the write that was here or the one that came, both regions name both writes and their origins.
#[test]
fn conflict_names_both_origins() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 0, "older")?;
    world.advance(10);
    world.put(1, 0, "newer")?;
    world.sync()?;
    for here in [0, 1] {
        let conflicts = world.conflicts(here);
        let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
        let winner = conflict.winner.as_ref().expect("there was another write");
        assert_eq!((conflict.loser.version.origin, winner.version.origin), (region(0), region(1)));
        assert_eq!(
            (conflict.loser.item.clone(), winner.item.clone()),
            (value(0, "older"), value(0, "newer"))
        );
        assert_eq!(conflict.kind, Kind::Conflict);
    }
    world.finish()
}

/// Two concurrent puts with different attributes: the item is one of them, not a mixture.
#[test]
fn item_is_one_write_or_the_other() -> Told {
    let mut world = World::told([1, 2, 3]);
    world.put_expiring(0, 0, "with a ttl")?;
    world.put(1, 0, "without")?;
    world.sync()?;
    let [a, b, c] = [0, 1, 2].map(|region| world.item(region, 0));
    assert!(a == Some(item(0, "with a ttl", true)) || a == value(0, "without"));
    assert_eq!((&a, &a), (&b, &c));
    world.finish()
}

/// A region's clock is ten minutes ahead: its writes wait for their time, and nobody else's clock or items follow them.
#[test]
fn fast_clock_is_bounded() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(1, 0, "before")?;
    world.sync()?;
    world.set_skew_ms(0, 600_000);
    world.put(0, 0, "from the future")?;
    world.dispatch(0, 1)?;
    world.deliver_all()?;
    assert_eq!(world.item(1, 0), value(0, "before"));
    world.advance(10);
    world.put(1, 0, "now")?;
    assert_eq!(world.row(1, 0).unwrap().version.hlc.ms(), world.now_ms(1), "its clock was not carried along");
    world.set_skew_ms(0, 0);
    world.advance(600_000);
    world.sync()?;
    assert_eq!(world.item(1, 0), value(0, "from the future"), "never dropped");
    world.finish()
}

/// The conflict and the item that it is about are one commit: where the record cannot be written nothing is applied, and the
/// batch is tried again as a whole.
#[test]
fn conflict_log_failure_is_contained() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 0, "older")?;
    world.advance(10);
    world.put(1, 0, "newer")?;
    world.dispatch(0, 1)?;
    world.refuse_next_commit(1);
    world.deliver_all()?;
    assert!(world.conflicts(1).is_empty());
    assert_eq!(world.seen(1, 0), Hlc::ZERO, "nothing of the batch counts as applied");
    world.pass(0, 1)?;
    assert_eq!(world.conflicts(1).len(), 1);
    assert_eq!(world.item(1, 0), value(0, "newer"));
    world.finish()
}

/// A partition gets a new owner while a tombstone waits there, and much time passes: an older put that comes late must not
/// bring the item back.
#[test]
fn gc_during_partition_move() -> Told {
    let mut world = World::told([1, 2, 1]);
    world.put(2, 0, "late")?;
    world.advance(10);
    world.put(0, 0, "1")?;
    world.delete(0, 0)?;
    world.pass(0, 1)?;
    for _ in 0..3 {
        world.crash(1);
        world.advance(3_600_000);
        world.reopen(1)?;
        world.raise_all()?;
        world.pass(0, 1)?;
        world.prune_all()?;
    }
    assert_eq!(world.tombstone_count(1), 1, "the new owner knows what the old one kept");
    world.pass(2, 1)?;
    assert_eq!(world.item(1, 0), None);
    world.finish()?;
    assert_eq!(world.tombstone_count(1), 0);
    Ok(())
}

/// A source sends the same changes again, and then again from the beginning: each is applied once, in order.
#[test]
fn replay_is_deduped_in_order() -> Told {
    let mut world = World::told([1, 1, 1]);
    for text in ["1", "2", "3"] {
        world.advance(10);
        world.put(0, 0, text)?;
    }
    (0..3).try_for_each(|_| world.dispatch(0, 1))?;
    world.deliver_all()?;
    assert_eq!((world.logged(1), world.item(1, 0)), (3, value(0, "3")));
    world.put(0, 0, "4")?;
    (0..2).try_for_each(|_| world.dispatch(0, 1))?;
    world.deliver_all()?;
    assert_eq!((world.logged(1), world.item(1, 0)), (4, value(0, "4")));
    world.finish()
}

/// A batch waits in the queue of an owner that dies: nothing of it was applied, and the next owner gets all of it.
#[test]
fn revoke_flushes_or_discards_uncommitted() -> Told {
    let mut world = World::told([1, 1, 1]);
    for key in 0..3 {
        world.put(0, key, "1")?;
    }
    world.dispatch(0, 1)?;
    world.queue_all();
    world.crash(1);
    world.reopen(1)?;
    assert_eq!(world.logged(1), 0);
    world.pass(0, 1)?;
    assert_eq!(world.logged(1), 3);
    for key in 0..3 {
        assert_eq!(world.item(1, key), value(key, "1"));
    }
    world.finish()
}

/// After A's log is pinned A puts k and B deletes it. Were the joiner not counted, both would drop the tombstone before the
/// snapshot, and the joiner would read the put alone.
#[test]
fn joiner_counts_before_pins() -> Told {
    let mut world = World::told([1, 2, 3]);
    world.leave_out(2);
    world.begin_join(0, 2);
    world.live_until(Stage::Seed)?;
    world.put(0, 0, "soon gone")?;
    world.pass(0, 1)?;
    world.advance(10);
    world.delete(1, 0)?;
    world.pass(1, 0)?;
    for _ in 0..5 {
        world.advance(1000);
        world.raise_all()?;
        world.pass(0, 1)?;
        world.pass(1, 0)?;
        world.prune_all()?;
    }
    assert_eq!([world.tombstone_count(0), world.tombstone_count(1)], [1, 1], "the joiner is waited for");
    world.live_to_end()?;
    assert_eq!(world.members(), [0, 1, 2]);
    assert_eq!(world.item(2, 0), None);
    world.finish()?;
    assert_eq!([0, 1, 2].map(|region| world.tombstone_count(region)), [0, 0, 0]);
    Ok(())
}

/// A has dropped a tombstone that B still holds when C joins by A. C's put over the absence knows of the delete, since C's
/// stable starts at the common watermark; else B would log a conflict.
#[test]
fn joiner_starts_at_common_watermark() -> Told {
    joins_beside_a_tombstone(World::told([1, 1, 1]))?;
    let broken = joins_beside_a_tombstone(World::told_with([1, 1, 1], Broken::JoinerStartsAtZero));
    assert_eq!(broken.unwrap_err().property, Property::ConflictsAreTrue, "the rule is needed");
    Ok(())
}

fn joins_beside_a_tombstone(mut world: World) -> Told {
    world.leave_out(2);
    world.put(1, 0, "1")?;
    world.advance(10);
    world.delete(1, 0)?;
    world.sync()?;
    world.advance(1000);
    world.raise_all()?;
    world.sync()?;
    world.prune_region(0)?;
    assert!(world.row(0, 0).is_none() && world.row(1, 0).is_some(), "A has pruned, B has not");
    world.begin_join(0, 2);
    world.live_to_end()?;
    assert!(world.row(2, 0).is_none() && world.row(1, 0).is_some());
    world.put(2, 0, "2")?;
    world.pass(2, 1)?;
    assert_eq!(world.item(1, 0), value(0, "2"));
    assert!(world.conflicts(1).is_empty());
    world.finish()
}

/// C has written over B's put, and A, whose stable has passed that put, has pruned it from the row's vector. C is evicted and A
/// gives B the row: it carries A's stable, or B, whose stable is behind, would log a conflict.
#[test]
fn rows_carry_stable() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(1, 0, "of B")?;
    world.put(0, 1, "to be deleted")?;
    world.delete(0, 1)?;
    world.sync()?;
    world.advance(1000);
    world.raise_all()?;
    world.sync()?;
    world.sync()?;
    world.prune_region(0)?;
    assert!(world.stable(0) > Hlc::ZERO && world.stable(1) == Hlc::ZERO);
    world.advance(10);
    world.put(2, 0, "of C")?;
    world.pass(2, 0)?;
    assert!(world.row(0, 0).is_some_and(|row| row.vector.is_empty()), "pruned");
    world.begin_eviction(0, 2);
    world.live_to_end()?;
    assert_eq!(world.item(1, 0), value(0, "of C"));
    assert!(world.conflicts(1).is_empty(), "{:?}", world.conflicts(1));
    world.finish()
}

/// An evicted region that does not know of it goes on, and so do links to it: the others' changes count without it what is
/// stable, so that it must not take them for knowing what it alone has written.
#[test]
fn the_evicted_takes_nothing_that_counts_without_it() -> Told {
    let mut world = World::told([1, 1, 1]);
    world.put(0, 1, "1")?;
    world.delete(0, 1)?;
    world.sync()?;
    world.begin_eviction(0, 2);
    world.live_to_end()?;
    world.put(2, 0, "only here")?;
    world.advance(1000);
    for _ in 0..2 {
        world.raise_all()?;
        world.pass(0, 1)?;
        world.pass(1, 0)?;
    }
    world.prune_all()?;
    assert!(world.stable(0) > Hlc::ZERO);
    world.advance(10);
    world.put(0, 0, "without it")?;
    world.dispatch(0, 2)?;
    world.deliver_all()?;
    assert_eq!(world.item(2, 0), value(0, "only here"), "kept until it is kept as a conflict");
    world.finish()
}
