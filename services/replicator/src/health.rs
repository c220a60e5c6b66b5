//! Whether this process lives (`GET /health`), whether it may run links and if not why (`GET /ready`), and its numbers (`GET
//! /metrics`).

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{Router, get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tradewind_storage::metrics_answer;
use tradewind_storage::node::Roster;
use tradewind_telemetry::metrics::Sample;

/// The numbers that are looked up when they are asked for.
pub type Samples = Arc<dyn Fn() -> Vec<Sample> + Send + Sync>;

pub async fn serve(listener: TcpListener, roster: Arc<Roster>, samples: Samples, stop: CancellationToken) {
    let health = || async { Json(json!({ "status": "ok" })) };
    let metrics = move || async move {
        let (head, body) = metrics_answer(samples()).into_parts();
        Response::from_parts(head, Body::from(body))
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/ready", get(ready))
        .with_state(roster);
    let stopped = async move { stop.cancelled().await };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "health checks are not answered any more");
    }
}

async fn ready(State(roster): State<Arc<Roster>>) -> (StatusCode, Json<Value>) {
    let node = json!({ "name": roster.me.name, "id": roster.me.id });
    let mut missing = Vec::new();
    if let Some(trouble) = roster.trouble() {
        missing.push(format!("the database does not answer: {trouble}"));
    }
    if !roster.lease().holds() {
        missing.push("this replicator has no lease, and so runs no link".to_owned());
    }
    match missing.is_empty() {
        true => (StatusCode::OK, Json(json!({ "status": "ready", "node": node }))),
        false => {
            let body = json!({ "status": "not ready", "node": node, "missing": missing });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
