//! A region's PostgreSQL, as its services open it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;
use tradewind_engine_postgres::{OpenError, Settings, Several};
use tradewind_model::Clock;

use crate::arguments::storage::Database;

pub type Store = Several;

/// A PostgreSQL that starts at the same time, or is busy, is waited for so long.
const WAIT: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// Opens the region's store, whose schemas are brought up to date first. `name` is what PostgreSQL's own views call this
/// process.
pub async fn open(database: &Database, name: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
    open_with(database, &[], name, clock).await
}

/// The same, with standbys that eventual reads may use.
pub async fn open_with(
    database: &Database,
    standbys: &[String],
    name: &str,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Store> {
    let password = password(database)?;
    check("--postgres", &database.postgres)?;
    check("--postgres-replica", standbys)?;
    let settings = |url: &String| {
        let mut settings = Settings::new(with_password(url, password.as_deref()));
        settings.root_certificates = database.postgres_ca.clone();
        settings.name = name.to_owned();
        settings
    };
    let primaries: Vec<_> = database.postgres.iter().map(settings).collect();
    let standbys: Vec<_> = standbys.iter().map(settings).collect();
    let store = open_in_time(&primaries, clock).await.context("--postgres")?;
    store.with_standbys(&standbys).context("--postgres-replica")
}

async fn open_in_time(primaries: &[Settings], clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let (began, mut is_said) = (Instant::now(), false);
    loop {
        let clock = clock.clone();
        match Several::open(primaries.to_vec(), Arc::new(move || clock.now_ms())).await {
            Err(OpenError::Unreachable(reason)) if began.elapsed() < WAIT => {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(reason, "--postgres: waiting for PostgreSQL");
                }
                tokio::time::sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// Said without the text itself, which may hold a password.
fn check(setting: &str, urls: &[String]) -> anyhow::Result<()> {
    let is_url = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
    if !urls.iter().all(is_url) {
        bail!("{setting}: a URL begins with postgres://");
    }
    Ok(())
}

fn password(database: &Database) -> anyhow::Result<Option<String>> {
    let Some(file) = &database.postgres_password_file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("--postgres-password-file {}", file.display()))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// As a parameter behind the URL, unless it has a password of its own.
fn with_password(url: &str, password: Option<&str>) -> String {
    let Some(password) = password.filter(|_| !has_password(url)) else { return url.to_owned() };
    let separator = if url.contains('?') { '&' } else { '?' };
    let escaped: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{url}{separator}password={escaped}")
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || rest.contains("password=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_from_a_file_goes_where_there_is_none() {
        let with = |url| with_password(url, Some("a b&/"));
        assert_eq!(with("postgres://u@h/d"), "postgres://u@h/d?password=%61%20%62%26%2F");
        assert_eq!(
            with("postgres://h:1/d?sslmode=require"),
            "postgres://h:1/d?sslmode=require&password=%61%20%62%26%2F"
        );
        for has in ["postgres://u:p@h1,h2/d", "postgres://u@h/d?password=p"] {
            assert_eq!(with(has), has);
        }
        assert_eq!(with_password("postgres://u@h/d", None), "postgres://u@h/d");
    }
}
