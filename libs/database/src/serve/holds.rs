//! The partitions held for transactions of other nodes.
//!
//! A hold and its end are two calls, which may cross, or of which one may be lost. The end counts, whichever comes first:
//! a hold that waits is given up, and one that comes after its end is refused. So a partition is never held one after another
//! for attempts that nobody waits for any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::partition::held::Held;

/// A call that is later than its end by more than this costs the partition one hold.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Ends of holds that are remembered; more are forgotten at once.
const MOST_ENDS: usize = 10_000;

#[derive(Default)]
pub struct Holds(Mutex<HashMap<Uuid, Standing>>);

enum Standing {
    /// It waits for the partition, while whoever waits has the other end.
    Waiting(oneshot::Sender<()>),
    /// One that its owner has given up stays until the next comes.
    Held(Held),
    /// Its end came first.
    Ended(Instant),
}

impl Holds {
    /// A hold begins to wait: what is answered ends with it. `None`: its end is there already.
    pub fn begin(&self, hold: Uuid) -> Option<oneshot::Receiver<()>> {
        let mut known = self.known();
        known.retain(|_, standing| standing.counts());
        if known.contains_key(&hold) {
            return None;
        }
        let (end, ended) = oneshot::channel();
        known.insert(hold, Standing::Waiting(end));
        Some(ended)
    }

    /// The hold stands, unless its end has come meanwhile: then what was held is given back.
    pub fn stands(&self, hold: Uuid, held: Held) -> Option<Held> {
        match self.known().get_mut(&hold) {
            Some(standing @ Standing::Waiting(_)) => {
                *standing = Standing::Held(held);
                None
            }
            _ => Some(held),
        }
    }

    /// The end of a hold: what was held, if it was.
    pub fn end(&self, hold: Uuid) -> Option<Held> {
        let mut known = self.known();
        let standing = known.remove(&hold);
        match standing {
            Some(Standing::Held(held)) => return Some(held),
            Some(Standing::Ended(_)) => (),
            Some(Standing::Waiting(_)) | None if known.len() < MOST_ENDS => {
                known.insert(hold, Standing::Ended(Instant::now()));
            }
            Some(Standing::Waiting(_)) | None => (),
        }
        None
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Whether it is still to be known.
    fn counts(&self) -> bool {
        match self {
            Standing::Waiting(end) => !end.is_closed(),
            Standing::Held(held) => !held.is_over(),
            Standing::Ended(at) => at.elapsed() < REMEMBERED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_hold_counts_also_when_it_comes_first() {
        let (holds, hold) = (Holds::default(), Uuid::from_u128(1));
        assert!(holds.end(hold).is_none());
        assert!(holds.begin(hold).is_none());
    }

    #[test]
    fn a_hold_that_waits_is_given_up_at_its_end() {
        let (holds, hold) = (Holds::default(), Uuid::from_u128(1));
        let mut ended = holds.begin(hold).unwrap();
        assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        assert!(holds.end(hold).is_none());
        assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let holds = Holds::default();
        drop(holds.begin(Uuid::from_u128(1)));
        let _waits = holds.begin(Uuid::from_u128(2));
        assert_eq!(holds.known().len(), 1);
    }
}
