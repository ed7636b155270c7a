//! Leave to use a TURN server (RFC 8656), given to each peer that joins: the scheme of "A REST API For Access To TURN
//! Services" (draft-uberti-behave-turn-rest-00), which coturn calls `use-auth-secret`. This server and the TURN server
//! share a secret and never talk to each other: the username says until when it counts and for whom, and the password
//! is the username's HMAC-SHA-1 by the secret.

use crate::config::ConfigError;
use beacon_sdk::PeerId;
use beacon_sdk::plugin::{TURN_URLS_MAX, TurnServer};
use beacon_sdk::signaling::ServerMessage;
use core::fmt;
use core::time::Duration;
use data_encoding::BASE64;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Characters of one address at most: a name of 253 (RFC 1035), scheme, port and transport.
const URL_CHARS_MAX: usize = 300;

/// A TURN server that every peer gets leave to use.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnConfig {
    /// Its addresses, 1 to 4: `turn:HOST[:PORT][?transport=udp]`, which all peers can use, or over TCP or TLS
    /// (`turns:`), which browsers alone can.
    pub urls: Vec<String>,
    /// What it shares with this server: 16 to 1024 characters. Who is given leave can try secrets at home, so it is to
    /// be drawn at random.
    pub secret: String,
    /// How long leave lasts, 1 second to 7 days and not less than [`Config::idle_timeout`](crate::Config::idle_timeout).
    /// Peers that stay get another in good time. Default: an hour (guess).
    pub ttl: Duration,
}

impl fmt::Debug for TurnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnConfig").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl TurnConfig {
    /// Leave of an hour for the TURN server at `urls`.
    #[must_use]
    pub fn new(urls: Vec<String>, secret: impl Into<String>) -> Self {
        Self { urls, secret: secret.into(), ttl: Duration::from_secs(3600) }
    }

    /// Whether every value is within its range.
    pub(crate) fn check(&self, idle_timeout: Duration) -> Result<(), ConfigError> {
        let times = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
        let secret = 16..=1024;
        let rules = [
            (
                (1..=TURN_URLS_MAX).contains(&self.urls.len())
                    && self.urls.iter().all(|url| is_turn(url)),
                "turn",
                "1 to 4 addresses as in turn:HOST:3478?transport=udp",
            ),
            (
                secret.contains(&self.secret.len()),
                "turn_secret",
                "16 to 1024 characters, as `openssl rand -hex 32` draws them",
            ),
            (
                times.contains(&self.ttl) && self.ttl >= idle_timeout,
                "turn_ttl",
                "1 s to 7 days, and not less than idle_timeout",
            ),
        ];
        match rules.iter().find(|(ok, ..)| !ok) {
            Some(&(_, field, range)) => Err(ConfigError { field, range }),
            None => Ok(()),
        }
    }

    /// When a peer is given leave anew: what is left then is as long as several heartbeats, which bring it.
    pub(crate) fn renewal(&self) -> Duration {
        self.ttl / 2
    }

    /// Leave for `peer`, given at Unix second `now`.
    pub(crate) fn grant(&self, now: u64, peer: PeerId) -> ServerMessage {
        let until = now.saturating_add(self.ttl.as_secs());
        // coturn counts what one user takes by what comes after the colon.
        let username = format!("{until}:{peer}");
        let credential = password(&self.secret, &username);
        ServerMessage::Turn(TurnServer { urls: self.urls.clone(), username, credential })
    }
}

/// Base64 of the HMAC-SHA-1 (RFC 2104) of the username.
fn password(secret: &str, username: &str) -> String {
    // RFC 2104 §2: a key may have any length, and this never fails.
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("a key of any length");
    mac.update(username.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

fn is_turn(url: &str) -> bool {
    let (at, query) = url.split_once('?').unwrap_or((url, "transport=udp"));
    let host = at.strip_prefix("turn:").or_else(|| at.strip_prefix("turns:"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    url.len() <= URL_CHARS_MAX
        && host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
        && matches!(query, "transport=udp" | "transport=tcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TurnConfig {
        TurnConfig::new(vec!["turn:turn.example.org:3478?transport=udp".into()], "0123456789abcdef")
    }

    #[test]
    fn leave_names_its_end_and_the_peer_and_is_signed_by_the_secret() {
        let peer = PeerId::from_bytes([1; 32]);
        let ServerMessage::Turn(turn) = config().grant(1_700_000_000, peer) else { panic!() };
        assert_eq!(turn.username, format!("1700003600:{peer}"));
        assert_eq!(turn.urls, config().urls);
        // By another hand: printf %s USERNAME | openssl dgst -sha1 -hmac SECRET -binary | base64
        assert_eq!(turn.credential, "cVfgrg3X20EYP8/5tf2T5c97UwM=");
    }

    #[test]
    fn an_hmac_of_rfc_2202_is_what_it_should_be() {
        let password = password("Jefe", "what do ya want for nothing?");
        let bytes = BASE64.decode(password.as_bytes()).ok();
        let hex = bytes.map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
        assert_eq!(hex.as_deref(), Some("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let field = |change: fn(&mut TurnConfig)| {
            let mut config = config();
            change(&mut config);
            config.check(Duration::from_secs(120)).err().map(|error| error.field)
        };
        assert_eq!(field(|_| ()), None);
        assert_eq!(
            field(|turn| turn.urls = vec!["turns:[2001:db8::1]:5349?transport=tcp".into()]),
            None
        );
        assert_eq!(field(|turn| turn.urls.clear()), Some("turn"));
        assert_eq!(field(|turn| turn.urls = vec!["turn:h".into(); 5]), Some("turn"));
        for url in ["", "turn:", "stun:h", "turn:h h", "turn:h?transport=x", "turn:h\"", "turn:h/x"]
        {
            let mut config = config();
            config.urls = vec![url.into()];
            let error = config.check(Duration::ZERO).err();
            assert_eq!(error.map(|error| error.field), Some("turn"), "{url}");
        }
        assert_eq!(field(|turn| turn.secret = "short".into()), Some("turn_secret"));
        assert_eq!(field(|turn| turn.ttl = Duration::from_secs(604_801)), Some("turn_ttl"));
        // A heartbeat of such a peer would come when leave is over.
        assert_eq!(field(|turn| turn.ttl = Duration::from_secs(119)), Some("turn_ttl"));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", config()).contains("0123456789abcdef"));
    }
}
