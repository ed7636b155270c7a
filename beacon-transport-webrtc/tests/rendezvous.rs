//! `SignalClient` against a real server over real sockets.
#![allow(clippy::unwrap_used)]

use beacon_sdk::conformance::RendezvousFixture;
use beacon_sdk::plugin::{Join, Report};
use beacon_sdk::plugin::{RendezvousError, RendezvousEvent};
use beacon_sdk::{About, BroadcastId, Identity, Listing, Rendezvous, Role, Thumbnail};
use beacon_signal::{Config, Effort, Server};
use beacon_transport_webrtc::SignalClient;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A guard against hanging, far above what anything takes.
const HANG: Duration = Duration::from_secs(60);

/// A server of our own, started when its first client is wanted.
struct Signal {
    addr: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

fn signal() -> Signal {
    Signal { addr: ([127, 0, 0, 1], 0).into(), running: None }
}

impl Signal {
    async fn start(&mut self, config: Config) {
        let server = Server::bind(self.addr, config).await.unwrap();
        self.addr = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        self.running = Some((stop, task));
    }

    async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        drop(stop);
        timeout(HANG, task).await.unwrap().unwrap();
    }

    fn connect(&self, who: &Identity) -> SignalClient {
        SignalClient::new(&format!("ws://{}", self.addr), who).unwrap()
    }
}

impl RendezvousFixture for Signal {
    async fn client(&mut self, me: &Identity) -> Box<dyn Rendezvous> {
        if self.running.is_none() {
            self.start(Config::default()).await;
        }
        Box::new(self.connect(me))
    }

    async fn interrupt(&mut self) -> bool {
        self.stop().await;
        self.start(Config::default()).await;
        true
    }
}

mod rendezvous {
    beacon_sdk::rendezvous_conformance!(super::signal);
}

fn who(number: u8) -> Identity {
    Identity::from_secret([number; 32])
}

fn join(number: u8, publish: bool) -> Join {
    let peer = who(number).public();
    let broadcast = publish.then_some(BroadcastId { publisher: peer, epoch: 1 });
    Join { name: "launch".into(), peer, broadcast, publish }
}

async fn next(client: &mut SignalClient) -> Result<RendezvousEvent, RendezvousError> {
    timeout(HANG, client.next_event()).await.expect("nothing comes")
}

async fn joined(server: &Signal, number: u8, publish: bool) -> SignalClient {
    let mut client = server.connect(&who(number));
    client.join(join(number, publish));
    let event = next(&mut client).await.unwrap();
    assert!(matches!(event, RendezvousEvent::Joined { .. }), "{event:?}");
    client
}

/// Drives both until `want` finds something in what the first is told.
async fn until<T>(
    client: &mut SignalClient,
    other: &mut SignalClient,
    mut want: impl FnMut(RendezvousEvent) -> Option<T>,
) -> T {
    timeout(HANG, async {
        loop {
            tokio::select! {
                event = client.next_event() => {
                    if let Some(found) = want(event.unwrap()) { return found; }
                }
                event = other.next_event() => drop(event.unwrap()),
            }
        }
    })
    .await
    .expect("what is wanted does not come")
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_once_and_found_when_it_comes() {
    let mut server = signal();
    // A port that was free a moment ago.
    server.start(Config::default()).await;
    server.stop().await;
    let mut client = server.connect(&who(1));
    client.join(join(1, false));
    let event = next(&mut client).await.unwrap();
    let RendezvousEvent::Suspended { reason } = event else { panic!("{event:?}") };
    assert!(reason.contains("is the server running"), "{reason}");
    // Silence through further attempts, then the server comes.
    assert!(timeout(Duration::from_millis(1500), client.next_event()).await.is_err());
    server.start(Config::default()).await;
    let event = next(&mut client).await.unwrap();
    assert_eq!(event, RendezvousEvent::Joined { broadcast: None });
}

#[tokio::test]
async fn a_refusal_is_an_error_that_stays() {
    let mut server = signal();
    server.start(Config::default()).await;
    let _first = joined(&server, 1, true).await;
    let mut second = server.connect(&who(2));
    second.join(join(2, true));
    for _ in 0..2 {
        let error = next(&mut second).await.unwrap_err();
        assert!(
            matches!(&error, RendezvousError::Refused(reason) if reason.contains("another name")),
            "{error}"
        );
    }
}

/// A server that lets in who has a token: the client shows it, also when it comes back.
#[tokio::test]
async fn a_token_is_shown_with_every_join() {
    use beacon_signal::token::{Grant, Mint, Right};
    let mint = Mint::from_secret([9; 32]).unwrap();
    let mut config = Config::default();
    config.tokens = vec![mint.key()];
    let mut server = signal();
    server.start(config.clone()).await;
    let grant = Grant {
        broadcast: "launch".into(),
        peer: who(1).public(),
        rights: vec![Right::Watch],
        not_before: None,
        expires: 4_000_000_000,
    };
    let token = mint.sign(&grant).unwrap();
    let mut client = server.connect(&who(1)).token(token.clone());
    client.join(join(1, false));
    let joined = RendezvousEvent::Joined { broadcast: None };
    assert_eq!(next(&mut client).await, Ok(joined.clone()));
    server.stop().await;
    assert!(matches!(next(&mut client).await, Ok(RendezvousEvent::Suspended { .. })));
    server.start(config).await;
    assert_eq!(next(&mut client).await, Ok(joined));
    // Another peer gets nowhere with it, and is told so for good; one without is told what it needs.
    let mut thief = server.connect(&who(2)).token(token);
    let mut stranger = server.connect(&who(3));
    for (client, number, word) in
        [(&mut thief, 2, "token is for peer"), (&mut stranger, 3, "--token")]
    {
        client.join(join(number, false));
        let error = next(client).await.unwrap_err();
        assert!(
            matches!(&error, RendezvousError::Refused(reason) if reason.contains(word)),
            "{error}"
        );
    }
}

/// A server that asks for work: the client does it by itself, also when it comes back.
#[tokio::test]
async fn work_is_done_for_every_join() {
    let mut config = Config::default();
    config.work = Effort::Tries(16);
    let mut server = signal();
    server.start(config.clone()).await;
    let mut client = server.connect(&who(1));
    client.join(join(1, false));
    let joined = RendezvousEvent::Joined { broadcast: None };
    assert_eq!(next(&mut client).await, Ok(joined.clone()));
    server.stop().await;
    assert!(matches!(next(&mut client).await, Ok(RendezvousEvent::Suspended { .. })));
    server.start(config).await;
    assert_eq!(next(&mut client).await, Ok(joined));
}

#[tokio::test]
async fn more_work_than_is_fair_is_refused_with_the_cure() {
    let nonce = format!("{}=", "A".repeat(43));
    let asking = format!(
        r#"{{"type":"challenge","version":2,"nonce":"{nonce}","work":{{"tries":4000000000}}}}"#
    );
    let mut client = SignalClient::new(&saying(vec![asking]), &who(1)).unwrap();
    client.join(join(1, false));
    let error = next(&mut client).await.unwrap_err();
    assert!(
        matches!(&error, RendezvousError::Refused(reason)
            if reason.contains("4000000000 tries") && reason.contains("another server")),
        "{error}"
    );
}

/// A server that says these messages, whatever it is told.
fn saying(messages: Vec<String>) -> String {
    use tokio_tungstenite::tungstenite::{Message, accept};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut socket = accept(listener.accept().unwrap().0).unwrap();
        messages.into_iter().for_each(|text| socket.send(Message::text(text)).unwrap());
        while socket.read().is_ok() {}
    });
    url
}

#[tokio::test]
async fn a_server_of_another_version_is_told_as_such() {
    let challenge = |version: u16| {
        let nonce = format!("{}=", "A".repeat(43));
        format!(r#"{{"type":"challenge","version":{version},"nonce":"{nonce}"}}"#)
    };
    let said = "protocol version 2 is not spoken here: use version 3";
    let refusal = format!(r#"{{"type":"error","code":"version","message":"{said}","fatal":true}}"#);
    for (messages, word) in [
        (vec![challenge(3)], "version 3 is not spoken here"),
        (vec![challenge(2), refusal], "use version 3"),
    ] {
        let mut client = SignalClient::new(&saying(messages), &who(1)).unwrap();
        client.join(join(1, false));
        let error = next(&mut client).await.unwrap_err();
        assert!(matches!(&error, RendezvousError::Version(said) if said.contains(word)), "{error}");
        assert!(error.to_string().contains("update the older"), "{error}");
    }
}

/// As the version before did, and as a server of something else may.
#[tokio::test]
async fn a_server_without_a_challenge_is_told_as_such() {
    let mut client = SignalClient::new(&saying(Vec::new()), &who(1)).unwrap();
    client.join(join(1, false));
    let RendezvousEvent::Suspended { reason } = next(&mut client).await.unwrap() else {
        panic!("not suspended");
    };
    assert!(reason.contains("no challenge") && reason.contains("older"), "{reason}");
}

#[tokio::test]
async fn a_newer_client_of_the_same_peer_ends_the_older() {
    let mut server = signal();
    server.start(Config::default()).await;
    let mut older = joined(&server, 1, false).await;
    let mut newer = joined(&server, 1, false).await;
    let error = next(&mut older).await.unwrap_err();
    assert!(matches!(error, RendezvousError::Refused(_)), "{error}");
    newer.shutdown().await;
    assert!(matches!(next(&mut newer).await, Err(RendezvousError::Closed)));
}

#[tokio::test]
async fn misuse_is_told() {
    let mut server = signal();
    server.start(Config::default()).await;
    assert!(matches!(SignalClient::new("http://x", &who(1)), Err(RendezvousError::Address(_))));
    let mut client = server.connect(&who(1));
    assert!(matches!(next(&mut client).await, Err(RendezvousError::NotJoined)));
    client.join(Join { name: String::new(), ..join(1, false) });
    assert!(matches!(next(&mut client).await, Err(RendezvousError::Refused(_))));
    let mut other = server.connect(&who(2));
    other.join(join(1, false));
    let error = next(&mut other).await.unwrap_err();
    assert!(error.to_string().contains("whose identity it was given"), "{error}");
    let mut unused = server.connect(&who(1));
    unused.shutdown().await;
    unused.shutdown().await;
    assert!(matches!(next(&mut unused).await, Err(RendezvousError::Closed)));
}

#[tokio::test]
async fn reports_reach_others_and_outlive_the_server() {
    let mut server = signal();
    server.start(Config::default()).await;
    let mut reporter = joined(&server, 1, true).await;
    reporter.report(Report {
        score: 100,
        role: Role::Origin,
        depth: 0,
        slots: 17,
        upload_bps: 1_000_000,
        detail: None,
    });
    let mut viewer = joined(&server, 2, false).await;
    let origin = who(1).public();
    let slots = |event| match event {
        RendezvousEvent::Peers(hints) => {
            hints.into_iter().find(|hint| hint.peer == origin && hint.slots == 17).map(drop)
        }
        _ => None,
    };
    until(&mut viewer, &mut reporter, slots).await;
    server.stop().await;
    let suspended = |event| matches!(event, RendezvousEvent::Suspended { .. }).then_some(());
    until(&mut viewer, &mut reporter, suspended).await;
    server.start(Config::default()).await;
    until(&mut viewer, &mut reporter, slots).await;
}

#[tokio::test]
async fn heartbeats_keep_a_quiet_peer_in() {
    let mut server = signal();
    let mut config = Config::default();
    config.idle_timeout = Duration::from_millis(900);
    server.start(config).await;
    let mut one = joined(&server, 1, true).await;
    let mut two = joined(&server, 2, false).await;
    // Well past the idle time: neither is lost, neither loses the server.
    let calm = async {
        loop {
            tokio::select! {
                event = one.next_event() => check(event),
                event = two.next_event() => check(event),
            }
        }
    };
    fn check(event: Result<RendezvousEvent, RendezvousError>) {
        let event = event.unwrap();
        assert!(matches!(event, RendezvousEvent::Peers(_)), "{event:?}");
    }
    assert!(timeout(Duration::from_secs(4), calm).await.is_err());
    two.signal(who(1).public(), Bytes::from_static(b"dial"));
    let from = until(&mut one, &mut two, |event| match event {
        RendezvousEvent::Signal { from, .. } => Some(from),
        _ => None,
    })
    .await;
    assert_eq!(from, who(2).public());
}

/// A server that accepts and then says nothing, or nonsense, is a lost one.
#[tokio::test]
async fn a_server_that_talks_nonsense_is_suspended() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let nonsense = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 503 Nope\r\ncontent-length: 4\r\n\r\nfull").await;
        }
    });
    let mut client = SignalClient::new(&url, &who(1)).unwrap();
    client.join(join(1, false));
    let event = next(&mut client).await.unwrap();
    let RendezvousEvent::Suspended { reason } = event else { panic!("{event:?}") };
    assert!(reason.contains("503"), "{reason}");
    nonsense.abort();
}

/// What the list of a server says of its one broadcast.
async fn listed(server: &Signal) -> Option<String> {
    let mut stream = TcpStream::connect(server.addr).await.ok()?;
    stream.write_all(b"GET /api/streams HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

async fn until_listed(client: &mut SignalClient, server: &Signal, words: &[&str]) {
    let found = async {
        while !listed(server).await.is_some_and(|list| words.iter().all(|word| list.contains(word)))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let driven = async { while client.next_event().await.is_ok() {} };
    tokio::select! {
        found = timeout(HANG, found) => found.unwrap_or_else(|_| panic!("{words:?} are not listed")),
        () = driven => panic!("the client gave up"),
    }
}

#[tokio::test]
async fn a_listing_is_told_when_it_changes_and_to_a_server_that_comes_back() {
    const PICTURE: &[u8] = include_bytes!("../../beacon-sdk/src/listing/pictures/picture.jpg");
    let mut server = signal();
    server.start(Config::default()).await;
    let mut client = server.connect(&who(1));
    let thumbnail = Some(Thumbnail::new(Bytes::from_static(PICTURE)).unwrap());
    let listing = |title| {
        let about = About::new(title, "Space", vec!["rocket".into()]).unwrap();
        Listing { about, thumbnail: thumbnail.clone() }
    };
    client.list(listing("First"));
    client.join(join(1, true));
    let picture = "/api/streams/launch/thumbnail?v=";
    until_listed(&mut client, &server, &["\"First\"", "\"Space\"", "[\"rocket\"]", picture]).await;
    client.list(listing("Second"));
    until_listed(&mut client, &server, &["\"Second\"", picture]).await;
    server.stop().await;
    server.start(Config::default()).await;
    until_listed(&mut client, &server, &["\"Second\"", picture]).await;
    client.shutdown().await;
}
