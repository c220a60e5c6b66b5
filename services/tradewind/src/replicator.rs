//! `tradewind replicator`: carries a region's changes to the others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Builder;
use tradewind_model::SystemClock;
use tradewind_replicator::{Settings, Started};

use crate::arguments::replicator::Replicator;
use crate::storage::settings::advertised;
use crate::storage::{announce, stop_on_signals};
use crate::{link, store};

pub fn run(arguments: Replicator) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exporting = runtime.block_on(async { arguments.telemetry.start("tradewind-replicator") })?;
    let outcome = runtime.block_on(run_in(arguments));
    drop(exporting);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_in(arguments: Replicator) -> anyhow::Result<()> {
    let stop = stop_on_signals()?;
    let settings = settings(&arguments)?;
    let clock = Arc::new(SystemClock::new(true));
    let name = settings.name.clone().unwrap_or_else(|| "replicator".to_owned());
    let opened = stop.run_until_cancelled(store::open(&arguments.database, &name, clock.clone()));
    let Some(engine) = opened.await else { return Ok(()) };
    let started = |started: &Started| {
        println!(
            "Tradewind replicates: {}, {}, health at http://{}",
            arguments.database.region, started.name, started.address,
        );
        let ready = json!({
            "pid": std::process::id(),
            "ports": { "all": started.address.port() },
            "node": { "name": started.name, "address": started.node_address },
        });
        announce::write(arguments.ready_file.as_deref(), &ready)
    };
    tradewind_replicator::run(Arc::new(engine?), clock, settings, started, stop).await?;
    Ok(())
}

fn settings(arguments: &Replicator) -> anyhow::Result<Settings> {
    let node_listen = arguments.node_listen.unwrap_or_else(|| SocketAddr::new(arguments.listen.ip(), 0));
    let region = arguments.database.region;
    Ok(Settings {
        region,
        account: arguments.account_id.clone(),
        name: arguments.name.clone(),
        listen: arguments.listen,
        node_listen,
        advertise: advertised(arguments.advertise.as_ref(), node_listen, &arguments.database.postgres)?,
        peers: link::peers(region, &arguments.link)?,
        kafka: arguments.kafka.settings(),
    })
}
