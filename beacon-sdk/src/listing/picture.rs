//! What kind of picture some bytes are, and how large: the heads of three formats, nothing else.

/// A picture's kind and size in pixels.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Its media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Picture {
    /// Reads the head of a JPEG, PNG or WebP file; `None` for anything else, and for a picture
    /// without pixels.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (media_type, (width, height)) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            ("image/png", png(bytes)?)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            ("image/jpeg", jpeg(bytes)?)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            ("image/webp", webp(bytes)?)
        } else {
            return None;
        };
        (width > 0 && height > 0).then_some(Self { media_type, width, height })
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u32::from(u16::from_be_bytes(*pair)))
}

fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = *bytes.get(at..)?.first_chunk::<3>()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// The first chunk is always IHDR (PNG 3rd edition §11.2.1).
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
    (bytes.get(12..16) == Some(b"IHDR")).then_some((side(16)?, side(20)?))
}

/// Walks the segments to the frame header (ITU-T T.81 §B.2).
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    // Each round goes on by two bytes at least.
    while at < bytes.len() {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match *bytes.get(at + 1)? {
            // A fill byte.
            0xff => at += 1,
            // A frame header of any coding but the four codes between that are none.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((be16(bytes, at + 7)?, be16(bytes, at + 5)?));
            }
            // The picture begins, or ends, without a frame header.
            0xda | 0xd9 | 0x00 => return None,
            _ => at += 2 + usize::try_from(be16(bytes, at + 2)?.max(2)).ok()?,
        }
    }
    None
}

/// The first chunk says which of three layouts it is (RFC 9649 §2.5–2.7).
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8X" => Some((le24(bytes, 24)? + 1, le24(bytes, 27)? + 1)),
        b"VP8L" if bytes.get(20) == Some(&0x2f) => {
            let bits = u32::from_le_bytes(*bytes.get(21..)?.first_chunk::<4>()?);
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8 " if bytes.get(23..26) == Some(b"\x9d\x01\x2a") => {
            let side = |at: usize| {
                let pair = bytes.get(at..)?.first_chunk::<2>()?;
                Some(u32::from(u16::from_le_bytes(*pair) & 0x3fff))
            };
            Some((side(26)?, side(28)?))
        }
        _ => None,
    }
}
