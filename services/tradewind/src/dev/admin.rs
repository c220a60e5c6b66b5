//! What a region answers beside DynamoDB: Lambda, health, and the questions of the command line.
//!
//! ```text
//! GET  /health, /ready
//! GET  /_tradewind/tables                      every table of every region
//! GET  /_tradewind/replication                 every link of every region
//! GET  /_tradewind/insights                    the most used partition keys of every table
//! GET  /metrics                                what is counted, as Prometheus reads it
//! ```
//!
//! what [`conflicts`] answers, what [`chaos`](super::chaos) does to the process, what [`verify`](super::verify) compares, and
//! what [`global`](super::global) does, of the region that the signature names.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tradewind_replication::by_table;
use tradewind_storage::{Answered, Guard, Other, conflicts, metrics_answer};
use tradewind_streams::Request;
use tradewind_telemetry::metrics::{Disk, Sample};
use tradewind_wire::ApiError;
use tradewind_wire::http::is_lambda_path;

use super::region::RegionProcess;
use super::regions::RegionSet;

pub const PREFIX: &str = "/_tradewind/";
/// Keys of a table that are shown.
const INSIGHTS: usize = 20;

pub struct Admin {
    pub regions: Arc<RegionSet>,
    pub process: Arc<RegionProcess>,
}

impl Other for Admin {
    fn guard(&self, path: &str) -> Option<Guard> {
        match path {
            "/health" | "/ready" | "/metrics" => Some(Guard::Open),
            path if path.starts_with(PREFIX) => Some(Guard::Signed("dynamodb")),
            path if is_lambda_path(path) => Some(Guard::Signed("lambda")),
            _ => None,
        }
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        Box::pin(async move {
            let path = head.uri.path();
            match path.strip_prefix(PREFIX) {
                Some(question) => self.question(question, &body).await,
                None if is_lambda_path(path) => self.lambda(head, &body).await,
                None if path == "/metrics" => metrics_answer(self.samples()),
                None if path == "/ready" => json_answer(StatusCode::OK, &self.ready()),
                None => json_answer(StatusCode::OK, &json!({ "status": "ok" })),
            }
        })
    }
}

impl Admin {
    async fn lambda(&self, head: &Parts, body: &Bytes) -> Answered {
        let request = Request {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body,
        };
        let answer = self.process.streams.handle(request).await;
        let mut response = http::Response::new(answer.body);
        *response.status_mut() = StatusCode::from_u16(answer.status).expect("Lambda's own statuses");
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        response
    }

    async fn question(&self, question: &str, body: &Bytes) -> Answered {
        let nothing = || Err(ApiError::resource_not_found(format!("there is nothing at {PREFIX}{question}")));
        let answer = match question.split_once('/') {
            Some(("conflicts", rest)) => conflicts(&self.process.database, rest, body).await,
            Some(("chaos", order)) => self.regions.disturb(order, body),
            Some(("verify", order)) => self.process.verify(&self.regions, order, body),
            Some(("replication", order)) => self.process.order(order, body).await.unwrap_or_else(nothing),
            None if question == "tables" => self.tables().await,
            None if question == "chaos" => self.regions.disturb("", body),
            None if question == "verify" => self.process.verify(&self.regions, "", body),
            None if question == "replication" => Ok(self.replication()),
            None if question == "insights" => Ok(self.insights()),
            _ => nothing(),
        };
        match answer {
            Ok(body) => json_answer(StatusCode::OK, &body),
            Err(error) => json_answer(StatusCode::BAD_REQUEST, &json!({ "message": error.message })),
        }
    }

    async fn tables(&self) -> Result<Value, ApiError> {
        let mut tables = Vec::new();
        for process in self.regions.all() {
            tables.extend(tradewind_storage::tables(&process.database).await?);
        }
        Ok(json!({ "tables": tables }))
    }

    /// A disk that is nearly full keeps no request from being served; it is said all the same.
    fn ready(&self) -> Value {
        let warning = self.regions.data_dir().and_then(|dir| Disk::of(dir)?.warning(dir));
        match warning {
            Some(warning) => json!({ "status": "ok", "warnings": [warning] }),
            None => json!({ "status": "ok" }),
        }
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let dir = self.regions.data_dir();
        if let Some((dir, disk)) = dir.and_then(|dir| Some((dir, Disk::of(dir)?))) {
            disk.samples(dir, &mut samples);
        }
        for process in self.regions.all() {
            process.database.samples(self.regions.shows_keys(), &mut samples);
            process.replicator.samples(&mut samples);
            process.streams.samples(&mut samples);
        }
        samples
    }

    /// The most used partition keys of every table of every region.
    fn insights(&self) -> Value {
        let mut tables = Vec::new();
        for process in self.regions.all() {
            for hot in process.database.hot_keys(INSIGHTS) {
                tables.push(json!({
                    "region": process.database.region(),
                    "table": hot.table,
                    "keys": hot.keys.iter().map(|(key, contributor)| json!({
                        "key": serde_json::from_str::<Value>(key).unwrap_or_default(),
                        "requests": contributor.requests,
                        "error": contributor.error,
                    })).collect::<Vec<_>>(),
                }));
            }
        }
        json!({ "tables": tables })
    }

    fn replication(&self) -> Value {
        let links: Vec<_> =
            self.regions.all().iter().flat_map(|process| process.replicator.status()).collect();
        json!({ "links": links, "tables": by_table(&links) })
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Answered {
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
