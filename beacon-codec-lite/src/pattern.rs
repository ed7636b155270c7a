//! The test picture, and the clock in it that machines read.
//!
//! The bottom [`STRIP_ROWS`] rows hold [`CELLS`] cells side by side, black for 0 and white for 1:
//! the mark `1010`, 32 bits of milliseconds since the Unix epoch (most significant first, modulo
//! 2³²), and 8 bits of checksum. A cell is `width / 44` pixels wide, rounded down to an even
//! number. The strip survives H.264 at every size the test pattern is made in.

use beacon_sdk::Instant;

/// Cells of the strip: 4 of mark, 32 of time, 8 of checksum.
pub const CELLS: usize = 44;
/// Rows of the picture that the strip takes.
pub const STRIP_ROWS: usize = 16;
/// The time in a second during which the tone sounds and the box is white, in milliseconds.
pub(crate) const TICK_MS: u64 = 100;

const MARK: u64 = 0b1010;
/// Luma halfway between black and white.
const THRESHOLD: u32 = 125;

type Colour = (u8, u8, u8);
const BLACK: Colour = (16, 128, 128);
const WHITE: Colour = (235, 128, 128);
const VIOLET: Colour = (180, 90, 160);
/// White, yellow, cyan, green, magenta, red, blue, black in BT.601 limited range.
const BARS: [Colour; 8] = [
    WHITE,
    (210, 16, 146),
    (170, 166, 16),
    (145, 54, 34),
    (106, 202, 222),
    (81, 90, 240),
    (41, 240, 110),
    BLACK,
];
/// Digits and a colon, 3 × 5 pixels each, rows from the top in octal.
const FONT: [u16; 11] = [
    0o75557, 0o22222, 0o71747, 0o71717, 0o55711, 0o74717, 0o74757, 0o71111, 0o75757, 0o75717,
    0o02020,
];

/// The milliseconds that the strip shows for a capture time.
#[must_use]
pub const fn strip_millis(captured: Instant) -> u32 {
    // The strip wraps after 49 days by design.
    (captured.as_micros() / 1000) as u32
}

fn checksum(millis: u32) -> u8 {
    millis.to_be_bytes().iter().fold(0x5a, |sum: u8, byte| sum.rotate_left(1) ^ byte)
}

/// Rounded down, since chroma has half the size.
fn even(value: usize) -> usize {
    value & !1
}

fn cell_width(width: usize) -> usize {
    even(width / CELLS)
}

/// Reads the strip from the luma plane of a decoded picture, `stride` bytes from row to row.
///
/// `None` when the plane is too small, or mark or checksum are wrong: no strip, or too damaged.
#[must_use]
pub fn read_strip(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u32> {
    let cell = cell_width(width);
    if cell == 0 || height < STRIP_ROWS || width > stride {
        return None;
    }
    // Three rows in the middle, the inner half of each cell: away from ringing at the edges.
    let first_row = height - STRIP_ROWS / 2 - 1;
    let rows = luma.get(first_row.checked_mul(stride)?..)?;
    let (from, to) = (cell / 4, (cell - cell / 4).max(cell / 4 + 1));
    let mut bits = 0_u64;
    for at in 0..CELLS {
        let (mut sum, mut count) = (0, 0);
        for row in 0..3 {
            let start = row * stride + at * cell;
            for value in rows.get(start + from..start + to)? {
                sum += u32::from(*value);
                count += 1;
            }
        }
        bits = bits << 1 | u64::from(sum > THRESHOLD * count);
    }
    let millis = (bits >> 8) as u32;
    (bits >> 40 == MARK && bits as u8 == checksum(millis)).then_some(millis)
}

/// A picture in I420: luma, then both chroma planes at half size.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
    background: Vec<u8>,
}

impl Picture {
    /// Colour bars of that size. Both must be even; 176 × 96 is the smallest that holds all.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        let data = vec![128; width * height * 3 / 2];
        let mut picture = Self { width, height, data, background: Vec::new() };
        for (at, colour) in BARS.into_iter().enumerate() {
            let left = even(at * width / 8);
            picture.fill((left, 0), (width - left, height), colour);
        }
        picture.background.clone_from(&picture.data);
        picture
    }

    /// Luma and the two chroma planes.
    #[must_use]
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let pixels = self.width * self.height;
        let (luma, chroma) = self.data.split_at(pixels);
        let (blue, red) = chroma.split_at(pixels / 4);
        (luma, blue, red)
    }

    /// Draws frame `number` as seen at `captured`: box, clock (UTC) and strip over the bars.
    pub fn draw(&mut self, number: u64, captured: Instant) {
        self.data.copy_from_slice(&self.background);
        let (width, height) = (self.width, self.height);
        let side = even((height / 8).max(16));
        let way = (width - side) as u64;
        let left = even((number * 4 % way) as usize);
        let millis = captured.as_micros() / 1000;
        let colour = if millis % 1000 < TICK_MS { WHITE } else { VIOLET };
        self.fill((left, even(height / 2)), (side, side), colour);
        self.clock(millis);
        self.strip(strip_millis(captured));
    }

    fn clock(&mut self, millis: u64) {
        // 12 characters, 49 font pixels in all, fill at most half the width.
        let pixel = even((self.height / 60).min(self.width / 98)).max(2);
        let seconds = millis / 1000;
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        let text = format!("{hours:02}:{minutes:02}:{:02}:{:03}", seconds % 60, millis % 1000);
        self.fill((8, 8), ((text.len() * 4 + 1) * pixel, 7 * pixel), BLACK);
        for (at, character) in text.bytes().enumerate() {
            let glyph = FONT[usize::from(character - b'0')];
            for bit in (0..15).filter(|bit| glyph >> (14 - bit) & 1 == 1) {
                let column = at * 4 + 1 + bit % 3;
                let row = 1 + bit / 3;
                self.fill((8 + column * pixel, 8 + row * pixel), (pixel, pixel), WHITE);
            }
        }
    }

    fn strip(&mut self, millis: u32) {
        let bits = MARK << 40 | u64::from(millis) << 8 | u64::from(checksum(millis));
        let top = self.height - STRIP_ROWS;
        let cell = cell_width(self.width);
        self.fill((0, top), (self.width, STRIP_ROWS), BLACK);
        for at in (0..CELLS).filter(|at| bits >> (CELLS - 1 - at) & 1 == 1) {
            self.fill((at * cell, top), (cell, STRIP_ROWS), WHITE);
        }
    }

    /// Fills a rectangle; even coordinates, clipped at the right and at the bottom.
    fn fill(&mut self, (x, y): (usize, usize), (w, h): (usize, usize), colour: Colour) {
        let (width, height) = (self.width, self.height);
        let (right, bottom) = ((x + w).min(width), (y + h).min(height));
        let mut plane = |start: usize, stride: usize, scale: usize, value: u8| {
            for row in y / scale..bottom / scale {
                let line = start + row * stride;
                self.data[line + x / scale..line + right / scale].fill(value);
            }
        };
        plane(0, width, 1, colour.0);
        plane(width * height, width / 2, 2, colour.1);
        plane(width * height * 5 / 4, width / 2, 2, colour.2);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_strip_reads_back() {
        for (width, height) in [(176, 96), (320, 180), (640, 360), (848, 480), (1920, 1080)] {
            let mut picture = Picture::new(width, height);
            for micros in [0, 1_763_630_400_123_999, u64::from(u32::MAX) * 1000, 4_294_967_296_000]
            {
                let captured = Instant::from_micros(micros);
                picture.draw(micros % 1000, captured);
                let read = read_strip(picture.planes().0, width, width, height);
                assert_eq!(read, Some(strip_millis(captured)), "{width}x{height}");
            }
        }
    }

    #[test]
    fn damage_and_other_pictures_read_as_nothing() {
        let mut picture = Picture::new(640, 360);
        assert_eq!(read_strip(picture.planes().0, 640, 640, 360), None, "no strip yet");
        picture.draw(0, Instant::from_micros(1_000_000));
        let mut luma = picture.planes().0.to_vec();
        let last = luma.len() - 8 * 640 + 43 * 14;
        for row in [last - 640, last, last + 640] {
            luma[row..row + 14].iter_mut().for_each(|value| *value = 255 - *value);
        }
        assert_eq!(read_strip(&luma, 640, 640, 360), None, "one bit flipped");
        assert_eq!(read_strip(&luma[..1000], 640, 640, 360), None);
        assert_eq!(read_strip(&luma, 100, 640, 360), None);
        assert_eq!(read_strip(&[], 0, 0, 0), None);
    }
}
