//! Functions under load: a function that reports every record it is given to this process, and what the reports say.
//!
//! The function is this program itself, `tradewind loadtest receive`, run by the server as a command that speaks the Lambda
//! Runtime API; so both have to be on one machine. A report is one line: partition key, sort key or `-`, old write, new write
//! and microseconds since it was written, each a number or `-`.

use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::figures::Latencies;
use crate::history::{History, Repeats};
use crate::item::{Image, now_us};
use crate::keys::Key;
use crate::ledger::{WriteId, lock};
use crate::load::Load;
use crate::tail::{Change, stream_arn};

const NAME: &str = "tradewind-loadtest";
const FUNCTIONS: &str = "/2015-03-31/functions";
const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
const BATCH: u32 = 100;

pub struct Reports {
    pub history: Mutex<History>,
    /// From the write to the record in the function's hands.
    pub latencies: Mutex<Latencies>,
    mapping: String,
    /// What the function has for code: nothing. A server looks through the folder again and again for changes.
    _folder: TempDir,
}

/// Creates the function and its mapping in the first region, and listens to it as long as the set lives.
pub async fn start(load: &Arc<Load>, program: &Path) -> anyhow::Result<(Arc<Reports>, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let folder = TempDir::new()?;
    let created = create(load, program, folder.path(), address).await;
    let mapping = created.context("the function could not be set up")?;
    let reports = Arc::new(Reports {
        history: Mutex::new(History::new(load.endpoints.len(), Repeats::Allowed)),
        latencies: Mutex::default(),
        mapping,
        _folder: folder,
    });
    let mut listening = JoinSet::new();
    listening.spawn(listen(load.clone(), reports.clone(), listener));
    Ok((reports, listening))
}

async fn create(load: &Load, program: &Path, folder: &Path, address: SocketAddr) -> anyhow::Result<String> {
    let mut connection = Connection::new(load.endpoints[0].clone());
    let command = format!("'{}' loadtest receive --report-to {address}", program.display());
    let mut headers = HeaderMap::new();
    headers.insert("x-tradewind-command", HeaderValue::try_from(command)?);
    headers.insert("x-tradewind-directory", HeaderValue::from_bytes(folder.as_os_str().as_bytes())?);
    let function = json!({
        "FunctionName": NAME,
        "Runtime": "provided.al2023",
        "Role": "arn:aws:iam::000000000000:role/tradewind",
        "Handler": "command",
        "Timeout": 60,
        "Code": {},
    });
    let body = Bytes::from(function.to_string());
    match connection.lambda(Method::POST, FUNCTIONS, headers, body).await {
        Ok(_) => (),
        Err(failure) if failure.kind == "HTTP 409" => {
            bail!("a function {NAME} is there already, perhaps of a run that was broken off: delete it first")
        }
        Err(failure) => return Err(failure.into()),
    }
    let mapping = json!({
        "FunctionName": NAME,
        "EventSourceArn": stream_arn(&mut connection, &load.items.table).await?,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": BATCH,
    });
    let body = Bytes::from(mapping.to_string());
    let answer = connection.lambda(Method::POST, MAPPINGS, HeaderMap::new(), body).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    answer["UUID"].as_str().map(str::to_owned).context("a mapping without a UUID")
}

/// Removes both again.
pub async fn remove(load: &Load, reports: &Reports) -> anyhow::Result<()> {
    let mut connection = Connection::new(load.endpoints[0].clone());
    for path in [format!("{MAPPINGS}/{}", reports.mapping), format!("{FUNCTIONS}/{NAME}")] {
        connection.lambda(Method::DELETE, &path, HeaderMap::new(), Bytes::new()).await?;
    }
    Ok(())
}

async fn listen(load: Arc<Load>, reports: Arc<Reports>, listener: TcpListener) {
    let mut environments = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        environments.spawn(read_reports(load.clone(), reports.clone(), stream));
    }
}

async fn read_reports(load: Arc<Load>, reports: Arc<Reports>, stream: TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(report) = Report::parse(&line, load.items.per_partition) else {
            lock(&reports.history).violations.add(|| format!("the function reported {line:?}"));
            continue;
        };
        lock(&reports.history).change(report.key, report.old, report.new);
        if let Some(latency) = report.latency_us.filter(|_| load.is_measuring()) {
            lock(&reports.latencies).record(Duration::from_micros(latency));
        }
    }
}

#[derive(PartialEq, Debug)]
struct Report {
    key: Key,
    old: Option<WriteId>,
    new: Option<WriteId>,
    latency_us: Option<u64>,
}

impl Report {
    fn parse(line: &str, per_partition: u64) -> Option<Report> {
        let words: Vec<&str> = line.split(' ').collect();
        let [partition, sort, old, new, latency] = words[..] else { return None };
        let number = |word: &str| match word {
            "-" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        Some(Report {
            key: Key::parse(partition, number(sort)?, per_partition)?,
            old: number(old)?.map(WriteId),
            new: number(new)?.map(WriteId),
            latency_us: number(latency)?,
        })
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    dynamodb: Change<'a>,
}

/// The function: asks the runtime API for work, reports what is in it, and answers, for ever.
pub async fn receive(runtime_api: &str, report_to: SocketAddr) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::net::TcpStream::connect(report_to)?);
    let stream = TcpStream::connect(runtime_api).await.context("the runtime API")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { _ = connection.await });
    let request = |method: Method, path: String| {
        let request = Request::builder().method(method).header(http::header::HOST, runtime_api);
        request
            .uri(format!("/2018-06-01/runtime/invocation/{path}"))
            .body(Full::new(Bytes::from_static(b"null")))
    };
    loop {
        sender.ready().await?;
        let response = sender.send_request(request(Method::GET, "next".to_owned())?).await?;
        let id = response.headers().get("lambda-runtime-aws-request-id");
        let id = id.context("an invocation without an id")?.to_str()?.to_owned();
        let body = response.into_body().collect().await?.to_bytes();
        report(&mut out, &body)?;
        sender.ready().await?;
        let answered = sender.send_request(request(Method::POST, format!("{id}/response"))?).await?;
        answered.into_body().collect().await?;
    }
}

fn report(out: &mut impl Write, event: &[u8]) -> anyhow::Result<()> {
    let event: Event<'_> = serde_json::from_slice(event).context("an event of a stream")?;
    let now = now_us();
    let text = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    for Record { dynamodb: change } in event.records.iter().filter(|record| !record.dynamodb.keys.is_probe())
    {
        let id = |image: &Option<Image<'_>>| text(image.as_ref().and_then(Image::write_id).map(|id| id.0));
        let written = change.new_image.as_ref().and_then(Image::written_us);
        writeln!(
            out,
            "{} {} {} {} {}",
            change.keys.id.as_ref().map_or("-", |id| id.s),
            change.keys.sk.as_ref().map_or("-", |sort| sort.n),
            id(&change.old_image),
            id(&change.new_image),
            text(written.map(|at| now.saturating_sub(at))),
        )?;
    }
    out.flush().context("nobody reads the reports any more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Space;

    #[test]
    fn what_a_function_was_given_comes_back_as_a_report() {
        let event = br#"{"Records":[{"eventID":"1","dynamodb":{"SequenceNumber":"9","Keys":{"id":{"S":"1-5"}},
            "OldImage":{"id":{"S":"1-5"},"w":{"N":"7"}},"NewImage":{"id":{"S":"1-5"},"w":{"N":"8"},"t":{"N":"1"}}}},
            {"dynamodb":{"SequenceNumber":"10","Keys":{"id":{"S":"probe-1"}}}}]}"#;
        let mut out = Vec::new();
        report(&mut out, event).unwrap();
        let line = String::from_utf8(out).unwrap();
        let parsed = Report::parse(line.trim_end(), 1).unwrap();
        assert_eq!(parsed.key, Key { space: Space::Region(1), index: 5 });
        assert_eq!((parsed.old, parsed.new), (Some(WriteId(7)), Some(WriteId(8))));
        assert!(parsed.latency_us.is_some());
        assert_eq!(Report::parse("1-5 - x 8 1", 1), None);
    }
}
