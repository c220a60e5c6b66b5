//! Reserved concurrency, and the questions that deployment tools ask about what a function does not have.

use serde::Deserialize;
use serde_json::json;
use tradewind_engine::Documents;

use super::constraints::Checks;
use super::names::{function_arn, parse_function};
use super::{Answer, ApiError, LambdaApi, Request, Response, parse};
use crate::catalogue::Function;
use crate::invoke::Invoker;
use crate::mapping::source::ShardSource;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PutConcurrency {
    reserved_concurrent_executions: Option<i64>,
}

impl<D: Documents, I: Invoker, S: ShardSource> LambdaApi<D, I, S> {
    pub(super) async fn put_concurrency(&self, request: Request<'_>, name: &str) -> Answer {
        let input: PutConcurrency = parse(&request)?;
        let mut checks = Checks::default();
        checks.present("reservedConcurrentExecutions", input.reserved_concurrent_executions.as_ref());
        checks.range(
            "reservedConcurrentExecutions",
            input.reserved_concurrent_executions,
            0..=i64::from(i32::MAX),
        );
        checks.finish()?;
        let reserved = input.reserved_concurrent_executions.and_then(|given| u32::try_from(given).ok());
        self.set_concurrency(name, reserved).await?;
        Ok(Response::json(200, &json!({ "ReservedConcurrentExecutions": reserved })))
    }

    pub(super) async fn delete_concurrency(&self, name: &str) -> Answer {
        self.set_concurrency(name, None).await?;
        Ok(Response::empty(204))
    }

    pub(super) async fn get_concurrency(&self, name: &str) -> Answer {
        let function = self.named(name).await?;
        Ok(match function.reserved_concurrency {
            Some(reserved) => Response::json(200, &json!({ "ReservedConcurrentExecutions": reserved })),
            None => Response::json(200, &json!({})),
        })
    }

    async fn set_concurrency(&self, name: &str, reserved: Option<u32>) -> Result<(), ApiError> {
        let name = parse_function(name, "functionName")?.name;
        let edit = |function: &mut Function| {
            function.reserved_concurrency = reserved;
            Ok(())
        };
        self.edit(&name, edit).await.map(|_| ())
    }

    async fn named(&self, name: &str) -> Result<Function, ApiError> {
        let name = parse_function(name, "functionName")?.name;
        let found = self.catalogue.function(&name).await?;
        let arn = function_arn(&self.region, &self.account, &name);
        found.ok_or_else(|| ApiError::not_found(format!("Function not found: {arn}")))
    }

    /// Deployment tools read back everything a function could have; what it has not is answered as Lambda does.
    pub(super) async fn answer_of_what_is_not_there(&self, parts: &[&str]) -> Answer {
        let [_, "functions", name, what, ..] = parts else {
            return Err(ApiError::unsupported("GET", &parts.join("/")));
        };
        let function = self.named(name).await?;
        let arn = function_arn(&self.region, &self.account, &function.name);
        let none = "The resource you requested does not exist.";
        match *what {
            "policy" => Err(ApiError::not_found(none)),
            "code-signing-config" => Ok(Response::json(200, &json!({ "FunctionName": function.name }))),
            "runtime-management-config" => {
                Ok(Response::json(200, &json!({ "UpdateRuntimeOn": "Auto", "FunctionArn": arn })))
            }
            "recursion-config" => Ok(Response::json(200, &json!({ "RecursiveLoop": "Allow" }))),
            "event-invoke-config" if parts.len() == 5 => {
                Ok(Response::json(200, &json!({ "FunctionEventInvokeConfigs": [] })))
            }
            "event-invoke-config" => {
                let message = format!("The function {arn} doesn't have an EventInvokeConfig");
                Err(ApiError::not_found(message))
            }
            "url" => Err(ApiError::not_found(none)),
            "urls" => Ok(Response::json(200, &json!({ "FunctionUrlConfigs": [] }))),
            "provisioned-concurrency" => {
                Ok(Response::json(200, &json!({ "ProvisionedConcurrencyConfigs": [] })))
            }
            _ => Err(ApiError::unsupported("GET", &parts.join("/"))),
        }
    }
}
