//! Keys longer than an index entry: they come back, in order, in both directions, and go with their prefix.

use std::collections::BTreeMap;

use tradewind_engine::suite::{ManualClock, Owner, put, remove, value_of};
use tradewind_engine::{Engine, Space};
use tradewind_engine_postgres::testing::{TestServer, client};
use tradewind_engine_postgres::{PostgresEngine, Settings};

/// Around every length at which a key is cut, with neighbours that share what lies before.
fn keys() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for table in [b"table-1", b"table-2"] {
        for len in [20, 1999, 2000, 2001, 2002, 3100, 4001, 4002, 4003, 6003, 6004, 19_500, 32_768] {
            for (middle, last) in [(b'a', 0), (b'a', 1), (b'a', 255), (b'b', 7)] {
                let mut key = [&table[..], &vec![middle; len - table.len()]].concat();
                key[len - 1] = last;
                keys.push(key);
            }
        }
    }
    keys
}

async fn visit(
    engine: &PostgresEngine,
    start: &[u8],
    end: &[u8],
    reverse: bool,
    limit: usize,
) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let gather = |key: &[u8], value: &[u8]| {
        assert_eq!(value, key.len().to_string().as_bytes());
        seen.push(key.to_vec());
        seen.len() < limit
    };
    engine.range(Space::Items, start..end, reverse, gather).await.expect("reads");
    seen
}

#[tokio::test]
async fn long_keys_are_read_ranged_removed_and_cleared_as_short_ones() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let engine =
        PostgresEngine::open(Settings::new(&url), ManualClock::default().clock()).await.expect("opens");
    let mut owner = Owner::of(&engine, 1).await;
    let mut model: BTreeMap<Vec<u8>, String> =
        keys().into_iter().map(|key| (key.clone(), key.len().to_string())).collect();
    owner.commit(&engine, model.iter().map(|(key, value)| put(Space::Items, key, value)).collect(), 0).await;
    check(&engine, &model).await;

    let gone: Vec<Vec<u8>> = model.keys().step_by(3).cloned().collect();
    owner.commit(&engine, gone.iter().map(|key| remove(Space::Items, key)).collect(), 0).await;
    gone.iter().for_each(|key| _ = model.remove(key));
    check(&engine, &model).await;

    engine.clear(Space::Items, b"table-1").await.expect("clears");
    model.retain(|key, _| !key.starts_with(b"table-1"));
    check(&engine, &model).await;
    engine.clear(Space::Items, b"").await.expect("clears");
    let left = "SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM long_rows)";
    let left = client(&url).await.query_one(left, &[]).await.expect("reads");
    assert_eq!(left.get::<_, i64>(0), 0, "marks go with their prefix");
}

async fn check(engine: &PostgresEngine, model: &BTreeMap<Vec<u8>, String>) {
    let all = keys();
    let asked: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let read = engine.read(Space::Items, &asked).await.expect("reads");
    for (key, value) in all.iter().zip(read) {
        assert_eq!(value.as_deref(), model.get(key).map(String::as_bytes), "a key of {} bytes", key.len());
        assert_eq!(
            value_of(engine, Space::Items, key).await.as_deref(),
            model.get(key).map(String::as_bytes)
        );
    }
    for (start, end) in all.iter().zip(all.iter().rev()).chain(all.iter().zip(all.iter().skip(9))) {
        let (start, end) = (start.min(end), start.max(end));
        for limit in [3, usize::MAX] {
            let mut expected: Vec<Vec<u8>> =
                model.range(start.clone()..end.clone()).map(|(key, _)| key.clone()).collect();
            for reverse in [false, true] {
                let visited = visit(engine, start, end, reverse, limit).await;
                assert!(visited.iter().eq(expected.iter().take(limit)), "{} to {}", start.len(), end.len());
                expected.reverse();
            }
        }
    }
}
