// Pictures and sound into encoded objects, in the engine's worker: a hidden tab does not slow it.
import { draw } from './pattern.js';
import { SMALLER, VIDEO } from './codec.js';
import { Rung } from './rung.js';

const FRAME_MS = 1000 / VIDEO.rate;
/** A still screen gives no pictures: the last one is said again after so long, so that whoever comes sees something. */
const REPEAT_MS = 200;
/** Pictures in the encoder; when there are more, the next is left out rather than late. */
const QUEUE_MAX = 3;
/** The smaller picture comes once the device has kept up with the large one for so long. */
const CALM_MS = 3000;
/** The track of the sound, and of the smaller picture. */
const SOUND = 1, SMALL = 2;
/** Objects that wait until it is known what all encoders make, at most. */
const HELD_MAX = 128;
/** The first announcement waits for sound so long, in milliseconds; sound that comes later is announced then. */
const SOUND_WAIT_MS = 1000;
/** From keyframe to keyframe, in microseconds: where viewers join, and go on after a loss. */
const GROUP_US = { 'live': 2_000_000, 'low-latency': 500_000, 'ephemeral': 500_000 };
/** Bits per second. */
const SOUND_BITS = 96_000;
/** Sound that is off its time by more than this is set right at once; less than that is the clocks' own jitter. */
const SOUND_OFF_US = 25_000;
/** How fast a source's delay is believed to grow, in microseconds per item: clocks drift. */
const DRIFT_US = 2;
/** A picture of another shape than before is another configuration. */
const SHAPE = 0.02;

/** Microseconds since 1970. */
const now = () => (performance.timeOrigin + performance.now()) * 1000;

/** The time of capture from a source's own clock: what arrived soonest after it counts. */
class Clock {
  #offset = Infinity;

  /** @param {number} time of the source, in microseconds */
  at(time) {
    this.#offset = Math.min(this.#offset + DRIFT_US, now() - time);
    return time + this.#offset;
  }
}

export class Studio {
  #tell;
  #profile;
  #quality;
  /** Where objects go, once there is a broadcast. @type {{write: (object: any) => boolean, setTracks: (tracks: any[]) => void} | null} */
  #peer = null;
  #start = now();
  /** The pictures, the large one first. */
  #rungs;
  #ladder;
  #calmSince = performance.now();
  /** What was announced last, as JSON. */
  #announced = '';
  /** What waits until all can be announced. @type {any[]} */
  #held = [];
  /** @type {AudioEncoder | null} */
  #sound = null;
  /** Its encoder gives packets: a track without any would hold up the picture of whoever plays both. */
  #heard = false;
  #soundBy = Infinity;
  /** Of the pictures that the encoder is set to, width / height. */
  #shape = 0;
  /** The last keyframe, as a pts; and one is wanted before its time. */
  #keyAt = -Infinity;
  #wanted = true;
  #changing = false;
  #last = 0;
  /** @type {VideoFrame | null} */
  #still = null;
  #stillAt = 0;
  /** Ends the source that runs. */
  #stop = () => {};
  #samples = { clock: new Clock(), next: 0 };
  #clock = new Clock();
  #closed = false;
  #counts = { frames: 0, left: 0, refused: 0 };
  #timer;

  /**
   * `tell` is given {type: 'tracks', tracks}, once at the start, and {type: 'refused', reason, cure}.
   * @param {{profile?: string, quality: import('./broadcast.js').Quality, ladder?: boolean, tell: (message: any) => void}} options
   */
  constructor({ profile = 'live', quality, ladder = false, tell }) {
    this.#profile = profile;
    this.#quality = quality;
    this.#tell = tell;
    this.#ladder = ladder;
    this.#rungs = [this.#rung(0, VIDEO.sizes[quality])];
    this.#timer = setInterval(() => this.#repeat(), REPEAT_MS / 2);
  }

  /** Objects go to `peer` from now on. @param {any} peer */
  publish(peer) {
    this.#peer = peer;
    this.#release();
  }

  /** @param {number} id @param {{height: number, bitrate: number}} size */
  #rung(id, size) {
    return new Rung(id, size, {
      out: object => this.#encoded(object),
      failed: reason => this.#tell({ type: 'refused', reason: `The video encoder failed: ${reason}.`, cure: 'Choose a lower quality and start again.' }),
    });
  }

  /** Pictures encoded, left out because the encoder was behind, and refused by the engine; since the last call. */
  counts() {
    const counts = this.#counts;
    this.#counts = { frames: 0, left: 0, refused: 0 };
    const [{ width, height }] = this.#rungs;
    return { ...counts, width, height, sizes: this.#rungs.filter(rung => rung.track).map(rung => rung.height) };
  }

  /** @param {import('./broadcast.js').Quality} quality */
  setQuality(quality) {
    this.#quality = quality;
    this.#shape = 0;
  }

  /** Another source. @param {{source: string, readable?: ReadableStream<VideoFrame>, frames?: boolean}} picture */
  picture({ source, readable }) {
    this.#stop();
    this.#clock = new Clock();
    this.#stop = source === 'pattern' ? this.#pattern() : readable ? this.#read(readable) : () => {};
    // Another picture altogether.
    this.#wanted = true;
  }

  /** One picture, where the page has to hand them over one by one. @param {VideoFrame} frame */
  frame(frame) {
    this.#take(frame, this.#clock.at(frame.timestamp));
  }

  /** @param {MessagePort} port   blocks of samples from tap.js */
  hear(port) {
    port.onmessage = ({ data }) => this.#closed || this.#hear(data);
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#stop();
    this.#still?.close();
    this.#still = null;
    for (const rung of this.#rungs) rung.close();
    if (this.#sound && this.#sound.state !== 'closed') this.#sound.close();
  }

  // Pictures.

  /** The test picture, drawn here. */
  #pattern() {
    const { height } = VIDEO.sizes[this.#quality], canvas = new OffscreenCanvas(Math.round(height * 16 / 9 / 2) * 2, height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { desynchronized: true, willReadFrequently: true }));
    let timer = 0, number = 0, due = performance.now();
    const once = () => {
      const time = now();
      draw(context, number++, time / 1000);
      this.#take(new VideoFrame(canvas, { timestamp: Math.round(time), duration: Math.round(FRAME_MS * 1000) }), time);
      // A picture that is late is not made up for.
      due = Math.max(due + FRAME_MS, performance.now() - FRAME_MS);
      timer = setTimeout(once, due - performance.now());
    };
    once();
    return () => clearTimeout(timer);
  }

  /** @param {ReadableStream<VideoFrame>} readable */
  #read(readable) {
    const reader = readable.getReader();
    let over = false;
    (async () => {
      for (;;) {
        const { value: frame, done } = await reader.read();
        if (done) return;
        if (over) frame.close();
        else this.#take(frame, this.#clock.at(frame.timestamp));
      }
    })().catch(() => { /* the page tells when a source ends */ });
    return () => {
      over = true;
      reader.cancel().catch(() => {});
    };
  }

  /** @param {VideoFrame} frame @param {number} captured */
  #take(frame, captured) {
    if (this.#closed) return frame.close();
    this.#still?.close();
    this.#still = frame;
    this.#stillAt = performance.now();
    this.#encode(captured);
  }

  #repeat() {
    if (this.#still && performance.now() - this.#stillAt > REPEAT_MS) {
      this.#stillAt = performance.now();
      this.#encode(now());
    }
  }

  /** Encodes the picture that is held. @param {number} captured */
  #encode(captured) {
    const still = /** @type {VideoFrame} */ (this.#still);
    // Times count from the start, and only ever up.
    const pts = Math.max(Math.round(captured - this.#start), this.#last + 1000);
    const since = pts - this.#keyAt, group = GROUP_US[this.#profile];
    const shape = still.displayWidth / still.displayHeight, other = Math.abs(this.#shape / shape - 1) > SHAPE;
    // Not soon after a keyframe: each costs as much as several pictures.
    if (other && !this.#changing && since > group / 2) this.#change(shape);
    const [large, ...others] = this.#rungs;
    if (!large.ready) return;
    if (large.waiting > QUEUE_MAX) {
      this.#counts.left += 1;
      this.#calmSince = performance.now();
      return;
    }
    const keyFrame = !other && !this.#changing && (this.#wanted || since >= group - FRAME_MS * 500);
    this.#last = pts;
    if (keyFrame) {
      this.#keyAt = pts;
      this.#wanted = false;
    }
    large.encode(still, pts, keyFrame);
    // On a device that is behind the smaller picture has fewer frames, and all of its keyframes.
    for (const rung of others) if (rung.ready && (keyFrame || !rung.waiting)) rung.encode(still, pts, keyFrame);
    this.#counts.frames += 1;
    if (this.#ladder && !others.length && !this.#changing && performance.now() - this.#calmSince > CALM_MS) this.#climb(shape);
  }

  /** Adds the smaller picture. @param {number} shape */
  async #climb(shape) {
    const rung = this.#rung(SMALL, SMALLER[this.#quality]);
    this.#ladder = false;
    try {
      await rung.turn(shape);
    } catch {
      // One size is a broadcast too.
      return;
    }
    if (this.#closed) return rung.close();
    this.#rungs.push(rung);
    this.#wanted = true;
  }

  /** Turns to pictures of this shape. @param {number} shape */
  async #change(shape) {
    this.#changing = true;
    try {
      await Promise.all(this.#rungs.map((rung, at) => rung.turn(shape, at ? SMALLER[this.#quality] : VIDEO.sizes[this.#quality])));
      if (this.#closed) this.#rungs.forEach(rung => rung.close());
      this.#shape = shape;
      this.#wanted = true;
    } catch (error) {
      this.#tell({ type: 'refused', reason: error.message, cure: 'Choose another quality, or use a current browser.' });
    }
    this.#changing = false;
    if (this.#still && !this.#closed) this.#encode(now());
  }

  /** @param {any} object */
  #encoded(object) {
    this.#write({ ...object, captured: Math.round(this.#start + object.pts) });
  }

  /** Says what there is, once every encoder has said what it makes; then what waited for that goes out. */
  #release() {
    if (this.#rungs.some(rung => !rung.track)) return;
    this.#soundBy = Math.min(this.#soundBy, performance.now() + SOUND_WAIT_MS);
    if (!this.#peer && !this.#heard && performance.now() < this.#soundBy) return;
    const sound = { id: SOUND, kind: 'audio', codec: 'opus', rate: 48_000, channels: 2, bitrate: SOUND_BITS, name: '' };
    const tracks = [...this.#rungs.map(rung => rung.track), ...this.#heard ? [sound] : []];
    const told = JSON.stringify(tracks.map(track => ({ ...track, config: track.config && [...track.config] })));
    if (told !== this.#announced) {
      this.#announced = told;
      // The worker publishes, and calls again.
      if (!this.#peer) return this.#tell({ type: 'tracks', tracks });
      try {
        this.#peer.setTracks(tracks);
      } catch { /* it has ended, and says so itself */ }
    }
    if (!this.#peer) return;
    for (const object of this.#held.splice(0)) this.#give(object);
  }

  #write(object) {
    this.#held.push(object);
    if (this.#held.length > HELD_MAX) this.#held.shift();
    this.#release();
  }

  #give(object) {
    if (object.track === SOUND && !this.#heard) return;
    if (this.#peer?.write(object)) return;
    this.#counts.refused += 1;
    if (object.track !== SOUND) this.#wanted = true;
  }

  // Sound.

  /** @param {{end: number, rate: number, data: Float32Array<ArrayBuffer>}} block */
  #hear({ end, rate, data }) {
    const length = data.length / 2, clock = this.#samples;
    const captured = clock.clock.at(end * 1e6 / rate) - length * 1e6 / rate - this.#start;
    // Blocks follow each other without a seam, as long as that is about right. What is too early is left out, what is too
    // late leaves a hole; the encoder counts samples, so it begins anew.
    if (captured < clock.next - SOUND_OFF_US || captured < 0) return;
    if (captured > clock.next + SOUND_OFF_US) {
      this.#sound?.flush().catch(() => {});
      clock.next = Math.max(captured, clock.next);
    }
    const timestamp = Math.round(clock.next);
    clock.next += length * 1e6 / rate;
    this.#sound ??= this.#soundEncoder(rate);
    if (this.#sound.state !== 'configured') return;
    const samples = new AudioData({ format: 'f32-planar', sampleRate: rate, numberOfFrames: length, numberOfChannels: 2, timestamp, data });
    this.#sound.encode(samples);
    samples.close();
  }

  /** @param {number} sampleRate */
  #soundEncoder(sampleRate) {
    const encoder = new AudioEncoder({
      output: chunk => {
        const data = new Uint8Array(chunk.byteLength);
        chunk.copyTo(data);
        const pts = Math.max(0, chunk.timestamp), duration = chunk.duration ?? 20_000;
        this.#heard = true;
        this.#write({ track: SOUND, pts, duration, captured: Math.round(this.#start + pts), keyframe: true, data });
      },
      error: error => {
        // What is broadcast from now on has no sound.
        this.#heard = false;
        this.#soundBy = 0;
        this.#release();
        this.#tell({ type: 'mute', reason: `The sound encoder failed: ${error.message}. Viewers hear nothing; start again for sound.` });
      },
    });
    encoder.configure({ codec: 'opus', sampleRate, numberOfChannels: 2, bitrate: SOUND_BITS });
    return encoder;
  }
}
