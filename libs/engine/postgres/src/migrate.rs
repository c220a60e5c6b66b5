//! The schema: files of `migrations/`, in order, each once and in a transaction of its own, one process at a time.

use tokio_postgres::Client;

use crate::error::{OpenError, reason};

const MIGRATIONS: [(i32, &str, &str); 1] =
    [(1, "0001_engine", include_str!("../../../../migrations/0001_engine.sql"))];

const LOCK: &str = "SELECT pg_advisory_lock(7265610001)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7265610001)";
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations ( \
     version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

/// Brings the database up to what this program knows, and refuses one that is ahead of it.
pub async fn migrate(client: &Client) -> Result<(), OpenError> {
    // Another process may take its time; it holds the lock as long as it lives, and not longer.
    client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
    client.batch_execute(LOCK).await?;
    let migrated = apply_missing(client).await;
    client.batch_execute(UNLOCK).await?;
    migrated
}

async fn apply_missing(client: &Client) -> Result<(), OpenError> {
    client.batch_execute(HISTORY).await?;
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM schema_migrations", &[]).await?;
    let found: i32 = row.try_get(0)?;
    let known = MIGRATIONS.len() as i32;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, name, sql) in MIGRATIONS.iter().filter(|(version, _, _)| *version > found) {
        apply(client, *version, name, sql).await?;
        tracing::info!(name, "schema migrated");
    }
    Ok(())
}

async fn apply(client: &Client, version: i32, name: &str, sql: &str) -> Result<(), OpenError> {
    let note = format!("INSERT INTO schema_migrations (version, name) VALUES ({version}, '{name}')");
    let applied = client.batch_execute(&format!("BEGIN; {sql}\n; {note}; COMMIT")).await;
    if let Err(error) = &applied {
        client.batch_execute("ROLLBACK").await.ok();
        return Err(OpenError::Migration { name: name.to_owned(), reason: reason(error) });
    }
    Ok(())
}
