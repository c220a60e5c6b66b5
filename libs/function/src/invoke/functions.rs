//! The invoker that knows every kind of function: handlers registered in this process first, then what the catalogue
//! says, run by [`Environments`].

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tradewind_engine::Documents;

use super::{FunctionError, Invocation, InvokeError, Invoker, Outcome, error_object};
use crate::runtime::Environments;

/// How long a handler in this process may take: Lambda's longest time-out.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(900);

/// An error that a handler in this process reports.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct HandlerError {
    pub error_type: String,
    pub message: String,
}

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, HandlerError>> + Send>>;

/// A function in this process: gets the event's JSON, answers JSON.
pub type Handler = Arc<dyn Fn(Invocation) -> Answer + Send + Sync>;

/// Makes a [`Handler`] of an async closure.
pub fn handler<F, Fut>(run: F) -> Handler
where
    F: Fn(Invocation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, HandlerError>> + Send + 'static,
{
    Arc::new(move |invocation| Box::pin(run(invocation)))
}

pub struct Functions<D> {
    handlers: RwLock<HashMap<String, Handler>>,
    environments: Arc<Environments<D>>,
}

impl<D: Documents> Functions<D> {
    pub fn new(environments: Arc<Environments<D>>) -> Functions<D> {
        Functions { handlers: RwLock::default(), environments }
    }

    /// From now on `name` is this handler, whatever the catalogue says.
    pub fn register(&self, name: impl Into<String>, handler: Handler) {
        self.handlers.write().expect("no panic while held").insert(name.into(), handler);
    }

    pub fn environments(&self) -> &Arc<Environments<D>> {
        &self.environments
    }

    fn registered(&self, name: &str) -> Option<Handler> {
        self.handlers.read().expect("no panic while held").get(name).cloned()
    }
}

impl<D: Documents> Invoker for Functions<D> {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        match self.registered(&invocation.function) {
            Some(handler) => Ok(run_here(handler, invocation).await),
            None => self.environments.invoke(invocation).await,
        }
    }
}

/// Runs a handler on a task of its own, so that its panic is this invocation's error and nothing more.
async fn run_here(handler: Handler, invocation: Invocation) -> Outcome {
    let start = Instant::now();
    let mut task = tokio::spawn(async move { handler(invocation).await });
    let answer = tokio::time::timeout(HANDLER_TIMEOUT, &mut task).await;
    let (payload, function_error) = match answer {
        Ok(Ok(Ok(payload))) => (payload, None),
        Ok(Ok(Err(error))) => (error_object(&error.error_type, &error.message), Some(FunctionError::Handled)),
        Ok(Err(panic)) => (error_object("Runtime.Panic", &panic.to_string()), Some(FunctionError::Unhandled)),
        Err(_) => {
            task.abort();
            let message = format!("Task timed out after {:.2} seconds", HANDLER_TIMEOUT.as_secs_f64());
            (error_object("Sandbox.Timedout", &message), Some(FunctionError::Unhandled))
        }
    };
    Outcome {
        payload,
        function_error,
        log_tail: Bytes::new(),
        executed_version: "$LATEST".to_owned(),
        duration: start.elapsed(),
        cold_start: false,
    }
}
