//! Point reads: what waits is gathered into one statement per space and session.
//!
//! There is no timer: a group is what queued while the sessions were busy. One call's keys are never split over two
//! statements, so each call sees one state.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use tradewind_engine::{Error, Space};

use crate::connect::{Connection, Connector};
use crate::error::{is_statement_error, reason, refused};
use crate::long::{is_long, place};
use crate::pipeline::{Step, pipeline};
use crate::settings::PATIENCE;
use crate::source::RETRY;
use crate::statements;

/// Keys in one statement. A single call may have more, and then goes alone.
const MAX_KEYS: usize = 512;

struct Request {
    space: Space,
    keys: Vec<Box<[u8]>>,
    until: Instant,
    done: oneshot::Sender<Result<Vec<Option<Bytes>>, Error>>,
}

#[derive(Default)]
struct Waiting {
    requests: Mutex<VecDeque<Request>>,
    came: Notify,
}

pub struct Reader {
    waiting: Arc<Waiting>,
    workers: Vec<AbortHandle>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.workers.iter().for_each(AbortHandle::abort);
    }
}

impl Reader {
    pub fn start(connector: Connector, sessions: usize) -> Reader {
        let waiting = Arc::new(Waiting::default());
        let work = |_| tokio::spawn(work(waiting.clone(), connector.clone())).abort_handle();
        Reader { workers: (0..sessions.max(1)).map(work).collect(), waiting }
    }

    pub async fn read(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (done, answer) = oneshot::channel();
        let keys = keys.iter().map(|key| Box::from(*key)).collect();
        self.waiting.put([Request { space, keys, until: Instant::now() + PATIENCE, done }]);
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("the engine was closed".to_owned())))
    }
}

impl Waiting {
    fn put(&self, requests: impl IntoIterator<Item = Request>) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).extend(requests);
        self.came.notify_one();
    }

    async fn take(&self) -> Vec<Request> {
        loop {
            let taken = self.take_some();
            if !taken.is_empty() {
                return taken;
            }
            self.came.notified().await;
        }
    }

    fn take_some(&self) -> Vec<Request> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut keys, mut count) = (0, 0);
        for request in requests.iter() {
            keys += request.keys.len();
            if count > 0 && keys > MAX_KEYS {
                break;
            }
            count += 1;
        }
        let taken = requests.drain(..count).collect();
        if !requests.is_empty() {
            self.came.notify_one();
        }
        taken
    }
}

/// One session and its statements, by space: with short keys only, and with both.
struct Session {
    connection: Connection,
    statements: Vec<[Statement; 2]>,
}

async fn work(waiting: Arc<Waiting>, connector: Connector) {
    let mut session = None;
    loop {
        let requests = waiting.take().await;
        if session.is_none() {
            match open(&connector).await {
                Ok(opened) => session = Some(opened),
                Err(error) => {
                    tracing::debug!("cannot read: {}", reason(&error));
                    waiting.put(unexpired(requests, &refused(&error)));
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        }
        let lost = match &session {
            Some(session) => answer(session, requests).await,
            None => requests,
        };
        if !lost.is_empty() {
            session = None;
            waiting.put(unexpired(lost, &Error::Unavailable("the connection was lost".to_owned())));
        }
    }
}

async fn open(connector: &Connector) -> Result<Session, tokio_postgres::Error> {
    let connection = connector.connect().await?;
    let mut prepared = Vec::new();
    for space in Space::ALL {
        let sql = statements::of(space);
        prepared.push([connection.prepare(&sql.read).await?, connection.prepare(&sql.read_mixed).await?]);
    }
    Ok(Session { connection, statements: prepared })
}

/// Those that can still wait for an answer; the others get the refusal.
fn unexpired(requests: Vec<Request>, refusal: &Error) -> Vec<Request> {
    let now = Instant::now();
    let (kept, expired): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.until > now);
    for request in expired {
        request.done.send(Err(refusal.clone())).ok();
    }
    kept
}

/// Asks for everything in one flush. What the connection could not answer comes back.
async fn answer(session: &Session, requests: Vec<Request>) -> Vec<Request> {
    let mut groups: Vec<(Space, Vec<Request>)> = Vec::new();
    for request in requests {
        match groups.iter_mut().find(|(space, _)| *space == request.space) {
            Some((_, group)) => group.push(request),
            None => groups.push((request.space, vec![request])),
        }
    }
    let asked: Vec<Step<'_, _>> =
        groups.iter().map(|(space, group)| ask(session, *space, group).boxed()).collect();
    let Ok(answers) = tokio::time::timeout(PATIENCE, pipeline(asked)).await else {
        return groups.into_iter().flat_map(|(_, group)| group).collect();
    };
    let mut lost = Vec::new();
    for ((_, group), rows) in groups.into_iter().zip(answers) {
        match rows {
            Ok(values) => hand_out(group, values),
            Err(error) if is_statement_error(&error) => refuse(group, &refused(&error)),
            Err(_) => lost.extend(group),
        }
    }
    lost
}

fn refuse(group: Vec<Request>, error: &Error) {
    for request in group {
        request.done.send(Err(error.clone())).ok();
    }
}

fn hand_out(group: Vec<Request>, values: Vec<Option<Bytes>>) {
    let mut values = values.into_iter();
    for request in group {
        let values = values.by_ref().take(request.keys.len()).collect();
        request.done.send(Ok(values)).ok();
    }
}

async fn ask(
    session: &Session,
    space: Space,
    group: &[Request],
) -> Result<Vec<Option<Bytes>>, tokio_postgres::Error> {
    let [short_only, mixed] = &session.statements[space as usize];
    let keys: Vec<&[u8]> = group.iter().flat_map(|request| &request.keys).map(|key| &**key).collect();
    let asked = Asked::of(&keys);
    let statement = if asked.is_short() { short_only } else { mixed };
    let rows = session.connection.client.query(statement, &asked.values()).await?;
    values_of(&asked, &rows)
}

/// Keys as a statement asks for them: short ones, and where the long ones lie.
pub struct Asked<'a> {
    count: usize,
    short: Vec<&'a [u8]>,
    /// Where in the call's keys the short ones are; empty if all are short.
    short_at: Vec<usize>,
    long_at: Vec<usize>,
    heads: Vec<Vec<u8>>,
    rests: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    pub fn of(keys: &[&'a [u8]]) -> Asked<'a> {
        let count = keys.len();
        let (short_at, long_at): (Vec<usize>, Vec<usize>) = if keys.iter().any(|key| is_long(key)) {
            (0..count).partition(|at| !is_long(keys[*at]))
        } else {
            Default::default()
        };
        let short =
            if long_at.is_empty() { keys.to_vec() } else { short_at.iter().map(|at| keys[*at]).collect() };
        let places = long_at.iter().map(|at| place(keys[*at]));
        let (heads, rests) = places.map(|place| (place.head.to_vec(), place.rest)).unzip();
        Asked { count, short, short_at, long_at, heads, rests }
    }

    pub fn is_short(&self) -> bool {
        self.long_at.is_empty()
    }

    pub fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        if self.is_short() { vec![&self.short] } else { vec![&self.short, &self.heads, &self.rests] }
    }

    /// Which of the call's keys a row answers. Rows count from 1, those of long keys backwards.
    fn position(&self, n: i64) -> Option<usize> {
        let at = usize::try_from(n.unsigned_abs()).ok()?.checked_sub(1)?;
        if n < 0 {
            self.long_at.get(at).copied()
        } else if self.is_short() {
            Some(at)
        } else {
            self.short_at.get(at).copied()
        }
    }
}

/// The rows' values in the order of the keys.
pub fn values_of(asked: &Asked<'_>, rows: &[Row]) -> Result<Vec<Option<Bytes>>, tokio_postgres::Error> {
    let mut values = vec![None; asked.count];
    for row in rows {
        let found = row.try_get::<_, Option<&[u8]>>(1)?.map(Bytes::copy_from_slice);
        if let Some(value) = asked.position(row.try_get(0)?).and_then(|at| values.get_mut(at)) {
            *value = found;
        }
    }
    Ok(values)
}
