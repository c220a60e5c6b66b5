//! What operators ask of a storage node; all of it may be asked of any node.
//!
//! ```text
//! GET  /_tradewind/tables                 every table of the region
//! GET  /_tradewind/replication            every link of the region, and the sums by table and destination
//! POST /_tradewind/replication/evict      { table, region }
//! POST /_tradewind/replication/repair     { table }
//! POST /_tradewind/verify[/status]        see [`verify`](crate::verify)
//! POST /_tradewind/conflicts/…            see [`conflicts`](crate::conflicts)
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tradewind_database::Database;
use tradewind_engine::{Documents, Engine, Members};
use tradewind_model::Region;
use tradewind_replication::{LinkReport, Order, Ordered, by_table, has_stopped};

use super::replicators::Replicators;
use crate::front::Answered;
use crate::{conflicts, tables, verify};

pub const PATH: &str = "/_tradewind/";
const NO_CHAOS: &str =
    "only `tradewind dev` can disturb links and clocks, of the regions it runs: no service of a cluster can";

#[derive(Deserialize)]
struct Evict {
    table: String,
    region: Region,
}

#[derive(Deserialize)]
struct Repair {
    table: String,
}

/// Who answers operators.
pub struct Operators<E: 'static> {
    pub database: Arc<Database<E>>,
    pub replicators: Arc<Replicators<E>>,
}

impl<E: Engine + Documents + Members> Operators<E> {
    /// Answers a path that begins with [`PATH`].
    pub async fn answer(&self, path: &str, body: &[u8]) -> Answered {
        let question = path.strip_prefix(PATH).unwrap_or_default();
        let Operators { database, replicators } = self;
        let outcome = match question.split_once('/') {
            None if question == "tables" => match tables(database).await {
                Ok(tables) => Ok(json!({ "tables": tables })),
                Err(error) => Err(error.message),
            },
            None if question == "replication" => Ok(status(replicators).await),
            Some(("replication", "evict")) => evict(replicators, body).await,
            Some(("replication", "repair")) => repair(replicators, body).await,
            None if question == "verify" => compare(replicators, body).await,
            Some(("verify", "status")) => compared(replicators, body).await,
            None if question == "chaos" => Err(NO_CHAOS.to_owned()),
            Some(("chaos", _)) => Err(NO_CHAOS.to_owned()),
            Some(("conflicts", rest)) => conflicts(database, rest, body).await.map_err(|error| error.message),
            _ => Err(format!("there is nothing at {path}")),
        };
        match outcome {
            Ok(answer) => answered(StatusCode::OK, &answer),
            Err(message) => answered(StatusCode::BAD_REQUEST, &json!({ "message": message })),
        }
    }
}

fn answered(status: StatusCode, body: &Value) -> Answered {
    let mut answer = http::Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer
}

async fn status<E: Members>(replicators: &Replicators<E>) -> Value {
    let (links, living) = all_links(replicators).await;
    json!({ "links": links, "tables": by_table(&links), "replicators": living })
}

/// Of every replicator, and how many each has.
async fn all_links<E: Members>(replicators: &Replicators<E>) -> (Vec<LinkReport>, Vec<Value>) {
    let (mut links, mut living) = (Vec::new(), Vec::new());
    for (member, answer) in replicators.ask_all(&Order::Status).await {
        let before = links.len();
        let error = match answer {
            Ok(Ordered::Links(of_one)) => {
                links.extend(of_one);
                None
            }
            Ok(_) => Some("it has answered something else".to_owned()),
            Err(error) => Some(error),
        };
        living.push(json!({ "name": member.name, "links": links.len() - before, "error": error }));
    }
    links.sort_by(|a, b| (&a.table, a.to, a.partition).cmp(&(&b.table, b.to, b.partition)));
    (links, living)
}

async fn evict<E: Members>(replicators: &Replicators<E>, body: &[u8]) -> Result<Value, String> {
    let Evict { table, region } = read(body)?;
    match replicators.have_done(&Order::Evict { table: table.clone(), region }).await? {
        Ordered::Evicting => Ok(json!({ "table": table, "evicting": region })),
        other => Err(refusal(other)),
    }
}

async fn repair<E: Members>(replicators: &Replicators<E>, body: &[u8]) -> Result<Value, String> {
    let Repair { table } = read(body)?;
    // One replicator repairs; a link that needs it may be any one's.
    let stopped = has_stopped(&all_links(replicators).await.0, &table);
    match replicators.have_done(&Order::Repair { table: table.clone(), stopped }).await? {
        Ordered::Repaired(repaired) => Ok(json!({ "table": table, "repaired": repaired })),
        other => Err(refusal(other)),
    }
}

/// One replicator compares, so that no node that answers requests has to.
async fn compare<E: Members>(replicators: &Replicators<E>, body: &[u8]) -> Result<Value, String> {
    let wish = verify::wish(body).map_err(|error| error.message)?;
    match replicators.have_done(&Order::Verify(wish)).await? {
        Ordered::Comparing(id) => Ok(json!({ "comparison": id })),
        other => Err(refusal(other)),
    }
}

/// Whichever replicator compares: another one may lead by now.
async fn compared<E: Members>(replicators: &Replicators<E>, body: &[u8]) -> Result<Value, String> {
    let id = verify::asked_after(body).map_err(|error| error.message)?;
    let mut silent = None;
    for (member, answer) in replicators.ask_all(&Order::Compared(id)).await {
        match answer {
            Ok(Ordered::Comparison(Some(comparison))) => {
                return verify::show_comparison(Some(&comparison)).map_err(|error| error.message);
            }
            Ok(_) => (),
            Err(error) => silent = Some(format!("the replicator {} does not answer: {error}", member.name)),
        }
    }
    match silent {
        Some(silent) => Err(silent),
        None => verify::show_comparison(None).map_err(|error| error.message),
    }
}

fn refusal(answer: Ordered) -> String {
    match answer {
        Ordered::Refused(cause) => cause,
        _ => "the replicator has answered something else".to_owned(),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
