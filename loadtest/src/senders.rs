//! The threads that send: each with a runtime of its own, its connections, and the schedule of every region.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use crate::client::Connection;
use crate::ledger::lock;
use crate::load::Load;
use crate::operation::Mix;
use crate::pace::Schedule;
use crate::perform::Performer;

/// After a failure to connect, so that a server that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(100);

/// When the senders begin and end.
#[derive(Clone, Copy)]
pub struct Time {
    pub begin: Instant,
    pub end: Instant,
}

/// What senders and whoever started them tell each other.
#[derive(Clone)]
pub struct Start {
    /// How many threads have opened their connections.
    pub opened: watch::Sender<usize>,
    /// Set once all have.
    pub time: watch::Receiver<Option<Time>>,
}

/// Opens all connections, waits for the time, and sends until the end; blocks.
pub fn run(load: &Arc<Load>, start: &Start) -> anyhow::Result<()> {
    let start = |thread| {
        let (load, start) = (load.clone(), start.clone());
        let builder = std::thread::Builder::new().name(format!("sender-{thread}"));
        builder.spawn(move || one_thread(&load, thread, start))
    };
    let threads: Vec<_> = (0..load.threads.len()).map(start).collect::<Result<_, _>>()?;
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
    }
    Ok(())
}

fn one_thread(load: &Arc<Load>, thread: usize, mut start: Start) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let regions = 0..load.endpoints.len();
        let senders: Vec<_> = regions.flat_map(|region| senders(load, thread, region)).collect();
        let opening: Vec<_> = senders.into_iter().map(|sender| spawn_local(sender.open())).collect();
        let mut senders = Vec::with_capacity(opening.len());
        for opened in opening {
            senders.push(opened.await.context("a sender panicked")?);
        }
        start.opened.send_modify(|opened| *opened += 1);
        let Ok(Some(time)) = start.time.wait_for(Option::is_some).await.map(|time| *time) else {
            return Ok(());
        };
        send(load, thread, senders, time).await
    })
}

async fn send(load: &Arc<Load>, thread: usize, senders: Vec<Sender>, time: Time) -> anyhow::Result<()> {
    let rate = load.scenario.rate / (load.endpoints.len() * load.threads.len()) as f64;
    let schedule = || Rc::new(Schedule::new(rate, load.scenario.ramp.0, time.begin, time.end));
    let schedules: Vec<_> = load.endpoints.iter().map(|_| schedule()).collect();
    let pace = |schedule: &Rc<Schedule>| {
        let schedule = schedule.clone();
        spawn_local(async move { schedule.run().await })
    };
    let pacers: Vec<_> = schedules.iter().map(pace).collect();
    let start = |sender: Sender| {
        let schedule = schedules[sender.region].clone();
        spawn_local(sender.run(schedule, time.begin))
    };
    let running: Vec<_> = senders.into_iter().map(start).collect();
    for sender in running {
        sender.await.context("a sender panicked")?;
    }
    note_unsent(load, thread, schedules.iter().map(|schedule| schedule.unsent()).sum());
    for pacer in pacers {
        // Where the senders were stopped, it would go on until the end.
        pacer.abort();
        if let Ok(ended) = pacer.await {
            ended.context("no timer")?;
        }
    }
    Ok(())
}

/// In an open loop what could not even be sent counts as failed, for the operation that is the most frequent.
fn note_unsent(load: &Load, thread: usize, unsent: u64) {
    let most = load.scenario.mix.iter().max_by(|one, other| one.1.total_cmp(other.1));
    if let Some((operation, _)) = most.filter(|_| unsent > 0 && !load.is_stopped()) {
        lock(&load.threads[thread]).errors.insert((*operation, "not sent in time".to_owned()), unsent);
    }
}

fn senders(load: &Arc<Load>, thread: usize, region: usize) -> Vec<Sender> {
    let connections = connections(load, thread, region);
    let count = ((connections as f64 * load.scenario.active_share).round() as usize).clamp(1, connections);
    let sender = |nth| {
        let own = connections / count + usize::from(nth < connections % count);
        let seed = (thread << 48 | region << 32 | nth) as u64 ^ load.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Sender {
            load: load.clone(),
            thread,
            region,
            connections: (0..own).map(|_| Connection::new(load.endpoints[region].clone())).collect(),
            mix: Mix::new(&load.scenario.mix),
            random: fastrand::Rng::with_seed(seed),
        }
    };
    (0..count).map(sender).collect()
}

/// Of one region on one thread: all are spread as evenly as they go.
fn connections(load: &Load, thread: usize, region: usize) -> usize {
    let parts = load.endpoints.len() * load.threads.len();
    let part = region * load.threads.len() + thread;
    load.scenario.connections / parts + usize::from(part < load.scenario.connections % parts)
}

struct Sender {
    load: Arc<Load>,
    thread: usize,
    region: usize,
    /// Used in turn.
    connections: Vec<Connection>,
    mix: Mix,
    random: fastrand::Rng,
}

impl Sender {
    async fn open(mut self) -> Sender {
        for connection in &mut self.connections {
            // One that cannot be opened is tried again when its turn comes, and counted then.
            let _ = connection.open().await;
        }
        self
    }

    async fn run(mut self, schedule: Rc<Schedule>, begin: Instant) {
        tokio::time::sleep_until(begin.into()).await;
        for turn in (0..self.connections.len()).cycle() {
            let Some(intended) = schedule.next().await else { return };
            if self.load.is_stopped() {
                return;
            }
            self.send(turn, intended).await;
        }
    }

    async fn send(&mut self, turn: usize, intended: Instant) {
        let operation = self.mix.choose(&mut self.random);
        let mut performer = Performer {
            load: &self.load,
            region: self.region,
            random: &mut self.random,
            connection: &mut self.connections[turn],
        };
        let outcome = performer.perform(operation).await;
        let latency = intended.elapsed();
        if self.load.is_measuring() {
            let mut figures = lock(&self.load.threads[self.thread]);
            if outcome.as_ref().map_or_else(|failure| failure.is_refusal(), |()| true) {
                figures.record(operation, self.region, latency);
            }
            if let Err(failure) = &outcome {
                figures.error(operation, &failure.kind);
            }
        }
        if outcome.is_err_and(|failure| failure.kind.starts_with("cannot connect")) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
