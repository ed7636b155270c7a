//! The transport suite over real connections on loopback.
#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used)]

use beacon_sdk::PeerId;
use beacon_sdk::conformance::transport::TransportFixture;
use beacon_sdk::plugin::Transport;
use beacon_transport_webrtc::{WebRtc, WebRtcConfig};
use std::time::Duration;

struct Loopback;

impl TransportFixture for Loopback {
    async fn transport(&mut self, me: PeerId) -> Box<dyn Transport> {
        let dial_timeout = Duration::from_secs(5);
        let config = WebRtcConfig { dial_timeout, ..WebRtcConfig::loopback() };
        Box::new(WebRtc::new(me, config).unwrap())
    }
}

fn make() -> Loopback {
    Loopback
}

beacon_sdk::transport_conformance!(make);
