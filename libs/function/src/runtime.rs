//! Environments: where functions run that are processes, kept warm and reused, a pool per function.
//!
//! A function's environments are bounded in number; more invocations than that wait, and with a reserved concurrency more
//! than that are throttled. An environment of older code or configuration is never reused. What an environment did not
//! pick up before its process ended is given to a fresh one: only an invocation that began can be an error of its function.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tradewind_engine::Documents;

use crate::Clock;
use crate::catalogue::version::split;
use crate::catalogue::{Catalogue, Code, Function};
use crate::code::{CodeError, Packages, directory};
use crate::invoke::{FunctionError, Invocation, InvokeError, Invoker, MAX_PAYLOAD, Outcome, error_object};
use crate::journal::Journal;
use crate::log::{FunctionLog, Transcript};

mod api;
pub mod command;
mod environment;
mod exchange;
mod pool;
mod process;
pub mod variables;

#[cfg(test)]
mod tests;

use command::Interpreters;
use environment::{Blueprint, Ended, Environment, Report};
use exchange::Job;
use pool::Pool;
use process::Program;

/// The credentials that functions get for their own calls.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

#[derive(Clone)]
pub struct Settings {
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// Where functions find this program.
    pub endpoint_url: String,
    pub credentials: Credentials,
    /// The PATH of functions.
    pub path: String,
    /// Names searched in our own PATH, or paths.
    pub python: String,
    pub node: String,
    /// Whether AWS's own runtimes are preferred where the interpreters have them.
    pub use_aws_runtimes: bool,
    /// Where our bootstraps are written to.
    pub folder: PathBuf,
    /// How many environments one function may have at once.
    pub max_environments: usize,
    /// How long an environment is kept without work.
    pub keep_idle: Duration,
    /// How long an environment may take to ask for its first invocation (Lambda: 10 s).
    pub init_timeout: Duration,
}

/// How often idle environments are looked through.
const REAP_INTERVAL: Duration = Duration::from_secs(5);
/// How many environments may end before they take an invocation until that is the invocation's error.
const MAX_STARTS: usize = 3;
/// On top of a function's memory: the stacks that a runtime's threads reserve and never touch count too.
const MEMORY_MARGIN_MB: u64 = 64;
/// How stale the view of a folder's files may be; a walk per invocation would be felt at thousands a second.
const FINGERPRINT_AGE: Duration = Duration::from_millis(50);

pub struct Environments<D> {
    catalogue: Arc<Catalogue<D>>,
    code: Arc<Packages<D>>,
    settings: Settings,
    clock: Clock,
    interpreters: Interpreters,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    journal: Arc<Journal>,
    stopped: AtomicBool,
}

impl<D: Documents> Environments<D> {
    /// Must be called inside a Tokio runtime: idle environments are ended by a task of it.
    pub fn new(
        catalogue: Arc<Catalogue<D>>,
        code: Arc<Packages<D>>,
        settings: Settings,
        clock: Clock,
    ) -> std::io::Result<Arc<Environments<D>>> {
        let interpreters = Interpreters::new(
            &settings.folder,
            settings.python.clone(),
            settings.node.clone(),
            settings.use_aws_runtimes,
        )?;
        let environments = Arc::new(Environments {
            catalogue,
            code,
            settings,
            clock,
            interpreters,
            pools: Mutex::default(),
            journal: Arc::default(),
            stopped: AtomicBool::new(false),
        });
        tokio::spawn(reap(Arc::downgrade(&environments)));
        Ok(environments)
    }

    /// A function's log; empty for one that never ran here.
    pub fn log(&self, function: &str) -> Arc<FunctionLog> {
        self.journal.page(function).log.clone()
    }

    /// Logs, history and numbers of all functions that ran here, whatever they are made of.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub fn catalogue(&self) -> &Arc<Catalogue<D>> {
        &self.catalogue
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The ARN by which a function knows itself.
    pub fn arn(&self, function: &str) -> String {
        let Settings { region, account, .. } = &self.settings;
        format!("arn:aws:lambda:{region}:{account}:function:{function}")
    }

    /// Environments started and invocations running, for telemetry.
    pub fn gauges(&self, function: &str) -> pool::Gauges {
        self.pool(function).gauges()
    }

    /// Ends all environments, running ones too, and starts no more.
    pub fn shutdown(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for pool in self.pools.lock().expect("no panic while held").values() {
            pool.kill_all();
        }
    }

    /// Ends what is kept for functions that are no more, their logs included.
    async fn forget_deleted(&self) {
        let Ok(functions) = self.catalogue.functions().await else { return };
        let names: HashSet<_> = functions.into_iter().map(|function| function.name).collect();
        let mut pools = self.pools.lock().expect("no panic while held");
        pools.retain(|name, pool| names.contains(split(name).0) || pool.running() > 0);
        self.journal.keep(|name| names.contains(name) || pools.contains_key(name));
    }

    fn pool(&self, function: &str) -> Arc<Pool> {
        let mut pools = self.pools.lock().expect("no panic while held");
        pools
            .entry(function.to_owned())
            .or_insert_with(|| {
                let log = self.journal.page(split(function).0).log.clone();
                Arc::new(Pool::new(self.settings.max_environments, log))
            })
            .clone()
    }

    /// Versions have environments of their own.
    fn pool_name(&self, function: &Function) -> String {
        match function.version {
            Some(number) => format!("{}:{number}", function.name),
            None => function.name.clone(),
        }
    }

    /// Invokes a function as it is described.
    pub async fn invoke_as(
        &self,
        function: &Function,
        invocation: &Invocation,
    ) -> Result<Outcome, InvokeError> {
        if invocation.payload.len() > MAX_PAYLOAD {
            return Err(InvokeError::TooLarge { size: invocation.payload.len(), limit: MAX_PAYLOAD });
        }
        let pool = self.pool(&self.pool_name(function));
        let _permit = self.permit(&pool, function).await?;
        Ok(self.run(&pool, function, invocation).await)
    }

    pub async fn function(&self, name: &str) -> Result<Function, InvokeError> {
        let found = self.catalogue.resolve(name).await;
        found
            .map_err(|error| InvokeError::Service(error.to_string()))?
            .ok_or_else(|| InvokeError::NotFound(name.to_owned()))
    }

    async fn permit(&self, pool: &Pool, function: &Function) -> Result<OwnedSemaphorePermit, InvokeError> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(InvokeError::Service("shutting down".to_owned()));
        }
        if let Some(limit) = function.reserved_concurrency.filter(|limit| (*limit as usize) < pool.limit) {
            return pool.permit_below(limit as usize).ok_or(InvokeError::Throttled);
        }
        let permit = pool.permits.clone().acquire_owned().await;
        permit.map_err(|_| InvokeError::Service("shutting down".to_owned()))
    }

    /// What environments of the function's present code and configuration are started from.
    async fn blueprint(&self, pool: &Pool, function: &Function) -> Result<Blueprint, CodeError> {
        let revision = &function.revision_id;
        match &function.code {
            Code::Zip { sha256, .. } => {
                let (folder, pin) = match pool.unpacked(sha256) {
                    Some(known) => known,
                    None => {
                        let unpacked = self.code.unpacked(sha256).await?;
                        pool.note_unpacked(&unpacked);
                        unpacked
                    }
                };
                Ok(Blueprint { generation: revision.clone(), folder, pin: Some(pin) })
            }
            Code::Http(_) | Code::Handler => Err(CodeError::Missing(function.name.clone())),
            Code::Directory { path } => {
                let fingerprint = self.fingerprint(pool, path).await?;
                let generation = format!("{revision}/{fingerprint:x}");
                Ok(Blueprint { generation, folder: path.clone(), pin: None })
            }
        }
    }

    async fn fingerprint(&self, pool: &Pool, path: &std::path::Path) -> std::io::Result<u64> {
        let mut known = pool.fingerprint.lock().await;
        if let Some((taken, fingerprint)) = *known
            && taken.elapsed() < FINGERPRINT_AGE
        {
            return Ok(fingerprint);
        }
        let path = path.to_owned();
        let walked = tokio::task::spawn_blocking(move || directory::fingerprint(&path)).await;
        let fingerprint = walked.map_err(std::io::Error::other)??;
        *known = Some((Instant::now(), fingerprint));
        Ok(fingerprint)
    }

    /// A new environment that has asked for its first invocation.
    async fn start(
        &self,
        function: &Function,
        blueprint: Blueprint,
        transcript: Arc<Transcript>,
        request_id: &str,
    ) -> Result<Arc<Environment>, Ended> {
        let entry_point = |reason: &str| Ended {
            payload: error_object(
                "Runtime.InvalidEntrypoint",
                &format!("RequestId: {request_id} Error: {reason}"),
            ),
            function_error: Some(FunctionError::Unhandled),
            reusable: false,
        };
        let folder = blueprint.folder.clone();
        let (path, arguments) = self
            .interpreters
            .program(function, &folder)
            .await
            .map_err(|error| entry_point(&error.to_string()))?;
        let program = |address| Program {
            path: path.clone(),
            arguments,
            variables: variables::variables(
                function,
                &self.settings,
                &folder,
                self.interpreters.folder(),
                address,
                (self.clock)(),
            ),
            folder: folder.clone(),
            memory_kb: Some((u64::from(function.memory_mb) + MEMORY_MARGIN_MB) * 1024),
        };
        let started = Environment::start(blueprint, transcript, program).await;
        let environment = started.map_err(|error| entry_point(&format!("{}: {error}", path.display())))?;
        let ready = environment.initialised(self.settings.init_timeout, request_id).await;
        environment.drain_output();
        ready.map(|()| Arc::new(environment))
    }

    fn job(&self, function: &Function, invocation: &Invocation) -> Job {
        Job {
            request_id: invocation.request_id.to_string(),
            payload: invocation.payload.clone(),
            deadline_ms: (self.clock)() + u64::from(function.timeout_s) * 1000,
            function_arn: self.arn(&invocation.function),
            trace_id: invocation.trace_id.clone(),
            client_context: invocation.client_context.clone(),
        }
    }

    /// Runs on a warm environment or a new one; on another if that ended before it began.
    async fn run(&self, pool: &Pool, function: &Function, invocation: &Invocation) -> Outcome {
        for _ in 0..MAX_STARTS {
            let blueprint = match self.blueprint(pool, function).await {
                Ok(blueprint) => blueprint,
                Err(error) => return failed_before_start(function, &error.to_string()),
            };
            let began = Instant::now();
            let warm = pool.take(&blueprint.generation);
            let cold_start = warm.is_none();
            let environment = match warm {
                Some(environment) => environment,
                None => match self.cold_start(pool, function, blueprint, invocation).await {
                    Ok(environment) => environment,
                    Err(outcome) => return *outcome,
                },
            };
            pool.count_start(cold_start);
            let init = cold_start.then(|| began.elapsed());
            if let Some(outcome) = self.run_on(pool, environment, function, invocation, init).await {
                return outcome;
            }
        }
        failed_before_start(function, "Runtime exits before it takes an invocation")
    }

    async fn cold_start(
        &self,
        pool: &Pool,
        function: &Function,
        blueprint: Blueprint,
        invocation: &Invocation,
    ) -> Result<Arc<Environment>, Box<Outcome>> {
        let transcript = Arc::new(Transcript::new(pool.log.clone()));
        let request_id = invocation.request_id.to_string();
        let started = self.start(function, blueprint, transcript.clone(), &request_id).await;
        started.map_err(|ended| {
            let report = Report::begin(&transcript, &request_id, function, None);
            let duration = report.end(&transcript, &ended);
            Box::new(outcome(ended, &transcript, function, duration, true))
        })
    }

    /// `None` if the environment ended before the function began.
    async fn run_on(
        &self,
        pool: &Pool,
        environment: Arc<Environment>,
        function: &Function,
        invocation: &Invocation,
        init: Option<Duration>,
    ) -> Option<Outcome> {
        let transcript = environment.transcript.clone();
        let request_id = invocation.request_id.to_string();
        let report = Report::begin(&transcript, &request_id, function, init);
        let running = pool.keep_in_sight(environment);
        let job = self.job(function, invocation);
        let ended = running.environment().run(job, function.timeout()).await.ok()?;
        running.environment().drain_output();
        let duration = report.end(&transcript, &ended);
        if ended.reusable && !self.stopped.load(Ordering::SeqCst) {
            pool.give_back(running);
        }
        Some(outcome(ended, &transcript, function, duration, init.is_some()))
    }
}

impl<D: Documents> Invoker for Environments<D> {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let function = self.function(&invocation.function).await?;
        self.invoke_as(&function, &invocation).await
    }
}

fn outcome(
    ended: Ended,
    transcript: &Transcript,
    function: &Function,
    duration: Duration,
    cold_start: bool,
) -> Outcome {
    Outcome {
        payload: ended.payload,
        function_error: ended.function_error,
        log_tail: transcript.take_tail(),
        executed_version: function.version_text(),
        duration,
        cold_start,
    }
}

fn failed_before_start(function: &Function, reason: &str) -> Outcome {
    Outcome {
        payload: error_object("Runtime.InvalidEntrypoint", reason),
        function_error: Some(FunctionError::Unhandled),
        log_tail: bytes::Bytes::new(),
        executed_version: function.version_text(),
        duration: Duration::ZERO,
        cold_start: true,
    }
}

async fn reap<D: Documents>(environments: Weak<Environments<D>>) {
    loop {
        tokio::time::sleep(REAP_INTERVAL).await;
        let Some(environments) = environments.upgrade() else { return };
        let keep = environments.settings.keep_idle;
        for pool in environments.pools.lock().expect("no panic while held").values() {
            pool.end_idle_for(keep);
        }
        environments.forget_deleted().await;
    }
}
