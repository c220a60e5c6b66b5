//! How the living members of a group share what is to be done, each computing alike from the same lists.
//!
//! Each thing goes to the member that ranks it highest by a hash (Thaler and Ravishankar, 1998) and has room: shares differ
//! by one at most, and few things move when a member comes or goes.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The place among `members` of each thing's member, in the order of `things`; `None` where there are no members. The
/// order of neither list matters to who gets what.
pub fn share_out(members: &[impl AsRef<str>], things: &[impl AsRef<[u8]>]) -> Vec<Option<usize>> {
    let room = things.len().div_ceil(members.len().max(1));
    let seeds: Vec<_> = members.iter().map(|name| xxh3_64(name.as_ref().as_bytes())).collect();
    let mut loads = vec![0; members.len()];
    let mut shared = vec![None; things.len()];
    let mut order: Vec<_> = (0..things.len()).collect();
    order.sort_by(|a, b| things[*a].as_ref().cmp(things[*b].as_ref()));
    for nth in order {
        let rank = |member: &usize| {
            (xxh3_64_with_seed(things[nth].as_ref(), seeds[*member]), members[*member].as_ref())
        };
        let best = (0..members.len()).filter(|member| loads[*member] < room).max_by_key(rank);
        if let Some(best) = best {
            loads[best] += 1;
            shared[nth] = Some(best);
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|nth| format!("thing-{nth}").into_bytes()).collect()
    }

    #[test]
    fn shares_are_even_within_one() {
        for count in [0, 1, 2, 4, 7, 256] {
            let mut loads = [0; 3];
            for member in share_out(&["a", "b", "c"], &things(count)) {
                loads[member.expect("there are members")] += 1;
            }
            assert!(loads.iter().all(|load| *load <= count.div_ceil(3)), "{count}: {loads:?}");
        }
        assert!(share_out(&[""; 0], &things(3)).iter().all(Option::is_none));
    }

    #[test]
    fn the_order_of_the_lists_does_not_matter() {
        let things = things(50);
        let reversed: Vec<_> = things.iter().rev().cloned().collect();
        let (members, turned) = (["a", "b", "c"], ["c", "a", "b"]);
        let one: Vec<_> = share_out(&members, &things).into_iter().map(|at| members[at.unwrap()]).collect();
        let mut other: Vec<_> =
            share_out(&turned, &reversed).into_iter().map(|at| turned[at.unwrap()]).collect();
        other.reverse();
        assert_eq!(one, other);
    }

    #[test]
    fn most_stay_when_a_member_goes() {
        let things = things(300);
        let (three, two) = (share_out(&["a", "b", "c"], &things), share_out(&["a", "b"], &things));
        let stay = three.iter().zip(&two).filter(|(before, after)| before == after).count();
        assert!(stay >= 150, "{stay} of 200");
    }
}
