//! The conflict log: found, counted, restored, and bounded.

use tradewind_database::conflicts::{Pair, Wanted};
use tradewind_database::merge::Kind;
use tradewind_model::ItemKey;
use tradewind_wire::error::Code;

use super::cluster::{Cluster, TABLE, region, value_of};

const TWO: [usize; 2] = [0, 1];

impl Cluster {
    /// The first region writes it, then the second, and neither knows of the other.
    async fn conflict(&self, id: &str) {
        self.cut_off(1, true);
        self.put(0, id, "lost").await;
        let clock = self.databases[1].clock();
        let written = clock.now_ms();
        // Within one millisecond counters and names decide, and not who was first.
        self.until("the clock goes on", async || clock.now_ms() > written).await;
        self.put(1, id, "won").await;
        self.cut_off(1, false);
        self.until("both have met the other", async || {
            let key = ItemKey::new(id.as_bytes(), b"");
            let mut known = 0;
            for at in TWO {
                known += self.conflicts(at).await.iter().filter(|conflict| conflict.key == key).count();
            }
            known == 2
        })
        .await;
    }

    async fn list(&self, wanted: Wanted, limit: usize) -> Vec<(String, String)> {
        let listed = self.databases[0].conflicts(TABLE, &wanted, limit).await.unwrap();
        let texts = listed.conflicts.iter().map(|(id, conflict)| {
            (id.clone(), String::from_utf8_lossy(conflict.key.partition_key()).into_owned())
        });
        texts.collect()
    }
}

#[test]
fn conflicts_are_found_counted_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&TWO).await;
        for id in ["a", "b", "c"] {
            cluster.conflict(id).await;
        }
        let all = cluster.list(Wanted::default(), 100).await;
        assert_eq!(
            all.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>(),
            ["a", "b", "c"],
            "oldest first"
        );
        let of_b = Wanted { key: Some(ItemKey::new(b"b", b"")), ..Wanted::default() };
        assert_eq!(cluster.list(of_b, 100).await, all[1..2]);
        let of_nobody = Wanted { region: Some(region(2)), ..Wanted::default() };
        assert!(cluster.list(of_nobody, 100).await.is_empty());
        assert_eq!(cluster.list(Wanted { region: Some(region(1)), ..Wanted::default() }, 100).await.len(), 3);
        let times: Vec<_> = cluster.conflicts(0).await.iter().map(|conflict| conflict.at_ms).collect();
        let between = Wanted { from_ms: Some(times[1]), to_ms: Some(times[2]), ..Wanted::default() };
        assert_eq!(cluster.list(between, 100).await, all[1..2]);
        let first = cluster.databases[0].conflicts(TABLE, &Wanted::default(), 2).await.unwrap();
        assert_eq!(first.conflicts.len(), 2);
        let rest = Wanted { after: first.next, ..Wanted::default() };
        assert_eq!(cluster.list(rest, 2).await, all[2..], "pages join without a gap or a repeat");

        let counts = cluster.databases[0].conflict_counts(TABLE).await.unwrap();
        let pair = Pair { lost: region(0), won: Some(region(1)), kind: Kind::Conflict };
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(pair, 3)]);

        cluster.databases[0].restore_conflict(TABLE, &all[0].0).await.unwrap();
        cluster.until_equal(&TWO).await;
        assert_eq!(
            cluster.get(1, "a").await.as_deref(),
            Some("lost"),
            "a write like any other: it replicates"
        );
        assert_eq!(cluster.conflicts(1).await.len(), 3, "and knows what it writes over");
        let again = cluster.databases[0].restore_conflict(TABLE, &all[0].0).await.unwrap_err();
        assert_eq!(again.code, Code::ConditionalCheckFailed, "what won does not stand any more");
        cluster.put(1, "b", "written since").await;
        cluster.until_equal(&TWO).await;
        let late = cluster.databases[0].restore_conflict(TABLE, &all[1].0).await.unwrap_err();
        assert_eq!(late.code, Code::ConditionalCheckFailed);
        assert_eq!(cluster.get(0, "b").await.as_deref(), Some("written since"));
        for nonsense in ["", "AAAA", "not base64!"] {
            let refused = cluster.databases[0].restore_conflict(TABLE, nonsense).await.unwrap_err();
            assert_eq!(refused.code, Code::Validation, "{nonsense:?}");
        }
    });
}

#[test]
fn the_conflict_log_is_bounded_by_count_and_age() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path());
    cluster.block_on(async {
        cluster.global_table(&TWO).await;
        for id in ["a", "b", "c", "d"] {
            cluster.conflict(id).await;
        }
        let database = &cluster.databases[0];
        database.trim_conflicts(u64::MAX, 3).await.unwrap();
        let kept: Vec<_> =
            cluster.list(Wanted::default(), 100).await.into_iter().map(|(_, key)| key).collect();
        assert_eq!(kept, ["b", "c", "d"], "the oldest goes");
        let lost = cluster.conflicts(0).await[0].loser.item.as_ref().map(value_of);
        database.trim_conflicts(u64::MAX, 3).await.unwrap();
        assert_eq!(cluster.list(Wanted::default(), 100).await.len(), 3);
        let still = cluster.conflicts(0).await[0].loser.item.as_ref().map(value_of);
        assert!(still.is_some() && still == lost, "others are as they were");
        database.trim_conflicts(0, 100).await.unwrap();
        assert!(cluster.list(Wanted::default(), 100).await.is_empty(), "all are older than no time at all");
    });
}
