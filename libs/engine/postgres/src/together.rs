//! One read over several databases that sees a transaction over them in all or in none.
//!
//! Each database is read in a snapshot that also shows which branches are committed there. A transaction that one snapshot has,
//! and the snapshot of another database that took part has not, was being settled meanwhile: then all are read again.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use deadpool_postgres::Object;
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use tokio::time::Instant;
use tokio_postgres::Row;
use tradewind_engine::{Error, Space};

use crate::error::refused;
use crate::pipeline::{Step, pipeline, send};
use crate::read::{Asked, values_of};
use crate::settings::PATIENCE;
use crate::several::Shared;
use crate::statements::{self, BEGIN_SNAPSHOT, COMMIT};

/// Kept longer than a transaction is settled or a read takes: what is older is the same everywhere.
const BRANCHES: &str =
    "SELECT transaction, databases, committed_at > clock_timestamp() - interval '1 minute' FROM branches";

/// What one database answered.
struct Answer {
    values: Vec<Option<Bytes>>,
    /// Every transaction it shows as committed.
    known: HashSet<String>,
    /// The new ones, and who took part.
    new: Vec<(String, Vec<i32>)>,
}

/// Reads from each database its keys; answers are in the order of `asked`.
pub async fn read(
    shared: &Shared,
    space: Space,
    asked: &BTreeMap<usize, Vec<&[u8]>>,
) -> Result<Vec<Vec<Option<Bytes>>>, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let reads = asked.iter().map(|(database, keys)| read_one(shared, *database, space, keys));
        let answers = try_join_all(reads).await?;
        if is_one_state(asked, &answers) {
            return Ok(answers.into_iter().map(|answer| answer.values).collect());
        }
        if Instant::now() > until {
            return Err(Error::Unavailable("a transaction over several databases is not settled".to_owned()));
        }
    }
}

fn is_one_state(asked: &BTreeMap<usize, Vec<&[u8]>>, answers: &[Answer]) -> bool {
    let answer_of = |database: i32| {
        asked.keys().position(|at| i32::try_from(*at) == Ok(database)).map(|position| &answers[position])
    };
    let all_have = |(name, databases): &(String, Vec<i32>)| {
        databases.iter().filter_map(|database| answer_of(*database)).all(|answer| answer.known.contains(name))
    };
    answers.iter().flat_map(|answer| &answer.new).all(all_have)
}

async fn read_one(shared: &Shared, database: usize, space: Space, keys: &[&[u8]]) -> Result<Answer, Error> {
    let session = shared.engines[database].database.primary.session().await?;
    ask(&session, space, keys).await.map_err(|error| refused(&error))
}

async fn ask(session: &Object, space: Space, keys: &[&[u8]]) -> Result<Answer, tokio_postgres::Error> {
    let sql = statements::of(space);
    let asked = Asked::of(keys);
    let read = session.prepare_cached(if asked.is_short() { &sql.read } else { &sql.read_mixed }).await?;
    let branches = session.prepare_cached(BRANCHES).await?;
    let begin = async { session.batch_execute(BEGIN_SNAPSHOT).await.map(|()| Vec::new()) };
    let read = async { session.query(&read, &asked.values()).await };
    let known = async { session.query(&branches, &[]).await };
    let steps: Vec<Step<'_, Result<Vec<Row>, _>>> = vec![begin.boxed(), read.boxed(), known.boxed()];
    let end = End(session);
    let mut answers = pipeline(steps).await.into_iter();
    drop(end);
    let mut next = || answers.next().expect("of three steps");
    next()?;
    let mut answer = Answer { values: values_of(&asked, &next()?)?, known: HashSet::new(), new: Vec::new() };
    for row in next()? {
        let (name, is_new): (String, bool) = (row.try_get(0)?, row.try_get(2)?);
        if is_new {
            answer.new.push((name.clone(), row.try_get(1)?));
        }
        answer.known.insert(name);
    }
    Ok(answer)
}

/// Ends the snapshot, also when its reader goes away.
struct End<'a>(&'a Object);

impl Drop for End<'_> {
    fn drop(&mut self) {
        send(self.0.batch_execute(COMMIT));
    }
}
