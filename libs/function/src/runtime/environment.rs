//! One environment: a process, its Runtime API, and the invocations it runs one after another.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::api::{MAX_RESPONSE, RuntimeApi};
use super::exchange::{Exchange, Job, Readiness, Reply};
use super::process::{Process, Program, describe};
use crate::catalogue::Function;
use crate::code::Pin;
use crate::invoke::{FunctionError, error_object};
use crate::log::Transcript;

/// What an environment is started from.
pub struct Blueprint {
    /// Tells environments of different code or configuration apart.
    pub generation: String,
    pub folder: PathBuf,
    /// Keeps unpacked code on disk.
    pub pin: Option<Arc<Pin>>,
}

pub struct Environment {
    pub generation: String,
    pub transcript: Arc<Transcript>,
    exchange: Arc<Exchange>,
    process: Process,
    _api: RuntimeApi,
    _pin: Option<Arc<Pin>>,
}

/// How one invocation ended.
#[derive(Debug)]
pub struct Ended {
    pub payload: Bytes,
    pub function_error: Option<FunctionError>,
    /// Whether the environment can take another invocation.
    pub reusable: bool,
}

/// The process ended before it picked the job up: the function surely did not run.
#[derive(Debug)]
pub struct NotStarted;

impl Ended {
    fn error(error_type: &str, message: &str) -> Ended {
        let payload = error_object(error_type, message);
        Ended { payload, function_error: Some(FunctionError::Unhandled), reusable: false }
    }
}

impl Environment {
    /// Starts the process; `program` gets the Runtime API's address and says what to run.
    pub async fn start(
        blueprint: Blueprint,
        transcript: Arc<Transcript>,
        program: impl FnOnce(std::net::SocketAddr) -> Program,
    ) -> io::Result<Environment> {
        let exchange = Exchange::new();
        let api = RuntimeApi::start(exchange.clone()).await?;
        let process = Process::start(&program(api.address), transcript.clone())?;
        Ok(Environment {
            generation: blueprint.generation,
            transcript,
            exchange,
            process,
            _api: api,
            _pin: blueprint.pin,
        })
    }

    pub fn is_alive(&self) -> bool {
        self.process.exit_status().is_none()
    }

    /// Ends the process group; a running invocation ends as an exit error.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Takes into the transcript whatever the function has written up to now.
    pub fn drain_output(&self) {
        self.process.drain_output();
    }

    /// Waits until the runtime asks for its first invocation, or says why it never will.
    pub async fn initialised(&self, limit: Duration, request_id: &str) -> Result<(), Ended> {
        let mut readiness = self.exchange.readiness();
        let settled = async {
            let ready = readiness.wait_for(|readiness| *readiness != Readiness::Starting);
            tokio::select! {
                biased;
                readiness = ready => readiness.map_or(Readiness::Starting, |readiness| readiness.clone()),
                _ = self.process.exited() => Readiness::Starting,
            }
        };
        match timeout(limit, settled).await {
            Ok(Readiness::Ready) => Ok(()),
            Ok(Readiness::Failed(payload)) => {
                // It exits by itself now; what it still prints belongs to this invocation.
                let _ = timeout(Duration::from_millis(200), self.process.exited()).await;
                let function_error = Some(FunctionError::Unhandled);
                Err(Ended { payload, function_error, reusable: false })
            }
            Ok(Readiness::Starting) => Err(self.exit_error(request_id)),
            Err(_) => {
                self.process.kill();
                Err(timed_out(request_id, limit))
            }
        }
    }

    /// Runs one invocation; kills the process group at the deadline.
    pub async fn run(&self, job: Job, limit: Duration) -> Result<Ended, NotStarted> {
        let request_id = job.request_id.clone();
        let answer = self.exchange.submit(job);
        let reply = async {
            tokio::select! {
                biased;
                reply = answer => reply.ok(),
                _ = self.process.exited() => None,
            }
        };
        Ok(match timeout(limit, reply).await {
            Ok(Some(reply)) => self.answered(reply),
            Ok(None) if self.exchange.withdraw() => return Err(NotStarted),
            Ok(None) => self.exit_error(&request_id),
            Err(_) => {
                self.process.kill();
                timed_out(&request_id, limit)
            }
        })
    }

    fn answered(&self, reply: Reply) -> Ended {
        match reply {
            Reply::Response(payload) => Ended { payload, function_error: None, reusable: true },
            Reply::Error(payload) => {
                Ended { payload, function_error: Some(FunctionError::Unhandled), reusable: true }
            }
            Reply::TooLarge => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
                );
                Ended { reusable: true, ..Ended::error("Function.ResponseSizeTooLarge", &message) }
            }
        }
    }

    fn exit_error(&self, request_id: &str) -> Ended {
        let how = self.process.exit_status().map_or_else(|| "Runtime exited".to_owned(), describe);
        Ended::error("Runtime.ExitError", &format!("RequestId: {request_id} Error: {how}"))
    }
}

fn timed_out(request_id: &str, limit: Duration) -> Ended {
    let message =
        format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", limit.as_secs_f64());
    Ended::error("Sandbox.Timedout", &message)
}

/// Lambda's lines around an invocation in the log.
pub struct Report {
    pub request_id: String,
    pub memory_mb: u32,
    pub init: Option<Duration>,
    started: Instant,
}

impl Report {
    pub fn begin(
        transcript: &Transcript,
        request_id: &str,
        function: &Function,
        init: Option<Duration>,
    ) -> Report {
        let version = function.version_text();
        transcript.append(format!("START RequestId: {request_id} Version: {version}\n").as_bytes());
        let memory_mb = function.memory_mb;
        Report { request_id: request_id.to_owned(), memory_mb, init, started: Instant::now() }
    }

    /// Writes END and REPORT and answers how long it took.
    pub fn end(self, transcript: &Transcript, ended: &Ended) -> Duration {
        let took = self.started.elapsed();
        let Report { request_id, memory_mb, init, .. } = self;
        if ended.function_error.is_some() && !ended.reusable {
            transcript.append(&[ended.payload.as_ref(), b"\n"].concat());
        }
        let ms = took.as_secs_f64() * 1000.0;
        let init =
            init.map_or_else(String::new, |i| format!("Init Duration: {:.2} ms\t", i.as_secs_f64() * 1000.0));
        let lines = format!(
            "END RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: {ms:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {memory_mb} MB\t{init}\n",
            ms.ceil()
        );
        transcript.append(lines.as_bytes());
        took
    }
}
