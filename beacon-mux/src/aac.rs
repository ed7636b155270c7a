//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

use crate::h264::Bits;

/// Samples per second by index (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// What an AudioSpecificConfig says of the sound.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AudioSpecificConfig {
    /// The kind of AAC: 2 is AAC-LC, 5 HE-AAC.
    pub object_type: u8,
    /// Samples per second of the coded signal.
    pub rate: u32,
    /// Channels, 1–8; 0 where the config leaves it to the stream.
    pub channels: u8,
}

impl AudioSpecificConfig {
    /// Reads the fields; `None` where the record is too short or names a reserved rate.
    #[must_use]
    pub fn parse(config: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(config);
        let mut object_type = bits.take(5)?;
        if object_type == 31 {
            object_type = 32 + bits.take(6)?;
        }
        let rate = match bits.take(4)? {
            15 => bits.take(24)?,
            index => *RATES.get(index as usize)?,
        };
        let channels = match bits.take(4)? {
            7 => 8,
            count @ 0..=6 => count as u8,
            _ => return None,
        };
        Some(Self { object_type: u8::try_from(object_type).ok()?, rate, channels })
    }

    /// The RFC 6381 codec string, `mp4a.40.2` for AAC-LC.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_common_configs() {
        let lc = AudioSpecificConfig::parse(&[0x12, 0x10]).unwrap();
        assert_eq!(lc, AudioSpecificConfig { object_type: 2, rate: 44_100, channels: 2 });
        assert_eq!(lc.codec_string(), "mp4a.40.2");
        let surround = AudioSpecificConfig::parse(&[0x11, 0xb0]).unwrap();
        assert_eq!((surround.rate, surround.channels), (48_000, 6));
        assert_eq!(AudioSpecificConfig::parse(&[0x12]), None);
        assert_eq!(AudioSpecificConfig::parse(&[0x16, 0x90]), None, "reserved rate index 13");
    }
}
