//! The Lambda API as SDKs call it: answers, errors and ranges, operation by operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{LambdaApi, Parts, Request, Response};
use crate::catalogue::Catalogue;
use crate::code::{CodeStore, Packages};
use crate::fixtures::{MemoryDocuments, MemoryStream, STREAM_ARN, zip_of};
use crate::invoke::{FunctionError, Invocation, InvokeError, Invoker, Outcome};
use crate::mapping::failed::FailedLog;

/// Answers what it was asked, unless asked for an error; counts.
#[derive(Default)]
struct Echo {
    calls: AtomicU64,
    done: tokio::sync::Notify,
}

impl Invoker for Echo {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.done.notify_one();
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        if event["throttle"] == true {
            return Err(InvokeError::Throttled);
        }
        let function_error = (event["fail"] == true).then_some(FunctionError::Unhandled);
        let payload = json!({"event": event, "context": invocation.client_context}).to_string();
        Ok(Outcome {
            payload: payload.into(),
            function_error,
            log_tail: Bytes::from_static(b"the log"),
            executed_version: "$LATEST".to_owned(),
            duration: Duration::ZERO,
            cold_start: false,
        })
    }
}

struct Fixture {
    api: LambdaApi<MemoryDocuments, Echo, MemoryStream>,
    invoker: Arc<Echo>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let code = Arc::new(CodeStore::open(folder.path().join("code")).unwrap());
        let catalogue = Arc::new(Catalogue::new(Arc::new(MemoryDocuments::default())));
        let code = Arc::new(Packages::new(catalogue.documents().clone(), code, false));
        let invoker = Arc::new(Echo::default());
        let source = Arc::new(MemoryStream::with_shards(&[("s", None)]));
        let clock: crate::Clock = Arc::new(|| 1_569_349_235_054);
        let failed = Arc::new(FailedLog::new(catalogue.documents().clone()));
        let api = LambdaApi::new(Parts {
            region: "eu-west-1".to_owned(),
            account: "000000000000".to_owned(),
            catalogue,
            code,
            invoker: invoker.clone(),
            source,
            failed,
            journal: Arc::default(),
            clock,
        });
        Fixture { api, invoker, folder }
    }

    async fn raw(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = hyper::HeaderMap::new();
        for (name, value) in headers {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        let body = Bytes::copy_from_slice(body);
        self.api.handle(Request { method, path, query, headers: &map, body: &body }).await
    }

    async fn call(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        self.call_with(method, target, &[], body).await
    }

    async fn call_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = self.raw(method, target, &headers, body.as_bytes()).await;
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    /// The error's type and message of a call that must fail.
    async fn refused(&self, method: &str, target: &str, body: Value) -> (u16, String, String) {
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.raw(method, target, &headers, body.as_bytes()).await;
        let error = response.headers.iter().find(|(name, _)| *name == "x-amzn-errortype");
        let kind = error.expect("an error").1.clone();
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((&body["Type"], &body["Message"]), (&json!("User"), &body["message"]));
        (response.status, kind, body["message"].as_str().unwrap().to_owned())
    }

    async fn with_function() -> Fixture {
        let fixture = Fixture::new();
        let (status, shown) = fixture.call("POST", FUNCTIONS, create("f", json!({}))).await;
        assert_eq!(status, 201, "{shown}");
        fixture
    }
}

const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";

fn zip() -> String {
    BASE64.encode(zip_of(&[("main.py", "def handler(event, context): return 1")]))
}

fn create(name: &str, more: Value) -> Value {
    let mut body = json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "main.handler",
        "Role": "arn:aws:iam::000000000000:role/service/r", "Code": {"ZipFile": zip()},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn mapping(more: Value) -> Value {
    let mut body = json!({"FunctionName": "f", "EventSourceArn": STREAM_ARN, "StartingPosition": "LATEST"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_function_is_created_read_changed_and_deleted() {
    let fixture = Fixture::new();
    let more = json!({
        "Timeout": 30, "MemorySize": 256, "Description": "d", "Environment": {"Variables": {"KEY": "value"}},
        "Tags": {"a": "b"}, "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "Publish": false,
    });
    let (status, created) = fixture.call("POST", FUNCTIONS, create("f", more)).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["FunctionArn"], "arn:aws:lambda:eu-west-1:000000000000:function:f");
    assert_eq!((&created["Timeout"], &created["MemorySize"]), (&json!(30), &json!(256)));
    assert_eq!((&created["State"], &created["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!(created["LastModified"], "2019-09-24T18:20:35.054+0000");
    assert_eq!(created["Environment"]["Variables"]["KEY"], "value");
    assert_eq!(created["CodeSize"], BASE64.decode(zip()).unwrap().len());
    assert_eq!(created["CodeSha256"].as_str().unwrap().len(), 44);

    let arn = created["FunctionArn"].as_str().unwrap();
    for name in ["f", "f:$LATEST", arn, &arn.replace(':', "%3A"), "f?Qualifier=$LATEST"] {
        let (status, shown) = fixture.call("GET", &format!("{FUNCTIONS}/{name}"), Value::Null).await;
        assert_eq!(
            (status, &shown["Configuration"], &shown["Tags"]["a"]),
            (200, &created, &json!("b")),
            "{name}"
        );
    }
    let change =
        json!({"Timeout": 60, "Environment": {"Variables": {}}, "RevisionId": created["RevisionId"]});
    let path = format!("{FUNCTIONS}/f/configuration");
    let (status, changed) = fixture.call("PUT", &path, change.clone()).await;
    assert_eq!((status, &changed["Timeout"], &changed["MemorySize"]), (200, &json!(60), &json!(256)));
    assert!(changed.get("Environment").is_none() && changed["RevisionId"] != created["RevisionId"]);
    assert_eq!(fixture.refused("PUT", &path, change).await.1, "PreconditionFailedException");

    let newer = BASE64.encode(zip_of(&[("main.py", "x = 2")]));
    let code = format!("{FUNCTIONS}/f/code");
    let (status, dry) = fixture.call("PUT", &code, json!({"ZipFile": newer, "DryRun": true})).await;
    assert_eq!(status, 200);
    assert_ne!(dry["CodeSha256"], created["CodeSha256"]);
    assert_eq!(fixture.call("GET", &path, Value::Null).await.1["CodeSha256"], created["CodeSha256"]);
    let (_, changed) = fixture.call("PUT", &code, json!({"ZipFile": newer})).await;
    assert_eq!(changed["CodeSha256"], dry["CodeSha256"]);

    let (status, kind, message) = fixture.refused("POST", FUNCTIONS, create("f", json!({}))).await;
    assert_eq!((status, kind.as_str()), (409, "ResourceConflictException"));
    assert_eq!(message, "Function already exist: f");
    assert_eq!(fixture.call("DELETE", &format!("{FUNCTIONS}/f"), Value::Null).await.0, 204);
    let (status, kind, message) = fixture.refused("GET", &format!("{FUNCTIONS}/f"), Value::Null).await;
    assert_eq!((status, kind.as_str()), (404, "ResourceNotFoundException"));
    assert_eq!(message, format!("Function not found: {arn}"));
}

#[tokio::test]
async fn functions_are_listed_in_pages() {
    let fixture = Fixture::new();
    for name in ["c", "a", "b"] {
        fixture.call("POST", FUNCTIONS, create(name, json!({}))).await;
    }
    let names = |shown: &Value| -> Vec<String> {
        let functions = shown["Functions"].as_array().unwrap().iter();
        functions.map(|function| function["FunctionName"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = fixture.call("GET", &format!("{FUNCTIONS}/?MaxItems=2"), Value::Null).await;
    assert_eq!((names(&first), &first["NextMarker"]), (vec!["a".to_owned(), "b".to_owned()], &json!("b")));
    let (_, rest) = fixture.call("GET", &format!("{FUNCTIONS}?Marker=b"), Value::Null).await;
    assert_eq!((names(&rest), &rest["NextMarker"]), (vec!["c".to_owned()], &Value::Null));
}

#[tokio::test]
async fn what_a_function_may_not_be_is_refused_by_lambdas_names() {
    let fixture = Fixture::new();
    let large = "x".repeat(5000);
    let not_zip = BASE64.encode("not a zip");
    let cases = [
        (json!({"FunctionName": "a b"}), "ValidationException"),
        (json!({"FunctionName": null}), "ValidationException"),
        (json!({"Role": null}), "ValidationException"),
        (json!({"Role": "admin"}), "ValidationException"),
        (json!({"Code": null}), "ValidationException"),
        (json!({"Timeout": 901}), "ValidationException"),
        (json!({"Timeout": 0}), "ValidationException"),
        (json!({"Timeout": "3"}), "SerializationException"),
        (json!({"MemorySize": 127}), "ValidationException"),
        (json!({"Handler": "a b"}), "ValidationException"),
        (json!({"Architectures": ["mips"]}), "ValidationException"),
        (json!({"Environment": {"Variables": {"1": "x"}}}), "ValidationException"),
        (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), "InvalidParameterValueException"),
        (json!({"Environment": {"Variables": {"BIG": large}}}), "InvalidParameterValueException"),
        (json!({"Handler": null}), "InvalidParameterValueException"),
        (json!({"Runtime": null}), "InvalidParameterValueException"),
        (json!({"Runtime": "java21"}), "InvalidParameterValueException"),
        (json!({"PackageType": "Image"}), "InvalidParameterValueException"),
        (json!({"Layers": ["arn"]}), "InvalidParameterValueException"),
        (json!({"Code": {}}), "InvalidParameterValueException"),
        (json!({"Code": {"S3Bucket": "b", "S3Key": "k"}}), "InvalidParameterValueException"),
        (json!({"Code": {"ZipFile": "%%"}}), "InvalidParameterValueException"),
        (json!({"Code": {"ZipFile": not_zip}}), "InvalidParameterValueException"),
    ];
    for (more, expected) in cases {
        let (status, kind, message) = fixture.refused("POST", FUNCTIONS, create("f", more.clone())).await;
        assert_eq!((status, kind.as_str()), (400, expected), "{more}: {message}");
    }
    let two = create("f", json!({"Timeout": 901, "MemorySize": 1}));
    let (_, _, message) = fixture.refused("POST", FUNCTIONS, two).await;
    assert!(
        message.starts_with("2 validation errors detected: Value '901' at 'timeout' failed"),
        "{message}"
    );
}

#[tokio::test]
async fn a_folder_and_a_command_make_a_function() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().to_str().unwrap().to_owned();
    let headers = [("x-tradewind-directory", folder.as_str()), ("x-tradewind-command", "python3 main.py")];
    let (status, shown) =
        fixture.call_with("POST", FUNCTIONS, &headers, json!({"FunctionName": "local"})).await;
    assert_eq!(status, 201, "{shown}");
    assert_eq!(shown["XTradewind"], json!({"Directory": folder, "Command": "python3 main.py"}));
    for headers in [[("x-tradewind-directory", "relative")], [("x-tradewind-command", "true")]] {
        let (status, _) = fixture.call_with("POST", FUNCTIONS, &headers, json!({"FunctionName": "g"})).await;
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn invocations_answer_with_lambdas_headers() {
    let fixture = Fixture::with_function().await;
    let path = format!("{FUNCTIONS}/f/invocations");
    let header = |response: &Response, name: &str| {
        response.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone())
    };
    let context = BASE64.encode(r#"{"custom": {"a": 1}}"#);
    let headers = [("x-amz-log-type", "Tail"), ("x-amz-client-context", context.as_str())];
    let response = fixture.raw("POST", &path, &headers, br#"{"n": 1}"#).await;
    assert_eq!(response.status, 200);
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body, json!({"event": {"n": 1}, "context": r#"{"custom":{"a":1}}"#}));
    assert_eq!(header(&response, "x-amz-log-result"), Some(BASE64.encode("the log")));
    assert_eq!(header(&response, "x-amz-executed-version"), Some("$LATEST".to_owned()));
    assert_eq!(header(&response, "x-amz-function-error"), None);

    let failed = fixture.raw("POST", &path, &[], br#"{"fail": true}"#).await;
    assert_eq!((failed.status, header(&failed, "x-amz-function-error")), (200, Some("Unhandled".to_owned())));
    let throttled = fixture.raw("POST", &path, &[], br#"{"throttle": true}"#).await;
    assert_eq!(throttled.status, 429);
    assert_eq!(header(&throttled, "x-amzn-errortype"), Some("TooManyRequestsException".to_owned()));
    let empty = fixture.raw("POST", &path, &[], b"").await;
    assert_eq!(serde_json::from_slice::<Value>(&empty.body).unwrap()["event"], json!({}));

    let calls = fixture.invoker.calls.load(Ordering::SeqCst);
    let dry = fixture.raw("POST", &path, &[("x-amz-invocation-type", "DryRun")], b"{}").await;
    assert_eq!((dry.status, fixture.invoker.calls.load(Ordering::SeqCst)), (204, calls));
    let event = fixture.raw("POST", &path, &[("x-amz-invocation-type", "Event")], b"{}").await;
    assert_eq!((event.status, event.body.len()), (202, 0));
    fixture.invoker.done.notified().await;

    let bad = fixture.raw("POST", &path, &[], b"{").await;
    assert_eq!(header(&bad, "x-amzn-errortype"), Some("InvalidRequestContentException".to_owned()));
    let large = fixture.raw("POST", &path, &[], &vec![b' '; 6 * 1024 * 1024 + 1]).await;
    assert_eq!(large.status, 413);
    let large = vec![b' '; 1024 * 1024 + 1];
    let large = fixture.raw("POST", &path, &[("x-amz-invocation-type", "Event")], &large).await;
    assert_eq!(large.status, 413);
    let missing = fixture.raw("POST", &format!("{FUNCTIONS}/f:7/invocations"), &[], b"{}").await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_mapping_shows_what_was_asked_and_lambdas_defaults() {
    let fixture = Fixture::with_function().await;
    let (status, shown) = fixture.call("POST", MAPPINGS, mapping(json!({}))).await;
    assert_eq!(status, 202, "{shown}");
    let uuid = shown["UUID"].as_str().unwrap().to_owned();
    let defaults = json!({
        "UUID": uuid, "EventSourceArn": STREAM_ARN, "StartingPosition": "LATEST",
        "FunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
        "EventSourceMappingArn": format!("arn:aws:lambda:eu-west-1:000000000000:event-source-mapping:{uuid}"),
        "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1,
        "BisectBatchOnFunctionError": false, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1,
        "TumblingWindowInSeconds": 0, "FunctionResponseTypes": [], "DestinationConfig": {"OnFailure": {}},
        "LastModified": 1_569_349_235.054, "LastProcessingResult": "No records processed", "State": "Creating",
        "StateTransitionReason": "User action",
    });
    assert_eq!(shown, defaults);
    let change = json!({
        "BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 300, "ParallelizationFactor": 10,
        "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 0, "MaximumRecordAgeInSeconds": 60,
        "TumblingWindowInSeconds": 900, "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [{"Pattern": "{\"eventName\": [\"INSERT\"]}"}]},
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:lambda:eu-west-1:000000000000:function:g"}},
    });
    let path = format!("{MAPPINGS}/{uuid}");
    let (status, updated) = fixture.call("PUT", &path, change.clone()).await;
    assert_eq!((status, &updated["State"]), (202, &json!("Updating")));
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(&updated[name], value, "{name}");
    }
    let back = json!({"MaximumRetryAttempts": -1, "FilterCriteria": {}, "DestinationConfig": {"OnFailure": {}},
        "FunctionResponseTypes": []});
    let (_, updated) = fixture.call("PUT", &path, back).await;
    assert_eq!(updated["MaximumRetryAttempts"], -1);
    assert!(updated.get("FilterCriteria").is_none());
    assert_eq!(updated["DestinationConfig"], json!({"OnFailure": {}}));

    let (status, kind, message) = fixture.refused("POST", MAPPINGS, mapping(json!({}))).await;
    assert_eq!((status, kind.as_str()), (409, "ResourceConflictException"));
    assert!(message.contains(&uuid));
    let (_, listed) =
        fixture.call("GET", &format!("{MAPPINGS}?FunctionName=f&MaxItems=1"), Value::Null).await;
    assert_eq!(listed["EventSourceMappings"][0]["UUID"], uuid);
    let (_, listed) = fixture.call("GET", &format!("{MAPPINGS}?EventSourceArn=other"), Value::Null).await;
    assert_eq!(listed["EventSourceMappings"], json!([]));
}

#[tokio::test]
async fn what_a_mapping_may_not_be_is_refused_by_lambdas_names() {
    let fixture = Fixture::with_function().await;
    let other_stream = STREAM_ARN.replace("table/T", "table/Other");
    let patterns = |patterns: Vec<&str>| {
        let filters: Vec<_> = patterns.iter().map(|pattern| json!({"Pattern": pattern})).collect();
        json!({"FilterCriteria": {"Filters": filters}})
    };
    let cases = [
        (json!({"BatchSize": 0}), 400, "ValidationException"),
        (json!({"BatchSize": 10_001}), 400, "ValidationException"),
        (json!({"MaximumBatchingWindowInSeconds": 301}), 400, "ValidationException"),
        (json!({"ParallelizationFactor": 11}), 400, "ValidationException"),
        (json!({"ParallelizationFactor": 0}), 400, "ValidationException"),
        (json!({"MaximumRetryAttempts": -2}), 400, "ValidationException"),
        (json!({"MaximumRetryAttempts": 10_001}), 400, "ValidationException"),
        (json!({"MaximumRecordAgeInSeconds": 604_801}), 400, "ValidationException"),
        (json!({"MaximumRecordAgeInSeconds": 59}), 400, "InvalidParameterValueException"),
        (json!({"MaximumRecordAgeInSeconds": 0}), 400, "InvalidParameterValueException"),
        (json!({"TumblingWindowInSeconds": 901}), 400, "ValidationException"),
        (json!({"FunctionResponseTypes": ["Other"]}), 400, "ValidationException"),
        (json!({"StartingPosition": "EARLIEST"}), 400, "ValidationException"),
        (json!({"StartingPosition": "AT_TIMESTAMP"}), 400, "InvalidParameterValueException"),
        (json!({"StartingPosition": null}), 400, "InvalidParameterValueException"),
        (json!({"EventSourceArn": null}), 400, "InvalidParameterValueException"),
        (
            json!({"EventSourceArn": "arn:aws:sqs:eu-west-1:000000000000:q"}),
            400,
            "InvalidParameterValueException",
        ),
        (json!({"EventSourceArn": other_stream}), 400, "InvalidParameterValueException"),
        (json!({"FunctionName": "absent"}), 404, "ResourceNotFoundException"),
        (json!({"FunctionName": null}), 400, "ValidationException"),
        (json!({"Topics": ["t"]}), 400, "InvalidParameterValueException"),
        (json!({"ScalingConfig": {}}), 400, "InvalidParameterValueException"),
        (
            json!({"DestinationConfig": {"OnSuccess": {"Destination": "arn"}}}),
            400,
            "InvalidParameterValueException",
        ),
        (json!({"MetricsConfig": {"Metrics": ["KafkaMetrics"]}}), 400, "InvalidParameterValueException"),
        (patterns(vec!["{\"a\": \"b\"}"]), 400, "InvalidParameterValueException"),
        (patterns(vec!["{}"; 11]), 400, "InvalidParameterValueException"),
        (patterns(vec![&"x".repeat(4097)]), 400, "ValidationException"),
    ];
    for (more, status, expected) in cases {
        let refused = fixture.refused("POST", MAPPINGS, mapping(more.clone())).await;
        assert_eq!((refused.0, refused.1.as_str()), (status, expected), "{more}: {}", refused.2);
    }
    let path = format!("{MAPPINGS}/14e0db71-5d35-4eb5-b481-8945cf9d10c2");
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(fixture.refused(method, &path, Value::Null).await.1, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn tags_concurrency_and_what_deployment_tools_ask() {
    let fixture = Fixture::with_function().await;
    let tags = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af";
    assert_eq!(fixture.call("POST", tags, json!({"Tags": {"a": "1", "b": "2"}})).await.0, 204);
    assert_eq!(fixture.call("DELETE", &format!("{tags}?tagKeys=a"), Value::Null).await.0, 204);
    assert_eq!(fixture.call("GET", tags, Value::Null).await.1, json!({"Tags": {"b": "2"}}));
    let reserved = json!({"Tags": {"aws:x": "1"}});
    assert_eq!(fixture.refused("POST", tags, reserved).await.1, "InvalidParameterValueException");

    let put = "/2017-10-31/functions/f/concurrency";
    let get = "/2019-09-30/functions/f/concurrency";
    assert_eq!(fixture.call("GET", get, Value::Null).await, (200, json!({})));
    fixture.call("PUT", put, json!({"ReservedConcurrentExecutions": 3})).await;
    assert_eq!(fixture.call("GET", get, Value::Null).await.1, json!({"ReservedConcurrentExecutions": 3}));
    assert_eq!(fixture.call("DELETE", put, Value::Null).await.0, 204);
    assert_eq!(fixture.call("GET", get, Value::Null).await.1, json!({}));

    let answers = [
        ("/2015-03-31/functions/f/policy", 404),
        ("/2015-03-31/functions/f/versions", 200),
        ("/2015-03-31/functions/f/aliases", 200),
        ("/2020-06-30/functions/f/code-signing-config", 200),
        ("/2021-07-20/functions/f/runtime-management-config", 200),
        ("/2024-08-31/functions/f/recursion-config", 200),
        ("/2019-09-25/functions/f/event-invoke-config", 404),
        ("/2021-10-31/functions/f/url", 404),
        ("/2018-10-31/layers", 501),
    ];
    for (path, status) in answers {
        assert_eq!(fixture.call("GET", path, Value::Null).await.0, status, "{path}");
    }
    assert_eq!(fixture.call("POST", &format!("{FUNCTIONS}/f/url"), json!({})).await.0, 501);
}

#[tokio::test]
async fn a_version_stays_what_it_was_and_publishing_the_same_again_is_no_new_one() {
    let fixture = Fixture::with_function().await;
    let versions = format!("{FUNCTIONS}/f/versions");
    let (status, first) = fixture.call("POST", &versions, json!({"Description": "the first"})).await;
    assert_eq!((status, &first["Version"], &first["Description"]), (201, &json!("1"), &json!("the first")));
    assert_eq!(first["FunctionArn"], "arn:aws:lambda:eu-west-1:000000000000:function:f:1");
    assert_eq!(fixture.call("POST", &versions, json!({})).await.1["Version"], "1", "nothing has changed");

    let newer = BASE64.encode(zip_of(&[("main.py", "x = 2")]));
    let code = json!({"ZipFile": newer, "Publish": true});
    let (_, second) = fixture.call("PUT", &format!("{FUNCTIONS}/f/code"), code).await;
    assert_eq!(second["Version"], "2");
    for (name, version) in [("f", "$LATEST"), ("f:1", "1"), ("f:2", "2"), ("f?Qualifier=1", "1")] {
        let (_, shown) = fixture.call("GET", &format!("{FUNCTIONS}/{name}"), Value::Null).await;
        let sha256 = if version == "1" { &first["CodeSha256"] } else { &second["CodeSha256"] };
        assert_eq!(shown["Configuration"]["Version"], version, "{name}");
        assert_eq!(&shown["Configuration"]["CodeSha256"], sha256, "{name}");
    }
    let numbers = |listed: &Value| -> Vec<String> {
        let versions = listed["Versions"].as_array().unwrap();
        versions.iter().map(|version| version["Version"].as_str().unwrap().to_owned()).collect()
    };
    let (_, listed) = fixture.call("GET", &format!("{versions}?MaxItems=2"), Value::Null).await;
    assert_eq!((numbers(&listed), &listed["NextMarker"]), (vec!["$LATEST".into(), "1".into()], &json!("1")));
    let (_, listed) = fixture.call("GET", &format!("{versions}?Marker=1"), Value::Null).await;
    assert_eq!((numbers(&listed), &listed["NextMarker"]), (vec!["2".into()], &Value::Null));

    let sha = json!({"CodeSha256": first["CodeSha256"]});
    assert_eq!(fixture.refused("POST", &versions, sha).await.1, "InvalidParameterValueException");
    let revision = json!({"RevisionId": "another"});
    assert_eq!(fixture.refused("POST", &versions, revision).await.1, "PreconditionFailedException");
    for (method, path) in [("PUT", "f:1/configuration"), ("POST", "f:1/versions"), ("POST", "f:1/aliases")] {
        let body = json!({"Name": "a", "FunctionVersion": "1"});
        let refused = fixture.refused(method, &format!("{FUNCTIONS}/{path}"), body).await;
        assert_eq!(refused.1, "InvalidParameterValueException", "{path}");
        assert!(refused.2.starts_with("This operation is permitted on Lambda functions only."), "{path}");
    }
    let (status, _, message) = fixture.refused("GET", &format!("{FUNCTIONS}/f:3"), Value::Null).await;
    assert_eq!(
        (status, message.as_str()),
        (404, "Function not found: arn:aws:lambda:eu-west-1:000000000000:function:f:3")
    );
    let both = format!("{FUNCTIONS}/f:1?Qualifier=2");
    assert_eq!(fixture.refused("GET", &both, Value::Null).await.1, "InvalidParameterValueException");
}

#[tokio::test]
async fn an_alias_is_a_name_for_a_version_and_keeps_it() {
    let fixture = Fixture::with_function().await;
    fixture.call("POST", &format!("{FUNCTIONS}/f/versions"), json!({})).await;
    let aliases = format!("{FUNCTIONS}/f/aliases");
    let live = json!({"Name": "live", "FunctionVersion": "1", "Description": "d"});
    let (status, made) = fixture.call("POST", &aliases, live.clone()).await;
    assert_eq!((status, &made["Name"], &made["FunctionVersion"]), (201, &json!("live"), &json!("1")));
    assert_eq!(made["AliasArn"], "arn:aws:lambda:eu-west-1:000000000000:function:f:live");
    assert_eq!(fixture.call("GET", &format!("{aliases}/live"), Value::Null).await.1, made);
    let (_, shown) = fixture.call("GET", &format!("{FUNCTIONS}/f:live/configuration"), Value::Null).await;
    assert_eq!((&shown["Version"], &shown["FunctionArn"]), (&json!("1"), &made["AliasArn"]));

    let (status, kind, message) = fixture.refused("POST", &aliases, live).await;
    assert_eq!((status, kind.as_str()), (409, "ResourceConflictException"));
    assert!(message.starts_with("Alias already exists: arn:"), "{message}");
    let wrong = [
        (json!({"Name": "7", "FunctionVersion": "1"}), "ValidationException"),
        (json!({"Name": "a b", "FunctionVersion": "1"}), "ValidationException"),
        (json!({"Name": "other"}), "ValidationException"),
        (json!({"Name": "other", "FunctionVersion": "live"}), "ValidationException"),
        (json!({"Name": "other", "FunctionVersion": "9"}), "ResourceNotFoundException"),
        (
            json!({"Name": "o", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}),
            "InvalidParameterValueException",
        ),
    ];
    for (body, kind) in wrong {
        assert_eq!(fixture.refused("POST", &aliases, body.clone()).await.1, kind, "{body}");
    }
    let refused = fixture.refused("DELETE", &format!("{FUNCTIONS}/f:1"), Value::Null).await;
    assert_eq!((refused.0, refused.1.as_str()), (409, "ResourceConflictException"));
    let moved = json!({"FunctionVersion": "$LATEST", "RevisionId": made["RevisionId"]});
    let path = format!("{aliases}/live");
    assert_eq!(fixture.call("PUT", &path, moved.clone()).await.1["FunctionVersion"], "$LATEST");
    assert_eq!(fixture.refused("PUT", &path, moved).await.1, "PreconditionFailedException");
    assert_eq!(fixture.call("DELETE", &format!("{FUNCTIONS}/f:1"), Value::Null).await.0, 204);
    let (_, listed) = fixture.call("GET", &format!("{aliases}?FunctionVersion=1"), Value::Null).await;
    assert_eq!(listed["Aliases"], json!([]));
    assert_eq!(fixture.call("DELETE", &path, Value::Null).await.0, 204);
    let (status, _, message) = fixture.refused("GET", &path, Value::Null).await;
    assert_eq!((status, message.starts_with("Cannot find alias arn: ")), (404, true));
    assert_eq!(fixture.refused("PUT", &path, json!({})).await.0, 404);
}

#[tokio::test]
async fn a_deleted_function_takes_its_versions_and_aliases_along() {
    let fixture = Fixture::with_function().await;
    fixture.call("POST", &format!("{FUNCTIONS}/f/versions"), json!({})).await;
    fixture
        .call("POST", &format!("{FUNCTIONS}/f/aliases"), json!({"Name": "a", "FunctionVersion": "1"}))
        .await;
    assert_eq!(fixture.call("DELETE", &format!("{FUNCTIONS}/f"), Value::Null).await.0, 204);
    fixture.call("POST", FUNCTIONS, create("f", json!({"Publish": true}))).await;
    let (_, listed) = fixture.call("GET", &format!("{FUNCTIONS}/f/aliases"), Value::Null).await;
    assert_eq!(listed["Aliases"], json!([]));
    let (_, listed) = fixture.call("GET", &format!("{FUNCTIONS}/f/versions"), Value::Null).await;
    assert_eq!(listed["Versions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_web_page_can_send_what_a_browser_sends_by_itself() {
    let fixture = Fixture::with_function().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let body = create("g", json!({})).to_string();
        let response = fixture.raw("POST", FUNCTIONS, &[("content-type", kind)], body.as_bytes()).await;
        assert_eq!(response.status, 415);
        let path = format!("{FUNCTIONS}/f/invocations");
        assert_eq!(fixture.raw("POST", &path, &[("content-type", kind)], b"{}").await.status, 415);
        assert!(response.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
    }
    assert_eq!(fixture.raw("POST", FUNCTIONS, &[], b"{}").await.status, 415);
}
