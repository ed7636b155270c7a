// One size of the picture, as it is encoded.
import { codecFor, record } from './codec.js';

export class Rung {
  #id;
  #size;
  #out;
  #failed;
  /** @type {VideoEncoder | null} */
  #encoder = null;
  #canvas = new OffscreenCanvas(2, 2);
  #bitrate = 0;
  /** Pixels of what is encoded. */
  width = 0;
  height = 0;
  /** What viewers are told of it; null until the encoder has said what it makes. @type {any} */
  track = null;

  /**
   * `out` is given {track, pts, keyframe, data}, after `track` is set.
   * @param {number} id @param {{height: number, bitrate: number}} size
   * @param {{out: (object: any) => void, failed: (reason: string) => void}} to
   */
  constructor(id, size, { out, failed }) {
    this.#id = id;
    this.#size = size;
    this.#out = out;
    this.#failed = failed;
  }

  get ready() { return this.#encoder?.state === 'configured'; }
  /** Pictures in the encoder. */
  get waiting() { return this.#encoder?.encodeQueueSize ?? 0; }

  /** Turns to pictures of this shape, width / height, and of this size. @param {number} shape @param {{height: number, bitrate: number}} size */
  async turn(shape, size = this.#size) {
    this.#size = size;
    const config = await codecFor(shape, size), before = this.#encoder;
    this.#encoder = null;
    // What is in it still goes out under the old configuration.
    if (before?.state === 'configured') await before.flush().catch(() => {});
    if (before && before.state !== 'closed') before.close();
    this.track = null;
    const encoder = new VideoEncoder({
      output: (chunk, about) => encoder === this.#encoder || this.#encoder === null ? this.#encoded(chunk, about) : undefined,
      error: error => encoder === this.#encoder && this.#failed(error.message),
    });
    encoder.configure(config);
    Object.assign(this, { width: config.width, height: config.height });
    this.#bitrate = size.bitrate;
    this.#encoder = encoder;
  }

  /** @param {VideoFrame} picture @param {number} timestamp @param {boolean} keyFrame */
  encode(picture, timestamp, keyFrame) {
    const frame = this.#sized(picture, timestamp);
    this.#encoder?.encode(frame, { keyFrame });
    frame.close();
  }

  close() {
    if (this.#encoder && this.#encoder.state !== 'closed') this.#encoder.close();
  }

  /** The picture at its size and time, whole and in the middle. @param {VideoFrame} frame @param {number} timestamp */
  #sized(frame, timestamp) {
    const { width, height } = this, { displayWidth: wide, displayHeight: high } = frame;
    if (wide === width && high === height) return new VideoFrame(frame, { timestamp });
    const canvas = this.#canvas, scale = Math.min(width / wide, height / high), [w, h] = [wide * scale, high * scale];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false, willReadFrequently: true }));
    if (Math.abs(w - width) > 2 || Math.abs(h - height) > 2) context.clearRect(0, 0, width, height);
    context.drawImage(frame, (width - w) / 2, (height - h) / 2, w, h);
    return new VideoFrame(canvas, { timestamp });
  }

  /** @param {EncodedVideoChunk} chunk @param {EncodedVideoChunkMetadata | undefined} about */
  #encoded(chunk, about) {
    if (about?.decoderConfig) {
      const { width, height } = this;
      this.track = { id: this.#id, kind: 'video', ...record(about.decoderConfig), width, height, bitrate: this.#bitrate, name: `${height}p` };
    }
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    this.#out({ track: this.#id, pts: chunk.timestamp, keyframe: chunk.type === 'key', data });
  }
}
