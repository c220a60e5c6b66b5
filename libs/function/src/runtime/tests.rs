//! Functions in real processes: our Python and Node bootstraps, AWS's own where they are installed, and a shell script,
//! through everything that Lambda's documentation says can happen to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Credentials, Environments, Settings};
use crate::catalogue::function::LogFormat;
use crate::catalogue::{Catalogue, Code, Function};
use crate::code::{CodeStore, Packages};
use crate::fixtures::{MemoryDocuments, zip_of};
use crate::invoke::{FunctionError, Invocation, InvokeError, Invoker, Outcome};

struct Fixture {
    environments: Arc<Environments<MemoryDocuments>>,
    catalogue: Arc<Catalogue<MemoryDocuments>>,
    code: Arc<CodeStore>,
    _folder: tempfile::TempDir,
}

fn settings(folder: &Path, python: String, use_aws_runtimes: bool) -> Settings {
    Settings {
        region: "eu-west-1".to_owned(),
        account: "000000000000".to_owned(),
        endpoint_url: "http://localhost:8000".to_owned(),
        credentials: Credentials {
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        },
        path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        python,
        node: "node".to_owned(),
        use_aws_runtimes,
        folder: folder.join("runtime"),
        max_environments: 2,
        keep_idle: Duration::from_secs(60),
        init_timeout: Duration::from_secs(10),
    }
}

fn function(name: &str, runtime: &str, handler: &str, code: Code) -> Function {
    Function {
        name: name.to_owned(),
        runtime: Some(runtime.to_owned()),
        command: None,
        handler: handler.to_owned(),
        role: "arn:aws:iam::000000000000:role/r".to_owned(),
        description: String::new(),
        code,
        timeout_s: 20,
        memory_mb: 128,
        ephemeral_storage_mb: 512,
        architecture: "x86_64".to_owned(),
        environment: [("GREETING".to_owned(), "grüß".to_owned())].into(),
        tags: Default::default(),
        tracing_mode: "PassThrough".to_owned(),
        dead_letter_target: None,
        log_format: LogFormat::Text,
        log_group: None,
        reserved_concurrency: None,
        version: None,
        published: 0,
        revision_id: uuid::Uuid::new_v4().to_string(),
        last_modified_ms: 0,
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with_python("python3".to_owned(), false)
    }

    fn with_python(python: String, use_aws_runtimes: bool) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let code = Arc::new(CodeStore::open(folder.path().join("code")).unwrap());
        let catalogue = Arc::new(Catalogue::new(Arc::new(MemoryDocuments::default())));
        let settings = settings(folder.path(), python, use_aws_runtimes);
        let packages = Arc::new(Packages::new(catalogue.documents().clone(), code.clone(), false));
        let environments =
            Environments::new(catalogue.clone(), packages, settings, Arc::new(now_ms)).unwrap();
        Fixture { environments, catalogue, code, _folder: folder }
    }

    async fn add(&self, runtime: &str, handler: &str, files: &[(&str, &str)]) {
        self.add_with(runtime, handler, files, |_| {}).await;
    }

    async fn add_with(
        &self,
        runtime: &str,
        handler: &str,
        files: &[(&str, &str)],
        edit: impl FnOnce(&mut Function),
    ) {
        let zip = zip_of(files);
        let pin = self.code.store(&zip).unwrap();
        let code = Code::Zip { sha256: pin.sha256.clone(), size_bytes: zip.len() as u64 };
        let mut made = function("f", runtime, handler, code);
        edit(&mut made);
        assert!(self.catalogue.create_function(&made).await.unwrap());
    }

    async fn invoke(&self, event: Value) -> Outcome {
        let payload = Bytes::from(event.to_string());
        self.environments.invoke(Invocation::new("f", payload)).await.unwrap()
    }
}

fn body(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.payload).unwrap()
}

fn log(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.log_tail).into_owned()
}

fn error_type(outcome: &Outcome) -> String {
    assert_eq!(outcome.function_error, Some(FunctionError::Unhandled));
    body(outcome)["errorType"].as_str().unwrap().to_owned()
}

fn message(outcome: &Outcome) -> String {
    body(outcome)["errorMessage"].as_str().unwrap().to_owned()
}

const PYTHON_ECHO: &str = "
import os, sys, time
calls = 0
def handler(event, context):
    global calls
    calls += 1
    print('got', event.get('n'), 'é')
    print('to stderr', file=sys.stderr)
    if event.get('raise'):
        raise ValueError('bad ' + event['raise'])
    if event.get('exit') is not None:
        os._exit(event['exit'])
    if event.get('kill'):
        os.kill(os.getpid(), 9)
    if event.get('sleep'):
        import subprocess
        child = subprocess.Popen(['sleep', '1000'])
        print('child', child.pid)
        sys.stdout.flush()
        time.sleep(event['sleep'])
    if event.get('size'):
        return 'x' * event['size']
    if event.get('set'):
        return {1}
    if event.get('bytes'):
        return b'\\xff'
    if event.get('surrogate'):
        sys.stdout.flush()
        os.write(1, b'\\xff\\xfe raw\\n')
        return '\\ud800'
    return {
        'calls': calls, 'event': event, 'greeting': os.environ['GREETING'],
        'region': os.environ['AWS_REGION'], 'endpoint': os.environ['AWS_ENDPOINT_URL'],
        'function': context.function_name, 'arn': context.invoked_function_arn,
        'id': context.aws_request_id, 'left': context.get_remaining_time_in_millis(),
        'root': os.environ['LAMBDA_TASK_ROOT'] == os.getcwd(),
        'home': 'HOME' in os.environ,
    }
";

async fn python_runs_and_is_kept_warm(fixture: Fixture) {
    fixture.add("python3.12", "main.handler", &[("main.py", PYTHON_ECHO)]).await;
    let cold = fixture.invoke(json!({"n": 1})).await;
    assert_eq!(cold.function_error, None, "{}", log(&cold));
    assert!(cold.cold_start);
    let said = body(&cold);
    assert_eq!(said["event"], json!({"n": 1}));
    assert_eq!(said["greeting"], "grüß");
    assert_eq!(said["region"], "eu-west-1");
    assert_eq!(said["endpoint"], "http://localhost:8000");
    assert_eq!(said["arn"], "arn:aws:lambda:eu-west-1:000000000000:function:f");
    assert_eq!((&said["root"], &said["home"]), (&json!(true), &json!(false)));
    assert!((1..=20_000).contains(&said["left"].as_u64().unwrap()));
    let text = log(&cold);
    assert!(text.starts_with("START RequestId: "), "{text}");
    assert!(text.contains("got 1 é\n") && text.contains("to stderr\n"), "{text}");
    assert!(text.contains("\nREPORT RequestId: ") && text.contains("Init Duration"), "{text}");

    let warm = fixture.invoke(json!({"n": 2})).await;
    assert!(!warm.cold_start);
    assert_eq!(body(&warm)["calls"], 2);
    assert_ne!(body(&warm)["id"], said["id"]);

    let raised = fixture.invoke(json!({"raise": "grief"})).await;
    assert_eq!((error_type(&raised), message(&raised)), ("ValueError".into(), "bad grief".into()));
    assert!(body(&raised)["stackTrace"][0].as_str().unwrap().contains("main.py"));
    assert_eq!(body(&fixture.invoke(json!({})).await)["calls"], 4, "an exception ends no environment");
}

async fn python_crashes_are_errors_of_one_invocation(fixture: Fixture) {
    fixture.add("python3.12", "main.handler", &[("main.py", PYTHON_ECHO)]).await;
    let exited = fixture.invoke(json!({"exit": 3})).await;
    assert_eq!(error_type(&exited), "Runtime.ExitError");
    assert!(message(&exited).ends_with("Error: Runtime exited with error: exit status 3"));
    let killed = fixture.invoke(json!({"kill": true})).await;
    assert!(message(&killed).ends_with("signal: killed"));
    let clean = fixture.invoke(json!({"exit": 0})).await;
    assert!(message(&clean).ends_with("Runtime exited without providing a reason"));
    let next = fixture.invoke(json!({})).await;
    assert_eq!((next.function_error, next.cold_start), (None, true));
}

async fn python_answers_that_cannot_be_taken(fixture: Fixture) {
    fixture.add("python3.12", "main.handler", &[("main.py", PYTHON_ECHO)]).await;
    let large = fixture.invoke(json!({"size": 6 * 1024 * 1024 - 2})).await;
    assert_eq!((large.function_error, large.payload.len()), (None, 6 * 1024 * 1024));
    let too_large = fixture.invoke(json!({"size": 6 * 1024 * 1024 + 200})).await;
    assert_eq!(error_type(&too_large), "Function.ResponseSizeTooLarge");
    assert_eq!(
        message(&too_large),
        "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    );
    let bytes = fixture.invoke(json!({"bytes": true})).await;
    assert_eq!(
        (bytes.function_error, bytes.payload.as_ref()),
        (None, b"\xff".as_slice()),
        "passed on as they are"
    );
    assert_eq!(error_type(&fixture.invoke(json!({"set": true})).await), "Runtime.MarshalError");
}

async fn python_that_cannot_be_loaded(fixture: Fixture) {
    let cases = [
        ("main.handler", "def handler(", "Runtime.UserCodeSyntaxError"),
        ("main.handler", "import nothing_of_that_name", "Runtime.ImportModuleError"),
        ("main.handler", "x = 1", "Runtime.HandlerNotFound"),
        ("main.handler", "raise KeyError('at import')", "KeyError"),
        ("main", "x = 1", "Runtime.MalformedHandlerName"),
    ];
    for (handler, source, expected) in cases {
        fixture.add("python3.12", handler, &[("main.py", source)]).await;
        for _ in 0..2 {
            assert_eq!(error_type(&fixture.invoke(json!({})).await), expected, "{source}");
        }
        fixture.catalogue.delete_function("f").await.unwrap();
    }
}

/// The interpreter that has AWS's own Python runtime, if the one who runs the tests names it.
fn aws_python() -> Option<Fixture> {
    let python = std::env::var("TRADEWIND_TEST_PYTHON").ok()?;
    Some(Fixture::with_python(python, true))
}

macro_rules! with_both_pythons {
    ($($claim:ident),*) => {
        mod our_bootstrap {
            $(#[tokio::test] async fn $claim() { super::$claim(super::Fixture::new()).await; })*
        }
        mod awslambdaric {
            $(#[tokio::test] async fn $claim() {
                let Some(fixture) = super::aws_python() else {
                    eprintln!("skipped: TRADEWIND_TEST_PYTHON names no interpreter with awslambdaric");
                    return;
                };
                super::$claim(fixture).await;
            })*
        }
    };
}

with_both_pythons!(
    python_runs_and_is_kept_warm,
    python_crashes_are_errors_of_one_invocation,
    python_answers_that_cannot_be_taken,
    python_that_cannot_be_loaded
);

#[tokio::test]
async fn awslambdaric_is_really_used_where_the_interpreter_has_it() {
    let Some(fixture) = aws_python() else { return };
    let source = "import sys\ndef handler(event, context): return 'awslambdaric' in sys.modules";
    fixture.add("python3.12", "main.handler", &[("main.py", source)]).await;
    assert_eq!(body(&fixture.invoke(json!({})).await), true);
}

#[tokio::test]
async fn a_log_keeps_bytes_that_are_no_text_and_answers_stay_utf8() {
    let fixture = Fixture::new();
    fixture.add("python3.12", "main.handler", &[("main.py", PYTHON_ECHO)]).await;
    let odd = fixture.invoke(json!({"surrogate": true})).await;
    assert_eq!(odd.function_error, None);
    assert!(std::str::from_utf8(&odd.payload).is_ok());
    assert!(odd.log_tail.windows(2).any(|two| two == b"\xff\xfe"));
}

#[tokio::test]
async fn a_time_out_kills_the_whole_process_group() {
    let fixture = Fixture::new();
    let files = [("main.py", PYTHON_ECHO)];
    fixture.add_with("python3.12", "main.handler", &files, |function| function.timeout_s = 1).await;
    fixture.invoke(json!({})).await;
    let late = fixture.invoke(json!({"sleep": 100})).await;
    assert_eq!(error_type(&late), "Sandbox.Timedout");
    assert!(message(&late).ends_with("Task timed out after 1.00 seconds"), "{}", message(&late));
    let text = log(&late);
    let child = text.split("child ").nth(1).unwrap().lines().next().unwrap().to_owned();
    gone(&child).await;
    assert_eq!(fixture.invoke(json!({})).await.function_error, None);
}

/// Waits until a process is no more, or only a zombie.
async fn gone(pid: &str) {
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), async {
        while alive() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("process still lives");
}

#[tokio::test]
async fn shutting_down_ends_running_functions() {
    let fixture = Arc::new(Fixture::new());
    fixture.add("python3.12", "main.handler", &[("main.py", PYTHON_ECHO)]).await;
    let mut log_end = fixture.environments.log("f").subscribe();
    let running = tokio::spawn({
        let fixture = fixture.clone();
        async move { fixture.invoke(json!({"sleep": 100})).await }
    });
    let text = || String::from_utf8_lossy(&fixture.environments.log("f").read(0).bytes).into_owned();
    while !text().contains("child ") {
        log_end.changed().await.unwrap();
    }
    fixture.environments.shutdown();
    assert_eq!(error_type(&running.await.unwrap()), "Runtime.ExitError");
    let after = fixture.environments.invoke(Invocation::new("f", Bytes::from_static(b"{}"))).await;
    assert!(matches!(after, Err(InvokeError::Service(_))));
}

#[tokio::test]
async fn more_memory_than_the_function_has_is_its_error_and_nobody_elses() {
    let fixture = Fixture::new();
    let greedy = "def handler(event, context):
    return len(bytearray(event['mb'] << 20))
";
    fixture.add("python3.12", "main.handler", &[("main.py", greedy)]).await;
    assert_eq!(body(&fixture.invoke(json!({"mb": 40})).await), 40 << 20);
    assert_eq!(error_type(&fixture.invoke(json!({"mb": 400})).await), "MemoryError");
    assert_eq!(body(&fixture.invoke(json!({"mb": 40})).await), 40 << 20);
}

#[tokio::test]
async fn a_runtime_that_never_asks_for_work_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let code = Arc::new(CodeStore::open(folder.path().join("code")).unwrap());
    let catalogue = Arc::new(Catalogue::new(Arc::new(MemoryDocuments::default())));
    let mut settings = settings(folder.path(), "python3".to_owned(), false);
    settings.init_timeout = Duration::from_millis(300);
    let packages = Arc::new(Packages::new(catalogue.documents().clone(), code.clone(), false));
    let environments = Environments::new(catalogue.clone(), packages, settings, Arc::new(now_ms)).unwrap();
    let fixture = Fixture { environments, catalogue, code, _folder: folder };
    fixture.add("provided.al2023", "x", &[("bootstrap", "#!/bin/sh\nexec sleep 1000\n")]).await;
    let outcome = fixture.invoke(json!({})).await;
    assert_eq!(error_type(&outcome), "Sandbox.Timedout");
    assert!(message(&outcome).ends_with("Task timed out after 0.30 seconds"));
}

const SHELL_BOOTSTRAP: &str = r#"#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/next")
  id=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '\r' | cut -d' ' -f2)
  wrong=$(curl -sS -o /dev/null -w '%{http_code}' -d 1 "$api/wrong/response")
  early=$(curl -sS -o /dev/null -w '%{http_code}' "$api/next")
  first=$(curl -sS -o /dev/null -w '%{http_code}' -d "{\"event\":$event,\"wrong\":$wrong,\"early\":$early}" "$api/$id/response")
  again=$(curl -sS -d 1 "$api/$id/response")
  echo "first $first again $again"
done
"#;

#[tokio::test]
async fn any_bootstrap_runs_and_wrong_calls_are_refused_as_by_lambda() {
    let fixture = Fixture::new();
    fixture.add("provided.al2023", "x", &[("bootstrap", SHELL_BOOTSTRAP)]).await;
    let outcome = fixture.invoke(json!({"a": 1})).await;
    assert_eq!(body(&outcome), json!({"event": {"a": 1}, "wrong": 400, "early": 403}));
    let second = fixture.invoke(json!([])).await;
    assert!(!second.cold_start);
    let whole = fixture.environments.log("f").read(0).bytes;
    let whole = String::from_utf8_lossy(&whole);
    assert!(whole.contains("first 202 again {"), "{whole}");
    assert!(whole.contains(r#""errorType":"InvalidStateTransition""#), "{whole}");
}

#[tokio::test]
async fn a_package_without_bootstrap_is_the_functions_error() {
    let fixture = Fixture::new();
    fixture.add("provided.al2023", "x", &[("main", "")]).await;
    assert_eq!(error_type(&fixture.invoke(json!({})).await), "Runtime.InvalidEntrypoint");
}

const NODE_HANDLERS: &str = r#"
let calls = 0;
exports.later = async (event, context) => {
  console.log("hello", event.n);
  if (event.fail) throw new TypeError("bad " + event.fail);
  const ric = process.argv[1].includes("aws-lambda-ric");
  return { calls: ++calls, arn: context.invokedFunctionArn, left: context.getRemainingTimeInMillis() > 0, ric };
};
exports.callback = (event, context, callback) => {
  setTimeout(() => event.fail ? callback(new Error("no")) : callback(null, { got: event.n }), 5);
};
exports.silent = () => {};
exports.nested = { deep: async () => "deep" };
exports.rejected = (event, context, callback) => { Promise.reject(new Error("nobody waits")); setTimeout(callback, 1000); };
exports.exit = async () => process.exit(3);
exports.sized = async (event) => "x".repeat(event.size);
exports.circular = async () => { const self = {}; self.self = self; return self; };
exports.uncaught = (event, context, callback) => { setTimeout(() => { throw new RangeError("late"); }, 1); };
"#;

/// A function in a folder, as it is with `npm install` run in it: with AWS's client among its packages, or without.
struct NodeFolder {
    aws_lambda_ric: Option<PathBuf>,
}

impl NodeFolder {
    async fn invoke(&self, handler: &str, event: Value) -> (Fixture, Outcome) {
        let fixture = Fixture::with_python("python3".to_owned(), self.aws_lambda_ric.is_some());
        let folder = fixture._folder.path().join("function");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in [
            ("index.js", NODE_HANDLERS),
            ("module.mjs", "export const handler = async (event) => ({ esm: event });"),
            ("broken.js", "exports.handler = ("),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        if let Some(packages) = &self.aws_lambda_ric {
            std::os::unix::fs::symlink(packages, folder.join("node_modules")).unwrap();
        }
        let code = Code::Directory { path: folder };
        fixture.catalogue.create_function(&function("f", "nodejs20.x", handler, code)).await.unwrap();
        let outcome = fixture.invoke(event).await;
        (fixture, outcome)
    }
}

async fn node_handlers_run_whatever_their_style(node: NodeFolder) {
    let (fixture, outcome) = node.invoke("index.later", json!({"n": 1})).await;
    assert_eq!(outcome.function_error, None, "{}", log(&outcome));
    let arn = "arn:aws:lambda:eu-west-1:000000000000:function:f";
    let ric = node.aws_lambda_ric.is_some();
    assert_eq!(body(&outcome), json!({"calls": 1, "arn": arn, "left": true, "ric": ric}));
    let id = outcome
        .log_tail
        .windows(36)
        .find_map(|text| std::str::from_utf8(text).ok()?.parse::<uuid::Uuid>().ok());
    assert!(log(&outcome).contains(&format!("\t{}\tINFO\thello 1\n", id.unwrap())), "{}", log(&outcome));
    assert_eq!(body(&fixture.invoke(json!({})).await)["calls"], 2);
    let failed = fixture.invoke(json!({"fail": "luck"})).await;
    assert_eq!((error_type(&failed), message(&failed)), ("TypeError".into(), "bad luck".into()));
    assert!(body(&failed)["trace"][1].as_str().unwrap().contains("index.js"));
    assert!(
        log(&failed).contains("\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\""),
        "{}",
        log(&failed)
    );
    assert_eq!(body(&fixture.invoke(json!({})).await)["calls"], 3);

    let (fixture, outcome) = node.invoke("index.callback", json!({"n": 7})).await;
    assert_eq!(body(&outcome), json!({"got": 7}));
    assert_eq!(message(&fixture.invoke(json!({"fail": 1})).await), "no");
    assert_eq!(body(&node.invoke("index.silent", json!({})).await.1), Value::Null);
    assert_eq!(body(&node.invoke("index.nested.deep", json!({})).await.1), "deep");
    assert_eq!(body(&node.invoke("module.handler", json!([1])).await.1), json!({"esm": [1]}));
}

async fn node_that_cannot_be_loaded_or_dies(node: NodeFolder) {
    for (handler, expected) in [
        ("broken.handler", "Runtime.UserCodeSyntaxError"),
        ("index.missing", "Runtime.HandlerNotFound"),
        ("absent.handler", "Runtime.ImportModuleError"),
        ("nothing", "Runtime.MalformedHandlerName"),
        ("../index.later", "Runtime.MalformedHandlerName"),
    ] {
        let (fixture, outcome) = node.invoke(handler, json!({})).await;
        assert_eq!(error_type(&outcome), expected, "{handler}");
        assert_eq!(error_type(&fixture.invoke(json!({})).await), expected, "{handler}, again");
    }
    let (fixture, outcome) = node.invoke("index.uncaught", json!({})).await;
    assert_eq!((error_type(&outcome), message(&outcome)), ("RangeError".into(), "late".into()));
    assert_eq!(message(&fixture.invoke(json!({})).await), "late", "the next one starts afresh");
    let (_, outcome) = node.invoke("index.rejected", json!({})).await;
    assert_eq!(error_type(&outcome), "Runtime.UnhandledPromiseRejection");
    assert!(message(&outcome).contains("nobody waits"), "{}", message(&outcome));
    let (_, outcome) = node.invoke("index.exit", json!({})).await;
    assert_eq!(error_type(&outcome), "Runtime.ExitError");
    assert!(message(&outcome).ends_with("exit status 3"));
}

async fn node_answers_that_cannot_be_taken(node: NodeFolder) {
    let (fixture, large) = node.invoke("index.sized", json!({"size": 6 * 1024 * 1024 - 2})).await;
    assert_eq!((large.function_error, large.payload.len()), (None, 6 * 1024 * 1024));
    let too_large = fixture.invoke(json!({"size": 6 * 1024 * 1024 + 200})).await;
    assert_eq!(error_type(&too_large), "Function.ResponseSizeTooLarge");
    let (fixture, circular) = node.invoke("index.circular", json!({})).await;
    assert_eq!(error_type(&circular), "Error");
    assert_eq!(message(&circular), "Unable to stringify response body");
    assert_eq!(error_type(&fixture.invoke(json!({})).await), "Error");
}

/// Where `npm install` has put AWS's Node runtime, if the one who runs the tests names it.
fn aws_node() -> Option<NodeFolder> {
    let packages = PathBuf::from(std::env::var_os("TRADEWIND_TEST_NODE_MODULES")?);
    packages.join("aws-lambda-ric").is_dir().then_some(NodeFolder { aws_lambda_ric: Some(packages) })
}

macro_rules! with_both_nodes {
    ($($claim:ident),*) => {
        mod our_node_bootstrap {
            $(#[tokio::test] async fn $claim() { super::$claim(super::NodeFolder { aws_lambda_ric: None }).await; })*
        }
        mod aws_lambda_ric {
            $(#[tokio::test] async fn $claim() {
                let Some(node) = super::aws_node() else {
                    eprintln!("skipped: TRADEWIND_TEST_NODE_MODULES names no folder with aws-lambda-ric");
                    return;
                };
                super::$claim(node).await;
            })*
        }
    };
}

with_both_nodes!(
    node_handlers_run_whatever_their_style,
    node_that_cannot_be_loaded_or_dies,
    node_answers_that_cannot_be_taken
);

#[tokio::test]
async fn a_folder_of_code_is_reloaded_when_a_file_changes() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |answer: &str| {
        let source = format!("def handler(event, context): return '{answer}'");
        std::fs::write(folder.path().join("main.py"), source).unwrap();
    };
    write("old");
    let code = Code::Directory { path: folder.path().to_owned() };
    fixture.catalogue.create_function(&function("f", "python3.12", "main.handler", code)).await.unwrap();
    assert_eq!(body(&fixture.invoke(json!({})).await), "old");
    assert!(!fixture.invoke(json!({})).await.cold_start);
    write("newer");
    let mut answer = fixture.invoke(json!({})).await;
    while !answer.cold_start {
        answer = fixture.invoke(json!({})).await;
    }
    assert_eq!(body(&answer), "newer");
}

#[tokio::test]
async fn a_plain_command_runs_in_its_folder() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("loop.sh"), SHELL_BOOTSTRAP).unwrap();
    let code = Code::Directory { path: folder.path().to_owned() };
    let mut made = function("f", "provided.al2023", "", code);
    made.runtime = None;
    made.command = Some("sh ./loop.sh".to_owned());
    fixture.catalogue.create_function(&made).await.unwrap();
    assert_eq!(body(&fixture.invoke(json!({"a": 1})).await)["event"], json!({"a": 1}));
}

#[tokio::test]
async fn reserved_concurrency_throttles_and_zero_stops() {
    let fixture = Fixture::new();
    let files = [("main.py", PYTHON_ECHO)];
    let none = |function: &mut Function| function.reserved_concurrency = Some(0);
    fixture.add_with("python3.12", "main.handler", &files, none).await;
    let refused = fixture.environments.invoke(Invocation::new("f", Bytes::from_static(b"{}"))).await;
    assert!(matches!(refused, Err(InvokeError::Throttled)));
}

#[tokio::test]
async fn an_environment_that_dies_while_idle_costs_no_invocation() {
    let fixture = Fixture::new();
    let source = "
import os, threading
def handler(event, context):
    threading.Timer(0.05, lambda: os._exit(1)).start()
    return os.getpid()
";
    fixture.add("python3.12", "main.handler", &[("main.py", source)]).await;
    let pid = body(&fixture.invoke(json!({})).await);
    gone(&pid.to_string()).await;
    let next = fixture.invoke(json!({})).await;
    assert_eq!((next.function_error, next.cold_start), (None, true));
}
