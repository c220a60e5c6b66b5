//! What a node that runs functions answers: clients on its own port, and other nodes that were sent a request of Lambda.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tradewind_database::Database;
use tradewind_model::Region;
use tradewind_rpc::{Answering, CallError, Question};
use tradewind_storage::node::functions;
use tradewind_storage::{Answered, Guard, Other, lambda, metrics_answer};
use tradewind_streams::{Node, Request};
use tradewind_telemetry::metrics::{Disk, Sample};
use tradewind_wire::http::is_lambda_path;
use uuid::Uuid;

use crate::store::Store;

/// Beside DynamoDB.
pub struct Beside {
    pub node: Arc<Node<Store>>,
    /// The process drains.
    pub stop: CancellationToken,
    /// Where code is unpacked.
    pub work_dir: PathBuf,
}

impl Beside {
    fn ready(&self) -> Answered {
        let node = json!({ "name": self.node.member.name, "id": self.node.member.id });
        let missing = if self.stop.is_cancelled() {
            "this node is stopping"
        } else if !self.node.holds_lease() {
            "this node has no lease, and so runs nothing"
        } else {
            // A disk that is nearly full stops nothing yet; it is said all the same.
            let warning = Disk::of(&self.work_dir).and_then(|disk| disk.warning(&self.work_dir));
            let warnings: Vec<_> = warning.into_iter().collect();
            let body = json!({ "status": "ready", "node": node, "warnings": warnings });
            return json_answer(StatusCode::OK, &body);
        };
        let body = json!({ "status": "not ready", "node": node, "missing": [missing] });
        json_answer(StatusCode::SERVICE_UNAVAILABLE, &body)
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        if let Some(disk) = Disk::of(&self.work_dir) {
            disk.samples(&self.work_dir, &mut samples);
        }
        self.node.streams.samples(&mut samples);
        samples
    }
}

impl Other for Beside {
    fn guard(&self, path: &str) -> Option<Guard> {
        match path {
            "/health" | "/ready" | "/metrics" => Some(Guard::Open),
            path => is_lambda_path(path).then_some(Guard::Signed("lambda")),
        }
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        Box::pin(async move {
            match head.uri.path() {
                "/health" => json_answer(StatusCode::OK, &json!({ "status": "ok" })),
                "/ready" => self.ready(),
                "/metrics" => metrics_answer(self.samples()),
                path => {
                    let query = head.uri.query().unwrap_or_default();
                    handle(&self.node, head.method.as_str(), path, query, &head.headers, &body).await
                }
            }
        })
    }
}

/// Answers the other nodes of the region.
pub struct Answers(pub Arc<Node<Store>>);

impl tradewind_rpc::Node for Answers {
    fn id(&self) -> Uuid {
        self.0.member.id
    }

    fn answer(&self, question: Question, body: Bytes) -> Answering<'_> {
        Box::pin(async move {
            // Of partitions it owns none, and what another version asks was not done.
            let asked = (question == Question::Lambda).then(|| lambda::decode_request(&body)).flatten();
            let Some(asked) = asked else { return Err(CallError::Moved) };
            let lambda::Asked { method, path, query, headers, body } = asked;
            let answer = handle(&self.0, &method, &path, &query, &headers, &body).await;
            Ok(lambda::encode_answer(&answer))
        })
    }
}

/// What only this node has is asked of it by its name; of the others a storage node knows.
async fn handle(
    node: &Node<Store>,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answered {
    if path == functions::NODES {
        return functions::list([&*node.member.name].into_iter());
    }
    if let Some(name) = functions::named(headers).filter(|name| *name != node.member.name) {
        return functions::no_such_node(name);
    }
    let answer = node.streams.handle(Request { method, path, query, headers, body }).await;
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("Lambda's own statuses");
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}

fn json_answer(status: StatusCode, body: &Value) -> Answered {
    let mut response = http::Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// A node serves one region.
pub struct OneRegion(pub tradewind_storage::Region<Store>);

impl tradewind_storage::Regions<Store> for OneRegion {
    fn find(&self, name: &str) -> Option<tradewind_storage::Region<Store>> {
        (name == self.0.database.region().as_str()).then(|| self.0.clone())
    }

    fn database(&self, name: &str) -> Option<Arc<Database<Store>>> {
        (name == self.0.database.region().as_str()).then(|| self.0.database.clone())
    }

    fn first(&self) -> tradewind_storage::Region<Store> {
        self.0.clone()
    }
}

/// Which regions there are beside this one is known to the storage nodes: replicas are made there.
pub struct OwnRegion(pub Region);

impl tradewind_database::Regions for OwnRegion {
    fn ensure(&self, region: Region) -> bool {
        region == self.0
    }

    fn has_table(&self, _: Region, _: &str) -> bool {
        false
    }
}
