//! What a storage node's port answers beside DynamoDB: health, and the Lambda API of the nodes that run functions.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::request::Parts;
use tradewind_engine::Members;
use tradewind_wire::http::is_lambda_path;

use super::functions::Functions;
use super::health::Health;
use crate::front::{Answered, Guard, Other};

pub struct Beside<E> {
    pub health: Health,
    pub functions: Functions<E>,
}

impl<E: Members> Other for Beside<E> {
    fn guard(&self, path: &str) -> Option<Guard> {
        self.health.guard(path).or_else(|| is_lambda_path(path).then_some(Guard::Signed("lambda")))
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        match is_lambda_path(head.uri.path()) {
            true => Box::pin(async move { self.functions.answer(head, &body).await }),
            false => self.health.answer(head, body),
        }
    }
}
