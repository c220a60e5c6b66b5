//! The measure of all speed claims: a bare axum service that parses each body as JSON and answers `{}`. What share of
//! its requests a second Tradewind serves on the same machine, in the same minute, says more than any absolute figure.

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

const DEFAULT_PORT: &str = "8100";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_PORT.to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, Router::new().route("/", post(echo))).await
}

async fn echo(body: Bytes) -> Response {
    match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(_) => ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], "{}").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
