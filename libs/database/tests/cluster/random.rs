//! A seeded run of everything at once: writes, transactions, lost calls, nodes that freeze, die and leave.
//!
//! The plan follows from the seed; what the plan meets depends on the ids that tables and requests get, which are random.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tradewind_wire::Operation;
use tradewind_wire::error::Code;

use crate::network::{Fate, Three, three};
use crate::node::Life;
use crate::region::{add, ask, create, gapless, number};

/// Xorshift: enough for a plan.
struct Plan(u64);

impl Plan {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// By item: additions that were acknowledged, and those of which nothing is known.
type Counts = Arc<Mutex<BTreeMap<String, (i64, i64)>>>;

async fn write(region: Arc<Three>, mut plan: Plan, counts: Counts) {
    for _ in 0..60 {
        let at = plan.below(3) as usize;
        let (one, other) = (format!("counter-{}", plan.below(12)), format!("counter-{}", plan.below(12)));
        tokio::time::sleep(Duration::from_millis(plan.below(30))).await;
        if *region.network.nodes[at].life.borrow() == Life::Dead {
            continue;
        }
        let store = region.stores[at].clone();
        let items = if one == other || plan.below(3) > 0 { vec![one] } else { vec![one, other] };
        let named = items.clone();
        let asked = tokio::spawn(async move {
            match &named[..] {
                [one] => add(&store, one).await.map(|_| ()),
                several => {
                    let update = |id: &String| {
                        json!({"Update": {
                            "TableName": "orders",
                            "Key": {"id": {"S": id}},
                            "UpdateExpression": "ADD n :one",
                            "ExpressionAttributeValues": {":one": {"N": "1"}},
                        }})
                    };
                    let updates: Vec<_> = several.iter().map(update).collect();
                    let body = json!({"TransactItems": updates});
                    ask(&store, Operation::TransactWriteItems, body).await.map(|_| ())
                }
            }
        });
        let abort = asked.abort_handle();
        let answer = timeout(Duration::from_secs(50), asked).await;
        abort.abort();
        let mut counts = counts.lock().unwrap();
        for item in items {
            let (done, unknown) = counts.entry(item).or_default();
            match &answer {
                Ok(Ok(Ok(()))) => *done += 1,
                Ok(Ok(Err(error))) if error.code == Code::TransactionCanceled => (),
                Ok(Ok(Err(error))) if error.code == Code::ServiceUnavailable => (),
                Ok(Ok(Err(error))) => {
                    assert_eq!(error.code, Code::InternalServerError, "{error:?}");
                    *unknown += 1;
                }
                _ => *unknown += 1,
            }
        }
    }
}

async fn disturb(region: &Three, plan: &mut Plan) {
    let mut dead = None;
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(100 + plan.below(400))).await;
        let victim = plan.below(3) as usize;
        let others: Vec<_> = (0..3).filter(|at| *at != victim && Some(*at) != dead).collect();
        let all: Vec<_> = (0..3).filter(|at| Some(*at) != dead).collect();
        match plan.below(5) {
            0 if dead.is_none() => {
                region.network.kill(victim);
                dead = Some(victim);
                tokio::time::sleep(Duration::from_secs(2)).await;
                region.network.set_members(&others);
            }
            1 if Some(victim) != dead && !others.is_empty() => {
                region.network.freeze(victim);
                tokio::time::sleep(Duration::from_secs(7)).await;
                region.network.set_members(&others);
                tokio::time::sleep(Duration::from_millis(plan.below(3000))).await;
                region.network.wake(victim);
                tokio::time::sleep(Duration::from_millis(plan.below(300))).await;
                region.network.set_members(&all);
            }
            2 if Some(victim) != dead => {
                region.network.set_members(&others);
                region.network.keep_leases();
                tokio::time::sleep(Duration::from_millis(plan.below(300))).await;
                region.network.set_members(&all);
            }
            _ => {
                let fates = [Fate::RequestLost, Fate::AnswerLost, Fate::Late, Fate::Arrives];
                region.network.plan((0..8).map(|_| fates[plan.below(4) as usize]));
            }
        }
    }
}

async fn run(seed: u64) {
    let region = Arc::new(three().await);
    create(&region.stores[0], "orders", 12, true).await.unwrap();
    let counts = Counts::default();
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let plan = Plan(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (writer + 1));
            tokio::spawn(write(region.clone(), plan, counts.clone()))
        })
        .collect();
    disturb(&region, &mut Plan(seed | 1 << 40)).await;
    for writer in writers {
        writer.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let live = region.network.nodes.iter().position(|node| *node.life.borrow() == Life::Live).unwrap();
    let store = &region.stores[live];
    let mut least = 0;
    let counts = counts.lock().unwrap().clone();
    for (item, (done, unknown)) in counts {
        let n = number(store, &item).await.unwrap_or(0);
        assert!((done..=done + unknown).contains(&n), "seed {seed}: {item} is {n}, of {done} and {unknown}");
        least += n;
    }
    assert_eq!(gapless(store, "orders").await.len() as i64, least, "seed {seed}: a change for each");
}

#[tokio::test(start_paused = true)]
async fn acknowledged_is_done_once_whatever_happens() {
    let seeds = std::env::var("TRADEWIND_CLUSTER_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 1..=seeds.unwrap_or(12) {
        run(seed).await;
    }
}
