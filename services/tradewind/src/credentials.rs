//! `tradewind credentials`: the access keys of a region, in its catalogue.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Builder;
use tradewind_model::{Clock, SystemClock};
use tradewind_storage::credentials;

use crate::arguments::operation::Credentials;
use crate::arguments::storage::Database;
use crate::store::{self, Store};
use crate::tools::show;

/// What PostgreSQL's views call this process.
const NAME: &str = "tradewind-credentials";

pub fn run(command: &Credentials) -> anyhow::Result<()> {
    tradewind_telemetry::log_to_stderr();
    match command {
        Credentials::Create { database, description } => with(database, |store| create(store, description)),
        Credentials::List { database, json } => with(database, |store| list(store, *json)),
        Credentials::Disable { access_key_id, database } => {
            with(database, |store| disable(store, access_key_id))
        }
    }
}

fn with<F: Future<Output = anyhow::Result<()>>>(
    database: &Database,
    run: impl FnOnce(Store) -> F,
) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clock = Arc::new(SystemClock::new(true));
    runtime.block_on(async { run(store::open(database, NAME, clock).await?).await })
}

/// Printed so that it can be appended to a shared credentials file as it is.
async fn create(store: Store, description: &str) -> anyhow::Result<()> {
    let made = credentials::create(&store, description, SystemClock::new(true).now_ms()).await?;
    eprintln!("The secret is shown only now.");
    println!("[default]");
    println!("aws_access_key_id = {}", made.access_key_id());
    println!("aws_secret_access_key = {}", made.secret_access_key().expose());
    Ok(())
}

async fn list(store: Store, json: bool) -> anyhow::Result<()> {
    let keys = credentials::list(&store).await?;
    let answer = serde_json::json!({ "credentials": keys });
    show::table(
        json,
        &answer,
        "credentials",
        &[
            ("access key id", |row| show::text(&row["access_key_id"])),
            ("created", |row| show::time(&row["created_ms"])),
            ("disabled", |row| show::text(&row["disabled"])),
            ("description", |row| show::text(&row["description"])),
        ],
    )
}

async fn disable(store: Store, access_key_id: &str) -> anyhow::Result<()> {
    credentials::disable(&store, access_key_id).await?;
    println!("{access_key_id} is disabled");
    Ok(())
}
