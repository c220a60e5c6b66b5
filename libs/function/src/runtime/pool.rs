//! A function's environments: idle ones to be reused, running ones to be ended at shutdown, and how many of both.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::environment::Environment;
use crate::code::Pin;
use crate::log::FunctionLog;

pub struct Pool {
    pub permits: Arc<Semaphore>,
    pub log: Arc<FunctionLog>,
    /// When a folder of code was last walked, and what was seen.
    pub fingerprint: tokio::sync::Mutex<Option<(Instant, u64)>>,
    /// Where the package is that was used last. The files stay as long as somebody else holds their pin.
    unpacked: Mutex<Option<(PathBuf, Weak<Pin>)>>,
    pub limit: usize,
    /// Held while a permit is looked for that a function's own limit may refuse.
    looking: Mutex<()>,
    idle: Mutex<Vec<Idle>>,
    running: Mutex<Vec<Weak<Environment>>>,
    cold_starts: AtomicU64,
    warm_starts: AtomicU64,
}

struct Idle {
    environment: Arc<Environment>,
    since: Instant,
}

/// Counted since the start of this process, but for the first two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gauges {
    pub running: usize,
    pub idle: usize,
    pub cold_starts: u64,
    pub warm_starts: u64,
}

/// An environment at work. Dropping it ends the environment, unless it is given back.
pub struct Running(Arc<Environment>);

impl Running {
    pub fn environment(&self) -> &Environment {
        &self.0
    }
}

impl Pool {
    pub fn new(limit: usize, log: Arc<FunctionLog>) -> Pool {
        Pool {
            permits: Arc::new(Semaphore::new(limit)),
            log,
            fingerprint: tokio::sync::Mutex::new(None),
            unpacked: Mutex::default(),
            limit,
            looking: Mutex::default(),
            idle: Mutex::default(),
            running: Mutex::default(),
            cold_starts: AtomicU64::new(0),
            warm_starts: AtomicU64::new(0),
        }
    }

    /// How many invocations hold a permit.
    pub fn running(&self) -> usize {
        self.limit.saturating_sub(self.permits.available_permits())
    }

    /// A permit, if fewer than `limit` invocations hold one. One caller looks at a time: of two at once both would come in.
    pub fn permit_below(&self, limit: usize) -> Option<OwnedSemaphorePermit> {
        let _alone = self.looking.lock().expect("no panic while held");
        if self.running() < limit { self.permits.clone().try_acquire_owned().ok() } else { None }
    }

    /// The folder of a package that an environment still runs from: nothing has to be looked at on the disk.
    pub fn unpacked(&self, sha256: &str) -> Option<(PathBuf, Arc<Pin>)> {
        let unpacked = self.unpacked.lock().expect("no panic while held");
        let (folder, pin) = unpacked.as_ref()?;
        Some((folder.clone(), pin.upgrade().filter(|pin| pin.sha256 == sha256)?))
    }

    pub fn note_unpacked(&self, (folder, pin): &(PathBuf, Arc<Pin>)) {
        *self.unpacked.lock().expect("no panic while held") = Some((folder.clone(), Arc::downgrade(pin)));
    }

    /// The most recently used living environment of `generation`; idle ones of others are ended.
    pub fn take(&self, generation: &str) -> Option<Arc<Environment>> {
        let mut idle = self.idle.lock().expect("no panic while held");
        idle.retain(|idle| idle.environment.generation == generation && idle.environment.is_alive());
        idle.pop().map(|idle| idle.environment)
    }

    pub fn keep_in_sight(&self, environment: Arc<Environment>) -> Running {
        let mut running = self.running.lock().expect("no panic while held");
        running.retain(|environment| environment.strong_count() > 0);
        running.push(Arc::downgrade(&environment));
        Running(environment)
    }

    pub fn give_back(&self, running: Running) {
        let idle = Idle { environment: running.0, since: Instant::now() };
        self.idle.lock().expect("no panic while held").push(idle);
    }

    pub fn end_idle_for(&self, keep: Duration) {
        let mut idle = self.idle.lock().expect("no panic while held");
        idle.retain(|idle| idle.since.elapsed() < keep && idle.environment.is_alive());
    }

    pub fn kill_idle(&self) {
        self.idle.lock().expect("no panic while held").clear();
    }

    pub fn kill_all(&self) {
        self.permits.close();
        for environment in self.running.lock().expect("no panic while held").iter() {
            if let Some(environment) = environment.upgrade() {
                environment.kill();
            }
        }
        self.kill_idle();
    }

    pub fn count_start(&self, cold: bool) {
        let counter = if cold { &self.cold_starts } else { &self.warm_starts };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn gauges(&self) -> Gauges {
        Gauges {
            running: self.running(),
            idle: self.idle.lock().expect("no panic while held").len(),
            cold_starts: self.cold_starts.load(Ordering::Relaxed),
            warm_starts: self.warm_starts.load(Ordering::Relaxed),
        }
    }
}
