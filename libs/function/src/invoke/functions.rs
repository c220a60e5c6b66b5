//! The invoker that knows every kind of function: handlers registered in this process first, then what the catalogue
//! says, run by [`Environments`] or behind HTTP; and what each invocation leaves in the journal.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tradewind_engine::Documents;

use super::{FunctionError, Invocation, InvokeError, Invoker, Outcome, error_object};
use crate::catalogue::version::split;
use crate::catalogue::{CatalogueError, Code, Function};
use crate::history::{Begun, Shown};
use crate::http::HttpFunctions;
use crate::journal::Page;
use crate::metrics::{Executing, FunctionMetrics};
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
    http: HttpFunctions,
}

impl<D: Documents> Functions<D> {
    pub fn new(environments: Arc<Environments<D>>) -> Functions<D> {
        let http = HttpFunctions::new(environments.clock().clone());
        Functions { handlers: RwLock::default(), environments, http }
    }

    /// From now on `name` is this handler, whatever the catalogue says.
    pub fn register(&self, name: impl Into<String>, handler: Handler) {
        let name = name.into();
        self.environments.journal().pin(&name);
        self.handlers.write().expect("no panic while held").insert(name, handler);
    }

    /// Registers a handler and has the catalogue know it, so that it can be mapped and invoked like any function.
    pub async fn serve(&self, name: &str, handler: Handler) -> Result<(), CatalogueError> {
        self.register(name, handler);
        let function = Function::of_this_process(name, (self.environments.clock())());
        self.environments.catalogue().create_function(&function).await?;
        Ok(())
    }

    pub fn environments(&self) -> &Arc<Environments<D>> {
        &self.environments
    }

    fn registered(&self, name: &str) -> Option<Handler> {
        self.handlers.read().expect("no panic while held").get(name).cloned()
    }

    async fn run(&self, invocation: Invocation, page: &Page) -> Result<Outcome, InvokeError> {
        if let Some(handler) = self.registered(split(&invocation.function).0) {
            return Ok(run_here(handler, invocation).await);
        }
        let function = self.environments.function(&invocation.function).await?;
        match &function.code {
            Code::Http(endpoint) => {
                let arn = self.environments.arn(&invocation.function);
                self.http.invoke(&function, endpoint, &invocation, &page.log, &arn).await
            }
            Code::Handler => Err(InvokeError::Service(format!(
                "no handler of this process is registered as {}",
                function.name
            ))),
            Code::Zip { .. } | Code::Directory { .. } => {
                self.environments.invoke_as(&function, &invocation).await
            }
        }
    }
}

impl<D: Documents> Invoker for Functions<D> {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let page = self.environments.journal().page(split(&invocation.function).0);
        let begun = Begun {
            request_id: invocation.request_id,
            started_ms: (self.environments.clock())(),
            cause: invocation.cause.clone(),
            input: Shown::of(&invocation.payload),
        };
        let executing = Executing::begin(&page.metrics.concurrent_executions);
        let result = self.run(invocation, &page).await;
        drop(executing);
        count(&page.metrics, &result);
        page.history.note(begun, result.as_ref().map_err(ToString::to_string));
        result
    }
}

fn count(metrics: &FunctionMetrics, result: &Result<Outcome, InvokeError>) {
    let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    match result {
        Ok(outcome) => {
            add(&metrics.invocations);
            metrics.add_duration(outcome.duration);
            if outcome.function_error.is_some() {
                add(&metrics.errors);
            }
        }
        Err(InvokeError::Throttled) => {
            add(&metrics.throttles);
        }
        Err(_) => {}
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
