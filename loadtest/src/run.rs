//! A whole run: set up, load, check, report, clean up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tradewind_iam::Credentials;

use crate::arguments::Run;
use crate::client::Endpoint;
use crate::function::{self, Reports};
use crate::item::Items;
use crate::ledger::lock;
use crate::limits;
use crate::live::Live;
use crate::load::Load;
use crate::machine::{self, Server};
use crate::probe::{self, Lag};
use crate::report::{self, Check, Figure, Report, Verdict};
use crate::scenario::Scenario;
use crate::setup;
use crate::stage::{Measured, measure};
use crate::summary;
use crate::tail::{self, Tail};
use crate::verify::{self, check};

/// Streams and functions have so long for what is left after the regions are equal.
const DRAIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
/// Files and sockets beside the connections under load.
const OTHER_FILES: u64 = 512;

/// What only `main` can know.
pub struct Surroundings {
    pub credentials: Credentials,
    /// This program, which runs as the function under test.
    pub program: PathBuf,
}

/// Whether the check passed.
pub fn run(options: &Run, surroundings: &Surroundings) -> anyhow::Result<bool> {
    let scenario = Scenario::find(&options.workload)?.with(options);
    scenario.check(options.targets.len(), options.threads)?;
    allow_files(scenario.connections as u64 + OTHER_FILES)?;
    let endpoints = options.targets.iter().map(|target| Endpoint::new(target, &surroundings.credentials));
    let endpoints: Vec<_> = endpoints.map(|endpoint| endpoint.map(Arc::new)).collect::<Result<_, _>>()?;
    let items = Items::new(&options.table, &scenario);
    let load = Arc::new(Load::new(scenario, endpoints, items, options.threads, options.seed));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(all(&load, options, surroundings));
    runtime.shutdown_background();
    let report = report?;
    println!("{}", summary::render(&report));
    if let Some(folder) = &options.report {
        report.write(folder)?;
        println!("{}", folder.join("report.html").display());
    }
    Ok(report.passed)
}

fn allow_files(count: u64) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= count {
        return Ok(());
    }
    anyhow::ensure!(
        hard >= count,
        "so many connections need {count} open files; the limit is {hard} (ulimit -n)"
    );
    setrlimit(Resource::RLIMIT_NOFILE, count, hard).context("the limit of open files")
}

async fn all(load: &Arc<Load>, options: &Run, surroundings: &Surroundings) -> anyhow::Result<Report> {
    let live = Live::new();
    live.phase("making the table");
    setup::create_table(load, options.replace).await?;
    let report = loaded(load, &live, surroundings).await;
    live.phase("cleaning up");
    if !options.keep {
        setup::delete_table(load).await.context("the table is left")?;
    }
    live.end();
    report
}

/// What goes on beside the load.
struct Observers {
    lags: Vec<Arc<Lag>>,
    probes: JoinSet<()>,
    tails: Vec<Arc<Tail>>,
    readers: JoinSet<()>,
    function: Option<(Arc<Reports>, JoinSet<()>)>,
}

async fn loaded(load: &Arc<Load>, live: &Live, surroundings: &Surroundings) -> anyhow::Result<Report> {
    let began_ms = chrono::Utc::now().timestamp_millis();
    let (lags, probes) = probe::start(load);
    let (tails, readers) = tail::start(load);
    let function = match load.scenario.function {
        true => Some(function::start(load, &surroundings.program).await?),
        false => None,
    };
    let mut observers = Observers { lags, probes, tails, readers, function };
    let server = Server::find(load.endpoints.iter().map(|endpoint| &**endpoint));
    let stages = match &load.scenario.stages[..] {
        [] => vec![load.scenario.items],
        stages => stages.to_vec(),
    };
    let mut measured = Measured::default();
    for items in stages {
        fill(load, live, items).await?;
        measure(load, live, items, &observers.lags, server.as_ref(), surroundings, &mut measured).await?;
    }
    let (checks, settled_s) = judge(load, live, &mut observers, &measured).await?;
    if let Some((reports, _)) = &observers.function {
        function::remove(load, reports).await.context("the function is left")?;
    }
    Ok(compose(load, began_ms, observers, measured, checks, settled_s))
}

async fn fill(load: &Arc<Load>, live: &Live, items: u64) -> anyhow::Result<()> {
    let done = Arc::new(AtomicU64::new(0));
    let loading = setup::load_items(load, items, &done);
    tokio::pin!(loading);
    loop {
        live.phase(&format!("loading items: {} of {items}", done.load(Ordering::Relaxed)));
        tokio::select! {
            loaded = &mut loading => return loaded,
            () = tokio::time::sleep(Duration::from_secs(1)) => (),
        }
    }
}

async fn judge(
    load: &Arc<Load>,
    live: &Live,
    observers: &mut Observers,
    measured: &Measured,
) -> anyhow::Result<(Vec<Check>, Option<f64>)> {
    live.phase("waiting until the regions are equal");
    observers.probes.abort_all();
    let (equal, settled_s) = verify::equal_regions(load).await?;
    let mut checks = vec![equal];
    checks.extend(streams(load, live, observers).await);
    checks.extend(functions(load, live, observers).await);
    live.phase("looking for every acknowledged write");
    checks.extend(verify::acknowledged(load, load.ledger.close()).await?);
    checks.extend(limits::checks(&load.scenario, measured, &observers.lags, settled_s));
    Ok((checks, settled_s))
}

/// Gives the tails time to come to the end, and judges what they saw.
async fn streams(load: &Arc<Load>, live: &Live, observers: &mut Observers) -> Vec<Check> {
    if observers.tails.is_empty() {
        return Vec::new();
    }
    live.phase("reading the streams to their ends");
    let complete = |tail: &Arc<Tail>| {
        let history = lock(&tail.history);
        lock(&tail.trouble).is_some() || history.has_all(tail.region, &load.ledger.written(tail.region))
    };
    until(|| observers.tails.iter().all(complete)).await;
    observers.tails.iter().for_each(|tail| tail.stop());
    while observers.readers.join_next().await.is_some() {}
    let judge = |tail: &Arc<Tail>| {
        let mut history = lock(&tail.history);
        history.end(tail.region, &load.ledger.written(tail.region));
        if let Some(trouble) = &*lock(&tail.trouble) {
            history.violations.add(|| format!("the stream could not be read: {trouble}"));
        }
        let region = &load.endpoints[tail.region].region;
        let detail = format!("{} changes, each once and in order", history.changes);
        check(&format!("the stream of {region} is complete"), &history.violations, detail)
    };
    observers.tails.iter().map(judge).collect()
}

async fn functions(load: &Arc<Load>, live: &Live, observers: &Observers) -> Option<Check> {
    let (reports, _) = observers.function.as_ref()?;
    live.phase("waiting for the function");
    let written = load.ledger.written(0);
    until(|| lock(&reports.history).has_all(0, &written)).await;
    let mut history = lock(&reports.history);
    history.end(0, &written);
    let detail = format!("{} changes in order, {} of them more than once", history.changes, history.repeated);
    Some(check("the function saw every change", &history.violations, detail))
}

async fn until(is_done: impl Fn() -> bool) {
    let waiting = async {
        while !is_done() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What is not there by then is missing, and found to be.
    let _ = tokio::time::timeout(DRAIN, waiting).await;
}

fn compose(
    load: &Load,
    began_ms: i64,
    observers: Observers,
    measured: Measured,
    checks: Vec<Check>,
    settled_s: Option<f64>,
) -> Report {
    let Measured { figures, seconds, server, stages, events, timeline } = measured;
    let figure = |operation| {
        let latency = figures.of(operation).summary();
        Figure {
            operation: operation.to_string(),
            per_second: latency.count as f64 / seconds,
            latency,
            errors: figures.errors_of(operation),
        }
    };
    let named = |region: usize| load.endpoints[region].region.clone();
    let lag =
        |lag: &Arc<Lag>| report::Lag { from: lag.from.clone(), to: lag.to.clone(), latency: lag.summary() };
    Report {
        format: report::FORMAT,
        passed: !checks.iter().any(|check| check.verdict == Verdict::Failed),
        scenario: load.scenario.clone(),
        targets: load.endpoints.iter().map(|at| (at.region.clone(), at.url.clone())).collect(),
        began_ms,
        machine: report::Machine { cores: machine::cores(), cpu: machine::cpu_model() },
        operations: figures.operations().into_iter().map(figure).collect(),
        regions: (0..load.endpoints.len())
            .map(|region| (named(region), figures.of_region(region).summary()))
            .collect(),
        lags: observers.lags.iter().map(lag).collect(),
        streams: observers
            .tails
            .iter()
            .map(|tail| (named(tail.region), lock(&tail.latencies).summary()))
            .collect(),
        function: observers.function.as_ref().map(|(reports, _)| lock(&reports.latencies).summary()),
        server,
        stages,
        events,
        checks,
        settled_s,
        timeline,
    }
}
