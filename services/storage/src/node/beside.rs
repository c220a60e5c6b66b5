//! What a storage node's port answers beside DynamoDB: health, the Lambda API of the nodes that run functions, and what
//! operators ask.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::request::Parts;
use tradewind_engine::{Documents, Engine, Members};
use tradewind_wire::http::is_lambda_path;

use super::functions::Functions;
use super::health::Health;
use super::operate::{self, Operators};
use crate::front::{Answered, Guard, Other};

pub struct Beside<E: 'static> {
    pub health: Health,
    pub functions: Functions<E>,
    pub operators: Operators<E>,
}

impl<E: Engine + Documents + Members> Other for Beside<E> {
    fn guard(&self, path: &str) -> Option<Guard> {
        match path {
            path if is_lambda_path(path) => Some(Guard::Signed("lambda")),
            path if path.starts_with(operate::PATH) => Some(Guard::Signed("dynamodb")),
            path => self.health.guard(path),
        }
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'a>> {
        match head.uri.path() {
            path if is_lambda_path(path) => Box::pin(async move { self.functions.answer(head, &body).await }),
            path if path.starts_with(operate::PATH) => {
                Box::pin(async move { self.operators.answer(path, &body).await })
            }
            _ => self.health.answer(head, body),
        }
    }
}
