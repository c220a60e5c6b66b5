//! Transactions over partitions of several nodes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tradewind_wire::error::Code;
use tradewind_wire::response::Answer;
use tradewind_wire::{ApiError, Operation};

use crate::network::{Fate, three};
use crate::node::Store;
use crate::region::{ask, create, gapless, number, put};

const ACCOUNTS: u64 = 6;

fn change(account: u64, by: i64) -> Value {
    json!({"Update": {
        "TableName": "orders",
        "Key": {"id": {"S": format!("account-{account}")}},
        "UpdateExpression": "ADD n :by",
        "ExpressionAttributeValues": {":by": {"N": by.to_string()}},
    }})
}

async fn transfer(store: &Store, from: u64, to: u64, token: &str) -> Result<Answer, ApiError> {
    let body = json!({"TransactItems": [change(from, -1), change(to, 1)], "ClientRequestToken": token});
    ask(store, Operation::TransactWriteItems, body).await
}

async fn balances(store: &Store) -> Vec<i64> {
    let mut balances = Vec::new();
    for account in 0..ACCOUNTS {
        balances.push(number(store, &format!("account-{account}")).await.unwrap());
    }
    balances
}

#[tokio::test(start_paused = true)]
async fn transactions_over_nodes_are_all_or_nothing() {
    let region = three().await;
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    for account in 0..ACCOUNTS {
        put(&region.stores[0], &format!("account-{account}"), 100).await.unwrap();
    }
    for at in 0..60u64 {
        let fates = [Fate::Arrives, Fate::RequestLost, Fate::AnswerLost, Fate::Late];
        region.network.plan([fates[at as usize % 4], Fate::Arrives, fates[at as usize / 4 % 4]]);
        let store = &region.stores[at as usize % 3];
        // A hold whose end was lost is met for a second, and no longer.
        let mut met = 0;
        while let Err(error) =
            transfer(store, at % ACCOUNTS, (at + 1) % ACCOUNTS, &format!("token-{at}")).await
        {
            assert_eq!(error.code, Code::TransactionCanceled, "{error:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            met += 1;
            assert!(met < 25, "{error:?}");
        }
    }
    let balances = balances(&region.stores[1]).await;
    assert_eq!(balances, vec![100; ACCOUNTS as usize], "each transfer was done once, both halves of it");
    assert_eq!(gapless(&region.stores[2], "orders").await.len() as u64, ACCOUNTS + 120);
}

/// Every answer of an owner is lost for a while: what the transaction does not know to hold is not held for long, and the
/// holds it gave up waiting for do not queue up before the one it waits for.
#[tokio::test(start_paused = true)]
async fn holds_that_were_given_up_hold_nothing() {
    let region = three().await;
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    for account in 0..ACCOUNTS {
        put(&region.stores[0], &format!("account-{account}"), 100).await.unwrap();
    }
    for at in 0..18u64 {
        // The hold is there and nobody knows of it, nor does its end arrive; so a second time, and a third is late.
        let lost = [Fate::AnswerLost, Fate::RequestLost];
        region.network.plan([lost, lost, [Fate::Late, Fate::Late]].concat());
        let (from, to) = (at % ACCOUNTS, (at + 1) % ACCOUNTS);
        let store = &region.stores[at as usize % 3];
        let begun = tokio::time::Instant::now();
        let transferred = transfer(store, from, to, &format!("token-{at}")).await;
        transferred.expect("it waits for its own lost holds, and meets nobody else");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        region.network.forget_plan();
        // What is late, or was not released, has passed.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(balances(&region.stores[1]).await, vec![100; ACCOUNTS as usize]);
    assert_eq!(gapless(&region.stores[2], "orders").await.len() as u64, ACCOUNTS + 36);
}

/// The coordinator dies at any moment, or an owner does: the sum stays, and the partitions go on.
#[tokio::test(start_paused = true)]
async fn whoever_dies_in_a_transaction_leaves_it_whole() {
    for victim_is_coordinator in [true, false] {
        for steps in 0..25 {
            let region = three().await;
            create(&region.stores[0], "orders", 16, true).await.unwrap();
            for account in 0..ACCOUNTS {
                put(&region.stores[0], &format!("account-{account}"), 100).await.unwrap();
            }
            let store = region.stores[0].clone();
            let going = tokio::spawn(async move {
                for at in 0..ACCOUNTS {
                    // Who is dead answers nothing.
                    let _ = transfer(&store, at, (at + 1) % ACCOUNTS, &format!("token-{at}")).await;
                }
            });
            for _ in 0..steps * 3 {
                tokio::task::yield_now().await;
            }
            let victim = if victim_is_coordinator { 0 } else { 1 };
            region.network.kill(victim);
            tokio::time::sleep(Duration::from_secs(6)).await;
            let left: Vec<_> = (0..3).filter(|at| *at != victim).collect();
            region.network.set_members(&left);
            tokio::time::sleep(Duration::from_secs(15)).await;
            going.abort();
            let store = &region.stores[2];
            for account in 0..ACCOUNTS {
                let next = (account + 1) % ACCOUNTS;
                transfer(store, account, next, &format!("after-{account}")).await.expect("they go on");
            }
            let balances = balances(store).await;
            assert_eq!(balances.iter().sum::<i64>(), 100 * ACCOUNTS as i64, "{balances:?}");
            let changes = gapless(store, "orders").await.len() as u64;
            assert_eq!((changes - ACCOUNTS) % 2, 0, "no transaction is half there");
        }
    }
}

/// In opposite order, at the same time, from different nodes: one wins, the other is told why it did not.
#[tokio::test(start_paused = true)]
async fn of_two_opposite_transactions_one_always_wins() {
    let region = three().await;
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    let mut won = 0;
    for at in 0..40u64 {
        let (from, to) = (at % ACCOUNTS, (at + 2) % ACCOUNTS);
        let (one, other) = (format!("one-{at}"), format!("other-{at}"));
        let (a, b) = tokio::join!(
            transfer(&region.stores[at as usize % 3], from, to, &one),
            transfer(&region.stores[(at as usize + 1) % 3], to, from, &other),
        );
        assert!(a.is_ok() || b.is_ok(), "{a:?} {b:?}");
        won += u64::from(a.is_ok()) + u64::from(b.is_ok());
        for error in [a, b].into_iter().filter_map(Result::err) {
            assert_eq!(error.code, Code::TransactionCanceled);
            let reasons: Vec<_> =
                error.cancellation.iter().filter_map(|reason| reason.code.as_deref()).collect();
            assert!(
                !reasons.is_empty() && reasons.iter().all(|code| *code == "TransactionConflict"),
                "{reasons:?}"
            );
        }
    }
    assert_eq!(gapless(&region.stores[0], "orders").await.len() as u64, 2 * won);
}

/// One token for different requests over different partitions, at the same time: only one is carried out.
#[tokio::test(start_paused = true)]
async fn a_token_is_used_once_whatever_it_is_used_for() {
    let region = three().await;
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    for at in 0..20u64 {
        let token = format!("token-{at}");
        let (a, b) = tokio::join!(
            transfer(&region.stores[0], 0, 1, &token),
            transfer(&region.stores[1], 2, 3, &token),
        );
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let refused = a.err().or(b.err()).unwrap();
        assert_eq!(refused.code, Code::IdempotentParameterMismatch);
    }
    assert_eq!(gapless(&region.stores[0], "orders").await.len(), 40);
}

/// Single writes wait while a transaction holds their partition, and see it wholly.
#[tokio::test(start_paused = true)]
async fn single_writes_wait_for_a_transaction() {
    let region = Arc::new(three().await);
    create(&region.stores[0], "orders", 16, true).await.unwrap();
    let transfers = (0..30u64).map(|at| {
        let region = region.clone();
        async move { transfer(&region.stores[at as usize % 3], at % 3, at % 3 + 3, &format!("t{at}")).await }
    });
    let writes = (0..30u64).map(|at| {
        let region = region.clone();
        async move { put(&region.stores[at as usize % 3], &format!("account-{}", at % 6), at).await }
    });
    let (transferred, written) =
        tokio::join!(futures_util::future::join_all(transfers), futures_util::future::join_all(writes));
    assert!(written.iter().all(Result::is_ok), "no single write is told of a transaction");
    let done = transferred.iter().filter(|transferred| transferred.is_ok()).count();
    assert!(done > 0);
    let changes = gapless(&region.stores[0], "orders").await.len();
    assert_eq!(changes, 2 * done + 30);
}
