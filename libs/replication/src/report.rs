//! What links do, for operators: per link, and per table and destination under CloudWatch's names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tradewind_model::{Region, Sequence};

use crate::replicator::{LinkState, LinkStatus};

/// A destination that has not answered for three heartbeats, and has not failed to either, may be anything.
const UNHEARD_MS: u64 = 30_000;

/// A link and what it does. Times are Unix milliseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkReport {
    pub table: String,
    pub partition: u32,
    pub from: Region,
    pub to: Region,
    pub state: LinkState,
    pub pending: u64,
    pub acknowledged: Sequence,
    pub latency_ms: Option<u64>,
    /// The age of the oldest change the destination has not confirmed.
    pub oldest_age_ms: Option<u64>,
    /// How long it takes, at the pace of the last minute, until the destination has all.
    pub left_ms: Option<u64>,
    pub last_answer_ms: u64,
    pub error: Option<String>,
}

impl LinkReport {
    pub fn new(
        table: String,
        partition: u32,
        from: Region,
        to: Region,
        status: LinkStatus,
        now_ms: u64,
    ) -> LinkReport {
        let heard_ms = now_ms.saturating_sub(status.last_answer_ms);
        let state = match status.state {
            LinkState::Idle | LinkState::Running if heard_ms > UNHEARD_MS => LinkState::Unknown,
            state => state,
        };
        LinkReport {
            table,
            partition,
            from,
            to,
            state,
            pending: status.pending,
            acknowledged: status.acknowledged,
            latency_ms: status.latency_ms,
            oldest_age_ms: oldest_at_ms(&status).map(|at_ms| now_ms.saturating_sub(at_ms)),
            left_ms: status.left_ms,
            last_answer_ms: status.last_answer_ms,
            error: status.error,
        }
    }
}

/// When the oldest change was made that is not confirmed. Where only its existence is known, it is younger than the last
/// answer.
fn oldest_at_ms(status: &LinkStatus) -> Option<u64> {
    let stands = status.pending > 0 && !matches!(status.state, LinkState::Running | LinkState::Idle);
    status.oldest_unsent_ms.or(Some(status.last_answer_ms).filter(|at_ms| stands && *at_ms > 0))
}

/// Whether a link of the table stands still until the table is repaired.
pub fn has_stopped(links: &[LinkReport], table: &str) -> bool {
    let stopped = |link: &&LinkReport| matches!(link.state, LinkState::Diverged | LinkState::Trimmed);
    links.iter().filter(|link| link.table == table).any(|link| stopped(&link))
}

/// All links of a table to a destination together.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TableReport {
    pub table: String,
    pub from: Region,
    pub to: Region,
    /// The worst of its links'.
    pub state: LinkState,
    #[serde(rename = "ReplicationLatency")]
    pub latency_ms: Option<u64>,
    #[serde(rename = "PendingReplicationCount")]
    pub pending: u64,
    #[serde(rename = "AgeOfOldestUnreplicatedRecord")]
    pub oldest_age_ms: Option<u64>,
    pub left_ms: Option<u64>,
}

/// Per table and destination: sums of what is pending, the worst of everything else.
pub fn by_table(links: &[LinkReport]) -> Vec<TableReport> {
    let mut tables: BTreeMap<(&str, Region, Region), TableReport> = BTreeMap::new();
    for link in links {
        let table = tables.entry((&link.table, link.from, link.to)).or_insert_with(|| TableReport {
            table: link.table.clone(),
            from: link.from,
            to: link.to,
            state: link.state,
            latency_ms: None,
            pending: 0,
            oldest_age_ms: None,
            left_ms: None,
        });
        table.state = table.state.max(link.state);
        table.latency_ms = table.latency_ms.max(link.latency_ms);
        table.pending += link.pending;
        table.oldest_age_ms = table.oldest_age_ms.max(link.oldest_age_ms);
        table.left_ms = table.left_ms.max(link.left_ms);
    }
    tables.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_heard_nothing_for_long_is_unknown_and_not_idle() {
        let region = |name: &str| Region::new(name).unwrap();
        let state_at = |state, now_ms| {
            let status = LinkStatus { state, last_answer_ms: 1000, ..LinkStatus::default() };
            LinkReport::new("orders".to_owned(), 0, region("a"), region("b"), status, now_ms).state
        };
        assert_eq!(state_at(LinkState::Idle, 31_000), LinkState::Idle);
        assert_eq!(state_at(LinkState::Idle, 31_001), LinkState::Unknown);
        assert_eq!(state_at(LinkState::Stalled, 99_000), LinkState::Stalled, "why is known");
    }

    /// As others had it: the lag of a stalled link reads zero.
    #[test]
    fn stall_is_not_zero_lag() {
        let region = |name: &str| Region::new(name).unwrap();
        let age = |status| {
            LinkReport::new("orders".to_owned(), 0, region("a"), region("b"), status, 61_000).oldest_age_ms
        };
        let stalled = LinkStatus {
            state: LinkState::Stalled,
            pending: 3,
            last_answer_ms: 1000,
            ..LinkStatus::default()
        };
        assert_eq!(age(stalled.clone()), Some(60_000));
        assert_eq!(age(LinkStatus { oldest_unsent_ms: Some(31_000), ..stalled }), Some(30_000));
        let running = LinkStatus { state: LinkState::Running, last_answer_ms: 1000, ..LinkStatus::default() };
        assert_eq!(age(running), None);
    }

    #[test]
    fn a_table_is_as_well_as_its_worst_link() {
        let region = |name: &str| Region::new(name).unwrap();
        let link = |partition, state, pending, oldest_unsent_ms| {
            let status = LinkStatus { state, pending, oldest_unsent_ms, ..LinkStatus::default() };
            LinkReport::new("orders".to_owned(), partition, region("a"), region("b"), status, 1000)
        };
        let links = [
            link(0, LinkState::Idle, 0, None),
            link(1, LinkState::Stalled, 7, Some(400)),
            link(2, LinkState::Running, 2, Some(900)),
        ];
        let [table] = &by_table(&links)[..] else { panic!("one table and destination") };
        assert_eq!((table.state, table.pending, table.oldest_age_ms), (LinkState::Stalled, 9, Some(600)));
    }
}
