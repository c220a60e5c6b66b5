//! The process: settings checked, ports bound, regions opened, requests served, everything drained at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tradewind_iam::{Credentials, Profiles, Secret, Verifier};
use tradewind_model::{Region, SystemClock};
use tradewind_storage::{Access, Front, Server, serve};

use super::regions::RegionSet;
use crate::arguments::Dev;
use crate::threads::DataThreads;

const DEFAULT_REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
/// Requests and invocations under way may take so long to end.
const DRAIN: Duration = Duration::from_secs(8);

pub fn run(settings: Dev) -> anyhow::Result<()> {
    let background = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exporting = background.block_on(async { settings.telemetry.start("tradewind-dev") })?;
    let data = DataThreads::start()?;
    let outcome = background.block_on(run_in(settings, &data.handles, background.handle()));
    data.stop();
    drop(exporting);
    background.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run_in(settings: Dev, data: &Arc<[Handle]>, background: &Handle) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let named = named_regions(&settings)?;
    let function_credentials = function_credentials();
    let access = Arc::new(access(&settings, &function_credentials)?);
    let ports = bind(&settings, &named, data).await?;
    let work_dir = work_dir(&settings)?;
    let stop = CancellationToken::new();
    let all_port = ports[0].1.port()?;
    let endpoint_url = format!("http://{}", SocketAddr::new(settings.host, all_port));
    let regions = RegionSet::new(
        settings.clone(),
        data.clone(),
        background.clone(),
        work_dir.path().to_owned(),
        endpoint_url,
        function_credentials,
        named[0],
        stop.clone(),
    );
    let opened = found_regions(&settings, &named);
    let opening = regions.clone();
    tokio::task::spawn_blocking(move || opening.open_all(&opened)).await??;
    let mut numbers = BTreeMap::new();
    let mut serving = Vec::new();
    for (fixed, server) in ports {
        let port = server.port()?;
        numbers.insert(fixed.map_or("all".to_owned(), |region| region.to_string()), port);
        let front = Front {
            regions: regions.clone(),
            fixed: fixed.map(|region| region.to_string()),
            access: access.clone(),
            address: SocketAddr::new(settings.host, port).to_string(),
            claims_encryption: true,
        };
        serving.push(data[0].spawn(serve(server, front, data.clone(), stop.clone())));
    }
    announce(&settings, &named, &numbers)?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    tracing::info!("draining");
    stop.cancel();
    let ended = async {
        for task in serving.into_iter().chain(regions.running()) {
            let _ = task.await;
        }
    };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!("requests that were still under way were ended");
    }
    Ok(())
}

fn named_regions(settings: &Dev) -> anyhow::Result<Vec<Region>> {
    let named = match &settings.regions {
        Some(regions) => regions.clone(),
        None => DEFAULT_REGIONS.iter().map(|name| Region::new(name)).collect::<Result<_, _>>()?,
    };
    let mut distinct = named.clone();
    distinct.sort();
    distinct.dedup();
    if named.is_empty() || distinct.len() != named.len() {
        bail!("--regions: name each region once");
    }
    Ok(named)
}

/// The named regions, and those that came to be by use and have data.
fn found_regions(settings: &Dev, named: &[Region]) -> Vec<Region> {
    let mut regions = named.to_vec();
    if settings.regions.is_none() && !settings.in_memory {
        let entries = std::fs::read_dir(&settings.data_dir).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().join("VERSION").is_file());
        let found = folders.filter_map(|entry| Region::new(entry.file_name().to_str()?).ok());
        regions.extend(found.filter(|region| !named.contains(region)));
    }
    regions
}

/// Functions sign their own calls with a key of this process, which nobody else knows.
fn function_credentials() -> tradewind_streams::Credentials {
    tradewind_streams::Credentials {
        access_key_id: "TRADEWINDFUNCTION".to_owned(),
        secret_access_key: uuid::Uuid::new_v4().simple().to_string(),
        session_token: None,
    }
}

fn access(settings: &Dev, functions: &tradewind_streams::Credentials) -> anyhow::Result<Access> {
    let Some(file) = settings.credentials.as_ref().filter(|_| settings.auth) else {
        return Ok(Access::Anyone);
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("--credentials {}", file.display()))?;
    let profiles = Profiles::parse(&text).with_context(|| format!("--credentials {}", file.display()))?;
    let verifier = Verifier::new(Vec::<String>::new());
    let given = profiles.iter().map(|(_, credentials)| credentials.clone());
    let own = Credentials::new(&*functions.access_key_id, Secret::new(&*functions.secret_access_key));
    verifier.set_credentials(given.chain([own]));
    Ok(Access::Verified { verifier, clock: Arc::new(SystemClock::new(true)) })
}

/// The port for all regions, then one for each. They are bound where they will be served.
async fn bind(
    settings: &Dev,
    named: &[Region],
    data: &Arc<[Handle]>,
) -> anyhow::Result<Vec<(Option<Region>, Server)>> {
    let mut ports = Vec::new();
    let wanted = std::iter::once(None).chain(named.iter().copied().map(Some));
    for (offset, region) in wanted.enumerate() {
        let port = if settings.port == 0 {
            0
        } else {
            settings.port.checked_add(offset as u16).context("--port")?
        };
        let address = SocketAddr::new(settings.host, port);
        ports.push((region, data[0].spawn(Server::bind(address)).await??));
    }
    Ok(ports)
}

/// Where functions are kept: with the data, or for this process only.
enum WorkDir {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl WorkDir {
    fn path(&self) -> &Path {
        match self {
            WorkDir::Kept(path) => path,
            WorkDir::Temporary(dir) => dir.path(),
        }
    }
}

fn work_dir(settings: &Dev) -> anyhow::Result<WorkDir> {
    if settings.in_memory {
        return Ok(WorkDir::Temporary(tempfile::tempdir()?));
    }
    let dir = &settings.data_dir;
    // Nobody else on the machine is to read items and the code of functions.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("--data-dir {}", dir.display()))?;
    Ok(WorkDir::Kept(dir.canonicalize()?))
}

#[derive(Serialize)]
struct Ready<'a> {
    pid: u32,
    ports: &'a BTreeMap<String, u16>,
}

fn announce(settings: &Dev, named: &[Region], ports: &BTreeMap<String, u16>) -> anyhow::Result<()> {
    let address = |port: u16| SocketAddr::new(settings.host, port);
    let all = ports["all"];
    let kept = match settings.in_memory {
        true => "in memory".to_owned(),
        false => format!("in {}", settings.data_dir.display()),
    };
    println!("Tradewind is ready; data is kept {kept}.\n");
    println!("  every region     http://{}", address(all));
    for region in named {
        println!("  {region:<15}  http://{}", address(ports[region.as_str()]));
    }
    println!(
        "\nTry:  aws dynamodb list-tables --endpoint-url http://{} --region {}\n",
        address(all),
        named[0]
    );
    if let Some(file) = &settings.ready_file {
        let body = serde_json::to_vec(&Ready { pid: std::process::id(), ports })?;
        // Renamed into place, so that nobody reads half of it.
        let part = file.with_extension("part");
        let written = std::fs::write(&part, body).and_then(|()| std::fs::rename(&part, file));
        written.with_context(|| format!("--ready-file {}", file.display()))?;
    }
    Ok(())
}
