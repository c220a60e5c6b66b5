//! The check after the load: reads every item of every region, and asks whether the regions are equal, whether what stands
//! is what was acknowledged, and where everything else went.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_64;

use crate::client::Connection;
use crate::item::{Image, Items};
use crate::keys::{Key, Space};
use crate::ledger::owned::Finish;
use crate::ledger::{Closed, Standing, Violations, WriteId};
use crate::load::Load;
use crate::report::{Check, Verdict};

/// Items are compared by sums over so many parts of the key space, and one by one only where a sum differs.
const PARTS: usize = 4096;
/// A region is read so many times at once.
const SEGMENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 20;
/// So many conflicts are listed at a time.
const CONFLICTS: usize = 5000;

/// All items of a region, summed up: equal regions have equal sums, different ones hardly ever.
#[derive(Clone, PartialEq, Default)]
struct Digest {
    sums: Vec<u64>,
    items: u64,
}

impl Digest {
    fn add(&mut self, item: &Found) {
        self.sums.resize(PARTS, 0);
        let part = &mut self.sums[item.part()];
        *part = part.wrapping_add(item.hash);
        self.items += 1;
    }

    fn join(&mut self, other: &Digest) {
        self.sums.resize(PARTS, 0);
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum = sum.wrapping_add(*other);
        }
        self.items += other.items;
    }

    fn differing(&self, other: &Digest) -> HashSet<usize> {
        let sum = |digest: &Digest, part: usize| digest.sums.get(part).copied().unwrap_or(0);
        (0..PARTS).filter(|part| sum(self, *part) != sum(other, *part)).collect()
    }
}

/// An item as it stands.
struct Found {
    name: String,
    key: Option<Key>,
    write: Option<WriteId>,
    /// Of the whole item.
    hash: u64,
}

impl Found {
    /// `None` for an item that is not of the load.
    fn read(items: &Items, text: &str) -> anyhow::Result<Option<Found>> {
        let image: Image<'_> = serde_json::from_str(text)?;
        if image.is_probe() {
            return Ok(None);
        }
        let id = image.id.as_ref().context("an item without a key")?.s;
        let name = format!("{id} {}", image.sk.as_ref().map_or("", |sort| sort.n));
        // Attributes have no order; sorted, equal items are equal texts.
        let whole: BTreeMap<&str, &RawValue> = serde_json::from_str(text)?;
        let mut sorted = String::with_capacity(text.len());
        whole.iter().for_each(|(name, value)| sorted.extend([name, ":", value.get(), "\n"]));
        Ok(Some(Found {
            name: name.trim_end().to_owned(),
            key: items.key_of(&image),
            write: image.write_id(),
            hash: xxh3_64(sorted.as_bytes()),
        }))
    }

    fn part(&self) -> usize {
        xxh3_64(self.name.as_bytes()) as usize % PARTS
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    last_evaluated_key: Option<Value>,
}

/// Reads all items of a region, several parts at a time, with `each` for every one.
async fn scan<T: Default + Send + 'static>(
    load: &Arc<Load>,
    region: usize,
    each: impl Fn(&mut T, Found) + Clone + Send + 'static,
) -> anyhow::Result<Vec<T>> {
    let mut segments = JoinSet::new();
    for segment in 0..SEGMENTS {
        segments.spawn(scan_segment(load.clone(), region, segment, each.clone()));
    }
    let mut parts = Vec::new();
    while let Some(part) = segments.join_next().await {
        parts.push(part.context("a scan panicked")??);
    }
    Ok(parts)
}

async fn scan_segment<T: Default>(
    load: Arc<Load>,
    region: usize,
    segment: usize,
    each: impl Fn(&mut T, Found),
) -> anyhow::Result<T> {
    let mut found = T::default();
    let mut connection = Connection::new(load.endpoints[region].clone());
    let table = &load.items.table;
    let mut body =
        json!({ "TableName": table, "ConsistentRead": true, "Segment": segment, "TotalSegments": SEGMENTS });
    loop {
        let page = patiently(&mut connection, "Scan", &body).await?;
        let page: Page<'_> = serde_json::from_slice(&page).context("a page of a scan")?;
        for item in &page.items {
            if let Some(item) = Found::read(&load.items, item.get())? {
                each(&mut found, item);
            }
        }
        match page.last_evaluated_key {
            Some(last) => body["ExclusiveStartKey"] = last,
            None => return Ok(found),
        }
    }
}

async fn patiently(
    connection: &mut Connection,
    operation: &str,
    body: &Value,
) -> anyhow::Result<bytes::Bytes> {
    let mut attempt = 1;
    loop {
        match connection.call(operation, body.to_string()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) if attempt == ATTEMPTS => {
                return Err(failure)
                    .with_context(|| format!("{operation} in {}", connection.endpoint().region));
            }
            Err(_) => tokio::time::sleep(PAUSE * attempt).await,
        }
        attempt += 1;
    }
}

async fn digest(load: &Arc<Load>, region: usize) -> anyhow::Result<Digest> {
    let parts = scan(load, region, |digest: &mut Digest, item| digest.add(&item)).await?;
    let mut whole = Digest::default();
    parts.iter().for_each(|part| whole.join(part));
    Ok(whole)
}

/// Waits until all links say that nothing is pending, where the server tells; else returns at once. A hint, not a check.
async fn links_idle(load: &Arc<Load>, patience: Duration) {
    let mut connection = Connection::new(load.endpoints[0].clone());
    let began = Instant::now();
    while began.elapsed() < patience {
        let Ok(answer) = connection.ask("/_tradewind/replication", &Value::Null).await else { return };
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let Some(links) = answer["links"].as_array() else { return };
        let mut ours = links.iter().filter(|link| link["table"] == load.items.table[..]);
        if ours.all(|link| link["pending"].as_u64() == Some(0)) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads until all regions are equal, for at most the scenario's `settle`. Answers also how long that took.
pub async fn equal_regions(load: &Arc<Load>) -> anyhow::Result<(Check, Option<f64>)> {
    const NAME: &str = "regions are equal";
    let (began, patience) = (Instant::now(), load.scenario.settle.0);
    links_idle(load, patience).await;
    loop {
        let settled = began.elapsed();
        let mut digests = Vec::new();
        for region in 0..load.endpoints.len() {
            digests.push(digest(load, region).await?);
        }
        let differing: Vec<_> = (1..digests.len()).filter(|at| digests[*at] != digests[0]).collect();
        if differing.is_empty() {
            let items = digests[0].items;
            let detail = match digests.len() {
                1 => format!("{items} items; there is one region"),
                regions => format!("{items} items, the same in {regions} regions"),
            };
            return Ok((check(NAME, &Violations::default(), detail), Some(settled.as_secs_f64())));
        }
        if began.elapsed() > patience {
            let mut violations = Violations::default();
            for at in differing {
                let parts = digests[0].differing(&digests[at]);
                differences(load, at, parts).await?.into_iter().for_each(|one| violations.add(|| one));
            }
            // What has become equal since is late all the same.
            violations.count = violations.count.max(1);
            let detail = format!("they differ {} after the load", load.scenario.settle);
            return Ok((check(NAME, &violations, detail), None));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Which items differ between the first region and another.
async fn differences(load: &Arc<Load>, other: usize, parts: HashSet<usize>) -> anyhow::Result<Vec<String>> {
    type Items = HashMap<String, (u64, Option<WriteId>)>;
    let parts = Arc::new(parts);
    let mut regions = Vec::new();
    for region in [0, other] {
        let parts = parts.clone();
        let keep = move |items: &mut Items, item: Found| {
            if parts.contains(&item.part()) {
                items.insert(item.name, (item.hash, item.write));
            }
        };
        regions.push(scan(load, region, keep).await?.into_iter().flatten().collect::<Items>());
    }
    let mut names: Vec<_> = regions[0].keys().chain(regions[1].keys()).collect();
    names.sort_unstable();
    names.dedup();
    let show = |at: usize, name: &String| match regions[at].get(name) {
        None => "nothing".to_owned(),
        Some((_, write)) => format!("{write:?}"),
    };
    let [here, there] = [0, other].map(|at| &load.endpoints[at].region);
    let differ = names.into_iter().filter(|name| regions[0].get(*name) != regions[1].get(*name));
    Ok(differ
        .map(|name| format!("{name}: {} in {here}, {} in {there}", show(0, name), show(1, name)))
        .collect())
}

/// Judges the first region's items, which all regions have, by what was acknowledged.
pub async fn acknowledged(load: &Arc<Load>, closed: Closed) -> anyhow::Result<Vec<Check>> {
    let keep = |items: &mut Vec<(Key, WriteId)>, item: Found| items.extend(item.key.zip(item.write));
    let items = scan(load, 0, keep).await?.into_iter().flatten();
    let mut finishes: Vec<Finish<'_>> =
        closed.owned.iter().enumerate().map(|(region, owned)| owned.finish(load.loaded(region))).collect();
    let mut standing = Standing::new();
    for (key, write) in items {
        match key.space {
            Space::Shared => _ = standing.insert(key.index, write),
            Space::Region(region) => {
                finishes
                    .get_mut(region as usize)
                    .into_iter()
                    .for_each(|finish| finish.item(key.index, write));
            }
        }
    }
    let mut violations = Violations::default();
    finishes.into_iter().for_each(|finish| violations.join(finish.end()));
    let keys: usize = closed.owned.iter().map(|owned| owned.keys()).sum();
    let writes: u64 = closed.written.iter().map(|written| written.count()).sum();
    let detail =
        format!("{writes} puts and updates acknowledged; {keys} keys of one region hold their last write");
    let mut checks = vec![check("no acknowledged write is lost", &violations, detail)];
    if !closed.shared.is_unused() {
        checks.push(shared_keys(load, closed, &standing).await?);
    }
    Ok(checks)
}

async fn shared_keys(load: &Arc<Load>, closed: Closed, standing: &Standing) -> anyhow::Result<Check> {
    const NAME: &str = "conflicting writes are accounted for";
    let mut losers = Losers::default();
    for endpoint in &load.endpoints {
        let mut connection = Connection::new(endpoint.clone());
        if !losers.read(&load.items, &mut connection).await? {
            let detail =
                "the endpoint has no conflict log: writes to shared keys may have been lost silently";
            let (name, detail) = (NAME.to_owned(), detail.to_owned());
            return Ok(Check { name, verdict: Verdict::NotChecked, detail, examples: Vec::new() });
        }
    }
    let fates = closed.shared.fates(standing, &losers.writes, &losers.deletes);
    let detail = format!(
        "{} overwritten knowingly, {} standing, {} in the conflict log, {} undecided as others' outcome is unknown",
        fates.overwritten, fates.standing, fates.in_conflict_log, fates.undecided
    );
    Ok(check(NAME, &fates.lost, detail))
}

/// What the conflict logs of all regions hold of shared keys.
#[derive(Default)]
struct Losers {
    writes: HashSet<WriteId>,
    deletes: HashSet<u64>,
}

impl Losers {
    /// False if the endpoint has no conflict log.
    async fn read(&mut self, items: &Items, connection: &mut Connection) -> anyhow::Result<bool> {
        let path = format!("/_tradewind/conflicts/{}", items.table);
        let mut question = json!({ "limit": CONFLICTS });
        loop {
            let Ok(answer) = connection.ask(&path, &question).await else { return Ok(false) };
            let answer: Value = serde_json::from_slice(&answer).context("the conflict log")?;
            let conflicts = answer["conflicts"].as_array().context("no list of conflicts")?;
            conflicts.iter().for_each(|conflict| self.note(items, conflict));
            match &answer["next"] {
                Value::Null if answer["more"] == true => {
                    bail!("the conflict log has more than this server shows")
                }
                Value::Null => return Ok(true),
                next => question["after"] = next.clone(),
            }
        }
    }

    fn note(&mut self, items: &Items, conflict: &Value) {
        let key = conflict["key"].to_string();
        let key = serde_json::from_str::<Image<'_>>(&key).ok().and_then(|key| items.key_of(&key));
        let Some(Key { space: Space::Shared, index }) = key else { return };
        match conflict["loser"]["item"]["w"]["N"].as_str().and_then(|id| id.parse().ok()) {
            Some(id) => _ = self.writes.insert(WriteId(id)),
            None => _ = self.deletes.insert(index),
        }
    }
}

pub fn check(name: &str, violations: &Violations, detail: String) -> Check {
    let (verdict, detail) = match violations.count {
        0 => (Verdict::Passed, detail),
        count => (Verdict::Failed, format!("{count} wrong; {detail}")),
    };
    Check { name: name.to_owned(), verdict, detail, examples: violations.first.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn of(texts: &[&str]) -> Digest {
        let items = Items::new("t", &Scenario::default());
        let mut digest = Digest::default();
        texts.iter().for_each(|text| digest.add(&Found::read(&items, text).unwrap().unwrap()));
        digest
    }

    const A: &str = r#"{"id":{"S":"0-1"},"w":{"N":"5"}}"#;
    const B: &str = r#"{"id":{"S":"0-2"},"w":{"N":"6"}}"#;

    #[test]
    fn equal_items_in_any_order_are_equal_regions() {
        let swapped = r#"{"w":{"N":"5"},"id":{"S":"0-1"}}"#;
        assert!(of(&[A, B]) == of(&[B, swapped]));
    }

    #[test]
    fn a_diverged_item_and_a_missing_one_are_found() {
        let other = r#"{"id":{"S":"0-1"},"w":{"N":"7"}}"#;
        for diverged in [of(&[other, B]), of(&[B])] {
            assert!(of(&[A, B]) != diverged);
            assert_eq!(of(&[A, B]).differing(&diverged).len(), 1);
        }
    }

    #[test]
    fn probes_are_no_items_of_the_load() {
        let items = Items::new("t", &Scenario::default());
        assert!(Found::read(&items, r#"{"id":{"S":"probe-0"}}"#).unwrap().is_none());
    }

    #[test]
    fn losers_are_read_from_the_conflict_log() {
        let items = Items::new("t", &Scenario::default());
        let mut losers = Losers::default();
        let key = json!({ "id": { "S": "s-4" } });
        let item = json!({ "id": { "S": "s-4" }, "w": { "N": "9" } });
        losers.note(&items, &json!({ "key": key, "loser": { "item": item } }));
        losers.note(&items, &json!({ "key": key, "loser": { "item": null } }));
        assert_eq!((losers.writes.len(), losers.deletes), (1, HashSet::from([4])));
    }
}
