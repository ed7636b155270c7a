//! The one thing read from a session description: the DTLS fingerprint.
//!
//! Deliberately stricter than the stack's own parser, so that the two cannot read different
//! fingerprints out of one text: what is unusual is refused.

/// Bytes of a session description at most. Ours have about 600, Chromium's about 700.
pub(crate) const SDP_BYTES_MAX: usize = 8 * 1024;
/// Lines of a session description at most.
const SDP_LINES_MAX: usize = 128;

/// SHA-256 of a peer's DTLS certificate.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// A session description that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SdpError {
    #[error("session description above 8 KiB or 128 lines")]
    Size,
    #[error("session description is not made of plain `x=value` lines")]
    Shape,
    #[error("session description has no single data channel section")]
    Section,
    #[error("session description has no SHA-256 fingerprint, or more than one")]
    Fingerprint,
}

impl Fingerprint {
    /// The fingerprint of a description for data channels only. It may be repeated, but only
    /// one value may appear.
    pub(crate) fn of(sdp: &str) -> Result<Self, SdpError> {
        if sdp.len() > SDP_BYTES_MAX || sdp.lines().count() > SDP_LINES_MAX {
            return Err(SdpError::Size);
        }
        let (mut found, mut sections) = (None, 0);
        for line in sdp.split_terminator('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let plain = line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let [b'a'..=b'z', b'=', ..] = line.as_bytes() else { return Err(SdpError::Shape) };
            if !plain {
                return Err(SdpError::Shape);
            }
            if line.starts_with("m=") {
                sections += 1;
                if !line.starts_with("m=application ") {
                    return Err(SdpError::Section);
                }
            }
            if line.to_ascii_lowercase().contains("fingerprint") {
                let value = line.strip_prefix("a=fingerprint:sha-256 ").and_then(hex_pairs);
                let value = value.ok_or(SdpError::Fingerprint)?;
                if found.is_some_and(|before| before != value) {
                    return Err(SdpError::Fingerprint);
                }
                found = Some(value);
            }
        }
        if sections != 1 {
            return Err(SdpError::Section);
        }
        found.map(Self).ok_or(SdpError::Fingerprint)
    }
}

/// 32 bytes from `AB:CD:…`.
fn hex_pairs(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> String {
        format!("a=fingerprint:sha-256 {}", [format!("{byte:02X}").as_str(); 32].join(":"))
    }

    fn sdp(extra: &[String]) -> String {
        let head = "v=0\r\ns=-\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        extra.iter().fold(head.to_owned(), |sdp, line| sdp + line + "\r\n")
    }

    #[test]
    fn one_value_is_read_however_often_it_is_said() {
        assert_eq!(Fingerprint::of(&sdp(&[line(7)])), Ok(Fingerprint([7; 32])));
        assert_eq!(Fingerprint::of(&sdp(&[line(7), line(7)])), Ok(Fingerprint([7; 32])));
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let of = |extra: &[String]| Fingerprint::of(&sdp(extra));
        assert_eq!(of(&[]), Err(SdpError::Fingerprint));
        assert_eq!(of(&[line(7), line(8)]), Err(SdpError::Fingerprint));
        assert_eq!(of(&[line(7), line(8).replace("256", "512")]), Err(SdpError::Fingerprint));
        assert_eq!(of(&[line(7) + ":07"]), Err(SdpError::Fingerprint));
        assert_eq!(of(&[line(7).replace("07:", "+7:")]), Err(SdpError::Fingerprint));
        assert_eq!(of(&[line(7), format!(" {}", line(8))]), Err(SdpError::Shape));
        assert_eq!(of(&[line(7), format!("b=x\r{}", line(8))]), Err(SdpError::Shape));
        assert_eq!(of(&[line(7), "m=audio 9 X 0".into()]), Err(SdpError::Section));
        assert_eq!(of(&[line(7), "m=application 9 X x".into()]), Err(SdpError::Section));
        assert_eq!(of(&vec!["a=x".to_owned(); 200]), Err(SdpError::Size));
        assert_eq!(Fingerprint::of(""), Err(SdpError::Section));
        assert_eq!(Fingerprint::of("é=é"), Err(SdpError::Shape));
    }
}
