//! Calls between nodes over real sockets: who is let in, and what a call that fails may have done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tradewind_engine::Clock;
use tradewind_engine::memory::{MemoryDisk, MemoryEngine};
use tradewind_rpc::{Answering, Authority, CallError, Identity, Node, Nodes, Question, Serving, serve};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(10);

/// Answers with what it is asked; "wait" has no answer, "refuse" and "moved" have those.
struct Echo {
    id: Uuid,
    calls: AtomicUsize,
    waiting: Notify,
}

impl Node for Echo {
    fn id(&self) -> Uuid {
        self.id
    }

    fn answer(&self, question: Question, body: Bytes) -> Answering<'_> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match &*body {
                b"wait" => {
                    self.waiting.notify_one();
                    std::future::pending().await
                }
                b"refuse" => Err(CallError::Refused(Bytes::from_static(b"why"))),
                b"moved" => Err(CallError::Moved),
                body => Ok(Bytes::from([format!("{question:?} ").as_bytes(), body].concat())),
            }
        })
    }
}

fn catalogue() -> MemoryEngine {
    let clock: Clock = Arc::new(|| 0);
    MemoryEngine::open(&MemoryDisk::default(), clock)
}

async fn identity() -> Identity {
    Authority::of(&catalogue()).await.unwrap().issue().unwrap()
}

struct Running {
    node: Arc<Echo>,
    address: String,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

async fn start(identity: &Identity) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let node = Arc::new(Echo { id: Uuid::new_v4(), calls: AtomicUsize::new(0), waiting: Notify::new() });
    let stop = CancellationToken::new();
    let serving = Serving { listener, identity: identity.clone() };
    let served = serve(serving, node.clone(), stop.clone());
    let task = tokio::spawn(async move { served.await.unwrap() });
    Running { node, address, task, stop }
}

async fn ask(nodes: &Nodes, running: &Running, body: &'static str) -> Result<Bytes, CallError> {
    let body = Bytes::from_static(body.as_bytes());
    nodes.ask(running.node.id, &running.address, Question::Submit, body, LONG).await
}

#[tokio::test]
async fn nodes_of_one_authority_answer_each_other() {
    let disk = catalogue();
    let (mine, yours) = (Authority::of(&disk).await.unwrap(), Authority::of(&disk).await.unwrap());
    let running = start(&yours.issue().unwrap()).await;
    let nodes = Nodes::new(&mine.issue().unwrap(), Handle::current());
    for question in [
        Question::Submit,
        Question::Hold,
        Question::Release,
        Question::Inquire,
        Question::Announce,
        Question::Spend,
    ] {
        let body = Bytes::from_static(b"x");
        let answer = nodes.ask(running.node.id, &running.address, question, body, LONG).await.unwrap();
        assert_eq!(answer, format!("{question:?} x"));
    }
    assert_eq!(ask(&nodes, &running, "refuse").await, Err(CallError::Refused(Bytes::from_static(b"why"))));
    assert_eq!(ask(&nodes, &running, "moved").await, Err(CallError::Moved));
}

#[tokio::test]
async fn a_call_for_another_process_reaches_no_handler() {
    let identity = identity().await;
    let running = start(&identity).await;
    let nodes = Nodes::new(&identity, Handle::current());
    let body = Bytes::from_static(b"x");
    let asked = nodes.ask(Uuid::new_v4(), &running.address, Question::Submit, body, LONG).await;
    assert_eq!(asked, Err(CallError::Moved));
    assert_eq!(running.node.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn strangers_are_not_let_in_and_not_asked() {
    let (ours, theirs) = (identity().await, identity().await);
    let running = start(&ours).await;
    for stranger in [&theirs, &theirs.clone().trusting(&ours)] {
        let nodes = Nodes::new(stranger, Handle::current());
        let asked = ask(&nodes, &running, "x").await;
        assert!(matches!(asked, Err(CallError::NotSent(_) | CallError::Unknown(_))), "{asked:?}");
    }
    assert_eq!(running.node.calls.load(Ordering::SeqCst), 0);
    // The port is well.
    assert!(ask(&Nodes::new(&ours, Handle::current()), &running, "x").await.is_ok());
}

#[tokio::test]
async fn nobody_there_means_not_sent_and_a_later_call_finds_who_came() {
    let identity = identity().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nodes = Nodes::new(&identity, Handle::current());
    let id = Uuid::new_v4();
    let address = free.to_string();
    let asked =
        |body: &'static [u8]| nodes.ask(id, &address, Question::Submit, Bytes::from_static(body), LONG);
    for _ in 0..2 {
        assert!(matches!(asked(b"x").await, Err(CallError::NotSent(_))));
    }
    let listener = TcpListener::bind(free).await.unwrap();
    let node = Arc::new(Echo { id, calls: AtomicUsize::new(0), waiting: Notify::new() });
    tokio::spawn(serve(Serving { listener, identity }, node, CancellationToken::new()));
    assert!(asked(b"x").await.is_ok());
}

#[tokio::test]
async fn a_connection_lost_after_sending_is_unknown() {
    let identity = identity().await;
    // Between the two stands a proxy, whose connections can be cut.
    let running = start(&identity).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxied = proxy.local_addr().unwrap().to_string();
    let behind = running.address.clone();
    let cut = CancellationToken::new();
    let cutting = cut.clone();
    tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut server = TcpStream::connect(behind).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => (),
            () = cutting.cancelled() => (),
        }
    });
    let nodes = Nodes::new(&identity, Handle::current());
    let asking = nodes.ask(running.node.id, &proxied, Question::Submit, Bytes::from_static(b"wait"), LONG);
    let (asked, ()) = tokio::join!(asking, async {
        running.node.waiting.notified().await;
        cut.cancel();
    });
    assert!(matches!(asked, Err(CallError::Unknown(_))), "{asked:?}");
}

#[tokio::test]
async fn a_node_that_is_no_member_any_more_is_not_waited_for() {
    let identity = identity().await;
    let running = start(&identity).await;
    let nodes = Nodes::new(&identity, Handle::current());
    let (asked, ()) = tokio::join!(ask(&nodes, &running, "wait"), async {
        running.node.waiting.notified().await;
        nodes.keep(["127.0.0.1:1"]);
    });
    assert!(matches!(asked, Err(CallError::Unknown(_))), "{asked:?}");
    assert!(ask(&nodes, &running, "x").await.is_ok(), "it may come back");
}

#[tokio::test]
async fn a_silent_node_costs_a_call_its_deadline_and_not_more() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nodes = Nodes::new(&identity().await, Handle::current());
    let address = silent.local_addr().unwrap().to_string();
    let (started, deadline) = (Instant::now(), Duration::from_millis(200));
    let body = Bytes::from_static(b"x");
    let asked = nodes.ask(Uuid::new_v4(), &address, Question::Submit, body, deadline).await;
    assert!(matches!(asked, Err(CallError::Unknown(_))), "{asked:?}");
    assert!(started.elapsed() < LONG / 2);
}

#[tokio::test]
async fn a_server_that_stopped_is_not_reached() {
    let identity = identity().await;
    let running = start(&identity).await;
    let nodes = Nodes::new(&identity, Handle::current());
    assert!(ask(&nodes, &running, "x").await.is_ok());
    running.stop.cancel();
    let Running { node, address, task, .. } = running;
    tokio::time::timeout(LONG, task).await.expect("it ends").unwrap();
    let asked = nodes.ask(node.id, &address, Question::Submit, Bytes::from_static(b"x"), LONG).await;
    assert!(matches!(asked, Err(CallError::NotSent(_))), "{asked:?}");
}

#[tokio::test]
async fn an_authority_made_by_two_at_once_is_one() {
    let disk = MemoryDisk::default();
    let clock: Clock = Arc::new(|| 0);
    let (one, two) = (MemoryEngine::open(&disk, clock.clone()), MemoryEngine::open(&disk, clock));
    let (one, two) = tokio::join!(Authority::of(&one), Authority::of(&two));
    let running = start(&one.unwrap().issue().unwrap()).await;
    let nodes = Nodes::new(&two.unwrap().issue().unwrap(), Handle::current());
    assert!(ask(&nodes, &running, "x").await.is_ok());
}
