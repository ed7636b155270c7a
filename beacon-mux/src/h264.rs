//! H.264: Annex B as encoders give it, length-prefixed as MP4 and WebCodecs take it.

use bytes::Bytes;

mod sps;

pub(crate) use sps::Bits;
pub use sps::Sps;

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_DELIMITER: u8 = 9;

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros.
///
/// Empty units are left out; bytes before the first start code are not looked at.
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(annex_b);
    core::iter::from_fn(move || {
        loop {
            let bytes = rest?;
            let end = start_code(bytes).unwrap_or(bytes.len());
            rest = after_start_code(&bytes[end..]);
            let unit = &bytes[..end];
            let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if len > 0 {
                return Some(&unit[..len]);
            }
        }
    })
}

/// Where the next `00 00 01` begins.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    start_code(bytes).map(|at| &bytes[at + 3..])
}

/// One access unit in the form an [`Object`](beacon_sdk::media::Object) carries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccessUnit {
    /// NAL units with four bytes of length before each; parameter sets and delimiters left out.
    /// Empty when there was no picture.
    pub data: Bytes,
    /// The `avcC` body, when the unit carried both parameter sets.
    pub config: Option<Bytes>,
    /// It is an IDR picture: decoding can start here.
    pub keyframe: bool,
    /// No other picture refers to it, so a player may leave it out.
    pub droppable: bool,
}

impl AccessUnit {
    /// Converts one access unit of an Annex B stream.
    #[must_use]
    pub fn from_annex_b(annex_b: &[u8]) -> Self {
        let (mut sps, mut pps) = (Vec::new(), Vec::new());
        let mut data = Vec::with_capacity(annex_b.len() + 16);
        let (mut keyframe, mut referenced) = (false, false);
        for unit in nal_units(annex_b) {
            match unit[0] & 0x1f {
                NAL_SPS => sps.push(unit),
                NAL_PPS => pps.push(unit),
                NAL_DELIMITER => {}
                kind => {
                    keyframe |= kind == NAL_IDR;
                    referenced |= (1..=NAL_IDR).contains(&kind) && unit[0] & 0x60 != 0;
                    let len = u32::try_from(unit.len()).unwrap_or(u32::MAX);
                    data.extend_from_slice(&len.to_be_bytes());
                    data.extend_from_slice(unit);
                }
            }
        }
        let config = config(&sps, &pps);
        Self { droppable: !referenced && !data.is_empty(), data: data.into(), config, keyframe }
    }
}

/// Builds an `avcC` body with four-byte lengths (ISO/IEC 14496-15 §5.3.3.1).
///
/// `None` without at least one of each parameter set, or when one is too short, too long, or
/// they are too many for the record.
#[must_use]
pub fn config(sps: &[&[u8]], pps: &[&[u8]]) -> Option<Bytes> {
    let first = *sps.first()?;
    if first.len() < 4 || pps.is_empty() || sps.len() > 31 || pps.len() > 255 {
        return None;
    }
    let mut out = vec![1, first[1], first[2], first[3], 0xff, 0xe0 | sps.len() as u8];
    let put = |out: &mut Vec<u8>, sets: &[&[u8]]| {
        for set in sets {
            out.extend_from_slice(&u16::try_from(set.len()).ok()?.to_be_bytes());
            out.extend_from_slice(set);
        }
        Some(())
    };
    put(&mut out, sps)?;
    out.push(pps.len() as u8);
    put(&mut out, pps)?;
    if matches!(first[1], 100 | 110 | 122 | 144) {
        let sps = Sps::parse(first)?;
        out.extend_from_slice(&[
            0xfc | sps.chroma_format,
            0xf8 | (sps.bit_depth_luma - 8),
            0xf8 | (sps.bit_depth_chroma - 8),
            0,
        ]);
    }
    Some(out.into())
}

/// The RFC 6381 codec string of an `avcC` body, `avc1.42C01F` for example.
#[must_use]
pub fn codec_string(config: &[u8]) -> Option<String> {
    let [1, profile, constraints, level, ..] = config else { return None };
    Some(format!("avc1.{profile:02X}{constraints:02X}{level:02X}"))
}

/// The parameter sets in an `avcC` body, sequence sets first.
#[must_use]
pub fn parameter_sets(config: &[u8]) -> Option<Vec<&[u8]>> {
    let mut sets = Vec::new();
    let mut rest = config.get(5..)?;
    for mask in [0x1f, 0xff] {
        let (count, mut bytes) = rest.split_first()?;
        for _ in 0..count & mask {
            let len = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
            sets.push(bytes.get(2..2 + len)?);
            bytes = &bytes[2 + len..];
        }
        rest = bytes;
    }
    Some(sets)
}

/// Picture size in pixels from an `avcC` body.
#[must_use]
pub fn size(config: &[u8]) -> Option<(u16, u16)> {
    let sps = Sps::parse(parameter_sets(config)?.first()?)?;
    Some((sps.width, sps.height))
}

/// Converts an object back to Annex B, as stand-alone decoders take it; a keyframe gets the
/// parameter sets of `config` before it. `None` when either is not well-formed.
#[must_use]
pub fn to_annex_b(config: &[u8], data: &[u8], keyframe: bool) -> Option<Vec<u8>> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let width = usize::from(config.get(4)? & 3) + 1;
    let mut out = Vec::with_capacity(data.len() + 64);
    if keyframe {
        for set in parameter_sets(config)? {
            out.extend_from_slice(&START);
            out.extend_from_slice(set);
        }
    }
    let mut rest = data;
    while !rest.is_empty() {
        let prefix = rest.get(..width)?;
        let len = prefix.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
        let unit = rest.get(width..width.checked_add(len)?)?;
        out.extend_from_slice(&START);
        out.extend_from_slice(unit);
        rest = &rest[width + len..];
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SPS: [u8; 10] = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0x80];
    const PPS: [u8; 4] = [0x68, 0xce, 0x38, 0x80];

    #[test]
    fn splits_on_both_start_codes_and_drops_padding() {
        let stream = [0, 0, 0, 1, 0x65, 7, 0, 0, 0, 0, 1, 0x41, 9, 0, 0, 1, 0, 0, 1, 0x06];
        let units: Vec<_> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x65, 7][..], &[0x41, 9], &[0x06]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }

    #[test]
    fn access_unit_round_trip() {
        let mut stream = Vec::new();
        for unit in [&[0x09, 0xf0][..], &SPS, &PPS, &[0x65, 1, 2, 3]] {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(unit);
        }
        let unit = AccessUnit::from_annex_b(&stream);
        let config = unit.config.unwrap();
        assert!(unit.keyframe && !unit.droppable);
        assert_eq!(&unit.data[..], [0, 0, 0, 4, 0x65, 1, 2, 3]);
        assert_eq!(codec_string(&config).unwrap(), "avc1.42C01E");
        assert_eq!(parameter_sets(&config).unwrap(), [&SPS[..], &PPS]);
        let back = to_annex_b(&config, &unit.data, true).unwrap();
        assert_eq!(back, stream[6..], "all but the delimiter");
    }

    #[test]
    fn refuses_what_is_cut_short() {
        let whole = config(&[&SPS], &[&PPS]).unwrap();
        for len in 0..whole.len() {
            assert_eq!(parameter_sets(&whole[..len]), None, "{len}");
        }
        assert_eq!(to_annex_b(&whole, &[0, 0, 0, 9, 1], false), None);
        assert_eq!(config(&[&SPS[..3]], &[&PPS]), None);
        assert_eq!(config(&[&SPS], &[]), None);
    }

    #[test]
    fn unreferenced_pictures_are_droppable() {
        assert!(AccessUnit::from_annex_b(&[0, 0, 1, 0x01, 5]).droppable);
        assert!(!AccessUnit::from_annex_b(&[0, 0, 1, 0x41, 5]).droppable);
        assert!(!AccessUnit::from_annex_b(&[]).droppable);
    }
}
