//! The SQL of every statement that runs often, in one place, so that a test can ask for the plan of each.
//!
//! **Point reads are pinned by LATERAL … LIMIT 1**: a join that the planner may turn round would one day read the whole
//! table. All conditions are on whole primary keys or on ranges of them.

use std::sync::LazyLock;

use tradewind_engine::Space;

pub const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
pub const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub const COMMIT: &str = "COMMIT";

/// Raises `TW001` unless every partition has this epoch and next sequence.
pub const FENCE: &str = "SELECT fence($1, $2, $3, $4, $5)";

pub const LOG: &str = "INSERT INTO log (hour, partition, sequence, change) \
     SELECT $1::integer, t.partition, t.sequence, t.change \
     FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS t(partition, sequence, change)";

pub const PUT_LONG: &str = "INSERT INTO long_rows (space, head, rest, value) \
     SELECT t.space, t.head, t.rest, t.value \
     FROM unnest($1::smallint[], $2::bytea[], $3::bytea[], $4::bytea[]) AS t(space, head, rest, value) \
     ON CONFLICT (space, head, rest) DO UPDATE SET value = EXCLUDED.value";

/// Only marks: a mark that is there stays.
pub const MARK_LONG: &str = "INSERT INTO long_rows (space, head, rest) \
     SELECT t.space, t.head, t.rest FROM unnest($1::smallint[], $2::bytea[], $3::bytea[]) AS t(space, head, rest) \
     ON CONFLICT (space, head, rest) DO NOTHING";

pub const REMOVE_LONG: &str = "DELETE FROM long_rows WHERE ctid = ANY (ARRAY( \
     SELECT r.ctid FROM unnest($1::smallint[], $2::bytea[], $3::bytea[]) AS t(space, head, rest) \
     CROSS JOIN LATERAL (SELECT ctid FROM long_rows \
       WHERE long_rows.space = t.space AND long_rows.head = t.head AND long_rows.rest = t.rest LIMIT 1) AS r))";

pub const PEEK: &str = "SELECT epoch, next, max_hlc FROM partitions WHERE partition = $1";

pub const OPEN: &str = "INSERT INTO partitions (partition, epoch, next, max_hlc, owner) VALUES ($1, 1, 1, $2, $3) \
     ON CONFLICT (partition) DO UPDATE SET epoch = partitions.epoch + 1, owner = EXCLUDED.owner, opened_at = now() \
     RETURNING epoch, next, max_hlc";

/// No change is filed under an earlier hour than this one.
pub const NEWEST_HOUR: &str =
    "SELECT greatest((SELECT max(hour) FROM log_pieces), (SELECT before_hour FROM log_sealed))";

/// Changes of one partition, read piece by piece in order, until as many bytes as asked are gathered.
pub const CHANGES: &str = "SELECT sequence, change, hour FROM ( \
       SELECT sequence, change, hour, \
         sum(octet_length(change)) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) - octet_length(change) AS before \
       FROM (SELECT sequence, change, hour FROM log \
             WHERE partition = $1 AND sequence > $2 AND hour >= $3 ORDER BY sequence LIMIT $4) AS page) AS sized \
     WHERE before < $5 ORDER BY sequence";

pub const KEPT: &str = "SELECT coalesce((SELECT kept_from FROM log_kept WHERE partition = $1), 1), \
     coalesce((SELECT next FROM partitions WHERE partition = $1), 1)";

/// The statements of one space, with its table's name in them.
pub struct SpaceSql {
    pub put: String,
    pub mark: String,
    pub remove: String,
    pub read: String,
    /// Keys with and without rest, from one state.
    pub read_mixed: String,
    pub ascending: String,
    pub descending: String,
}

pub fn of(space: Space) -> &'static SpaceSql {
    static ALL: LazyLock<[SpaceSql; Space::ALL.len()]> =
        LazyLock::new(|| Space::ALL.map(|space| statements(table(space), space as i16)));
    &ALL[space as usize]
}

/// Rows of one piece of long keys, ascending or descending.
pub fn long_range(reverse: bool) -> &'static str {
    static BOTH: LazyLock<[String; 2]> = LazyLock::new(|| {
        ["ASC", "DESC"].map(|order| {
            let from = "long_rows WHERE space = $5 AND head = $6 AND rest >= $1 AND rest < $2";
            page("rest", from, order)
        })
    });
    &BOTH[usize::from(reverse)]
}

pub fn table(space: Space) -> &'static str {
    match space {
        Space::Items => "items",
        Space::Index => "index_rows",
        Space::Conflicts => "conflicts",
        Space::Cursors => "cursors",
        Space::Tokens => "tokens",
        Space::Expiry => "expiry",
        Space::Tombstones => "tombstones",
    }
}

fn statements(table: &str, number: i16) -> SpaceSql {
    let put = |values: &str, conflict: &str| {
        format!("INSERT INTO {table} (key{values}) ON CONFLICT (key) DO {conflict}")
    };
    let point = format!(
        "SELECT a.n, r.value FROM unnest($1::bytea[]) WITH ORDINALITY AS a(key, n) \
         CROSS JOIN LATERAL (SELECT value FROM {table} WHERE {table}.key = a.key LIMIT 1) AS r"
    );
    let long = format!(
        "SELECT -a.n, r.value FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS a(head, rest, n) \
         CROSS JOIN LATERAL (SELECT value FROM long_rows \
           WHERE long_rows.space = {number} AND long_rows.head = a.head AND long_rows.rest = a.rest LIMIT 1) AS r"
    );
    SpaceSql {
        put: put(
            ", value) SELECT t.key, t.value FROM unnest($1::bytea[], $2::bytea[]) AS t(key, value",
            "UPDATE SET value = EXCLUDED.value",
        ),
        mark: put(") SELECT t.key FROM unnest($1::bytea[]) AS t(key", "NOTHING"),
        remove: format!("DELETE FROM {table} WHERE key = ANY ($1::bytea[])"),
        read_mixed: format!("{point} UNION ALL {long}"),
        read: point,
        ascending: page("key", &format!("{table} WHERE key >= $1 AND key < $2"), "ASC"),
        descending: page("key", &format!("{table} WHERE key >= $1 AND key < $2"), "DESC"),
    }
}

/// The first `$3` rows of a range, or fewer once `$4` bytes are gathered. Sizes are known without reading long values.
fn page(key: &str, from: &str, order: &str) -> String {
    format!(
        "SELECT {key}, value FROM ( \
           SELECT {key}, value, \
             sum(coalesce(octet_length(value), 0)) OVER (ORDER BY {key} {order} ROWS UNBOUNDED PRECEDING) \
               - coalesce(octet_length(value), 0) AS before \
           FROM (SELECT {key}, value FROM {from} ORDER BY {key} {order} LIMIT $3) AS page) AS sized \
         WHERE before < $4 ORDER BY {key} {order}"
    )
}
