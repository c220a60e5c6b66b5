//! A signed request to a running process.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tradewind_iam::{Credentials, Secret, Signer};

use crate::arguments::Query;

pub struct Client {
    endpoint: String,
    region: String,
    credentials: Credentials,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// Signs with the credentials of AWS's environment variables, or with some where there are none: a `dev` process
    /// without `--auth` accepts any.
    pub fn new(query: &Query) -> anyhow::Result<Client> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let id = variable("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "tradewind".to_owned());
        let secret = variable("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "tradewind".to_owned());
        let mut credentials = Credentials::new(id, Secret::new(secret));
        if let Some(token) = variable("AWS_SESSION_TOKEN") {
            credentials = credentials.with_session_token(Secret::new(token));
        }
        Ok(Client {
            endpoint: query.endpoint.trim_end_matches('/').to_owned(),
            region: query.region.to_string(),
            credentials,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = Request::builder().method(Method::GET).uri(self.uri(path)?);
        self.send(request.body(Bytes::new())?, "dynamodb")
    }

    /// A question or an order of Tradewind's own.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri(path)?)
            .header("content-type", "application/json");
        self.send(request.body(Bytes::from(body.to_string()))?, "dynamodb")
    }

    /// An operation of DynamoDB or its streams, by its target.
    pub fn call(&self, target: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri("/")?)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target);
        self.send(request.body(Bytes::from(body.to_string()))?, "dynamodb")
    }

    /// A question to the Lambda API.
    pub fn lambda_get(&self, path: &str) -> anyhow::Result<Value> {
        self.lambda_as(Method::GET, path)
    }

    /// A question to the Lambda API, for one node of those that run functions where it is named.
    pub fn lambda_get_at(&self, node: Option<&str>, path: &str) -> anyhow::Result<Value> {
        let request = Request::builder().method(Method::GET).uri(self.uri(path)?);
        let request = match node {
            Some(node) => request.header("x-tradewind-node", node),
            None => request,
        };
        self.send(request.body(Bytes::new())?, "lambda")
    }

    /// A call of the Lambda API without a body.
    pub fn lambda_as(&self, method: Method, path: &str) -> anyhow::Result<Value> {
        let request = Request::builder().method(method).uri(self.uri(path)?);
        self.send(request.body(Bytes::new())?, "lambda")
    }

    /// A call of the Lambda API, with more headers.
    pub fn lambda(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder().method(Method::POST).uri(self.uri(path)?);
        let request = request.header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Bytes::from(body.to_string()))?, "lambda")
    }

    fn uri(&self, path: &str) -> anyhow::Result<Uri> {
        let uri: Uri = format!("{}{path}", self.endpoint)
            .parse()
            .with_context(|| format!("--endpoint {}", self.endpoint))?;
        match uri.scheme_str() {
            Some("http") => Ok(uri),
            _ => bail!("--endpoint {}: only http:// is spoken", self.endpoint),
        }
    }

    fn send(&self, request: Request<Bytes>, service: &str) -> anyhow::Result<Value> {
        let (mut parts, body) = request.into_parts();
        let authority = parts.uri.authority().context("--endpoint names no host")?.to_string();
        parts.headers.insert("host", authority.parse()?);
        let signed = tradewind_iam::Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            body: &body,
        };
        let signer = Signer::new(self.credentials.clone(), &self.region, service);
        let signature = signer.sign(&signed, chrono::Utc::now().timestamp())?;
        signature.apply(&mut parts.headers);
        self.runtime.block_on(async {
            let client = HttpClient::builder(TokioExecutor::new()).build_http();
            let request = Request::from_parts(parts, Full::new(body));
            let response = client.request(request).await.with_context(|| {
                format!("cannot reach {}: is `tradewind dev` running there?", self.endpoint)
            })?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            if !status.is_success() {
                let message = ["message", "Message"].iter().find_map(|name| answer[name].as_str());
                bail!("{}", message.map_or_else(|| format!("the server answered {status}"), str::to_owned));
            }
            Ok(answer)
        })
    }
}
