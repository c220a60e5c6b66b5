//! The catalogue: documents as `jsonb`, set by one statement that names the revision it expects.
//!
//! A change also counts in its collection's generation. Counters are locked until the commit, so that a generation that was
//! read tells of every change before it; several per collection, so that writers of different documents seldom meet.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tradewind_engine::{Document, Error};

use crate::database::Database;
use crate::error::{refused, written};
use crate::json::{escape, unescape};

const SHARDS: u32 = 16;

pub const GET: &str = "SELECT name, revision, body::text FROM documents WHERE collection = $1 AND name = $2";
pub const LIST: &str = "SELECT name, revision, body::text FROM documents WHERE collection = $1 ORDER BY name";
pub const GENERATION: &str =
    "SELECT coalesce(sum(changes), 0)::bigint FROM document_generations WHERE collection = $1";

const CREATE: &str = "INSERT INTO documents (collection, name, revision, body) \
     VALUES ($1, $2, nextval('document_revisions'), $4::text::jsonb) ON CONFLICT DO NOTHING RETURNING revision";
const UPDATE: &str = "UPDATE documents SET revision = nextval('document_revisions'), body = $4::text::jsonb, changed_at = now() \
     WHERE collection = $1 AND name = $2 AND revision = $5 RETURNING revision";
const DELETE: &str = "DELETE FROM documents WHERE collection = $1 AND name = $2 AND revision = $4 \
     RETURNING nextval('document_revisions') AS revision";
const DELETE_NOTHING: &str = "SELECT nextval('document_revisions') AS revision \
     WHERE NOT EXISTS (SELECT FROM documents WHERE collection = $1 AND name = $2)";

/// The change, and one more in the collection's counter if it happened.
fn counted(change: &str) -> String {
    format!(
        "WITH changed AS ({change}), \
         counted AS (INSERT INTO document_generations (collection, shard, changes) \
           SELECT $1::text, $3::smallint, 1 FROM changed \
           ON CONFLICT (collection, shard) DO UPDATE SET changes = document_generations.changes + 1) \
         SELECT revision FROM changed"
    )
}

type Result<T> = std::result::Result<T, tokio_postgres::Error>;

pub async fn get(
    database: &Database,
    collection: &str,
    name: &str,
) -> std::result::Result<Option<Document>, Error> {
    let session = database.primary.session().await?;
    let read = async {
        let statement = session.prepare_cached(GET).await?;
        let row = session.query_opt(&statement, &[&collection, &name]).await?;
        row.map(|row| decode(&row).map(|(_, document)| document)).transpose()
    };
    read.await.map_err(|error| refused(&error))
}

pub async fn list(
    database: &Database,
    collection: &str,
) -> std::result::Result<Vec<(String, Document)>, Error> {
    let session = database.primary.session().await?;
    let read = async {
        let statement = session.prepare_cached(LIST).await?;
        session.query(&statement, &[&collection]).await?.iter().map(decode).collect::<Result<_>>()
    };
    read.await.map_err(|error| refused(&error))
}

pub async fn generation(database: &Database, collection: &str) -> std::result::Result<u64, Error> {
    let session = database.primary.session().await?;
    let read = async {
        let statement = session.prepare_cached(GENERATION).await?;
        session.query_one(&statement, &[&collection]).await?.try_get::<_, i64>(0)
    };
    read.await.map(|changes| changes as u64).map_err(|error| refused(&error))
}

pub async fn compare_and_set(
    database: &Database,
    collection: &str,
    name: &str,
    expected: Option<u64>,
    body: Option<&[u8]>,
) -> std::result::Result<Option<u64>, Error> {
    let body = body.map(stored).transpose()?;
    let session = database.primary.session().await?;
    let (expected, shard) = (expected.map(|revision| revision as i64), shard_of(name));
    let change = match (&expected, &body) {
        (None, Some(_)) => CREATE,
        (Some(_), Some(_)) => UPDATE,
        (Some(_), None) => DELETE,
        (None, None) => DELETE_NOTHING,
    };
    let statement = session.prepare_cached(&counted(change)).await.map_err(|error| refused(&error))?;
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&collection, &name, &shard];
    values.extend(body.iter().map(|body| body as &(dyn ToSql + Sync)));
    values.extend(expected.iter().map(|revision| revision as &(dyn ToSql + Sync)));
    let row = session.query_opt(&statement, &values).await.map_err(|error| written(&error))?;
    let revision = row.map(|row| row.try_get::<_, i64>(0)).transpose();
    Ok(revision.map_err(|error| refused(&error))?.map(|revision| revision as u64))
}

fn stored(body: &[u8]) -> std::result::Result<String, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::Corrupt("a document is not UTF-8".to_owned()))?;
    Ok(escape(text))
}

fn shard_of(name: &str) -> i16 {
    (name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % SHARDS) as i16
}

fn decode(row: &Row) -> Result<(String, Document)> {
    let revision = row.try_get::<_, i64>(1)? as u64;
    let body = unescape(row.try_get(2)?).into_bytes();
    Ok((row.try_get(0)?, Document { revision, body }))
}
