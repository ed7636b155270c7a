//! What an application can choose.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

/// Bytes of a control frame at most: a message of this size passes every stack we know, and
/// holds the data lane up by 15 packets only.
pub(crate) const CONTROL_FRAME_MAX: usize = 16 * 1024;
/// Bytes of a data frame at most. One SCTP packet carries 1160 (this stack) or 1156 (Chromium,
/// measured); one byte more doubles packets and halves goodput.
pub(crate) const DATA_FRAME_MAX: usize = 1152;
/// Bytes of [`WebRtcConfig::send_window`] at most.
const SEND_WINDOW_MAX: usize = 64 * 1024;
/// [`WebRtcConfig::links_max`] at most: one socket and about 260 KB each.
const LINKS_MAX: usize = 1024;
/// [`WebRtcConfig::dial_timeout`] at most, by clause T01 of the trait.
const DIAL_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// ICE servers at most; browsers warn above five.
const ICE_SERVERS_MAX: usize = 8;

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// `stun:HOST[:PORT]` or `turn:HOST[:PORT][?transport=udp]`; TURN over TCP or TLS is not
    /// supported by the stack.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

impl core::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl IceServer {
    /// A STUN server, which needs no credential.
    #[must_use]
    pub fn stun(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }
}

/// How links are made, and how many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebRtcConfig {
    /// Local addresses; port 0 takes a free port per link. An unspecified address stands for
    /// all interfaces of its family but loopback and link-local ones. Default: `0.0.0.0:0` and
    /// `[::]:0`.
    pub bind: Vec<SocketAddr>,
    /// STUN and TURN servers. Default: none, which connects peers of one network, and peers
    /// elsewhere to those with a public address. Names are resolved while the link is set up:
    /// a slow resolver delays it.
    pub ice_servers: Vec<IceServer>,
    /// Links go through TURN servers alone, so that no peer learns this one's address, and only the TURN server's
    /// operator does. Without a TURN server, from `ice_servers` or granted by the signaling server, every dial
    /// fails. Default: false. Of no effect in a browser.
    pub relay_only: bool,
    /// Bytes per link and lane that are taken and not yet acknowledged or given up, 16 KiB to
    /// 64 KiB. A link carries at most this much per round trip. Default 64 KiB: measured, twice
    /// as much overflows the kernel's 208 KiB receive buffer in bursts, and SCTP then waits a
    /// second for its retransmission timer.
    pub send_window: usize,
    /// Bytes per link and lane that have arrived and wait for `next_event`, 64 KiB to 16 MiB. Beyond it
    /// data frames are dropped and counted, and the control lane holds the peer back. Default
    /// 256 KiB: 200 ms at 10 Mbit/s (guess).
    pub inbox: usize,
    /// Set-ups at once, dialled and answered together. Beyond it dials fail and offers are
    /// turned down. Default 32 (guess; 200 at once took 0.65 s on two cores).
    pub dials_max: usize,
    /// Links, with those being set up, at most 1024. Default 64: the engine asks for some 50
    /// neighbours.
    pub links_max: usize,
    /// A set-up that takes longer has failed, at most 30 s. Default 10 s: at 5 % loss and 50 ms
    /// round trip, nine of ten take less than 2.7 s (measured).
    pub dial_timeout: Duration,
    /// A link that has heard nothing for this long is lost, at least 1 s. Default 5 s, the
    /// "disconnected" timeout of the ICE stack, which probes an idle link every 2 s.
    pub silence_timeout: Duration,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        Self {
            bind: vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            ],
            ice_servers: Vec::new(),
            relay_only: false,
            send_window: SEND_WINDOW_MAX,
            inbox: 256 * 1024,
            dials_max: 32,
            links_max: 64,
            dial_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(5),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("WebRtcConfig::{field}: {cause}")]
pub struct WebRtcConfigError {
    /// The field.
    pub field: &'static str,
    /// What is wrong, and what is right.
    pub cause: String,
}

impl WebRtcConfig {
    /// Peers on this machine only: for tests and demonstrations.
    #[must_use]
    pub fn loopback() -> Self {
        Self { bind: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)], ..Self::default() }
    }

    /// Whether every value is within its range.
    ///
    /// # Errors
    /// [`WebRtcConfigError`] naming the first field that is not.
    pub fn check(&self) -> Result<(), WebRtcConfigError> {
        let wrong = |field, cause: &str| Err(WebRtcConfigError { field, cause: cause.into() });
        if self.bind.is_empty() {
            return wrong("bind", "no address; give at least one, such as 0.0.0.0:0");
        }
        if !(CONTROL_FRAME_MAX..=SEND_WINDOW_MAX).contains(&self.send_window) {
            return wrong("send_window", "must be 16384 to 65536 bytes");
        }
        if !(64 * 1024..=16 * 1024 * 1024).contains(&self.inbox) {
            return wrong("inbox", "must be 65536 to 16777216 bytes");
        }
        if !(1..=LINKS_MAX).contains(&self.links_max) {
            return wrong("links_max", "must be 1 to 1024");
        }
        if !(1..=self.links_max).contains(&self.dials_max) {
            return wrong("dials_max", "must be 1 to links_max");
        }
        if self.dial_timeout.is_zero() || self.dial_timeout > DIAL_TIMEOUT_MAX {
            return wrong("dial_timeout", "must be above 0 and at most 30 s");
        }
        if self.silence_timeout < Duration::from_secs(1) {
            return wrong("silence_timeout", "must be at least 1 s");
        }
        if self.ice_servers.len() > ICE_SERVERS_MAX {
            return wrong("ice_servers", "more than 8 servers");
        }
        self.ice_servers.iter().flat_map(|server| &server.urls).try_for_each(|url| check_url(url))
    }
}

impl WebRtcConfig {
    /// The ICE servers of the application, and one that a rendezvous grants, as far as this stack can use it.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn granted(&self, server: beacon_sdk::plugin::TurnServer) -> Self {
        let mut config = self.clone();
        let beacon_sdk::plugin::TurnServer { mut urls, username, credential } = server;
        urls.retain(|url| url.starts_with("turn:") && check_url(url).is_ok());
        if urls.is_empty() {
            tracing::warn!("no address of the TURN server that was granted is turn:HOST over UDP");
        } else {
            config.ice_servers.push(IceServer { urls, username, credential });
        }
        config
    }
}

fn check_url(url: &str) -> Result<(), WebRtcConfigError> {
    let (address, query) = url.split_once('?').unwrap_or((url, "transport=udp"));
    let host = address.strip_prefix("stun:").or_else(|| address.strip_prefix("turn:"));
    if host.is_some_and(|host| !host.is_empty()) && query == "transport=udp" {
        return Ok(());
    }
    let cause =
        format!("{url:?} is not stun:HOST or turn:HOST over UDP; TCP and TLS are not there");
    Err(WebRtcConfigError { field: "ice_servers", cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid() {
        assert_eq!(WebRtcConfig::default().check(), Ok(()));
        assert_eq!(WebRtcConfig::loopback().check(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let field = |change: fn(&mut WebRtcConfig)| {
            let mut config = WebRtcConfig::default();
            change(&mut config);
            config.check().err().map(|error| error.field)
        };
        assert_eq!(field(|c| c.bind.clear()), Some("bind"));
        assert_eq!(field(|c| c.send_window = 1 << 20), Some("send_window"));
        assert_eq!(field(|c| c.inbox = 0), Some("inbox"));
        assert_eq!(field(|c| c.links_max = 0), Some("links_max"));
        assert_eq!(field(|c| c.dials_max = 65), Some("dials_max"));
        assert_eq!(field(|c| c.dial_timeout = Duration::from_secs(31)), Some("dial_timeout"));
        assert_eq!(field(|c| c.silence_timeout = Duration::ZERO), Some("silence_timeout"));
        for url in ["", "stun:", "http://x", "turns:x", "turn:x?transport=tcp"] {
            let config =
                WebRtcConfig { ice_servers: vec![IceServer::stun(url)], ..WebRtcConfig::default() };
            assert_eq!(config.check().map_err(|e| e.field), Err("ice_servers"), "{url}");
        }
        let turn = "turn:[2001:db8::1]:3478?transport=udp";
        let config =
            WebRtcConfig { ice_servers: vec![IceServer::stun(turn)], ..WebRtcConfig::default() };
        assert_eq!(config.check(), Ok(()));
    }
}
