//! Removing much at once, on a thread apart: hours of the log, and all rows under a prefix.
//!
//! ```text
//! seal (committer) ─► last change of each partition (here) ─► kept_from durable ─► keyspaces dropped (committer)
//! ```
//!
//! In this order `kept` is honest through every crash: it may name too little, never what is gone. A sealed keyspace gets
//! no more changes, so what is found in it stays true.

use std::collections::HashMap;

use ::fjall::{Readable, UserKey};
use tokio::sync::oneshot;
use tradewind_model::{PartitionId, Sequence};

use super::group::Request;
use super::log::last_changes;
use super::queue::Requests;
use super::stopped;
use super::tables::{Tables, broken};
use crate::{Error, Space};

/// Rows removed by one commit: few enough to let other commits in between.
const CLEAR_ROWS: usize = 1024;

/// Drops the log's keyspaces of hours before `before_hour`.
pub fn trim(tables: &Tables, requests: &Requests, before_hour: u64) -> Result<(), Error> {
    let sealed = ask(requests, |done| Request::Seal { before_hour, done })?;
    if sealed.is_empty() {
        return Ok(());
    }
    let mut last: HashMap<PartitionId, Sequence> = HashMap::new();
    let snapshot = tables.published();
    for (_, keyspace) in &sealed {
        // Oldest first, so the last one wins.
        last.extend(last_changes(keyspace, &snapshot)?);
    }
    let hours = sealed.iter().map(|(hour, _)| *hour).collect();
    ask(requests, |done| Request::Forget { hours, last_changes: last.into_iter().collect(), done })
}

pub fn clear(tables: &Tables, requests: &Requests, space: Space, prefix: &[u8]) -> Result<(), Error> {
    let Some(keyspace) = tables.space(space) else { return Ok(()) };
    let mut rows = tables.published().prefix(keyspace, prefix);
    loop {
        let chunk: ::fjall::Result<Vec<UserKey>> =
            rows.by_ref().take(CLEAR_ROWS).map(|row| row.key()).collect();
        let keys = chunk.map_err(broken)?;
        if keys.is_empty() {
            return Ok(());
        }
        ask(requests, |done| Request::Remove { space, keys, done })?;
    }
}

fn ask<T>(
    requests: &Requests,
    request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
) -> Result<T, Error> {
    let (done, answer) = oneshot::channel();
    // Nobody else is on this thread: it is called at once.
    drop(requests.push(request(done)).ok_or_else(stopped)?);
    answer.blocking_recv().unwrap_or_else(|_| Err(Error::Unknown("the committer stopped".to_owned())))
}
