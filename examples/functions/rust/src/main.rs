//! A function in Rust, on AWS's own runtime crate.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    for record in event.payload["Records"].as_array().into_iter().flatten() {
        println!("{} {}", record["eventName"], record["dynamodb"]["Keys"]);
    }
    Ok(json!({ "batchItemFailures": [] }))
}
