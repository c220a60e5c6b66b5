//! What a region answers beside DynamoDB: Lambda, health, and the questions of the command line.
//!
//! ```text
//! GET  /health, /ready
//! GET  /_tradewind/tables                      every table of every region
//! GET  /_tradewind/conflicts/TABLE?limit=N     of the region that the signature names
//! GET  /_tradewind/replication                 every link of every region
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tradewind_database::conflict::Conflict;
use tradewind_database::merge::Kind;
use tradewind_model::{ItemRef, KeySchema, StoredItem};
use tradewind_storage::{Answered, Guard, Other};
use tradewind_streams::{Request, is_lambda_path};
use tradewind_wire::ApiError;
use tradewind_wire::attribute_value;

use super::region::RegionProcess;
use super::regions::RegionSet;

pub const PREFIX: &str = "/_tradewind/";
const MAX_CONFLICTS: usize = 10_000;

pub struct Admin {
    pub regions: Arc<RegionSet>,
    pub process: Arc<RegionProcess>,
}

impl Other for Admin {
    fn guard(&self, path: &str) -> Option<Guard> {
        match path {
            "/health" | "/ready" => Some(Guard::Open),
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
                Some(question) => self.question(question, head.uri.query().unwrap_or_default()).await,
                None if is_lambda_path(path) => self.lambda(head, &body).await,
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

    async fn question(&self, question: &str, query: &str) -> Answered {
        let answer = match question.split_once('/') {
            Some(("conflicts", table)) => self.conflicts(table, query).await,
            None if question == "tables" => self.tables().await,
            None if question == "replication" => Ok(self.replication()),
            _ => Err(ApiError::resource_not_found(format!("there is nothing at {PREFIX}{question}"))),
        };
        match answer {
            Ok(body) => json_answer(StatusCode::OK, &body),
            Err(error) => json_answer(StatusCode::BAD_REQUEST, &json!({ "message": error.message })),
        }
    }

    async fn tables(&self) -> Result<Value, ApiError> {
        let mut tables = Vec::new();
        for process in self.regions.all() {
            let mut names: Vec<_> =
                process.database.tables().iter().map(|table| table.document().name.clone()).collect();
            names.sort();
            for name in names {
                let description = process.database.describe_table(&name).await?;
                let replicas: Vec<_> = description
                    .replicas
                    .iter()
                    .map(|replica| json!({ "region": replica.region, "status": replica.status.name() }))
                    .collect();
                tables.push(json!({
                    "region": process.database.region(),
                    "table": name,
                    "status": description.status.name(),
                    "items": description.item_count,
                    "bytes": description.size_bytes,
                    "stream": description.stream.map(|view| view.name()),
                    "indexes": description.global_indexes.len() + description.local_indexes.len(),
                    "replicas": replicas,
                }));
            }
        }
        Ok(json!({ "tables": tables }))
    }

    async fn conflicts(&self, table: &str, query: &str) -> Result<Value, ApiError> {
        let limit = query.strip_prefix("limit=").and_then(|limit| limit.parse().ok()).unwrap_or(100);
        let database = &self.process.database;
        let (conflicts, next) = database.conflicts(table, None, usize::min(limit, MAX_CONFLICTS)).await?;
        let keys = database.table(table).map(|table| table.document().keys.clone());
        let keys = keys.ok_or_else(|| ApiError::resource_not_found("Requested resource not found"))?;
        let shown: Vec<_> = conflicts.iter().map(|conflict| show(conflict, &keys)).collect();
        Ok(json!({ "table": table, "region": database.region(), "conflicts": shown, "more": next.is_some() }))
    }

    fn replication(&self) -> Value {
        let mut links = Vec::new();
        for process in self.regions.all() {
            for (table, partition, to, status) in process.replicator.status() {
                links.push(json!({
                    "table": table,
                    "partition": partition,
                    "from": process.database.region(),
                    "to": to,
                    "state": status.state,
                    "pending": status.pending,
                    "acknowledged": status.acknowledged,
                    "latency_ms": status.latency_ms,
                    "last_answer_ms": status.last_answer_ms,
                    "error": status.error,
                }));
            }
        }
        json!({ "links": links })
    }
}

fn show(conflict: &Conflict, keys: &KeySchema) -> Value {
    json!({
        "at_ms": conflict.at_ms,
        "kind": match conflict.kind {
            Kind::Conflict => "conflict",
            Kind::Expired => "expired",
            Kind::Late => "late",
            Kind::Evicted => "evicted",
        },
        "key": item(conflict.key.attributes(keys).as_ref()),
        "winner": conflict.winner.as_ref().map(row),
        "loser": row(&conflict.loser),
    })
}

fn row(row: &StoredItem) -> Value {
    json!({
        "region": row.version.origin,
        "version": row.version.to_string(),
        "written_ms": row.version.hlc.ms(),
        "item": row.item.as_ref().map(|stored| item(stored.as_ref())),
    })
}

fn item(stored: ItemRef<'_>) -> Value {
    let mut out = Vec::new();
    attribute_value::render_item(stored, &mut out);
    serde_json::from_slice(&out).unwrap_or_default()
}

fn json_answer(status: StatusCode, body: &Value) -> Answered {
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
