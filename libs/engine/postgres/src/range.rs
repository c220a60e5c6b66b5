//! Ranges: pages of rows by key, all from one snapshot, until the visitor has enough.
//!
//! The first page comes with the BEGIN in one round trip, and nobody waits for the end of the transaction, so that a
//! short range costs what one statement costs.

use std::ops::Range;

use bytes::Bytes;
use deadpool_postgres::Object;
use tokio_postgres::{Row, Statement};
use tradewind_engine::{Error, Space};

use crate::error::refused;
use crate::long::{Level, is_long};
use crate::pipeline::{pipeline, send};
use crate::source::Source;
use crate::statements::{self, BEGIN_SNAPSHOT, COMMIT};

/// Rows of the first page and of later ones. A page also ends once it has so many bytes.
const FIRST_ROWS: i64 = 100;
const MORE_ROWS: i64 = 1000;
const PAGE_BYTES: i64 = 1024 * 1024;

/// A read-only transaction, which ends with it: a visitor's caller may go away at any time.
struct Snapshot {
    session: Object,
    begun: bool,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.begun {
            send(self.session.batch_execute(COMMIT));
        }
    }
}

struct Page {
    rows: Vec<Row>,
    /// There may be more in this level.
    more: bool,
}

impl Snapshot {
    async fn read(
        &mut self,
        space: Space,
        reverse: bool,
        level: &Level,
        limit: i64,
    ) -> Result<Page, tokio_postgres::Error> {
        if level.path.is_empty() {
            let sql = statements::of(space);
            let sql = if reverse { &sql.descending } else { &sql.ascending };
            let statement = self.session.prepare_cached(sql).await?;
            self.page(&statement, None, level, limit).await
        } else {
            let statement = self.session.prepare_cached(statements::long_range(reverse)).await?;
            self.page(&statement, Some(space), level, limit).await
        }
    }

    async fn page(
        &mut self,
        statement: &Statement,
        space: Option<Space>,
        level: &Level,
        limit: i64,
    ) -> Result<Page, tokio_postgres::Error> {
        let (start, end) = (&level.start[..], &level.end[..]);
        // Before it is sent: this future may be dropped while it waits.
        let begun = std::mem::replace(&mut self.begun, true);
        let rows = async {
            match space {
                None => self.session.query(statement, &[&start, &end, &limit, &PAGE_BYTES]).await,
                Some(space) => {
                    let (space, head) = (space as i16, &level.head()[..]);
                    self.session.query(statement, &[&start, &end, &limit, &PAGE_BYTES, &space, &head]).await
                }
            }
        };
        let rows = if begun {
            rows.await?
        } else {
            let begin = async { self.session.batch_execute(BEGIN_SNAPSHOT).await.map(|()| Vec::new()) };
            let mut answers = pipeline(vec![Box::pin(begin), Box::pin(rows)]).await;
            let rows = answers.pop().expect("of two steps");
            answers.pop().expect("of two steps")?;
            rows?
        };
        let bytes: usize =
            rows.iter().map(|row| value(row).map_or(0, |value| value.map_or(0, <[u8]>::len))).sum();
        Ok(Page { more: rows.len() as i64 == limit || bytes as i64 >= PAGE_BYTES, rows })
    }
}

pub async fn range(
    source: &Source,
    space: Space,
    keys: Range<&[u8]>,
    reverse: bool,
    mut visit: impl FnMut(&[u8], &[u8]) -> bool + Send,
) -> Result<(), Error> {
    let mut scan = Scan::begin(source, space, keys, reverse).await?;
    while scan.step(&mut visit).await? {}
    Ok(())
}

/// A range under way.
pub struct Scan {
    /// `None` for a range that is empty from the start.
    snapshot: Option<Snapshot>,
    space: Space,
    reverse: bool,
    start: Bytes,
    end: Bytes,
    /// What is left to visit, the next at the end.
    levels: Vec<Level>,
    limit: i64,
}

impl Scan {
    pub async fn begin(
        source: &Source,
        space: Space,
        keys: Range<&[u8]>,
        reverse: bool,
    ) -> Result<Scan, Error> {
        let is_empty = keys.start >= keys.end;
        let snapshot =
            if is_empty { None } else { Some(Snapshot { session: source.session().await?, begun: false }) };
        Ok(Scan {
            snapshot,
            space,
            reverse,
            levels: vec![Level::top(keys.start, keys.end)],
            start: Bytes::copy_from_slice(keys.start),
            end: Bytes::copy_from_slice(keys.end),
            limit: FIRST_ROWS,
        })
    }

    /// Visits the rows of the next page; false when there are no more or the visitor has enough.
    pub async fn step(
        &mut self,
        visit: &mut (impl FnMut(&[u8], &[u8]) -> bool + Send),
    ) -> Result<bool, Error> {
        let (Some(level), Some(snapshot)) = (self.levels.pop(), &mut self.snapshot) else { return Ok(false) };
        let page = snapshot.read(self.space, self.reverse, &level, self.limit).await;
        let page = page.map_err(|error| refused(&error))?;
        self.limit = MORE_ROWS;
        match visit_page(&page, &level, visit).map_err(|error| refused(&error))? {
            Visited::Enough => return Ok(false),
            Visited::Mark(mark) => {
                self.levels.push(level.after(mark, self.reverse));
                self.levels.push(level.behind(mark, &self.start, &self.end));
            }
            Visited::All(Some(last)) if page.more => self.levels.push(level.after(last, self.reverse)),
            Visited::All(_) => {}
        }
        Ok(!self.levels.is_empty())
    }
}

enum Visited<'a> {
    Enough,
    /// Came to a mark, behind which longer keys are.
    Mark(&'a [u8]),
    /// Visited all, of which this is the last.
    All(Option<&'a [u8]>),
}

fn visit_page<'a>(
    page: &'a Page,
    level: &Level,
    visit: &mut (impl FnMut(&[u8], &[u8]) -> bool + Send),
) -> Result<Visited<'a>, tokio_postgres::Error> {
    let mut last = None;
    for row in &page.rows {
        let key: &[u8] = row.try_get(0)?;
        let Some(value) = value(row)? else { return Ok(Visited::Mark(key)) };
        debug_assert!(!is_long(key));
        let goes_on = if level.path.is_empty() {
            visit(key, value)
        } else {
            visit(&[&level.path, key].concat(), value)
        };
        if !goes_on {
            return Ok(Visited::Enough);
        }
        last = Some(key);
    }
    Ok(Visited::All(last))
}

fn value(row: &Row) -> Result<Option<&[u8]>, tokio_postgres::Error> {
    row.try_get(1)
}
