// Which encoder a broadcast takes, and what its viewers have to know.

export const VIDEO = {
  /** Pictures per second. */
  rate: 30,
  /** Height in pixels and bits per second, as the native broadcaster has them. */
  sizes: {
    '360p': { height: 360, bitrate: 700_000 },
    '720p': { height: 720, bitrate: 2_500_000 },
    '1080p': { height: 1080, bitrate: 4_500_000 },
  },
};

/** The smaller picture of a ladder, by the quality of the large one. */
export const SMALLER = {
  '360p': { height: 180, bitrate: 200_000 },
  '720p': VIDEO.sizes['360p'],
  '1080p': VIDEO.sizes['360p'],
};

/** What MP4 and all players take, the most common decoder first. VP9 is for browsers without an H.264 encoder. */
const FAMILIES = [
  { codec: height => height > 720 ? 'avc1.42E028' : 'avc1.42E01F', more: { avc: { format: 'avc' } } },
  { codec: height => height > 720 ? 'vp09.00.40.08' : 'vp09.00.31.08', more: {} },
];

/**
 * The first configuration that this browser encodes, of pictures of that shape (width / height).
 * @param {number} shape @param {{height: number, bitrate: number}} size @returns {Promise<VideoEncoderConfig>}
 */
export async function codecFor(shape, { height: most, bitrate }) {
  // A tall picture, such as a phone's, has its longer side where a wide one has its width.
  const height = even(Math.min(most, most * 16 / 9 / shape)), width = even(height * shape);
  for (const { codec, more } of FAMILIES) {
    for (const hint of [{ bitrateMode: /** @type {const} */ ('constant') }, {}]) {
      /** @type {any} */
      const config = { codec: codec(Math.max(most, height)), width, height, bitrate, framerate: VIDEO.rate, latencyMode: 'realtime', ...hint, ...more };
      const { supported } = await VideoEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
      if (supported) return config;
    }
  }
  throw new Error(`This browser encodes neither H.264 nor VP9 at ${width} × ${height}.`);
}

function even(value) {
  return Math.max(2, Math.round(value / 2) * 2);
}

/**
 * The codec string and configuration record that viewers get, from what the encoder says of itself.
 * @param {VideoDecoderConfig} decoder
 */
export function record({ codec, description, colorSpace }) {
  if (codec.startsWith('avc1') && description) {
    const config = new Uint8Array(/** @type {ArrayBuffer} */ (description)).slice();
    // The encoder may keep to a stricter profile than it was asked for.
    const string = [...config.subarray(1, 4)].map(byte => byte.toString(16).padStart(2, '0')).join('');
    return { codec: `avc1.${string.toUpperCase()}`, config };
  }
  if (codec.startsWith('vp09')) {
    const [, profile, level, depth] = codec.split('.').map(Number);
    // vpcC (VP Codec ISO Media File Format Binding): version 1, 4:2:0 with luma between chroma samples, BT.709 unless told.
    const full = colorSpace?.fullRange ? 1 : 0, space = colorSpace?.matrix === 'smpte170m' ? 6 : 1;
    return { codec, config: new Uint8Array([1, 0, 0, 0, profile, level, depth << 4 | 1 << 1 | full, space, space, space, 0, 0]) };
  }
  throw new Error(`The encoder gives ${codec} without its configuration.`);
}
