//! Every statement that runs often is asked for its plan, on empty tables and on full ones: each must find its rows by whole
//! primary keys or ranges of them. (A generic plan made while a table was empty once filtered the key: 40 times slower until
//! the statistics changed.)

use tokio_postgres::{Client, NoTls};
use tradewind_engine::Space;
use tradewind_engine::suite::ManualClock;

use crate::connect::SESSION;
use crate::testing::TestServer;
use crate::{PostgresEngine, Settings, documents, statements};

const KEYS: &str = "ARRAY['\\x01', '\\x02']::bytea[]";
const PAGE: &str = "'\\x00'::bytea, '\\xff'::bytea, 100::bigint, 1000000::bigint";

struct Hot {
    name: String,
    sql: String,
    values: String,
    /// Conditions that the plan must have, each on an index.
    conditions: Vec<String>,
}

fn hot(name: &str, sql: &str, values: impl Into<String>, conditions: &[&str]) -> Hot {
    let conditions = conditions.iter().map(|condition| format!("Index Cond: {condition}")).collect();
    Hot { name: name.to_owned(), sql: sql.to_owned(), values: values.into(), conditions }
}

fn all_hot() -> Vec<Hot> {
    let long_key = "((space = t.space) AND (head = t.head) AND (rest = t.rest))";
    let spaces = "ARRAY[1]::smallint[], ARRAY['\\x01']::bytea[], ARRAY['\\x02']::bytea[]";
    let mut all = vec![
        hot("log", statements::LOG, format!("1, {KEYS}, ARRAY[1, 2]::bigint[], {KEYS}"), &[]),
        hot("put long", statements::PUT_LONG, format!("{spaces}, ARRAY['\\x03']::bytea[]"), &[]),
        hot("mark long", statements::MARK_LONG, spaces, &[]),
        hot("remove long", statements::REMOVE_LONG, spaces, &[long_key]),
        hot("peek", statements::PEEK, "'\\x01'", &["(partition = $1)"]),
        hot("open", statements::OPEN, "'\\x01', 1, 'a'", &[]),
        hot("kept", statements::KEPT, "'\\x01'", &["(partition = $1)"]),
        hot(
            "changes",
            statements::CHANGES,
            "'\\x01', 1, 1, 100, 1000000",
            &["((partition = $1) AND (sequence > $2))"],
        ),
        hot("get", documents::GET, "'a', 'b'", &["((collection = $1) AND (name = $2))"]),
        hot("list", documents::LIST, "'a'", &["(collection = $1)"]),
        hot("generation", documents::GENERATION, "'a'", &["(collection = $1)"]),
    ];
    for reverse in [false, true] {
        let condition = "((space = $5) AND (head = $6) AND (rest >= $1) AND (rest < $2))";
        let values = format!("{PAGE}, 1::smallint, '\\x01'::bytea");
        all.push(hot("long range", statements::long_range(reverse), values, &[condition]));
    }
    for space in Space::ALL {
        let sql = statements::of(space);
        let long = format!("((space = {}) AND (head = a_1.head) AND (rest = a_1.rest))", space as i16);
        all.push(hot("put", &sql.put, format!("{KEYS}, {KEYS}"), &[]));
        all.push(hot("mark", &sql.mark, KEYS, &[]));
        all.push(hot("remove", &sql.remove, KEYS, &["(key = ANY ($1))"]));
        all.push(hot("read", &sql.read, KEYS, &["(key = a.key)"]));
        all.push(hot("read mixed", &sql.read_mixed, format!("{KEYS}, {KEYS}, {KEYS}"), &[&long]));
        for page in [&sql.ascending, &sql.descending] {
            all.push(hot("range", page, PAGE, &["((key >= $1) AND (key < $2))"]));
        }
    }
    all
}

async fn plan(session: &Client, hot: &Hot) -> String {
    session.batch_execute("DEALLOCATE ALL").await.expect("deallocates");
    session.batch_execute(&format!("PREPARE hot AS {}", hot.sql)).await.expect(&hot.name);
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE hot({})", hot.values);
    let rows = session.simple_query(&explain).await.expect(&hot.name);
    let line = |row: &tokio_postgres::SimpleQueryMessage| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    rows.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

async fn check_all(session: &Client, state: &str) {
    let mut bad = Vec::new();
    for hot in all_hot() {
        let plan = plan(session, &hot).await;
        let lacks = hot.conditions.iter().filter(|condition| !plan.contains(*condition));
        bad.extend(lacks.map(|condition| format!("{} lacks {condition}:\n{plan}", hot.name)));
        let never = ["Seq Scan", "Filter: ((key", "Filter: ((partition", "Hash Join", "Merge Join", "JIT"];
        let has = never.iter().filter(|never| plan.contains(*never));
        bad.extend(has.map(|never| format!("{} has {never}:\n{plan}", hot.name)));
    }
    assert!(bad.is_empty(), "on {state} tables:\n{}", bad.join("\n\n"));
}

/// The plans of the statements within `fence`, which the server tells the session.
async fn fence_plan(url: &str) -> String {
    let (session, mut connection) = tokio_postgres::connect(url, NoTls).await.expect("the server is there");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                tell.send(notice.message().to_owned()).ok();
            }
        }
    });
    session.batch_execute(&settings()).await.expect("sets");
    let explain = "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; \
         SET auto_explain.log_analyze = off; SET client_min_messages = log; \
         INSERT INTO partitions VALUES ('\\x01', 1, 1, 0, 'test') ON CONFLICT (partition) DO UPDATE SET epoch = 1, next = 1; \
         SELECT fence(ARRAY['\\x01']::bytea[], ARRAY[1]::bigint[], ARRAY[1]::bigint[], ARRAY[2]::bigint[], ARRAY[0]::bigint[])";
    session.batch_execute(explain).await.expect("explains");
    drop(session);
    let mut plans = String::new();
    while let Some(plan) = told.recv().await {
        plans += &plan;
    }
    plans
}

/// The session's settings, as those of the engine are.
fn settings() -> String {
    SESSION
        .split("-c ")
        .skip(1)
        .map(|one| format!("SET {};", one.trim().replacen('=', " = '", 1) + "'"))
        .collect()
}

#[tokio::test]
async fn plans_find_rows_by_their_keys_whatever_the_tables_hold() {
    let server = TestServer::start();
    let url = server.create_database().await;
    let engine =
        PostgresEngine::open(Settings::new(&url), ManualClock::default().clock()).await.expect("opens");
    let mut owner = tradewind_engine::suite::Owner::of(&engine, 1).await;
    owner.commit(&engine, vec![], 1).await;
    let session = crate::testing::client(&url).await;
    session.batch_execute(&settings()).await.expect("sets");

    let check_fence = async |state: &str| {
        let fence = fence_plan(&url).await;
        let by_key = "Index Cond: (partition = ";
        assert!(fence.contains(by_key) && !fence.contains("Seq Scan on partitions"), "{state}: {fence}");
    };
    check_all(&session, "new").await;
    check_fence("new").await;
    session.batch_execute("VACUUM ANALYZE").await.expect("analyzes");
    check_all(&session, "empty").await;
    check_fence("empty").await;
    for space in Space::ALL {
        let fill = "SELECT decode(md5(n::text), 'hex'), '\\x00'::bytea FROM generate_series(1, 20000) AS n";
        let sql = format!("INSERT INTO {} (key, value) {fill}", statements::table(space));
        session.batch_execute(&sql).await.expect("fills");
    }
    let fill = "INSERT INTO partitions SELECT decode(md5(n::text), 'hex'), 1, 1, 0, 'a' FROM generate_series(1, 5000) AS n; \
         INSERT INTO long_rows SELECT n % 7, decode(md5((n % 100)::text), 'hex'), decode(md5(n::text), 'hex'), '\\x00' \
           FROM generate_series(1, 20000) AS n; \
         INSERT INTO log SELECT hour, '\\x01', n, '\\x00' FROM log_pieces, generate_series(10, 20000) AS n; \
         INSERT INTO log_kept SELECT partition, 1 FROM partitions; \
         INSERT INTO documents SELECT 'c' || n % 10, n, n, '{}' FROM generate_series(1, 5000) AS n";
    session.batch_execute(fill).await.expect("fills");
    check_all(&session, "filled, with old statistics").await;
    session.batch_execute("VACUUM ANALYZE").await.expect("analyzes");
    check_all(&session, "filled").await;
    check_fence("filled").await;
}
