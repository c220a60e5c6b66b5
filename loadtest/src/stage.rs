//! The load itself, watched from second to second: senders on their threads, events at their times, and what the server
//! takes meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::figures::Figures;
use crate::live::Live;
use crate::load::Load;
use crate::machine::{self, Server, Usage};
use crate::probe::Lag;
use crate::report::{self, EventOutcome, Second, Stage};
use crate::run::Surroundings;
use crate::scenario::Event;
use crate::senders::{self, Start, Time};

/// Points of the timeline at most; longer runs have longer steps.
const MAX_POINTS: f64 = 3600.0;
/// Until all threads know when to begin.
const MOMENT: Duration = Duration::from_millis(50);

/// Everything that was measured.
#[derive(Default)]
pub struct Measured {
    /// Of the last stage, in so many seconds.
    pub figures: Figures,
    pub seconds: f64,
    pub server: Option<report::Server>,
    pub stages: Vec<Stage>,
    pub events: Vec<EventOutcome>,
    pub timeline: Vec<Second>,
}

/// Runs the load once.
pub async fn measure(
    load: &Arc<Load>,
    live: &Live,
    items: u64,
    lags: &[Arc<Lag>],
    server: Option<&Server>,
    surroundings: &Surroundings,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let scenario = &load.scenario;
    live.phase(&format!("opening {} connections", scenario.connections));
    let (tell, told) = watch::channel(None);
    let (opened, mut all_open) = watch::channel(0);
    let (sending, threads) = (load.clone(), load.threads.len());
    let senders = tokio::task::spawn_blocking(move || senders::run(&sending, &Start { opened, time: told }));
    // An error: the senders ended, and say below why.
    let _ = all_open.wait_for(|opened| *opened == threads).await;
    let begin = Instant::now() + MOMENT;
    let start = begin + scenario.warm_up.0 + scenario.ramp.0;
    let time = Time { begin, end: start + scenario.duration.0 };
    let _ = tell.send(Some(time));
    let mut events = start_events(load, start, surroundings);
    let mut watch = Watch::new(load, lags, server, begin, measured);
    load.measuring.store(false, Ordering::Relaxed);
    tokio::time::sleep_until(begin.into()).await;
    let interrupted = watch.seconds(live, start, time.end).await;
    if interrupted {
        load.stop.store(true, Ordering::Relaxed);
        live.say("interrupted: what was done so far is checked");
    }
    senders.await.context("the senders panicked")??;
    let (figures, seconds) = watch.end();
    load.measuring.store(false, Ordering::Relaxed);
    events.abort_all();
    while let Some(outcome) = events.join_next().await {
        measured.events.extend(outcome.ok());
    }
    measured.events.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    note(measured, figures, seconds, items);
    Ok(())
}

fn note(measured: &mut Measured, figures: Figures, seconds: Spent, items: u64) {
    let (latency, requests) = (figures.all().summary(), figures.answered().max(1));
    let per_request = seconds.server_cpu_s.map(|cpu| cpu * 1e6 / requests as f64);
    measured.stages.push(Stage {
        items,
        per_second: latency.count as f64 / seconds.wall_s,
        latency,
        server_cpu_us_per_request: per_request,
        server_memory_mib: seconds.peak_memory_mib,
    });
    measured.server = per_request.map(|cpu_us_per_request| report::Server {
        cpu_cores: seconds.server_cpu_s.unwrap_or(0.0) / seconds.wall_s,
        cpu_us_per_request,
        peak_memory_mib: seconds.peak_memory_mib.unwrap_or(0.0),
        client_cpu_cores: seconds.client_cpu_s / seconds.wall_s,
    });
    measured.figures = figures;
    measured.seconds = seconds.wall_s;
}

fn start_events(load: &Arc<Load>, start: Instant, surroundings: &Surroundings) -> JoinSet<EventOutcome> {
    let mut events = JoinSet::new();
    for event in load.scenario.events.clone() {
        let mut command = Command::new("sh");
        command
            .args(["-c", &event.run])
            .env("TRADEWIND", &surroundings.program)
            .env("TRADEWIND_ENDPOINT", &load.endpoints[0].url)
            .kill_on_drop(true);
        events.spawn(run_event(event, command, start));
    }
    events
}

async fn run_event(Event { at, run }: Event, mut command: Command, start: Instant) -> EventOutcome {
    tokio::time::sleep_until((start + at.0).into()).await;
    let trouble = match command.output().await {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(error.to_string()),
    };
    EventOutcome { at_s: at.0.as_secs_f64(), run, trouble }
}

/// What the measurement itself took.
struct Spent {
    wall_s: f64,
    server_cpu_s: Option<f64>,
    client_cpu_s: f64,
    peak_memory_mib: Option<f64>,
}

struct Watch<'a> {
    load: &'a Load,
    lags: &'a [Arc<Lag>],
    server: Option<&'a Server>,
    begin: Instant,
    /// Where this load begins in the timeline.
    offset_s: f64,
    timeline: &'a mut Vec<Second>,
    figures: Figures,
    last: (Instant, Option<Usage>),
    /// Time, and CPU of the server and of the client, when measuring began.
    from: Option<(Instant, Option<Usage>, Usage)>,
    peak_memory_mib: Option<f64>,
}

impl<'a> Watch<'a> {
    fn new(
        load: &'a Load,
        lags: &'a [Arc<Lag>],
        server: Option<&'a Server>,
        begin: Instant,
        measured: &'a mut Measured,
    ) -> Watch<'a> {
        Watch {
            load,
            lags,
            server,
            begin,
            offset_s: measured.timeline.last().map_or(0.0, |second| second.at_s),
            timeline: &mut measured.timeline,
            figures: Figures::default(),
            last: (begin, server.map(Server::usage)),
            from: None,
            peak_memory_mib: None,
        }
    }

    /// Until the end; true if the user wants it to end before.
    async fn seconds(&mut self, live: &Live, start: Instant, end: Instant) -> bool {
        let whole = end - self.begin;
        let step = Duration::from_secs_f64(f64::max(1.0, whole.as_secs_f64() / MAX_POINTS));
        let begin = self.begin;
        for tick in (1..).map(|nth| (begin + step * nth).min(end)) {
            if self.from.is_none() && Instant::now() >= start {
                self.start();
            }
            let until = if self.from.is_none() && start < tick { start } else { tick };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => (),
                interrupted = tokio::signal::ctrl_c() => return interrupted.is_ok(),
            }
            if until < tick {
                self.start();
                tokio::time::sleep_until(tick.into()).await;
            }
            let second = self.second();
            live.second(&second, begin.elapsed(), whole);
            self.timeline.push(second);
            if tick == end {
                return false;
            }
        }
        false
    }

    /// The warm-up is over.
    fn start(&mut self) {
        self.from = Some((Instant::now(), self.server.map(Server::usage), machine::own_usage()));
        self.load.measuring.store(true, Ordering::Relaxed);
    }

    fn second(&mut self) -> Second {
        let now = Instant::now();
        let collected = self.load.collect();
        let usage = self.server.map(Server::usage);
        let elapsed_s = now.duration_since(self.last.0).as_secs_f64();
        let cores = usage.zip(self.last.1).map(|(now, last)| (now.cpu_s - last.cpu_s) / elapsed_s);
        self.last = (now, usage);
        self.peak_memory_mib =
            usage.map(|usage| usage.memory_mib).into_iter().chain(self.peak_memory_mib).reduce(f64::max);
        let latency = collected.all().summary();
        let per_second = collected
            .operations()
            .into_iter()
            .map(|operation| (operation.to_string(), collected.of(operation).count() as f64 / elapsed_s))
            .collect();
        let errors_per_second = collected.failures() as f64 / elapsed_s;
        self.figures.add(&collected);
        Second {
            at_s: self.offset_s + now.duration_since(self.begin).as_secs_f64(),
            per_second,
            errors_per_second,
            p50_ms: latency.p50_ms,
            p90_ms: latency.p90_ms,
            p99_ms: latency.p99_ms,
            max_ms: latency.max_ms,
            lag_ms: self.lags.iter().map(pair_and_lag).collect::<BTreeMap<_, _>>(),
            server_cores: cores,
            server_memory_mib: usage.map(|usage| usage.memory_mib),
        }
    }

    fn end(mut self) -> (Figures, Spent) {
        // Requests that ended after the last tick.
        let rest = self.load.collect();
        self.figures.add(&rest);
        let (from, server, client) =
            self.from.unwrap_or((self.begin, self.server.map(Server::usage), machine::own_usage()));
        let now = self.server.map(Server::usage);
        let spent = Spent {
            wall_s: from.elapsed().as_secs_f64().max(0.001),
            server_cpu_s: now.zip(server).map(|(now, from)| now.cpu_s - from.cpu_s),
            client_cpu_s: machine::own_usage().cpu_s - client.cpu_s,
            peak_memory_mib: self.peak_memory_mib,
        };
        (self.figures, spent)
    }
}

fn pair_and_lag(lag: &Arc<Lag>) -> (String, f64) {
    (format!("{} → {}", lag.from, lag.to), lag.lately_ms())
}
