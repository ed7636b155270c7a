// Encoded frames into pictures and sound at their time, in the engine's worker: the low-latency way to play.
//
// Everything is shown a little after the soonest that it could have come: `delay`, the lateness of all but the latest few of
// what came in the last seconds. What comes later still is not waited for.

/** Objects whose lateness is remembered: some six seconds. */
const PAST = 512;
/** The share of them that is to come in time. */
const SHARE = 0.97;
/** Milliseconds added to that: decoding, and the clocks of timers. */
const MARGIN = 12;
const DELAY_MAX = 1500;
/** The delay grows at once, and shrinks by so many milliseconds per second; what it is too long by more than this is skipped. */
const SHRINK = 40, SKIP = 400;
/** How far two clocks may run apart, in milliseconds per millisecond. */
const DRIFT = 1e-4;
/** Pictures in the decoder and decoded pictures that wait, at most: DELAY_MAX of 30 per second, and some. */
const DECODING_MAX = 40, WAITING_MAX = 50;
/** Objects that wait for an answer about codecs, at most. */
const HELD_MAX = 600;
/** A picture that is this late when a newer one is there is left out. */
const EARLY = 4;
/** A sound decoder that fails so often without a sound in between is given up. */
const DEAF_MAX = 5;
/** Nothing to show for so long is a stall. */
const STARVED_MS = 700;
const TICK_MS = 100;

const wall = () => performance.timeOrigin + performance.now();

/** When what was captured at a media time is shown: milliseconds of `wall`. */
export class Pace {
  #base = Infinity;
  #at = 0;
  #past = new Float64Array(PAST);
  #count = 0;
  #least;
  delay = 0;

  /** @param {number} [least]   milliseconds of delay at least */
  constructor(least = 0) {
    this.#least = least;
  }

  /** Something came. @param {number} pts milliseconds @param {number} now */
  came(pts, now) {
    const first = this.#base === Infinity;
    this.#base = Math.min(this.#base + (first ? 0 : (now - this.#at) * DRIFT), now - pts);
    this.#past[this.#count++ % PAST] = now - pts - this.#base;
    this.#at = now;
  }

  /** Learns from what came; once per batch. @param {number} passed milliseconds since the last time */
  learn(passed) {
    const past = this.#past.slice(0, Math.min(this.#count, PAST)).sort();
    const late = past[Math.min(past.length - 1, Math.floor(past.length * SHARE))] ?? 0;
    const wanted = Math.min(DELAY_MAX, Math.max(this.#least, late + MARGIN));
    this.delay = this.delay - wanted > SKIP ? wanted : Math.max(wanted, this.delay - passed * SHRINK / 1000);
  }

  /** @param {number} pts milliseconds */
  due(pts) {
    return this.#base + pts + this.delay;
  }
}

export class Screen {
  #say;
  #show;
  #speaker;
  #pace;
  /** @type {any} */
  #video = null;
  /** @type {any} */
  #audio = null;
  /** @type {VideoDecoder | null} */
  #pictures = null;
  /** @type {AudioDecoder | null} */
  #sound = null;
  #deaf = 0;
  /** What cannot be decoded, in words. */
  #without = '';
  /** Nothing can be decoded before the next keyframe. */
  #broken = true;
  /** @type {VideoFrame[]} */
  #waiting = [];
  #timer = 0;
  #tick;
  #learnt = wall();
  #shownAt = 0;
  #starved = false;
  /** What came while it is found out whether the tracks can be decoded. @type {any[] | null} */
  #held = null;
  #counts = { frames: 0, left: 0, stalls: 0 };

  /**
   * `say` is given {type: 'chosen', tracks, remark}, {type: 'unplayable', reason}, {type: 'broken', reason} and
   * {type: 'starved', starved, stalls}.
   * @param {{say: (message: any, transfer?: any[]) => void, writable?: WritableStream<VideoFrame>, speaker?: MessagePort, latency?: number}} options
   *   writable: where pictures go; without it they are said as {type: 'picture', frame}
   *   speaker: of speaker.js   latency: seconds of delay at least
   */
  constructor({ say, writable, speaker, latency = 0 }) {
    this.#say = say;
    this.#speaker = speaker;
    this.#pace = new Pace(latency * 1000);
    const writer = writable?.getWriter();
    this.#show = frame => {
      if (!writer) return say({ type: 'picture', frame }, [frame]);
      writer.write(frame).catch(() => frame.close());
    };
    this.#tick = setInterval(() => this.#watch(), TICK_MS);
  }

  /** Takes what the engine says; what is no media is passed over. @param {any} message */
  take(message) {
    // After the end nothing is missed.
    if (message.type === 'end') clearInterval(this.#tick);
    if (message.type !== 'tracks' && message.type !== 'object') return;
    if (message.type === 'object') this.#came(message.pts / 1000);
    if (!this.#held) return this.#take(message);
    this.#held.push(message);
    if (this.#held.length > HELD_MAX) this.#held.shift();
  }

  /** @param {any} message */
  #take(message) {
    if (message.type === 'object') return this.#object(message);
    this.#held = [];
    this.#choose(message.tracks).finally(() => {
      const held = this.#held ?? [];
      this.#held = null;
      for (const message of held) if (this.#held) this.#held.push(message); else this.#take(message);
    });
  }

  /** @param {number} pts milliseconds */
  #came(pts) {
    const now = wall();
    this.#pace.came(pts, now);
    if (now > this.#learnt) {
      this.#pace.learn(now - this.#learnt);
      this.#learnt = now;
    }
  }

  /** Drops what there is and goes on at the next keyframe. */
  reset() {
    if (this.#video) this.#open();
  }

  /** Pictures shown and left out, stalls, and the delay in milliseconds. */
  counts() {
    return { ...this.#counts, delay: this.#pace.delay };
  }

  close() {
    clearInterval(this.#tick);
    clearTimeout(this.#timer);
    for (const decoder of [this.#pictures, this.#sound]) if (decoder && decoder.state !== 'closed') decoder.close();
    this.#drop();
  }

  async #choose(tracks) {
    const problems = [], usable = [];
    for (const track of tracks) {
      const { supported } = await support(track).catch(() => ({ supported: false }));
      if (supported) usable.push(track);
      else problems.push(`This browser cannot decode ${track.codec} (${track.kind === 'video' ? 'picture' : 'sound'}) frame by frame.`);
    }
    const of = kind => usable.find(track => track.kind === kind) ?? null;
    const [video, audio] = [of('video'), of('audio')];
    if (!video) return this.#say({ type: 'unplayable', reason: problems.join(' ') || 'There is no picture.' });
    this.#without = problems.join(' ');
    const other = !same(video, this.#video) || !same(audio, this.#audio);
    this.#audio = audio;
    this.#video = video;
    this.#chosen();
    if (other) this.#open();
  }

  #chosen() {
    this.#say({ type: 'chosen', tracks: [this.#video, this.#audio].filter(Boolean), remark: this.#without });
  }

  /** Sets the decoders to the tracks. What is in them comes out first. */
  #open() {
    if (this.#pictures?.state !== 'configured') {
      const pictures = new VideoDecoder({
        output: frame => this.#decoded(frame),
        error: error => pictures === this.#pictures && this.#say({ type: 'broken', reason: error.message }),
      });
      this.#pictures = pictures;
    }
    this.#pictures.configure(configuration(this.#video));
    this.#broken = true;
    this.#deaf = 0;
    this.#listen();
  }

  /** Sets the decoder of the sound; one that gives up is replaced, for every packet is a beginning. */
  #listen() {
    if (!this.#audio || !this.#speaker) return;
    if (this.#sound?.state !== 'configured') {
      const sound = new AudioDecoder({
        output: data => this.#heard(data),
        error: error => {
          if (sound !== this.#sound) return;
          if (++this.#deaf < DEAF_MAX) return this.#listen();
          this.#without = `The sound cannot be decoded: ${error.message}`;
          this.#sound = this.#audio = null;
          this.#chosen();
        },
      });
      this.#sound = sound;
    }
    this.#sound.configure(configuration(this.#audio));
  }

  #object({ track, pts, keyframe, gapBefore, data }) {
    if (track === this.#video?.id) this.#picture(pts, keyframe, gapBefore, data);
    else if (track === this.#audio?.id && this.#sound?.state === 'configured')
      this.#sound.decode(new EncodedAudioChunk({ type: 'key', timestamp: pts, data }));
  }

  #picture(timestamp, keyframe, gapBefore, data) {
    const decoder = this.#pictures;
    if (!decoder || decoder.state !== 'configured') return;
    if (gapBefore || decoder.decodeQueueSize > DECODING_MAX) this.#broken = true;
    if (this.#broken && !keyframe) {
      this.#counts.left += 1;
      return;
    }
    this.#broken = false;
    decoder.decode(new EncodedVideoChunk({ type: keyframe ? 'key' : 'delta', timestamp, data }));
  }

  /** @param {VideoFrame} frame */
  #decoded(frame) {
    this.#waiting.push(frame);
    // Early rather than never.
    if (this.#waiting.length > WAITING_MAX) this.#next();
    this.#plan();
  }

  /** Shows the first that waits. */
  #next() {
    const frame = this.#waiting.shift();
    if (!frame) return;
    this.#show(frame);
    this.#counts.frames += 1;
    this.#shownAt = wall();
    if (this.#starved || this.#counts.frames === 1) this.#tell(false);
  }

  #leave() {
    this.#waiting.shift()?.close();
    this.#counts.left += 1;
  }

  #plan() {
    clearTimeout(this.#timer);
    const [first] = this.#waiting;
    if (first) this.#timer = setTimeout(() => this.#due(), Math.max(0, this.#pace.due(first.timestamp / 1000) - wall()));
  }

  /** Shows the newest picture whose time has come. */
  #due() {
    const now = wall() + EARLY, due = frame => this.#pace.due(frame.timestamp / 1000) <= now;
    while (this.#waiting.length > 1 && due(this.#waiting[1])) this.#leave();
    const [frame] = this.#waiting;
    if (frame && due(frame)) this.#next();
    this.#plan();
  }

  #watch() {
    if (this.#shownAt && !this.#starved && wall() - this.#shownAt > STARVED_MS) {
      this.#counts.stalls += 1;
      this.#tell(true);
    }
  }

  #tell(starved) {
    this.#starved = starved;
    this.#say({ type: 'starved', starved, stalls: this.#counts.stalls });
  }

  /** @param {AudioData} data */
  #heard(data) {
    this.#deaf = 0;
    const { numberOfFrames: length, numberOfChannels: channels, sampleRate: rate } = data;
    const samples = [0, Math.min(1, channels - 1)].map(planeIndex => {
      const plane = new Float32Array(length);
      data.copyTo(plane, { planeIndex, format: 'f32-planar' });
      return plane;
    });
    // The speaker goes by the clock of the day.
    const due = this.#pace.due(data.timestamp / 1000) - wall() + Date.now();
    data.close();
    this.#speaker?.postMessage({ due, rate, samples }, samples.map(plane => plane.buffer));
  }

  #drop() {
    while (this.#waiting.length) this.#waiting.shift()?.close();
  }
}

/** Whether a decoder of one goes on with the other. @param {any} track @param {any} other */
function same(track, other) {
  const told = it => it && JSON.stringify([it.id, it.codec, it.width, it.height, it.rate, it.channels, [...it.config ?? []]]);
  return told(track) === told(other);
}

/** @param {any} track @returns {any} */
function configuration({ kind, codec, config, width, height, rate, channels }) {
  if (kind === 'audio') {
    const description = codec.startsWith('mp4a') ? { description: config } : {};
    return { codec, sampleRate: rate, numberOfChannels: channels, ...description };
  }
  const description = /^(avc1|hvc1)/.test(codec) ? { description: config } : {};
  return { codec, codedWidth: width, codedHeight: height, optimizeForLatency: true, ...description };
}

/** @param {any} track */
function support(track) {
  return track.kind === 'video' ? VideoDecoder.isConfigSupported(configuration(track)) : AudioDecoder.isConfigSupported(configuration(track));
}
