//! Connection set-up as it travels through a rendezvous: JSON, so that a browser reads it with
//! what it has.

use crate::sdp::SDP_BYTES_MAX;
use beacon_sdk::plugin::SIGNAL_BYTES_MAX;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const VERSION: u8 = 1;
/// Candidates in one signal, and in one set-up, at most. A peer can name any address as a
/// candidate and we then send a few connectivity checks there: this bounds what a stranger can
/// make us send.
pub(crate) const CANDIDATES_MAX: usize = 16;
/// Bytes of a candidate at most; real ones have about 100.
const CANDIDATE_BYTES_MAX: usize = 256;

/// Tells the signals of one set-up from those of another between the same peers. Any value that
/// is new for every offer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct DialId(pub(crate) [u8; 8]);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Signal {
    v: u8,
    pub(crate) dial: DialId,
    #[serde(flatten)]
    pub(crate) body: Body,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Body {
    /// The dialling end's description, with the candidates known by then.
    Offer { sdp: String, candidates: Vec<String> },
    /// The other end's.
    Answer { sdp: String, candidates: Vec<String> },
    /// Candidates found later.
    Candidates { candidates: Vec<String> },
    /// The offer is turned down: no room.
    Full,
}

impl Signal {
    pub(crate) fn new(dial: DialId, body: Body) -> Self {
        Self { v: VERSION, dial, body }
    }

    /// `None` when it would be too large to carry.
    pub(crate) fn encode(&self) -> Option<Bytes> {
        let json = serde_json::to_vec(self).ok()?;
        (json.len() <= SIGNAL_BYTES_MAX).then(|| json.into())
    }

    /// `None` for anything that is not a signal of this version within all limits.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SIGNAL_BYTES_MAX {
            return None;
        }
        let signal: Self = serde_json::from_slice(bytes).ok()?;
        let (sdp, candidates) = match &signal.body {
            Body::Offer { sdp, candidates } | Body::Answer { sdp, candidates } => {
                (sdp.as_str(), candidates.as_slice())
            }
            Body::Candidates { candidates } => ("", candidates.as_slice()),
            Body::Full => ("", [].as_slice()),
        };
        let sound = signal.v == VERSION
            && sdp.len() <= SDP_BYTES_MAX
            && candidates.len() <= CANDIDATES_MAX
            && candidates.iter().all(|candidate| is_candidate(candidate));
        sound.then_some(signal)
    }
}

fn is_candidate(text: &str) -> bool {
    text.len() <= CANDIDATE_BYTES_MAX
        && text.starts_with("candidate:")
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether a candidate is worth sending or trying.
///
/// `.local` names need multicast DNS, which is off: a browser that hides behind one is learned
/// from its own connectivity checks. Component 2 is RTCP's, which data channels lack.
#[cfg(any(not(target_family = "wasm"), test))]
pub(crate) fn is_useful(candidate: &str) -> bool {
    let mut fields = candidate.split(' ');
    let component = fields.nth(1);
    let address = fields.nth(2);
    component == Some("1") && address.is_some_and(|address| !address.ends_with(".local"))
}

/// As [`is_useful`], but to a browser: it hides its addresses behind `.local` names and resolves
/// those of other browsers. Candidates over TCP lead nowhere here.
#[cfg(any(target_family = "wasm", test))]
pub(crate) fn is_for_browsers(candidate: &str) -> bool {
    let mut fields = candidate.split(' ');
    let component = fields.nth(1);
    let protocol = fields.next();
    component == Some("1") && protocol.is_some_and(|name| name.eq_ignore_ascii_case("udp"))
}

impl Serialize for DialId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", u64::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for DialId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("a dial is named by 16 hexadecimal digits");
        if text.len() != 16 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u64::from_str_radix(&text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| wrong())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOST: &str = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host";

    #[test]
    fn the_form_is_fixed() {
        let signal = Signal::new(
            DialId([0, 1, 2, 3, 4, 5, 6, 255]),
            Body::Offer { sdp: "v=0\r\n".into(), candidates: vec![HOST.into()] },
        );
        let json = signal.encode().unwrap();
        let expected = format!(
            r#"{{"v":1,"dial":"00010203040506ff","kind":"offer","sdp":"v=0\r\n","candidates":["{HOST}"]}}"#
        );
        assert_eq!(json, expected);
        assert_eq!(Signal::decode(&json), Some(signal));
        let full = Signal::new(DialId([9; 8]), Body::Full);
        assert_eq!(Signal::decode(&full.encode().unwrap()), Some(full));
    }

    #[test]
    fn what_is_out_of_bounds_is_nothing() {
        let with = |version: u8, dial: &str, candidate: &str, times: usize| {
            let list = vec![format!("{candidate:?}"); times].join(",");
            Signal::decode(
                format!(
                    r#"{{"v":{version},"dial":"{dial}","kind":"candidates","candidates":[{list}]}}"#
                )
                .as_bytes(),
            )
            .is_some()
        };
        let dial = "0123456789abcdef";
        assert!(with(1, dial, HOST, CANDIDATES_MAX));
        assert!(!with(2, dial, HOST, 1));
        assert!(!with(1, "+123456789abcdef", HOST, 1));
        assert!(!with(1, "0123", HOST, 1));
        assert!(!with(1, dial, "candidate:\u{e9}", 1));
        assert!(!with(1, dial, "x", 1));
        assert!(!with(1, dial, &format!("candidate:{}", "1".repeat(300)), 1));
        assert!(!with(1, dial, HOST, CANDIDATES_MAX + 1));
        let long = Body::Answer { sdp: "a".repeat(SDP_BYTES_MAX + 1), candidates: vec![] };
        assert_eq!(Signal::decode(&Signal::new(DialId([0; 8]), long).encode().unwrap()), None);
        for garbage in [&b""[..], b"{}", b"null", b"\xff\xfe", &[b'['; 16 * 1024], &[0; 20_000]] {
            assert_eq!(Signal::decode(garbage), None);
        }
    }

    #[test]
    fn candidates_that_cannot_help_are_known() {
        assert!(is_useful(HOST));
        assert!(!is_useful("candidate:1 2 udp 2130706431 192.0.2.1 5000 typ host"));
        assert!(!is_useful("candidate:1 1 udp 1 0f0e-aa.local 5000 typ host"));
        assert!(!is_useful("candidate:1"));
        assert!(is_for_browsers(HOST));
        assert!(is_for_browsers("candidate:1 1 UDP 1 0f0e-aa.local 5000 typ host"));
        assert!(!is_for_browsers("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active"));
        assert!(!is_for_browsers("candidate:1 2 udp 1 192.0.2.1 5000 typ host"));
    }
}
