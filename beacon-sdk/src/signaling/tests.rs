#![allow(clippy::unwrap_used)]

use super::*;
use crate::Identity;
use crate::plugin::{Detail, LinkDetail, Role};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn peer() -> impl Strategy<Value = PeerId> {
    any::<[u8; 32]>().prop_map(PeerId::from_bytes)
}

fn broadcast() -> impl Strategy<Value = BroadcastId> {
    (peer(), any::<u64>()).prop_map(|(publisher, epoch)| BroadcastId { publisher, epoch })
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Origin), Just(Role::SuperSeed), Just(Role::Relay), Just(Role::Leaf)]
}

fn data() -> impl Strategy<Value = SignalData> {
    vec(any::<u8>(), 0..2000).prop_map(|bytes| SignalData::new(Bytes::from(bytes)).unwrap())
}

fn name() -> impl Strategy<Value = String> {
    vec(any::<char>().prop_filter("control", |c| !c.is_control()), 1..=NAME_CHARS_MAX)
        .prop_map(|chars| chars.into_iter().collect())
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let join = (name(), broadcast(), any::<bool>(), any::<bool>(), 0..=SESSION_MAX).prop_map(
        |(name, broadcast, known, publish, session)| {
            let peer = broadcast.publisher;
            let broadcast = (known || publish).then_some(broadcast);
            joining(Join { name, peer, broadcast, publish }, session)
        },
    );
    let report = (any::<u8>(), role(), any::<u8>(), any::<u16>(), any::<u64>()).prop_map(
        |(score, role, depth, slots, upload_bps)| {
            ClientMessage::MetricsReport(Report {
                score,
                role,
                depth,
                slots,
                upload_bps,
                detail: None,
            })
        },
    );
    prop_oneof![
        join,
        "[a-zA-Z0-9._-]{1,400}".prop_map(|token| bearing(&token)),
        any::<u64>().prop_map(|answer| with_work(bearing("x"), answer)),
        report,
        (peer(), data()).prop_map(|(to, data)| ClientMessage::Signal { to, data }),
        ("[a-z]{0,20}", "[a-z]{0,9}").prop_map(|(title, category)| {
            ClientMessage::Describe(About::new(title, category, vec!["a tag".into()]).unwrap())
        }),
        vec(vec(any::<u8>(), 0..400), 0..20).prop_map(|receipts| {
            let receipt = |bytes: Vec<u8>| ReceiptData::new(bytes.into()).unwrap();
            ClientMessage::Claims { receipts: receipts.into_iter().map(receipt).collect() }
        }),
        any::<bool>().prop_map(|some| ClientMessage::Thumbnail { data: some.then(picture) }),
        Just(ClientMessage::Heartbeat),
        Just(ClientMessage::Leave),
    ]
}

/// A join as the owner of the secret of sevens answers the challenge of ones.
fn joining(join: Join, session: u64) -> ClientMessage {
    let (me, nonce) = (Identity::from_secret([7; 32]), Nonce::from_bytes([1; NONCE_LEN]));
    let proof = Proof::sign(&me, &nonce, session, &join);
    ClientMessage::Join { version: VERSION, join, session, proof, token: None, work: None }
}

/// The same, of a viewer with a token.
fn bearing(token: &str) -> ClientMessage {
    let peer = Identity::from_secret([7; 32]).public();
    let join = Join { name: "launch".into(), peer, broadcast: None, publish: false };
    let mut message = joining(join, 5);
    if let ClientMessage::Join { token: place, .. } = &mut message {
        *place = Some(token.parse().unwrap());
    }
    message
}

/// The same, with an answer.
fn with_work(mut message: ClientMessage, answer: u64) -> ClientMessage {
    if let ClientMessage::Join { work, token, .. } = &mut message {
        (*work, *token) = (Some(answer), None);
    }
    message
}

fn picture() -> Thumbnail {
    Thumbnail::new(Bytes::from_static(include_bytes!("../listing/pictures/lossless.webp"))).unwrap()
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let hint = (peer(), any::<u8>(), role(), any::<u8>(), any::<u16>())
        .prop_map(|(peer, score, role, depth, slots)| PeerHint { peer, score, role, depth, slots });
    let joined = (option::of(broadcast()), any::<u32>()).prop_map(|(broadcast, heartbeat_ms)| {
        ServerMessage::Joined { version: VERSION, broadcast, heartbeat_ms, issuer: None }
    });
    let paying = (peer(), any::<u32>()).prop_map(|(issuer, heartbeat_ms)| {
        let issuer = Some(issuer);
        ServerMessage::Joined { version: VERSION, broadcast: None, heartbeat_ms, issuer }
    });
    let edges = vec(vec(any::<u8>(), 0..=EDGE_BYTES_MAX), 0..20).prop_map(|edges| {
        let edge = |bytes: Vec<u8>| EdgeData::new(bytes.into()).unwrap();
        ServerMessage::Edges { edges: edges.into_iter().map(edge).collect() }
    });
    let turn =
        (vec("turns?:[a-z.]{1,30}:[0-9]{1,5}", 0..=TURN_URLS_MAX), "[ -~]{0,90}", "[ -~]{0,30}")
            .prop_map(|(urls, username, credential)| {
                ServerMessage::Turn(TurnServer { urls, username, credential })
            });
    let work =
        option::of((any::<u32>(), any::<bool>()).prop_map(|(tries, token)| Work { tries, token }));
    let challenge = (any::<[u8; NONCE_LEN]>(), work).prop_map(|(nonce, work)| {
        ServerMessage::Challenge { version: VERSION, nonce: Nonce::from_bytes(nonce), work }
    });
    prop_oneof![
        challenge,
        turn,
        joined,
        paying,
        edges,
        vec(hint, 0..=HINTS_MAX).prop_map(|peers| ServerMessage::Peers { peers }),
        (peer(), any::<bool>()).prop_map(|(peer, banned)| ServerMessage::Gone { peer, banned }),
        (peer(), data()).prop_map(|(from, data)| ServerMessage::Signal { from, data }),
        Just(ServerMessage::Heartbeat),
        Just(ServerMessage::error(ErrorCode::NameTaken, "taken")),
    ]
}

proptest! {
    #[test]
    fn client_messages_survive_the_wire(message in client_message()) {
        let text = message.to_json();
        prop_assert!(text.len() <= MESSAGE_BYTES_MAX);
        prop_assert_eq!(ClientMessage::parse(&text), Ok(message));
    }

    #[test]
    fn server_messages_survive_the_wire(message in server_message()) {
        let text = message.to_json();
        prop_assert!(text.len() <= MESSAGE_BYTES_MAX);
        prop_assert_eq!(ServerMessage::parse(&text), Ok(message));
    }

    #[test]
    fn hostile_text_is_an_error_with_a_short_reason(text in ".{0,400}") {
        if let Err(error) = ClientMessage::parse(&text) {
            prop_assert!(error.to_string().chars().count() < 2 * EXPLANATION_CHARS_MAX + 64);
        }
        let _ = ServerMessage::parse(&text);
    }

    #[test]
    fn a_damaged_message_never_panics(message in client_message(), at: usize, byte in 0u8..128) {
        let mut bytes = message.to_json().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(read) = ClientMessage::parse(&text)
        {
            prop_assert_eq!(ClientMessage::parse(&read.to_json()), Ok(read));
        }
    }
}

/// The wire is a contract with clients we did not write: these texts may not change.
#[test]
fn golden_texts() {
    let peer = PeerId::from_bytes([7; 32]);
    let hex = "07".repeat(32);
    let me = Identity::from_secret([7; 32]).public();
    let broadcast = Some(BroadcastId { publisher: me, epoch: 9 });
    let join = Join { name: "launch".into(), peer: me, broadcast, publish: true };
    let data = SignalData::new(Bytes::from_static(b"sdp")).unwrap();
    let report = Report {
        score: 50,
        role: Role::SuperSeed,
        depth: 2,
        slots: 3,
        upload_bps: 4_000_000,
        detail: None,
    };
    let link = LinkDetail { peer, rtt_ms: 12, down_bps: 7, up_bps: 8, parent_of: 2, child_of: 1 };
    let detail = Detail { peers_bps: 7, up_bps: 8, links: vec![link], ..Detail::default() };
    let detailed = Report { detail: Some(Box::new(detail)), ..report.clone() };
    let client = [
        (
            joining(join, SESSION_MAX),
            format!(
                r#"{{"type":"join","version":2,"name":"launch","peer":"{me}","broadcast":{{"publisher":"{me}","epoch":9}},"publish":true,"session":9007199254740991,"proof":"zTrfdvRuuFpR4oY11QbcVZwYgOCpUg2v/yYArg2Tio0P8VmpR6WOyOiWF8OwUc2IGsrSwJHyWdwNRXQbrV1HAw=="}}"#
            ),
        ),
        (
            bearing("v4.public.A-_9"),
            format!(
                r#"{{"type":"join","version":2,"name":"launch","peer":"{me}","broadcast":null,"publish":false,"session":5,"proof":"KFgrgLqI0dfRQOH3ANDUSZ4BeZSG/1TnbYCrNyj3GKqzx/1ypQnn3nUiAR5/o1hPMGDHyQdu7XNar9YncvdeBQ==","token":"v4.public.A-_9"}}"#
            ),
        ),
        (
            with_work(bearing("x"), 1779),
            format!(
                r#"{{"type":"join","version":2,"name":"launch","peer":"{me}","broadcast":null,"publish":false,"session":5,"proof":"KFgrgLqI0dfRQOH3ANDUSZ4BeZSG/1TnbYCrNyj3GKqzx/1ypQnn3nUiAR5/o1hPMGDHyQdu7XNar9YncvdeBQ==","work":1779}}"#
            ),
        ),
        (
            ClientMessage::Signal { to: peer, data: data.clone() },
            format!(r#"{{"type":"signal","to":"{hex}","data":"c2Rw"}}"#),
        ),
        (
            ClientMessage::MetricsReport(report),
            r#"{"type":"metrics-report","score":50,"role":"super-seed","depth":2,"slots":3,"upload_bps":4000000}"#
                .into(),
        ),
        (
            ClientMessage::MetricsReport(detailed),
            format!(
                r#"{{"type":"metrics-report","score":50,"role":"super-seed","depth":2,"slots":3,"upload_bps":4000000,"detail":{{"origin_bps":0,"peers_bps":7,"up_bps":8,"expected":0,"missed":0,"stalls":0,"moves":0,"startup_ms":0,"latency_ms":{{"p50":0,"p95":0,"p99":0}},"links":[{{"peer":"{hex}","rtt_ms":12,"down_bps":7,"up_bps":8,"parent_of":2,"child_of":1}}]}}}}"#
            ),
        ),
        (
            ClientMessage::Describe(About::new("Launch", "Space", vec!["live".into()]).unwrap()),
            r#"{"type":"describe","title":"Launch","category":"Space","tags":["live"]}"#.into(),
        ),
        (
            ClientMessage::Thumbnail { data: Some(picture()) },
            format!(r#"{{"type":"thumbnail","data":"{}"}}"#, BASE64.encode(picture().bytes())),
        ),
        (ClientMessage::Thumbnail { data: None }, r#"{"type":"thumbnail","data":null}"#.into()),
        (
            ClientMessage::Claims {
                receipts: vec![ReceiptData::new(Bytes::from_static(b"receipt")).unwrap()],
            },
            r#"{"type":"claims","receipts":["cmVjZWlwdA=="]}"#.into(),
        ),
        (ClientMessage::Heartbeat, r#"{"type":"heartbeat"}"#.into()),
        (ClientMessage::Leave, r#"{"type":"leave"}"#.into()),
    ];
    for (message, text) in client {
        assert_eq!(message.to_json(), text);
        assert_eq!(ClientMessage::parse(&text), Ok(message));
    }
    let hint = PeerHint { peer, score: 80, role: Role::Relay, depth: 1, slots: 4 };
    let server = [
        (
            asking(None),
            r#"{"type":"challenge","version":2,"nonce":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#
                .to_owned(),
        ),
        (
            ServerMessage::Turn(TurnServer {
                urls: vec!["turn:turn.example.org:3478?transport=udp".into()],
                username: "1700000000:peer".into(),
                credential: "c2VjcmV0".into(),
            }),
            r#"{"type":"turn","urls":["turn:turn.example.org:3478?transport=udp"],"username":"1700000000:peer","credential":"c2VjcmV0"}"#
                .to_owned(),
        ),
        (
            asking(Some(Work { tries: 128, token: false })),
            r#"{"type":"challenge","version":2,"nonce":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","work":{"tries":128}}"#
                .to_owned(),
        ),
        (
            asking(Some(Work { tries: 1, token: true })),
            r#"{"type":"challenge","version":2,"nonce":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","work":{"tries":1,"token":true}}"#
                .to_owned(),
        ),
        (
            ServerMessage::Joined {
                version: 2,
                broadcast: None,
                heartbeat_ms: 10_000,
                issuer: None,
            },
            r#"{"type":"joined","version":2,"broadcast":null,"heartbeat_ms":10000}"#.to_owned(),
        ),
        (
            ServerMessage::Joined {
                version: 2,
                broadcast: None,
                heartbeat_ms: 10_000,
                issuer: Some(peer),
            },
            format!(
                r#"{{"type":"joined","version":2,"broadcast":null,"heartbeat_ms":10000,"issuer":"{hex}"}}"#
            ),
        ),
        (
            ServerMessage::Edges { edges: vec![EdgeData::new(Bytes::from_static(b"edge")).unwrap()] },
            r#"{"type":"edges","edges":["ZWRnZQ=="]}"#.to_owned(),
        ),
        (
            ServerMessage::Peers { peers: vec![hint] },
            format!(
                r#"{{"type":"peers","peers":[{{"peer":"{hex}","score":80,"role":"relay","depth":1,"slots":4}}]}}"#
            ),
        ),
        (
            ServerMessage::Gone { peer, banned: false },
            format!(r#"{{"type":"gone","peer":"{hex}"}}"#),
        ),
        (
            ServerMessage::Gone { peer, banned: true },
            format!(r#"{{"type":"gone","peer":"{hex}","banned":true}}"#),
        ),
        (
            ServerMessage::Signal { from: peer, data },
            format!(r#"{{"type":"signal","from":"{hex}","data":"c2Rw"}}"#),
        ),
        (
            ServerMessage::error(ErrorCode::NameTaken, "taken"),
            r#"{"type":"error","code":"name-taken","message":"taken","fatal":true}"#.into(),
        ),
    ];
    for (message, text) in server {
        assert_eq!(message.to_json(), text);
        assert_eq!(ServerMessage::parse(&text), Ok(message));
    }
}

fn code(text: &str) -> ErrorCode {
    ClientMessage::parse(text).unwrap_err().code()
}

#[test]
fn each_refusal_has_its_code() {
    let hex = "07".repeat(32);
    assert_eq!(code("{"), ErrorCode::Malformed);
    assert_eq!(code("[]"), ErrorCode::Malformed);
    assert_eq!(code(r#"{"type":"dance"}"#), ErrorCode::UnknownType);
    assert_eq!(code(r#"{"type":"signal"}"#), ErrorCode::Malformed);
    assert_eq!(code(r#"{"type":"join","version":3,"shape":"new"}"#), ErrorCode::Version);
    // As the version before had it.
    let before = format!(
        r#"{{"type":"join","version":1,"name":"launch","peer":"{hex}","broadcast":null,"publish":false}}"#
    );
    assert_eq!(code(&before), ErrorCode::Version);
    assert_eq!(code(&" ".repeat(MESSAGE_BYTES_MAX + 1)), ErrorCode::TooLarge);
    let signal = |data: &str| format!(r#"{{"type":"signal","to":"{hex}","data":"{data}"}}"#);
    assert_eq!(code(&signal("c2R")), ErrorCode::Malformed);
    assert_eq!(code(&signal("c2Rx=")), ErrorCode::Malformed);
    assert_eq!(code(&signal(&BASE64.encode(&vec![0; SIGNAL_BYTES_MAX + 1]))), ErrorCode::Malformed);
    let join = |name: &str, publish: bool| {
        let peer = PeerId::from_bytes([7; 32]);
        joining(Join { name: name.into(), peer, broadcast: None, publish }, 0).to_json()
    };
    for name in ["", "a\u{7}", &"x".repeat(65), &"é".repeat(65)] {
        assert_eq!(code(&join(name, false)), ErrorCode::BadJoin, "{name:?}");
    }
    assert_eq!(code(r#"{"type":"describe","tags":["<b>"]}"#), ErrorCode::BadListing);
    assert_eq!(code(r#"{"type":"describe","tags":"no list"}"#), ErrorCode::BadListing);
    assert_eq!(code(r#"{"type":"thumbnail","data":"PHN2Zy8+"}"#), ErrorCode::BadListing);
    assert_eq!(code(r#"{"type":"thumbnail","data":"?"}"#), ErrorCode::BadListing);
    assert!(ClientMessage::parse(&join(&"é".repeat(64), false)).is_ok());
    assert_eq!(code(&join("launch", true)), ErrorCode::BadJoin);
    let (name, peer) = ("launch".to_owned(), PeerId::from_bytes([7; 32]));
    let others = Some(BroadcastId { publisher: PeerId::from_bytes([8; 32]), epoch: 1 });
    let theirs = Join { name, peer, broadcast: others, publish: true };
    assert_eq!(code(&joining(theirs.clone(), 0).to_json()), ErrorCode::BadJoin);
    let ours = Join { publish: false, ..theirs };
    assert_eq!(code(&joining(ours, SESSION_MAX + 1).to_json()), ErrorCode::BadJoin);
    assert_eq!(code(&join("launch", false).replace("==\"}", "\"}")), ErrorCode::Malformed);
    for later in [r#"{"type":"challenge","version":3,"nonce":{}}"#, &challenge(3)] {
        assert_eq!(ServerMessage::parse(later), Err(ProtocolError::Version(3)));
    }
}

fn challenge(version: u16) -> String {
    let nonce = Nonce::from_bytes([0; NONCE_LEN]);
    ServerMessage::Challenge { version, nonce, work: None }.to_json()
}

fn asking(work: Option<Work>) -> ServerMessage {
    ServerMessage::Challenge { version: 2, nonce: Nonce::from_bytes([1; NONCE_LEN]), work }
}

#[test]
fn unknown_fields_and_codes_are_tolerated() {
    assert_eq!(
        ClientMessage::parse(r#"{"later":[1],"type":"heartbeat"}"#),
        Ok(ClientMessage::Heartbeat)
    );
    let later = r#"{"type":"error","code":"later","message":"m","fatal":false,"more":{}}"#;
    assert!(matches!(
        ServerMessage::parse(later),
        Ok(ServerMessage::Error { code: ErrorCode::Unknown, .. })
    ));
}

#[test]
fn the_largest_signal_fits_a_message() {
    let data = SignalData::new(Bytes::from(vec![255; SIGNAL_BYTES_MAX])).unwrap();
    let message = ClientMessage::Signal { to: PeerId::default(), data };
    let text = message.to_json();
    assert!(text.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(ClientMessage::parse(&text), Ok(message));
    assert_eq!(SignalData::new(Bytes::from(vec![0; SIGNAL_BYTES_MAX + 1])), None);
}

#[test]
fn a_report_names_so_many_links_and_no_more() {
    let peer = PeerId::from_bytes([7; 32]);
    let link = LinkDetail {
        peer,
        rtt_ms: u32::MAX,
        down_bps: u64::MAX,
        up_bps: u64::MAX,
        parent_of: 255,
        child_of: 255,
    };
    let report = |links: usize| {
        let detail = Detail { links: vec![link.clone(); links], ..Detail::default() };
        ClientMessage::MetricsReport(Report {
            score: 0,
            role: Role::Leaf,
            depth: 1,
            slots: 0,
            upload_bps: 0,
            detail: Some(Box::new(detail)),
        })
    };
    assert!(report(DETAIL_LINKS_MAX).to_json().len() < 4096);
    let read = ClientMessage::parse(&report(60).to_json());
    assert_eq!(read, Ok(report(DETAIL_LINKS_MAX)));
}

#[test]
fn addresses_of_turn_beyond_the_limit_are_cut_off_and_the_credential_is_not_printed() {
    let turn = |count: usize| {
        let urls = (0..count).map(|number| format!("turn:host{number}:3478")).collect();
        ServerMessage::Turn(TurnServer { urls, username: "u".into(), credential: "hidden".into() })
    };
    let parsed = ServerMessage::parse(&turn(TURN_URLS_MAX + 9).to_json());
    assert_eq!(parsed, Ok(turn(TURN_URLS_MAX)));
    assert!(!format!("{parsed:?}").contains("hidden"), "{parsed:?}");
}

#[test]
fn claims_and_edges_fit_a_message_and_more_are_cut_off() {
    let receipt = ReceiptData::new(Bytes::from(vec![255; 317])).unwrap();
    let claims = |count| ClientMessage::Claims { receipts: vec![receipt.clone(); count] };
    let text = claims(CLAIMS_MAX + 1).to_json();
    assert!(text.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(ClientMessage::parse(&text), Ok(claims(CLAIMS_MAX)));
    let edge = EdgeData::new(Bytes::from(vec![255; 201])).unwrap();
    let edges = |count| ServerMessage::Edges { edges: vec![edge.clone(); count] };
    let text = edges(HINTS_MAX + 1).to_json();
    assert!(text.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(ServerMessage::parse(&text), Ok(edges(HINTS_MAX)));
    assert_eq!(ReceiptData::new(Bytes::from(vec![0; RECEIPT_BYTES_MAX + 1])), None);
}

#[test]
fn the_largest_thumbnail_fits_a_message() {
    let mut bytes = picture().bytes().to_vec();
    bytes.resize(crate::listing::THUMBNAIL_BYTES_MAX, 0);
    let data = Some(Thumbnail::new(bytes.into()).unwrap());
    let text = ClientMessage::Thumbnail { data }.to_json();
    assert!(text.len() <= MESSAGE_BYTES_MAX);
    assert!(ClientMessage::parse(&text).is_ok());
}

#[test]
fn codes_read_as_they_are_written() {
    for code in [
        ErrorCode::Version,
        ErrorCode::WorkMissing,
        ErrorCode::WorkWrong,
        ErrorCode::TooLarge,
        ErrorCode::AlreadyJoined,
    ] {
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
    }
    assert!(ErrorCode::Replaced.closes() && !ErrorCode::Rate.closes() && !ErrorCode::Full.fatal());
}
