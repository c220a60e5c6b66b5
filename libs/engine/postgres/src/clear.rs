//! Removing all rows under a prefix, some at a time, so that others get their turn in between.

use deadpool_postgres::Transaction;
use tradewind_engine::{Error, Space};
use tradewind_model::key::after_prefix;

use crate::error::written;
use crate::long::{Level, MAX_SHORT};
use crate::source::Source;
use crate::statements::table;

/// Rows removed by one transaction.
const ROWS: i64 = 2000;

/// The rows at the beginning of a range; keys that are marks come back, to clear what lies behind them.
pub async fn clear(source: &Source, space: Space, prefix: &[u8]) -> Result<(), Error> {
    assert!(prefix.len() <= MAX_SHORT, "a prefix is shorter than a mark");
    let end = if prefix.is_empty() { vec![0xFF; MAX_SHORT + 2] } else { after_prefix(prefix).to_vec() };
    // Nothing is above a prefix of FF only.
    let end = if end.is_empty() { vec![0xFF; MAX_SHORT + 2] } else { end };
    let mut session = source.session().await?;
    loop {
        let cleared = async {
            let transaction = session.transaction().await?;
            let count = clear_some(&transaction, space, prefix, &end).await?;
            transaction.commit().await.map(|()| count)
        };
        if cleared.await.map_err(|error| written(&error))? < ROWS as usize {
            return Ok(());
        }
    }
}

async fn clear_some(
    transaction: &Transaction<'_>,
    space: Space,
    start: &[u8],
    end: &[u8],
) -> Result<usize, tokio_postgres::Error> {
    let table = table(space);
    let sql = format!(
        "DELETE FROM {table} WHERE key = ANY (ARRAY( \
           SELECT key FROM {table} WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3)) \
         RETURNING CASE WHEN value IS NULL THEN key END"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let rows = transaction.query(&statement, &[&start, &end, &ROWS]).await?;
    for row in &rows {
        if let Some(mark) = row.try_get::<_, Option<&[u8]>>(0)? {
            clear_behind(transaction, space, mark).await?;
        }
    }
    Ok(rows.len())
}

/// Everything behind a mark, and behind the marks there.
async fn clear_behind(
    transaction: &Transaction<'_>,
    space: Space,
    mark: &[u8],
) -> Result<(), tokio_postgres::Error> {
    const SQL: &str = "DELETE FROM long_rows WHERE space = $1 AND head = $2 \
         RETURNING CASE WHEN value IS NULL THEN rest END";
    let statement = transaction.prepare_cached(SQL).await?;
    let mut levels = vec![Level::top(b"", b"").behind(mark, b"", b"")];
    while let Some(level) = levels.pop() {
        let head = level.head();
        for row in transaction.query(&statement, &[&(space as i16), &&head[..]]).await? {
            if let Some(mark) = row.try_get::<_, Option<&[u8]>>(0)? {
                levels.push(level.behind(mark, b"", b""));
            }
        }
    }
    Ok(())
}
