//! The sequence parameter set, as far as containers need it (ITU-T H.264 §7.3.2.1.1).

/// Frame cropping, scaling lists and picture order are read over; these fields are kept.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Sps {
    /// Profile number: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// Level times ten.
    pub level: u8,
    /// Width of the cropped picture in pixels.
    pub width: u16,
    /// Height of the cropped picture in pixels.
    pub height: u16,
    /// 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample, 8–14.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8–14.
    pub bit_depth_chroma: u8,
}

impl Sps {
    /// Reads a sequence parameter set NAL unit, header byte included.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        if nal.first()? & 0x1f != 7 {
            return None;
        }
        let payload = without_emulation_prevention(&nal[1..]);
        let mut bits = Bits::new(&payload);
        let profile = bits.take(8)? as u8;
        bits.take(8)?;
        let level = bits.take(8)? as u8;
        bits.unsigned()?;
        let (mut chroma_format, mut luma, mut chroma) = (1, 8, 8);
        if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
            chroma_format = bits.unsigned()?;
            let planes_apart = chroma_format == 3 && bits.flag()?;
            luma = 8 + bits.unsigned()?;
            chroma = 8 + bits.unsigned()?;
            if chroma_format > 3 || luma > 14 || chroma > 14 {
                return None;
            }
            bits.flag()?;
            if bits.flag()? {
                skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
            }
            if planes_apart {
                chroma_format = 0;
            }
        }
        skip_picture_order(&mut bits)?;
        let (width, height) = frame_size(&mut bits, chroma_format)?;
        Some(Self {
            profile,
            level,
            width,
            height,
            chroma_format: chroma_format as u8,
            bit_depth_luma: luma as u8,
            bit_depth_chroma: chroma as u8,
        })
    }
}

/// From the end of the picture order fields to the cropping rectangle.
fn frame_size(bits: &mut Bits<'_>, chroma_format: u32) -> Option<(u16, u16)> {
    bits.unsigned()?;
    bits.flag()?;
    let columns = bits.unsigned()?.checked_add(1)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    let progressive = bits.flag()?;
    if !progressive {
        bits.flag()?;
    }
    bits.flag()?;
    let fields = if progressive { 1 } else { 2 };
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => (1, fields),
    };
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.unsigned()?;
        }
    }
    let cut = |size: u32, unit: u32, a: u32, b: u32| {
        let size = size.checked_mul(16)?.checked_sub(a.checked_add(b)?.checked_mul(unit)?)?;
        u16::try_from(size).ok().filter(|size| *size > 0)
    };
    let width = cut(columns, unit_x, crop[0], crop[1])?;
    let height = cut(rows.checked_mul(fields)?, unit_y, crop[2], crop[3])?;
    Some((width, height))
}

fn skip_scaling_lists(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    for list in 0..count {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.checked_add(bits.signed()?)?.rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            let cycle = bits.unsigned()?;
            // The standard allows 255.
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                bits.signed()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Removes the 03 that follows two zero bytes (§7.4.1).
fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

/// Reads bits from the most significant on.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// Up to 32 bits.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// An Exp-Golomb number (§9.1).
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.take(zeros)?)
    }

    fn signed(&mut self) -> Option<i32> {
        let value = i64::from(self.unsigned()?);
        let magnitude = (value + 1) / 2;
        i32::try_from(if value % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_golomb() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<_> = core::iter::from_fn(|| bits.unsigned()).take(5).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn sizes_of_real_streams() {
        // rusty_h264 baseline 640x360 (cropped from 368 rows) and x264 high 1280x720.
        let high = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00,
            0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        let sps = Sps::parse(&high).unwrap();
        assert_eq!((sps.width, sps.height, sps.profile, sps.chroma_format), (1280, 720, 100, 1));
        assert_eq!((sps.bit_depth_luma, sps.bit_depth_chroma), (8, 8));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut nal = vec![0x67];
            nal.extend(bytes);
            let _ = Sps::parse(&nal);
        }
    }
}
