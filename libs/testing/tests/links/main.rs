//! The link port, from a real socket down to the other region's rows: everything that may arrive there has a defined answer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tradewind_changelog::{ChangeLog, Page};
use tradewind_database::Database;
use tradewind_database::partition::arrival::{Arrival, Arrived};
use tradewind_database::partition::state::Source;
use tradewind_database::question::{Question, Reply};
use tradewind_engine::Engine;
use tradewind_model::{Hlc, Incarnation, Sequence};
use tradewind_replication::link::{Announcement, BATCH_BYTES, BATCH_CHANGES, Link};
use tradewind_replication::{Peer, PeerError, RegionLinks, RemotePeer, Replicator, has_stopped};
use tradewind_rpc::{LinkAnswering, LinkAuthority, LinkCall, LinkClient, LinkError, LinkQuestion, Links};

use world::{Place, Store, TABLE, certificate, region, serve, two, until};

/// What `from` would send next, of the one partition that has news.
struct Outgoing {
    link: Link,
    page: Page,
    announcement: Announcement,
}

impl Outgoing {
    /// Writes one item so many times, and says what travels.
    async fn of(from: &Place, to: &RemotePeer, writes: usize) -> Outgoing {
        for nth in 1..=writes {
            from.put("a", &format!("write {nth}")).await;
        }
        let table = from.database.table(TABLE).unwrap();
        let document = table.document();
        for (position, range) in document.partitions.iter().enumerate() {
            let source = Source {
                region: from.database.region(),
                incarnation: document.incarnation,
                number: range.number,
            };
            let cursor = cursor(to, source, range.from, range.to).await;
            let state = from.database.partition_state(&table, position).await.unwrap();
            let page =
                from.database.change_log().read(state.id, cursor, BATCH_CHANGES, BATCH_BYTES).await.unwrap();
            if page.changes.len() == writes {
                let link = Link::new(source, range.from, range.to, cursor);
                return Outgoing { link, page, announcement: Announcement::of(&state, &document) };
            }
        }
        panic!("no partition has the writes");
    }

    fn whole(&self) -> Arrival {
        self.link.batch(self.page.clone(), &self.announcement)
    }

    /// The changes after `from` up to `to`, counted from the beginning, as a batch that promises nothing.
    fn part(&self, from: usize, to: usize) -> Arrival {
        let whole = self.whole();
        let at = |nth: usize| if nth == 0 { whole.after } else { whole.changes[nth - 1].0 };
        Arrival {
            after: at(from),
            through: at(to),
            at: None,
            changes: whole.changes[from..to].to_vec(),
            watermark: Hlc::ZERO,
            seen: BTreeMap::new(),
            ..whole
        }
    }
}

async fn cursor(peer: &RemotePeer, source: Source, from: u64, to: u64) -> Sequence {
    match peer.ask(TABLE, Question::Position { source, from, to }).await.unwrap() {
        Reply::Position(position) => position.cursor,
        other => panic!("{other:?}"),
    }
}

async fn pushed(peer: &RemotePeer, batch: Arrival) -> Arrived {
    peer.push(TABLE, batch).await.unwrap().arrived
}

async fn value(place: &Place) -> Option<String> {
    place.items().await.remove("a")
}

async fn changes(place: &Place) -> usize {
    let table = place.database.table(TABLE).unwrap();
    let mut changes = 0;
    for position in 0..table.partition_count() {
        changes += place.database.partition_state(&table, position).await.unwrap().next.0 as usize - 1;
    }
    changes
}

/// Joins, settings, seeding and links: every question that regions ask each other, over the port.
#[tokio::test]
async fn three_regions_join_write_and_leave_over_their_ports() {
    let authority = LinkAuthority::make().unwrap();
    let (a, b, c) = (
        Place::open("a", &authority).await,
        Place::open("b", &authority).await,
        Place::open("c", &authority).await,
    );
    a.create_table().await;
    for nth in 0..300 {
        a.put(&format!("before {nth}"), "seeded").await;
    }
    let _links = [a.replicate(&[&b, &c]), b.replicate(&[&a, &c]), c.replicate(&[&a, &b])];
    for joiner in [&b, &c] {
        a.change_replica("Create", joiner).await;
        until("it is a replica for all", async || [&a, joiner].iter().all(|place| place.is_active(joiner)))
            .await;
    }
    for (place, id) in [(&a, "of a"), (&b, "of b"), (&c, "of c")] {
        place.put(id, "by a link").await;
    }
    until("all have all", async || {
        let all = a.items().await;
        all.len() == 303 && b.items().await == all && c.items().await == all
    })
    .await;
    b.change_replica("Delete", &c).await;
    until("it is gone", async || c.database.table(TABLE).is_none() && !a.is_active(&c)).await;
}

#[tokio::test]
async fn duplicate_batches_are_applied_once() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 3).await;
    let first = pushed(&peer, outgoing.whole()).await;
    let (after_first, had) = (changes(&b).await, value(&b).await);
    assert_eq!(had.as_deref(), Some("write 3"));
    assert_eq!(pushed(&peer, outgoing.whole()).await, first);
    assert_eq!(pushed(&peer, outgoing.part(0, 2)).await, first, "an older part of it, late");
    assert_eq!((changes(&b).await, value(&b).await), (after_first, had));
}

#[tokio::test]
async fn a_reordered_or_gapped_batch_is_refused_with_the_cursor() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 4).await;
    let begin = outgoing.whole().after;
    assert_eq!(pushed(&peer, outgoing.part(2, 4)).await, Arrived::Gap { cursor: begin });
    assert_eq!(value(&b).await, None, "nothing of it was taken");
    pushed(&peer, outgoing.part(0, 2)).await;
    assert_eq!(value(&b).await.as_deref(), Some("write 2"));
    let end = outgoing.part(2, 4).through;
    assert_eq!(pushed(&peer, outgoing.part(2, 4)).await, Arrived::Through { cursor: end });
    assert_eq!(value(&b).await.as_deref(), Some("write 4"));
}

#[tokio::test]
async fn a_batch_that_overlaps_what_is_there_goes_on_after_it() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 4).await;
    pushed(&peer, outgoing.part(0, 3)).await;
    let before = changes(&b).await;
    pushed(&peer, outgoing.part(1, 4)).await;
    assert_eq!((changes(&b).await, value(&b).await.as_deref()), (before + 1, Some("write 4")));
}

/// Cut anywhere, its words make no sense; a batch whose parts contradict each other is not from an honest source.
#[tokio::test]
async fn a_truncated_or_contradictory_batch_is_refused_whole() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 3).await;
    let body = rmp_serde::to_vec_named(&outgoing.whole()).unwrap();
    let raw = LinkClient::new(&b.destination(Some(a.tls()))).unwrap();
    for length in [0, 1, body.len() / 3, body.len() / 2, body.len() - 1] {
        let call = LinkCall {
            from: "a".to_owned(),
            to: "b".to_owned(),
            table: TABLE.to_owned(),
            body: Bytes::copy_from_slice(&body[..length]),
        };
        let answer = raw.call(LinkQuestion::Push, call, Duration::from_secs(10)).await;
        assert!(matches!(answer, Err(LinkError::Refused(_))), "{length} bytes: {answer:?}");
    }
    let whole = outgoing.whole();
    let mut swapped = outgoing.whole();
    swapped.changes.swap(0, 1);
    let mut foreign = outgoing.whole();
    foreign.changes[0].1.version.origin = region("b");
    let mut of_another = outgoing.whole();
    of_another.source.region = region("c");
    for wrong in [
        swapped,
        foreign,
        of_another,
        Arrival { through: Sequence(whole.through.0 - 1), ..outgoing.whole() },
        Arrival { after: whole.through, through: whole.after, changes: Vec::new(), ..outgoing.whole() },
        Arrival { from: 9, to: 3, ..outgoing.whole() },
    ] {
        let answer = peer.push(TABLE, wrong.clone()).await;
        assert!(matches!(answer, Err(PeerError::Refused { .. })), "{wrong:?}: {answer:?}");
    }
    assert_eq!(value(&b).await, None, "nothing of any of them was taken");
    pushed(&peer, outgoing.whole()).await;
    assert_eq!(value(&b).await.as_deref(), Some("write 3"));
}

/// Applies what comes, tells that it has, and never answers.
struct Mute {
    links: RegionLinks<Store>,
    applied: Notify,
}

impl Links for Mute {
    fn answer(&self, question: LinkQuestion, call: LinkCall) -> LinkAnswering<'_> {
        Box::pin(async move {
            let _ = self.links.answer(question, call).await;
            self.applied.notify_one();
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_destination_that_dies_in_the_middle_has_the_batch_once() {
    let (a, b) = two().await;
    let outgoing = Outgoing::of(&a, &b.peer_of(&a), 3).await;
    b.stop_port();
    let mute = Arc::new(Mute { links: RegionLinks::new(b.database.clone()), applied: Notify::new() });
    let (address, stop) = serve(mute.clone(), &b.tls(), None).await;
    let at = |database: &Arc<Database<Store>>| {
        let destination = tradewind_rpc::Destination {
            urls: vec![format!("https://{address}").parse().unwrap()],
            tls: Some(a.tls()),
        };
        RemotePeer::new(region("a"), database.region(), &destination).unwrap()
    };
    let peer = Arc::new(at(&b.database));
    let (pushing, batch) = (peer.clone(), outgoing.whole());
    let push = tokio::spawn(async move { pushing.push(TABLE, batch).await });
    mute.applied.notified().await;
    stop.cancel();
    let answer = push.await.unwrap();
    assert!(matches!(answer, Err(PeerError::Unreachable { .. })), "its outcome is not known: {answer:?}");
    let applied = changes(&b).await;
    let refused = peer.push(TABLE, outgoing.whole()).await;
    assert!(matches!(refused, Err(PeerError::Unreachable { .. })), "nobody listens: {refused:?}");
    serve(Arc::new(RegionLinks::new(b.database.clone())), &b.tls(), Some(address)).await;
    // The same peer connects again by itself.
    assert_eq!(pushed(&peer, outgoing.whole()).await, Arrived::Through { cursor: outgoing.whole().through });
    assert_eq!((changes(&b).await, value(&b).await.as_deref()), (applied, Some("write 3")));
}

#[tokio::test]
async fn another_incarnation_another_region_and_an_unknown_table_are_refused() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 2).await;
    let mut of_another_life = outgoing.whole();
    of_another_life.source.incarnation = Incarnation(uuid::Uuid::from_u128(7));
    let unknown = peer.push("nothing", outgoing.whole()).await;
    let misled = RemotePeer::new(region("a"), region("c"), &b.destination(Some(a.tls()))).unwrap();
    for answer in
        [peer.push(TABLE, of_another_life).await, unknown, misled.push(TABLE, outgoing.whole()).await]
    {
        assert!(matches!(answer, Err(PeerError::Refused { .. })), "{answer:?}");
    }
    let asked = peer.ask("nothing", Question::Pins).await;
    assert!(matches!(asked, Err(PeerError::Refused { .. })), "{asked:?}");
    assert_eq!(value(&b).await, None);
}

/// The logs of both have let go of what the other needs. A repair that one of them is asked for makes both go on, and nobody
/// tells the other's replicator.
#[tokio::test]
async fn links_that_need_what_is_not_kept_go_on_after_a_repair() {
    let (a, b) = two().await;
    for (place, id) in [(&a, "of a"), (&b, "of b")] {
        place.put(id, "not kept").await;
        let tomorrow_ms = place.database.clock().now_ms() + 24 * 3_600_000;
        place.database.engine().trim(tomorrow_ms).await.unwrap();
    }
    let run = |from: &Place, to: &Place| {
        let replicator = Arc::new(Replicator::new(from.database.clone()));
        replicator.add_peer(to.peer_of(from));
        tokio::spawn(replicator.clone().run());
        replicator
    };
    let (of_a, of_b) = (run(&a, &b), run(&b, &a));
    for replicator in [&of_a, &of_b] {
        until("a link has stopped", async || has_stopped(&replicator.status(), TABLE)).await;
    }
    let repaired = of_a.repair(TABLE, false).await.unwrap();
    assert_eq!((repaired.received, repaired.sent), (1, 2));
    for (place, id) in [(&a, "next of a"), (&b, "next of b")] {
        place.put(id, "by a link").await;
    }
    for place in [&a, &b] {
        until("all is there", async || place.items().await.len() == 4).await;
    }
    for replicator in [&of_a, &of_b] {
        until("no link stands still", async || !has_stopped(&replicator.status(), TABLE)).await;
    }
}

/// A replicator that hung sends what it read before the log was found to be another one; a repair that was overtaken ends.
#[tokio::test]
async fn what_was_sent_in_ignorance_of_a_repair_is_refused_however_late() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 3).await;
    let of_term = |term| Arrival { term, ..outgoing.whole() };
    let stranger = Arrived::Stranger { cursor: outgoing.whole().after };
    let pins = a.database.pins(TABLE).await.unwrap();
    let under = |term| pins.iter().map(|pin| pin.clone().under(term)).collect::<Vec<_>>();
    for (fence, known) in [(2, 2), (1, 2)] {
        let told = peer.ask(TABLE, Question::FenceLinks(under(fence))).await.unwrap();
        assert_eq!(told, Reply::Term(known));
        assert_eq!(pushed(&peer, of_term(1)).await, stranger);
    }
    let overtaken = peer.ask(TABLE, Question::ResetLinks(under(1))).await;
    assert!(matches!(overtaken, Err(PeerError::Refused { .. })), "{overtaken:?}");
    assert_eq!((pushed(&peer, of_term(1)).await, value(&b).await), (stranger, None));
    let end = outgoing.whole().through;
    assert_eq!(pushed(&peer, of_term(2)).await, Arrived::Through { cursor: end });
    assert_eq!(value(&b).await.as_deref(), Some("write 3"));
}

#[tokio::test]
async fn a_version_from_the_future_stops_the_batch_in_front_of_it() {
    let (a, b) = two().await;
    let peer = b.peer_of(&a);
    let outgoing = Outgoing::of(&a, &peer, 3).await;
    let mut batch = outgoing.whole();
    let future = Hlc::from_ms(b.database.clock().now_ms() + 60_000);
    batch.changes[2].1.version.hlc = future;
    let before = batch.changes[1].0;
    match pushed(&peer, batch).await {
        Arrived::Ahead { cursor, ahead_ms } => {
            assert_eq!(cursor, before);
            assert!((58_000..=60_000).contains(&ahead_ms), "{ahead_ms}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(value(&b).await.as_deref(), Some("write 2"), "what came before it is there");
    pushed(&peer, outgoing.whole()).await;
    assert_eq!(value(&b).await.as_deref(), Some("write 3"), "it goes on by itself once its time has come");
}

/// Counts what has come, and never answers.
#[derive(Default)]
struct Occupied(AtomicUsize);

impl Links for Occupied {
    fn answer(&self, _: LinkQuestion, _: LinkCall) -> LinkAnswering<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

/// A destination that has enough to do says so at once, and nothing of the call was done.
#[tokio::test]
async fn a_busy_region_says_so_and_does_nothing() {
    let (a, b) = two().await;
    let occupied = Arc::new(Occupied::default());
    let (address, _stop) = serve(occupied.clone(), &b.tls(), None).await;
    let destination = tradewind_rpc::Destination {
        urls: vec![format!("https://{address}").parse().unwrap()],
        tls: Some(a.tls()),
    };
    let peer = || Arc::new(RemotePeer::new(region("a"), region("b"), &destination).unwrap());
    // Each asker keeps 32 calls under way at most: it takes two of them to occupy the port.
    let held: Vec<_> = [peer(), peer()]
        .iter()
        .flat_map(|peer| std::iter::repeat_n(peer.clone(), 40))
        .map(|peer| tokio::spawn(async move { peer.ask(TABLE, Question::Pins).await }))
        .collect();
    until("the port has all it takes", async || occupied.0.load(Ordering::SeqCst) == 64).await;
    let answer = peer().ask(TABLE, Question::Pins).await;
    assert!(matches!(answer, Err(PeerError::Busy { .. })), "{answer:?}");
    assert_eq!(occupied.0.load(Ordering::SeqCst), 64, "an asker's own bound holds the rest back");
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_has_no_certificate_of_the_authority_is_no_region() {
    let (a, b) = two().await;
    let stranger = certificate(&LinkAuthority::make().unwrap(), "a");
    let mistaken = tradewind_rpc::LinkTls { authority_pem: a.tls().authority_pem, ..stranger.clone() };
    for tls in [None, Some(stranger), Some(mistaken)] {
        let peer = RemotePeer::new(region("a"), region("b"), &b.destination(tls)).unwrap();
        let answer = peer.ask(TABLE, Question::Pins).await;
        assert!(matches!(answer, Err(PeerError::Unreachable { .. })), "{answer:?}");
    }
    assert!(b.peer_of(&a).ask(TABLE, Question::Pins).await.is_ok());
}

/// A region that was broken into cannot pass for another with its own certificate, nor end another's writes by its batches.
#[tokio::test]
async fn a_certificate_speaks_for_its_own_region_only() {
    let (a, b) = two().await;
    let outgoing = Outgoing::of(&a, &b.peer_of(&a), 1).await;
    // What b has is a certificate of the authority, and its port takes it from whoever asks as b.
    let as_a = RemotePeer::new(region("a"), region("b"), &b.destination(Some(b.tls()))).unwrap();
    for answer in
        [as_a.ask(TABLE, Question::Pins).await.err(), as_a.push(TABLE, outgoing.whole()).await.err()]
    {
        let Some(PeerError::Refused { cause, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(cause, "the certificate speaks for region b, and not for a");
    }
    assert_eq!(value(&b).await, None, "nothing of it was taken");
    let as_b = RemotePeer::new(region("b"), region("b"), &b.destination(Some(b.tls()))).unwrap();
    assert!(as_b.ask(TABLE, Question::Pins).await.is_ok());
}

/// A region's second address is used when the first does not answer, and again the first when that one dies.
#[tokio::test]
async fn another_node_of_the_region_is_asked_when_one_does_not_answer() {
    let (a, b) = two().await;
    let (second, stop) = serve(Arc::new(RegionLinks::new(b.database.clone())), &b.tls(), None).await;
    let urls = [b.address, second].map(|address| format!("https://{address}").parse().unwrap()).to_vec();
    let destination = tradewind_rpc::Destination { urls, tls: Some(a.tls()) };
    let peer = RemotePeer::new(region("a"), region("b"), &destination).unwrap();
    let answers = async |peer: &RemotePeer| peer.ask(TABLE, Question::Pins).await.is_ok();
    assert!(answers(&peer).await);
    b.stop_port();
    until("the other answers", async || answers(&peer).await).await;
    stop.cancel();
    serve(Arc::new(RegionLinks::new(b.database.clone())), &b.tls(), Some(b.address)).await;
    until("the first answers again", async || answers(&peer).await).await;
}
