//! Whether this process lives (`GET /health`), whether it can serve (`GET /ready`), and its numbers (`GET /metrics`). The first
//! two say what is wrong.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tradewind_telemetry::metrics::Sample;

use super::roster::Roster;
use crate::front::{Answered, Guard, Other, metrics_answer};

/// What only `tradewind dev` does to itself.
const CHAOS: &str = "/_tradewind/chaos";

pub struct Health {
    pub roster: Arc<Roster>,
    /// The process drains.
    pub stop: CancellationToken,
    pub troubles: Troubles,
    /// What there is to say of the changes that are published, if they are. A broker that is away keeps no request from
    /// being served, and so the node is ready all the same.
    pub publishing: Option<Report>,
    /// The numbers of `GET /metrics` that are looked up when it is asked.
    pub samples: Samples,
}

/// What keeps the databases from working.
pub type Troubles = Box<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

pub type Report = Box<dyn Fn() -> Value + Send + Sync>;
pub type Samples = Box<dyn Fn(&mut Vec<Sample>) + Send + Sync>;

impl Health {
    /// What is missing, for people.
    async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.stop.is_cancelled() {
            missing.push("this node is stopping".to_owned());
        }
        if let Some(trouble) = self.roster.trouble() {
            missing.push(format!("the database does not answer: {trouble}"));
        }
        if !self.roster.lease().holds() {
            missing.push("this node has no lease, and so answers for no partition".to_owned());
        }
        missing.extend((self.troubles)().await);
        missing
    }

    /// It lives, as it answers.
    async fn health(&self) -> Answered {
        let missing = self.missing().await;
        match missing.is_empty() {
            true => answer(StatusCode::OK, &json!({ "status": "ok" })),
            false => answer(StatusCode::OK, &json!({ "status": "ok", "missing": missing })),
        }
    }

    async fn ready(&self) -> Answered {
        let node = json!({ "name": self.roster.me.name, "id": self.roster.me.id });
        let missing = self.missing().await;
        if missing.is_empty() {
            let mut body = json!({ "status": "ready", "node": node });
            if let Some(publishing) = &self.publishing {
                body["publishing"] = publishing();
            }
            return answer(StatusCode::OK, &body);
        }
        let body = json!({ "status": "not ready", "node": node, "missing": missing });
        answer(StatusCode::SERVICE_UNAVAILABLE, &body)
    }
}

impl Other for Health {
    fn guard(&self, path: &str) -> Option<Guard> {
        match path {
            "/health" | "/ready" | "/metrics" => Some(Guard::Open),
            path if path.starts_with(CHAOS) => Some(Guard::Signed("dynamodb")),
            _ => None,
        }
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        _: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        Box::pin(async move {
            match head.uri.path() {
                "/ready" => self.ready().await,
                "/metrics" => metrics(&self.samples),
                path if path.starts_with(CHAOS) => no_chaos(),
                _ => self.health().await,
            }
        })
    }
}

fn metrics(samples: &Samples) -> Answered {
    let mut found = Vec::new();
    samples(&mut found);
    metrics_answer(found)
}

fn no_chaos() -> Answered {
    let message = "this is a storage node: only the links and clocks of `tradewind dev` can be disturbed";
    answer(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}

fn answer(status: StatusCode, body: &Value) -> Answered {
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
