// The test picture, and the clock in it that machines read: as beacon-codec-lite draws it, so that either reads the other's.
//
// The bottom 16 rows hold 44 cells side by side, black for 0 and white for 1: the mark 1010, 32 bits of milliseconds since
// 1970 (most significant first, modulo 2³²) and 8 bits of checksum. A cell is width / 44 pixels wide, rounded down to even.

const CELLS = 44, STRIP_ROWS = 16, MARK = 0b1010;
/** Halfway between black and white. */
const THRESHOLD = 128;
/** The time in a second during which the tone sounds and the box is white. */
export const TICK_MS = 100;

const BARS = ['#ebebeb', '#ecec10', '#10ecec', '#10ec10', '#ec10ec', '#ec1010', '#1010ec', '#101010'];
const VIOLET = '#a08ad0';

/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */

/**
 * Draws frame `number` as seen at `now`, milliseconds since 1970.
 * @param {Context} context @param {number} number @param {number} now
 */
export function draw(context, number, now) {
  const { width, height } = context.canvas, fill = (colour, ...rectangle) => {
    context.fillStyle = colour;
    context.fillRect(.../** @type {[number, number, number, number]} */ (rectangle));
  };
  BARS.forEach((colour, i) => fill(colour, Math.round(i * width / 8), 0, Math.ceil(width / 8), height));
  const millis = Math.floor(now), side = Math.max(16, Math.round(height / 8));
  const way = width - side, step = number * 4 % (2 * way);
  fill(millis % 1000 < TICK_MS ? '#fff' : VIOLET, step < way ? step : 2 * way - step, Math.round(height / 2), side, side);
  const text = new Date(millis).toISOString().slice(11, 23), size = Math.max(14, Math.round(height / 12));
  fill('#000', 8, 8, size * 7.4, size * 1.5);
  context.fillStyle = '#fff';
  context.font = `600 ${size}px ui-monospace, "DejaVu Sans Mono", monospace`;
  context.textBaseline = 'top';
  context.fillText(text, 8 + size * 0.25, 8 + size * 0.3, size * 7);
  strip(fill, millis, width, height);
}

function strip(fill, millis, width, height) {
  const cell = cellWidth(width), top = height - STRIP_ROWS;
  fill('#000', 0, top, width, STRIP_ROWS);
  bits(millis % 2 ** 32).forEach((one, at) => one && fill('#fff', at * cell, top, cell, STRIP_ROWS));
}

/** The cells for these milliseconds. */
function bits(millis) {
  const number = (value, count) => Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (count - 1 - i)) % 2 === 1);
  return [...number(MARK, 4), ...number(millis, 32), ...number(checksum(millis), 8)];
}

function checksum(millis) {
  const bytes = [24, 16, 8, 0].map(shift => Math.floor(millis / 2 ** shift) % 256);
  return bytes.reduce((sum, byte) => ((sum << 1 | sum >> 7) & 255) ^ byte, 0x5a);
}

function cellWidth(width) {
  return Math.floor(width / CELLS) & ~1;
}

/**
 * Reads the clock from the bottom rows of a picture that was `width` wide when it was drawn.
 * @param {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} image   RGBA
 * @returns {number | null}   milliseconds modulo 2³²; null where there is none, or it is damaged
 */
export function readStrip({ data, width, height }) {
  const cell = cellWidth(width);
  if (!cell || height < STRIP_ROWS) return null;
  const row = height - STRIP_ROWS / 2, from = cell / 4, to = cell - from;
  const read = Array.from({ length: CELLS }, (_, at) => {
    let sum = 0, count = 0;
    for (let y = row - 1; y <= row + 1; y++)
      for (let x = Math.ceil(at * cell + from); x < at * cell + to; x++, count++) sum += data[4 * (y * width + x) + 1];
    return sum > THRESHOLD * count;
  });
  const millis = read.slice(4, 36).reduce((value, one) => 2 * value + Number(one), 0);
  return bits(millis).every((one, at) => one === read[at]) ? millis : null;
}

/**
 * How old the picture is that an element shows, in milliseconds; null where it shows no test picture.
 * @param {HTMLVideoElement | HTMLCanvasElement} shown @param {OffscreenCanvas} canvas   one to work on, kept between calls
 */
export function age(shown, canvas) {
  const video = /** @type {HTMLVideoElement} */ (shown);
  const width = video.videoWidth || shown.width, height = video.videoHeight || shown.height;
  if (!width || height < STRIP_ROWS) return null;
  if (canvas.width !== width || canvas.height !== STRIP_ROWS) Object.assign(canvas, { width, height: STRIP_ROWS });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(shown, 0, height - STRIP_ROWS, width, STRIP_ROWS, 0, 0, width, STRIP_ROWS);
  const millis = readStrip(context.getImageData(0, 0, width, STRIP_ROWS));
  if (millis === null) return null;
  const old = Date.now() % 2 ** 32 - millis;
  return old < -(2 ** 31) ? old + 2 ** 32 : old;
}
