//! The Runtime API as a state machine: one environment, at most one invocation at a time.
//!
//! ```text
//!              next                 pick up                response | error
//!  Starting ─────────► Waiting ────────────────► Running ───────────────────► Answered
//!     │                   ▲                                                      │
//!     └─ init/error       └───────────────────────── next ───────────────────────┘
//!          ▼
//!        Failed
//! ```
//!
//! Calls in any other state are InvalidStateTransition; a wrong request id is InvalidRequestID whatever the state, as in
//! AWS's Runtime Interface Emulator. The invoker's side is [`Exchange::submit`]: the job waits in its slot until the
//! runtime picks it up, so that an environment whose process died before that has surely not run it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

/// An invocation as the runtime gets it.
#[derive(Clone, Debug)]
pub struct Job {
    pub request_id: String,
    pub payload: Bytes,
    pub deadline_ms: u64,
    pub function_arn: String,
    pub trace_id: Option<String>,
    pub client_context: Option<String>,
}

/// What the runtime answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Response(Bytes),
    Error(Bytes),
    /// The response was too large to take.
    TooLarge,
}

/// How far initialisation has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    Starting,
    Ready,
    /// The error object the runtime sent.
    Failed(Bytes),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Starting,
    Waiting,
    Running(String),
    Answered(String),
    Failed,
}

impl Phase {
    /// As Lambda names it in its messages.
    fn name(&self) -> &'static str {
        match self {
            Phase::Starting => "Started",
            Phase::Waiting => "Ready",
            Phase::Running(_) => "Running",
            Phase::Answered(_) => "InvocationResponseSent",
            Phase::Failed => "InitError",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    InvalidRequestId,
    InvalidStateTransition { from: &'static str, to: &'static str },
}

struct State {
    phase: Phase,
    job: Option<Job>,
    reply: Option<oneshot::Sender<Reply>>,
}

pub struct Exchange {
    state: Mutex<State>,
    submitted: Notify,
    readiness: watch::Sender<Readiness>,
}

impl Exchange {
    pub fn new() -> Arc<Exchange> {
        let state = State { phase: Phase::Starting, job: None, reply: None };
        Arc::new(Exchange {
            state: Mutex::new(state),
            submitted: Notify::new(),
            readiness: watch::channel(Readiness::Starting).0,
        })
    }

    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Hands the next job to the runtime. The answer never comes if the job is withdrawn.
    pub fn submit(&self, job: Job) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state.lock().expect("no panic while held");
        state.job = Some(job);
        state.reply = Some(reply);
        drop(state);
        self.submitted.notify_one();
        answer
    }

    /// Takes the job back if the runtime has not picked it up; says whether that was so.
    pub fn withdraw(&self) -> bool {
        self.state.lock().expect("no panic while held").job.take().is_some()
    }

    /// `GET /runtime/invocation/next`: waits for a job.
    pub async fn next(&self) -> Result<Job, Refusal> {
        self.begin_waiting()?;
        loop {
            let submitted = self.submitted.notified();
            if let Some(job) = self.pick_up() {
                return Ok(job);
            }
            submitted.await;
        }
    }

    fn begin_waiting(&self) -> Result<(), Refusal> {
        let mut state = self.state.lock().expect("no panic while held");
        match state.phase {
            Phase::Running(_) | Phase::Failed => return Err(transition(&state.phase, "Ready")),
            Phase::Starting => {
                self.readiness.send_replace(Readiness::Ready);
            }
            Phase::Waiting | Phase::Answered(_) => {}
        }
        state.phase = Phase::Waiting;
        Ok(())
    }

    fn pick_up(&self) -> Option<Job> {
        let mut state = self.state.lock().expect("no panic while held");
        let job = state.job.take()?;
        state.phase = Phase::Running(job.request_id.clone());
        Some(job)
    }

    /// `POST /runtime/invocation/{id}/response` and `…/error`.
    pub fn answer(&self, request_id: &str, reply: Reply) -> Result<(), Refusal> {
        let mut state = self.state.lock().expect("no panic while held");
        match &state.phase {
            Phase::Running(current) if current == request_id => {}
            Phase::Answered(current) if current == request_id => {
                return Err(transition(&state.phase, "InvocationResponse"));
            }
            _ => return Err(Refusal::InvalidRequestId),
        }
        state.phase = Phase::Answered(request_id.to_owned());
        if let Some(waiting) = state.reply.take() {
            // Nobody waits any more after a time-out.
            let _ = waiting.send(reply);
        }
        Ok(())
    }

    /// `POST /runtime/init/error`.
    pub fn init_error(&self, error: Bytes) -> Result<(), Refusal> {
        let mut state = self.state.lock().expect("no panic while held");
        if state.phase != Phase::Starting {
            return Err(transition(&state.phase, "InitError"));
        }
        state.phase = Phase::Failed;
        self.readiness.send_replace(Readiness::Failed(error));
        Ok(())
    }
}

fn transition(from: &Phase, to: &'static str) -> Refusal {
    Refusal::InvalidStateTransition { from: from.name(), to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Job {
        Job {
            request_id: id.to_owned(),
            payload: Bytes::from_static(b"{}"),
            deadline_ms: 0,
            function_arn: String::new(),
            trace_id: None,
            client_context: None,
        }
    }

    fn response() -> Reply {
        Reply::Response(Bytes::from_static(b"1"))
    }

    #[tokio::test]
    async fn an_invocation_goes_round() {
        let exchange = Exchange::new();
        let answer = exchange.submit(job("a"));
        assert_eq!(exchange.next().await.unwrap().request_id, "a");
        exchange.answer("a", response()).unwrap();
        assert_eq!(answer.await.unwrap(), response());
        assert_eq!(*exchange.readiness().borrow(), Readiness::Ready);
    }

    #[tokio::test]
    async fn wrong_ids_and_wrong_order_are_told_apart() {
        let exchange = Exchange::new();
        assert_eq!(exchange.answer("a", response()), Err(Refusal::InvalidRequestId));
        let _answer = exchange.submit(job("a"));
        exchange.next().await.unwrap();
        assert_eq!(exchange.answer("b", response()), Err(Refusal::InvalidRequestId));
        let running = Refusal::InvalidStateTransition { from: "Running", to: "Ready" };
        assert_eq!(exchange.next().await.unwrap_err(), running);
        exchange.answer("a", response()).unwrap();
        let twice = exchange.answer("a", response()).unwrap_err();
        assert!(matches!(twice, Refusal::InvalidStateTransition { from: "InvocationResponseSent", .. }));
        assert!(exchange.init_error(Bytes::new()).is_err());
    }

    #[tokio::test]
    async fn a_job_can_be_withdrawn_only_before_it_is_picked_up() {
        let exchange = Exchange::new();
        let _first = exchange.submit(job("a"));
        assert!(exchange.withdraw());
        let _second = exchange.submit(job("b"));
        assert_eq!(exchange.next().await.unwrap().request_id, "b");
        assert!(!exchange.withdraw());
    }
}
