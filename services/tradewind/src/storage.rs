//! `tradewind storage`: one node of a region on PostgreSQL.

pub mod announce;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tradewind_iam::Profiles;
use tradewind_model::{Clock, SystemClock};
use tradewind_storage::node::{self, Runtimes};

use crate::arguments::storage::Storage;
use crate::store::{self, Store};
use crate::threads::DataThreads;

pub fn run(arguments: Storage) -> anyhow::Result<()> {
    let background = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exporting = background.block_on(async { arguments.telemetry.start("tradewind-storage") })?;
    let data = DataThreads::start()?;
    let runtimes = Runtimes { data: data.handles.clone(), background: background.handle().clone() };
    let outcome = background.block_on(run_in(arguments, runtimes));
    data.stop();
    drop(exporting);
    background.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_in(arguments: Storage, runtimes: Runtimes) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let settings = settings::of(&arguments)?;
    let profiles = profiles(&arguments)?;
    let clock = Arc::new(SystemClock::new(true));
    let name = settings.name.clone().unwrap_or_else(|| settings.advertise.host.clone());
    let opened = stop.run_until_cancelled(store::open_with(
        &arguments.database,
        &arguments.postgres_replica,
        &name,
        clock.clone(),
    ));
    let Some(engine) = opened.await else { return Ok(()) };
    let engine = Arc::new(engine?);
    bring_credentials(&engine, &profiles, clock.now_ms()).await?;
    let started = |started: &node::Started| {
        let facts = announce::Facts {
            region: arguments.database.region,
            is_tls: arguments.tls_cert.is_some(),
            name: started.name.clone(),
            address: started.address,
            node_address: started.node_address.clone(),
        };
        announce::say(&facts, arguments.ready_file.as_deref())
    };
    node::run(engine, clock.clone(), settings, runtimes, started, stop).await?;
    Ok(())
}

/// Cancelled at the first signal to end; Ctrl-C a second time ends the process at once.
pub fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = stop.clone();
    Handle::current().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        tracing::info!("draining");
        told.cancel();
        interrupt.recv().await;
        std::process::exit(1);
    });
    Ok(stop)
}

fn profiles(arguments: &Storage) -> anyhow::Result<Profiles> {
    let Some(file) = &arguments.credentials else { return Ok(Profiles::default()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("--credentials {}", file.display()))?;
    Profiles::parse(&text).with_context(|| format!("--credentials {}", file.display()))
}

async fn bring_credentials(engine: &Arc<Store>, profiles: &Profiles, now_ms: u64) -> anyhow::Result<()> {
    tradewind_storage::credentials::bring(&**engine, profiles, now_ms).await.context("--credentials")?;
    let known = tradewind_storage::credentials::list(&**engine).await?;
    if known.iter().all(|key| key.disabled) {
        tracing::warn!(
            "there are no access keys, so every request is refused: `tradewind credentials create`"
        );
    }
    Ok(())
}
