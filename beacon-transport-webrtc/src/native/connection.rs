//! One peer connection of the `webrtc` crate with its two channels.

use crate::config::{CONTROL_FRAME_MAX, WebRtcConfig};
use crate::lane::{self, OPEN};
use crate::signal;
use async_trait::async_trait;
use beacon_sdk::plugin::Lane;
use rtc::ice::mdns::MulticastDnsMode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::error::Result;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, SettingEngine, SettingEngineBuilder,
};

/// Interval of connectivity probes on an idle link; RFC 7675 asks for at most 5 s.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Interval of connectivity checks during set-up; RFC 8445 §14.2 paces them at 50 ms. The stack's
/// default, 200 ms, is what a set-up on a local path otherwise waits for.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Checks of one pair of addresses: 2 s of them, so that an answer that is slow to be signalled
/// still finds the pair alive (the stack's default gives 1.4 s).
const CHECKS_MAX: u16 = 40;
/// The stack hands events over one at a time; more than this many unread candidates are lost.
const FOUND_MAX: usize = 64;
/// Tried again this often (guess: about the round trip of a long path).
const GREETING_INTERVAL: Duration = Duration::from_millis(100);
/// Closing is local work and one packet.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What gathering has turned up.
#[derive(Debug)]
pub(super) enum Found {
    Candidate(String),
    Complete,
}

/// Closes itself when dropped, in a task: the stack's own handles leave their sockets open.
pub(super) struct Connection {
    peer: Arc<dyn PeerConnection>,
    closed: bool,
    pub(super) control: Arc<dyn DataChannel>,
    pub(super) data: Arc<dyn DataChannel>,
    pub(super) found: mpsc::Receiver<Found>,
    pub(super) state: watch::Receiver<RTCPeerConnectionState>,
}

/// Runs on the stack's own task, which must never wait: it only passes things on.
struct Handler {
    found: mpsc::Sender<Found>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json()
            && signal::is_useful(&init.candidate)
        {
            let _ = self.found.try_send(Found::Candidate(init.candidate));
        }
    }
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.found.try_send(Found::Complete);
        }
    }
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

fn settings(config: &WebRtcConfig) -> SettingEngine {
    // A pair that works is taken at once. The stack's default is to wait up to a second for a
    // better one, for every peer behind a browser's hidden address.
    let at_once = Some(Duration::ZERO);
    SettingEngineBuilder::default()
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_host_acceptance_min_wait(at_once)
        .with_srflx_acceptance_min_wait(at_once)
        .with_prflx_acceptance_min_wait(at_once)
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS_MAX))
        .with_ice_timeouts(
            Some(config.silence_timeout),
            Some(config.silence_timeout * 2),
            Some(KEEPALIVE.min(config.silence_timeout / 2)),
        )
        .build()
}

impl Connection {
    /// Binds sockets and starts the stack's task.
    pub(super) async fn open(config: &WebRtcConfig) -> Result<Self> {
        let servers = config.ice_servers.iter().map(|server| RTCIceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        });
        let policy = match config.relay_only {
            true => RTCIceTransportPolicy::Relay,
            false => RTCIceTransportPolicy::All,
        };
        let (found_to, found) = mpsc::channel(FOUND_MAX);
        let (state_to, state) = watch::channel(RTCPeerConnectionState::New);
        let peer: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(
                    RTCConfigurationBuilder::default()
                        .with_ice_servers(servers.collect())
                        .with_ice_transport_policy(policy)
                        .build(),
                )
                .with_setting_engine(settings(config))
                .with_handler(Arc::new(Handler { found: found_to, state: state_to }))
                .with_udp_addrs(config.bind.clone())
                // A backstop, should our own account of the window ever be wrong.
                .with_data_channel_send_buffer_limit(4 * config.send_window)
                .build()
                .await?,
        );
        let channels = async {
            let control = peer
                .create_data_channel("control", Some(channel(Lane::Control, true, None)))
                .await?;
            let data =
                peer.create_data_channel("data", Some(channel(Lane::Data, false, Some(0)))).await?;
            Ok((control, data))
        };
        match channels.await {
            Ok((control, data)) => Ok(Self { peer, closed: false, control, data, found, state }),
            Err(error) => {
                let _ = peer.close().await;
                Err(error)
            }
        }
    }

    pub(super) fn peer(&self) -> &dyn PeerConnection {
        &*self.peer
    }

    pub(super) fn channel(&self, lane: Lane) -> &Arc<dyn DataChannel> {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }

    pub(super) async fn add_candidate(&self, candidate: String) -> Result<()> {
        let init =
            RTCIceCandidateInit { candidate, sdp_mline_index: Some(0), ..Default::default() };
        self.peer().add_ice_candidate(init).await
    }

    /// Resolves when both channels are open at both ends; `false` when the connection is gone
    /// before.
    pub(super) async fn opened(control: Arc<dyn DataChannel>, data: Arc<dyn DataChannel>) -> bool {
        for channel in [&control, &data] {
            loop {
                match channel.poll().await {
                    Some(DataChannelEvent::OnOpen) => break,
                    Some(DataChannelEvent::OnClose) | None => return false,
                    Some(_) => {}
                }
            }
        }
        greet(&*control).await
    }

    /// Makes the stack's task run once. What it queues while it handles an event it sends only
    /// at its next tick, up to 200 ms later, and a set-up has three such waits.
    pub(super) async fn kick(&self) {
        let _ = self.control.set_buffered_amount_low_threshold(0).await;
    }

    pub(super) async fn close(mut self) {
        self.closed = true;
        close(self.peer.clone()).await;
    }
}

/// Exchanges a word with the other end before anything else is sent.
///
/// This end's channels can open a round trip or a retransmission before the other's, and what
/// arrives at a negotiated channel that is not open yet `rtc` 0.21.1 acknowledges and loses, on a
/// reliable channel too. So each end says [`OPEN`] until it hears it, and says it once more
/// then: whoever has heard it knows that the other end is open.
async fn greet(control: &dyn DataChannel) -> bool {
    let mut next = control.poll();
    loop {
        if control.send_text(OPEN).await.is_err() {
            return false;
        }
        tokio::select! {
            event = &mut next => match event {
                Some(DataChannelEvent::OnMessage(word)) if word.is_string => break,
                // The other end has not kept to the order.
                Some(DataChannelEvent::OnMessage(_) | DataChannelEvent::OnClose) | None => {
                    return false;
                }
                Some(_) => next = control.poll(),
            },
            () = sleep(GREETING_INTERVAL) => {}
        }
    }
    control.send_text(OPEN).await.is_ok()
}

async fn close(peer: Arc<dyn PeerConnection>) {
    match tokio::time::timeout(CLOSE_TIMEOUT, peer.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing a peer connection failed"),
        Err(_) => tracing::warn!("a peer connection did not close in time"),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without a runtime the stack's task is gone as well.
        if let (false, Ok(runtime)) = (self.closed, tokio::runtime::Handle::try_current()) {
            runtime.spawn(close(self.peer.clone()));
        }
    }
}

fn channel(lane: Lane, ordered: bool, max_retransmits: Option<u16>) -> RTCDataChannelInit {
    let negotiated = Some(lane::channel(lane));
    RTCDataChannelInit { ordered, max_retransmits, negotiated, ..Default::default() }
}

// The stack's default limit for a message, which both ends announce.
const _: () = assert!(CONTROL_FRAME_MAX <= 65536);
