//! The Lambda API on a storage node's port: asked of a node that runs functions (`tradewind streams`), found among the
//! members of the region.
//!
//! Requests for one function go to one node as long as it lives, so that its warm environments are used. Another is asked
//! only where the first surely was not reached; an answer that was lost is an error, for the client's SDK to decide about.
//!
//! Logs and history are each node's own: `GET /2026-11-01/nodes` lists the nodes, and the header
//! `x-tradewind-node` names the one that is to answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tradewind_engine::{Member, Members};
use tradewind_rpc::{CallError, Nodes, Question};
use xxhash_rust::xxh3::xxh3_64;

use crate::front::Answered;
use crate::lambda::{decode_answer, encode_request, error};

/// The group of those who run functions.
pub const GROUP: &str = "streams";
/// Lists who runs functions.
pub const NODES: &str = "/2026-11-01/nodes";
/// How long the members that were read are good for.
const FRESH: Duration = Duration::from_secs(1);
/// Lambda's longest time-out, and what a cold start may take before it.
const DEADLINE: Duration = Duration::from_secs(930);

pub struct Functions<E> {
    engine: Arc<E>,
    nodes: Nodes,
    known: Mutex<Option<(Instant, Arc<[Member]>)>>,
}

impl<E: Members> Functions<E> {
    /// `nodes` are connections of its own.
    pub fn new(engine: Arc<E>, nodes: Nodes) -> Functions<E> {
        Functions { engine, nodes, known: Mutex::default() }
    }

    pub async fn answer(&self, head: &Parts, body: &[u8]) -> Answered {
        let (sent, began) = (encode_request(head, body), Instant::now());
        // By what is known; then, if nobody could be reached, by what is so now.
        let since = [began.checked_sub(FRESH).unwrap_or(began), began];
        let named = named(&head.headers);
        let mut missing = "";
        for since in since {
            let members = match self.members(since).await {
                Ok(members) => members,
                Err(why) => {
                    tracing::warn!(error = %why, "looking for nodes that run functions");
                    return unavailable("The region's database does not answer");
                }
            };
            if head.uri.path() == NODES {
                return list(members.iter().map(|member| &*member.name));
            }
            if let Some(answer) = self.ask(&members, named, subject(head.uri.path()), &sent).await {
                return answer;
            }
            if let Some(name) = named.filter(|name| members.iter().all(|member| member.name != *name)) {
                return no_such_node(name);
            }
            missing = match members.is_empty() {
                true => "No node of this region runs functions: start one with `tradewind streams`",
                false => "No node that runs functions can be reached",
            };
        }
        unavailable(missing)
    }

    /// `None`: nobody was reached.
    async fn ask(
        &self,
        members: &[Member],
        named: Option<&str>,
        subject: &str,
        sent: &Bytes,
    ) -> Option<Answered> {
        let is_meant = |member: &&Member| named.is_none_or(|name| member.name == name);
        for member in ranked(members, subject).into_iter().filter(is_meant) {
            let asked = self.nodes.ask(member.id, &member.address, Question::Lambda, sent.clone(), DEADLINE);
            match asked.await {
                Ok(answer) => return Some(decode_answer(&answer).unwrap_or_else(another_version)),
                // Nothing was done there.
                Err(CallError::NotSent(_) | CallError::Moved) => (),
                Err(CallError::Unknown(_) | CallError::Refused(_)) => {
                    let message = "The node that runs the function was lost; whether it ran is not known";
                    return Some(error(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message));
                }
            }
        }
        None
    }

    /// The members as they were read at `since` or later.
    async fn members(&self, since: Instant) -> Result<Arc<[Member]>, tradewind_engine::Error> {
        // Held while they are read: one request asks, the others wait for what it hears.
        let mut known = self.known.lock().await;
        if let Some((_, members)) = known.as_ref().filter(|(read, _)| *read >= since) {
            return Ok(members.clone());
        }
        let reading = Instant::now();
        let members: Arc<[Member]> = self.engine.members(GROUP).await?.into();
        self.nodes.keep(members.iter().map(|member| member.address.as_str()));
        *known = Some((reading, members.clone()));
        Ok(members)
    }
}

fn another_version() -> Answered {
    let message = "The node that runs functions is of another version";
    error(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
}

fn unavailable(message: &str) -> Answered {
    error(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", message)
}

/// The answer that lists nodes that run functions.
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> Answered {
    let nodes: Vec<_> = names.map(|name| json!({ "Name": name })).collect();
    let mut answer = http::Response::new(Bytes::from(json!({ "Nodes": nodes }).to_string()));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer
}

pub fn no_such_node(name: &str) -> Answered {
    error(StatusCode::NOT_FOUND, "ResourceNotFoundException", &format!("No node {name} runs functions here"))
}

/// Which node a request wants to be answered by.
pub fn named(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-tradewind-node")?.to_str().ok()
}

/// What a request is about: the function that its path names, or all of the path.
fn subject(path: &str) -> &str {
    let mut parts = path.trim_start_matches('/').splitn(4, '/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("functions"), Some(name)) => name,
        _ => path,
    }
}

/// The members in the order in which they are asked: by rendezvous, the same at every node.
fn ranked<'a>(members: &'a [Member], subject: &str) -> Vec<&'a Member> {
    let rank = |member: &Member| xxh3_64(&[member.name.as_bytes(), &[0], subject.as_bytes()].concat());
    let mut ranked: Vec<_> = members.iter().collect();
    ranked.sort_by_key(|member| std::cmp::Reverse(rank(member)));
    ranked
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn member(name: &str) -> Member {
        Member { name: name.to_owned(), id: Uuid::new_v4(), address: format!("{name}:1") }
    }

    #[test]
    fn all_paths_of_a_function_have_one_node_and_functions_are_spread() {
        let members = [member("a"), member("b"), member("c")];
        let first = |path: &str| ranked(&members, subject(path))[0].name.clone();
        for nth in 0..20 {
            let one = first(&format!("/2015-03-31/functions/f{nth}"));
            assert_eq!(first(&format!("/2015-03-31/functions/f{nth}/invocations")), one);
            assert_eq!(first(&format!("/2026-11-01/functions/f{nth}/logs")), one);
        }
        let used: std::collections::HashSet<_> =
            (0..50).map(|nth| first(&format!("/2015-03-31/functions/f{nth}"))).collect();
        assert_eq!(used.len(), 3);
    }
}
