//! Links through a real TURN server: coturn, with credentials as a signaling server grants them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod coturn;
mod fixture;

use beacon_sdk::plugin::{CloseReason, Lane, TransportEvent, TurnServer};
use beacon_transport_webrtc::WebRtcConfig;
use bytes::Bytes;
use coturn::{Coturn, SECRET};
use fixture::{Post, connect};
use hmac::{Hmac, Mac as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Peers that nothing but a relay joins.
fn hidden() -> WebRtcConfig {
    WebRtcConfig { relay_only: true, ..WebRtcConfig::loopback() }
}

/// What a signaling server with the same secret grants, for so many seconds from now.
fn leave(coturn: &Coturn, to: &str, seconds: i64) -> TurnServer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let username = format!("{}:{to}", now.checked_add_signed(seconds).unwrap());
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    let credential = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    TurnServer { urls: vec![coturn.url()], username, credential }
}

#[tokio::test]
async fn peers_that_only_meet_through_the_relay_exchange_frames() {
    let coturn = Coturn::start();
    let signals = Arc::new(Mutex::new(String::new()));
    let keep = signals.clone();
    let post = Post::new(move |_, _, signal| {
        keep.lock().unwrap().push_str(std::str::from_utf8(&signal).unwrap());
        Some(signal)
    });
    let (mut a, mut b) = (post.peer(1, hidden()), post.peer(2, hidden()));
    a.turn(leave(&coturn, "a", 60));
    b.turn(leave(&coturn, "b", 60));
    connect(&mut a, &mut b).await;
    for number in 0..100_u8 {
        let frame = Bytes::from(vec![number; 1000]);
        a.send(&b, Lane::Control, frame.clone()).await;
        assert_eq!(b.frame(Lane::Control).await, frame);
        b.send(&a, Lane::Data, frame.clone()).await;
        assert_eq!(a.frame(Lane::Data).await, frame);
    }
    let signals = signals.lock().unwrap();
    assert!(signals.contains("typ relay"), "{signals}");
    assert!(!signals.contains("typ host") && !signals.contains("typ srflx"), "{signals}");
}

#[tokio::test]
async fn leave_that_has_ended_is_worth_nothing_until_it_is_renewed() {
    let coturn = Coturn::start();
    let post = Post::default();
    let quick = WebRtcConfig { dial_timeout: Duration::from_secs(3), ..hidden() };
    let (mut a, mut b) = (post.peer(1, quick.clone()), post.peer(2, quick));
    a.turn(leave(&coturn, "a", -60));
    b.turn(leave(&coturn, "b", 60));
    a.dial(&b);
    let failed = TransportEvent::ConnectFailed { peer: b.id, reason: CloseReason::Timeout };
    assert_eq!(a.event().await, failed);
    assert!(matches!(b.event().await, TransportEvent::ConnectFailed { .. }));
    a.turn(leave(&coturn, "a", 60));
    connect(&mut a, &mut b).await;
}

#[tokio::test]
async fn addresses_that_the_stack_cannot_use_are_passed_over() {
    let post = Post::default();
    let (mut a, mut b) =
        (post.peer(1, WebRtcConfig::loopback()), post.peer(2, WebRtcConfig::loopback()));
    let urls = ["turns:127.0.0.1:1", "turn:127.0.0.1:1?transport=tcp", "http://x", "", "stun:x"];
    a.turn(TurnServer {
        urls: urls.map(String::from).to_vec(),
        username: "u".into(),
        credential: "c".into(),
    });
    connect(&mut a, &mut b).await;
}
