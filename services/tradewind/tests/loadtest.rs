//! `tradewind loadtest` beside a real `tradewind dev`: a good run passes, and what somebody else does to the data behind
//! its back is found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tradewind");
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const TABLE: &str = "tradewind-loadtest";
const PATIENCE: Duration = Duration::from_secs(60);

struct Dev {
    process: Child,
    port: u64,
    folder: TempDir,
}

impl Dev {
    fn start() -> Dev {
        let folder = TempDir::new().unwrap();
        let ready = folder.path().join("ready.json");
        let process = Command::new(PROGRAM)
            .args(["dev", "--in-memory", "--port", "0", "--regions", &REGIONS.join(","), "--ready-file"])
            .arg(&ready)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut dev = Dev { process, port: 0, folder };
        until("the server to be ready", || {
            let text = std::fs::read(&ready).unwrap_or_default();
            let port =
                serde_json::from_slice::<Value>(&text).ok().and_then(|ready| ready["ports"]["all"].as_u64());
            dev.port = port.unwrap_or(0);
            port.is_some()
        });
        dev
    }

    fn load(&self, workload: &str, options: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["loadtest", "run", workload, "--warm-up", "100ms", "--ramp", "0ms", "--report"]);
        command.arg(self.report());
        for region in REGIONS {
            command.arg("--target").arg(format!("{region}=http://127.0.0.1:{}", self.port));
        }
        command.args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report")
    }

    /// An operation that nobody but the test knows of.
    fn call(&self, region: &str, operation: &str, body: &Value) -> Option<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port as u16)).unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
             X-Amz-Date: 20250101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=other/20250101/{region}/\
             dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).unwrap())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn until(what: &str, mut is_done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn verdict(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("there is no check {name:?}"))["verdict"].as_str().unwrap().to_owned()
}

fn read(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn a_run_over_two_regions_passes_its_check_and_reports_it() {
    let dev = Dev::start();
    let options = ["--duration", "2s", "--items", "400", "--rate", "300", "--connections", "8"];
    let output = dev.load("three-regions-conflicts", &options).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report = read(&dev.report());
    assert_eq!(report["passed"], true);
    for name in [
        "regions are equal",
        "no acknowledged write is lost",
        "conflicting writes are accounted for",
        "the stream of us-east-1 is complete",
        "the stream of eu-west-1 is complete",
    ] {
        assert_eq!(verdict(&report, name), "passed", "{name}");
    }
    assert_eq!(report["lags"].as_array().unwrap().len(), 2);
    assert!(
        std::fs::read_to_string(dev.report().join("report.html"))
            .unwrap()
            .contains("three-regions-conflicts")
    );
    // The table was made for the run.
    assert_eq!(dev.call(REGIONS[0], "DescribeTable", &json!({ "TableName": TABLE })), None);
}

/// The function once was given `/` for its code, which the server then searched for changes until the run was over.
#[test]
fn a_function_is_shown_every_change_of_a_run() {
    let dev = Dev::start();
    let options = ["--duration", "1s", "--items", "50", "--rate", "100", "--connections", "4"];
    let output = dev.load("functions", &options).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(verdict(&read(&dev.report()), "the function saw every change"), "passed");
}

#[test]
fn an_item_that_somebody_deletes_behind_its_back_is_a_lost_write() {
    let dev = Dev::start();
    let options = ["--duration", "3s", "--items", "100", "--rate", "50", "--connections", "4"];
    let run = dev.load("get", &options).spawn().unwrap();
    let key = json!({ "TableName": TABLE, "Key": { "id": { "S": "0-7" } } });
    until("the item to be loaded", || {
        dev.call(REGIONS[0], "GetItem", &key).is_some_and(|answer| answer["Item"].is_object())
    });
    dev.call(REGIONS[0], "DeleteItem", &key).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    let report = read(&dev.report());
    assert_eq!(verdict(&report, "no acknowledged write is lost"), "failed");
    assert_eq!(verdict(&report, "regions are equal"), "passed");
}

#[test]
fn a_write_that_nobody_of_the_load_made_is_found_in_the_stream_and_in_the_table() {
    let dev = Dev::start();
    let options = ["--duration", "3s", "--items", "100", "--rate", "50", "--connections", "4", "--seed", "3"];
    let file = dev.folder.path().join("tailed.toml");
    std::fs::write(&file, "tail_streams = true\nmix = { get = 1 }\n[table]\nstream = true\n").unwrap();
    let run = dev.load(file.to_str().unwrap(), &options).spawn().unwrap();
    let key = json!({ "TableName": TABLE, "Key": { "id": { "S": "1-3" } } });
    until("the item to be loaded", || {
        dev.call(REGIONS[1], "GetItem", &key).is_some_and(|answer| answer["Item"].is_object())
    });
    // The loader's item a second time, with another value.
    let item = json!({ "id": { "S": "1-3" }, "w": { "N": "0" }, "planted": { "BOOL": true } });
    dev.call(REGIONS[1], "PutItem", &json!({ "TableName": TABLE, "Item": item })).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    assert_eq!(verdict(&read(&dev.report()), "the stream of eu-west-1 is complete"), "failed");
}

#[test]
fn what_cannot_be_run_says_why_in_a_line() {
    let dev = Dev::start();
    for (workload, options, part) in [
        ("no-such-workload", &[][..], "loadtest list"),
        ("put", &["--conflict-share", "2"], "between 0 and 1"),
        ("put", &["--connections", "1"], "needs a connection"),
    ] {
        let output = dev.load(workload, options).output().unwrap();
        assert!(!output.status.success());
        let text = text(&output);
        assert!(text.contains(part) && text.trim().lines().count() == 1, "{text}");
    }
}
