//! Drives the fuzz targets without libFuzzer and its compiler: inputs are made from samples, cut, joined, repeated and
//! nested, by a seed. It knows nothing of coverage, so it finds less; but it runs wherever the tests do.
//!
//! `drive TARGET SECONDS [SEED]`; an input that panics or takes a second is printed, and ends the run.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// No input may take longer.
const WITHIN: Duration = Duration::from_secs(1);
const MAX_BYTES: usize = 64 * 1024;

const BODIES: &[&str] = &[
    r##"{"TableName":"abc","Item":{"p":{"S":"a"},"n":{"N":"1.5e3"},"b":{"B":"YQ=="},"l":{"L":[{"M":{"x":{"NULL":true}}}]},"s":{"SS":["a","b"]},"t":{"NS":["1"]}},"ConditionExpression":"attribute_not_exists(p) AND #a = :a","ExpressionAttributeNames":{"#a":"x.y"},"ExpressionAttributeValues":{":a":{"BOOL":false}},"ReturnValues":"ALL_OLD"}"##,
    r##"{"TableName":"abc","Key":{"p":{"S":"a"}},"UpdateExpression":"SET a.b[1] = if_not_exists(c, :v) + :v REMOVE d ADD e :v","ExpressionAttributeValues":{":v":{"N":"-7"}},"Expected":{"a":{"ComparisonOperator":"IN","AttributeValueList":[{"S":"a"}]}},"AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"1"}}}}"##,
    r##"{"TableName":"abc","KeyConditionExpression":"p = :p AND begins_with(c, :c)","ExpressionAttributeValues":{":p":{"S":"a"},":c":{"S":"b"}},"ExclusiveStartKey":{"p":{"S":"a"}},"Limit":5,"Select":"COUNT","ScanIndexForward":false,"Segment":1,"TotalSegments":2,"FilterExpression":"size(x) > :c","KeyConditions":{"p":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"a"}]}}}"##,
    r##"{"RequestItems":{"abc":[{"PutRequest":{"Item":{"p":{"S":"a"}}}},{"DeleteRequest":{"Key":{"p":{"S":"b"}}}}],"def":{"Keys":[{"p":{"S":"a"}}],"ProjectionExpression":"a, b[0].c"}},"ReturnConsumedCapacity":"INDEXES"}"##,
    r##"{"TransactItems":[{"Put":{"TableName":"abc","Item":{"p":{"S":"a"}}}},{"Update":{"TableName":"abc","Key":{"p":{"S":"b"}},"UpdateExpression":"SET a = b"}},{"ConditionCheck":{"TableName":"abc","Key":{"p":{"S":"c"}},"ConditionExpression":"a IN (b, c)"}},{"Get":{"TableName":"abc","Key":{"p":{"S":"d"}}}}],"ClientRequestToken":"t"}"##,
    r##"{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"g","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST","GlobalSecondaryIndexes":[{"IndexName":"idx","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"INCLUDE","NonKeyAttributes":["a"]}}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"},"Tags":[{"Key":"a","Value":"b"}]}"##,
    r##"{"TableName":"abc","ReplicaUpdates":[{"Create":{"RegionName":"eu-west-1"}}],"GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"idx"}}],"TimeToLiveSpecification":{"Enabled":true,"AttributeName":"t"},"StreamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/abc/stream/2020-01-01T00:00:00.000","ShardIterator":"x","Statement":"SELECT * FROM abc","Parameters":[{"S":"a"}]}"##,
];
const EXPRESSIONS: &[&str] = &[
    "a = :a AND (b.c[0] <> :b OR NOT #a < :c)",
    "a BETWEEN :a AND :b AND c IN (:a, b, :c)",
    "attribute_exists(a) OR begins_with(#b, :a) AND contains(a.b, :b) AND size(#c) >= :c AND attribute_type(a, :a)",
    "SET a = if_not_exists(b, :a) + :b, #c[3].d = list_append(:a, e) REMOVE f, g[1] ADD h :c DELETE i :a",
    "a, b.c, d[0][1].#b, #c",
    "p = :a AND c BETWEEN :b AND :c",
];
const STATEMENTS: &[&str] = &[
    r#"SELECT a, "b".c[0] FROM "T"."idx" WHERE p = ? AND c IN [1, 2, 'x'] AND begins_with(d, 'e') ORDER BY c DESC"#,
    r#"INSERT INTO "T" VALUE {'p': 'a', 'l': [1, 2.5e3, {'m': <<'a', 'b'>>}], 'n': null, 't': true, 'q': ?}"#,
    r#"UPDATE "T" SET a = list_append(a, [1]) SET b = b + 1 REMOVE c[1] WHERE p = 'x' AND c = ? RETURNING ALL NEW *"#,
    r#"DELETE FROM T WHERE p = 'x' AND a IS NOT MISSING AND NOT (b BETWEEN 1 AND 2 OR c <> 'it''s') RETURNING ALL OLD *"#,
    r#"EXISTS(SELECT * FROM "T" WHERE p = 'a' AND size(b) > 3)"#,
];
const PIECES: &[&str] = &[
    "(", ")", "[", "]", "{", "}", "\"", "'", ":", ",", "#", ".", "<<", ">>", "0", "1e400", "-", "null",
    "true", "\\u0000", "\\ud800", " AND ", " OR ", "NOT ", "SET ", "size(", "::a", "{\"M\":", "[[[[", "((((",
    "<<<<", "\u{feff}", "ä",
];

static CURRENT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (target, samples): (fn(&[u8]), _) = match arguments.first().map(String::as_str) {
        Some("decode") => (tradewind_fuzz::request, BODIES),
        Some("expression") => (tradewind_fuzz::expression, EXPRESSIONS),
        Some("partiql") => (tradewind_fuzz::statement, STATEMENTS),
        _ => return eprintln!("drive decode|expression|partiql SECONDS [SEED]"),
    };
    let number = |at: usize, default| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number(1, 10), number(2, fastrand::u64(..)));
    println!("seed {seed}");
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}\ninput: {:?}", String::from_utf8_lossy(&CURRENT.lock().expect("one thread")));
    }));
    let count = run(target, samples, seed, Duration::from_secs(seconds));
    println!("{count} inputs in {seconds} s");
}

fn run(target: fn(&[u8]), samples: &[&str], seed: u64, time: Duration) -> u64 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let ends = Instant::now() + time;
    let mut count = 0;
    while Instant::now() < ends {
        let input = make(&mut chance, samples);
        CURRENT.lock().expect("one thread").clone_from(&input);
        let began = Instant::now();
        target(&input);
        assert!(began.elapsed() < WITHIN, "an input took {:?}", began.elapsed());
        count += 1;
    }
    count
}

/// A sample behind a byte of choice, changed up to eight times.
fn make(chance: &mut fastrand::Rng, samples: &[&str]) -> Vec<u8> {
    let mut input = vec![chance.u8(..)];
    input.extend_from_slice(chance.choice(samples).expect("there are samples").as_bytes());
    for _ in 0..chance.usize(0..8) {
        change(chance, &mut input, samples);
        input.truncate(MAX_BYTES);
    }
    input
}

fn change(chance: &mut fastrand::Rng, input: &mut Vec<u8>, samples: &[&str]) {
    let at = chance.usize(0..=input.len());
    let to = chance.usize(at..=input.len());
    match chance.u8(0..7) {
        0 => drop(input.drain(at..to)),
        1 => insert(input, at, chance.choice(PIECES).expect("there are pieces").as_bytes(), 1),
        2 => insert(
            input,
            at,
            chance.choice(PIECES).expect("there are pieces").as_bytes(),
            chance.usize(1..5000),
        ),
        3 => {
            let copied = input[at..to.min(at + 200)].to_vec();
            insert(input, at, &copied, chance.usize(1..300));
        }
        4 => {
            let other = chance.choice(samples).expect("there are samples").as_bytes();
            let from = chance.usize(0..other.len());
            insert(input, at, &other[from..], 1);
        }
        5 if at < input.len() => input[at] = chance.u8(..),
        _ => insert(input, at, &[chance.u8(..)], 1),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, what: &[u8], times: usize) {
    let room = MAX_BYTES.saturating_sub(input.len()) / what.len().max(1);
    let more = what.repeat(times.min(room));
    input.splice(at..at, more);
}
