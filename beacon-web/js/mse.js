// Fragments of MP4 into Media Source Extensions, in a worker or in a page. What is shown is steered elsewhere (player.js).

/** Seconds of the past that stay buffered: a paused or hidden player costs no more. */
export const KEEP = 30;
/** Trimming waits until this much more has gathered. */
const TRIM_STEP = 5;
/** A track that brings nothing while another brings so much, in microseconds, is left out: only what there is of all is played. */
const SILENT_US = 3_000_000;
/** What may wait to be appended; beyond it everything starts anew. */
const QUEUE_MAX = 256, QUEUE_BYTES_MAX = 48 << 20;

/** Safari on phones has the managed one only. */
const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

/** Where media can be buffered: off the main thread where the browser can. */
export const place = !Source ? 'none' : Source.canConstructInDedicatedWorker ? 'worker' : 'page';

/** Whether the browser plays this. @param {string} mime */
export const supports = mime => Boolean(Source?.isTypeSupported(mime));

/** One codec string per family that MP4 holds. */
const FAMILIES = [
  'video/mp4; codecs="avc1.42E01E"', 'video/mp4; codecs="vp09.00.31.08"', 'video/mp4; codecs="av01.0.05M.08"',
  'video/mp4; codecs="hvc1.1.6.L93.B0"', 'audio/mp4; codecs="opus"', 'audio/mp4; codecs="mp4a.40.2"',
];

/** The families that this browser plays, as the beginnings of codec strings. */
export function playable() {
  return FAMILIES.filter(supports).map(mime => /"([a-z0-9]+)/.exec(mime)[1]);
}

/**
 * @typedef {object} Feed
 * @property {any} track
 * @property {string} mime
 * @property {boolean} video
 * @property {number} missed     what others have brought since it brought something, in microseconds
 * @property {boolean} silent    it is left out
 * @property {SourceBuffer | null} buffer
 * @property {(Uint8Array | {mime: string})[]} queue
 * @property {number} bytes      in the queue
 * @property {Uint8Array | null} init
 * @property {boolean} fresh     nothing was appended yet: it begins with the init segment and a keyframe
 */

export class Buffers {
  #say;
  /** @type {MediaSource | null} */
  #source = null;
  /** @type {Map<number, Feed>} */
  #feeds = new Map();
  #ending = false;
  /** What cannot be played, in words. */
  #without = '';

  /**
   * `say` is given {type: 'source', source}, {type: 'chosen', tracks, remark}, {type: 'buffered'} after each segment,
   * {type: 'unplayable', reason} and {type: 'broken', reason}; after the last, `reset` starts anew.
   * @param {(message: any) => void} say
   */
  constructor(say) {
    this.#say = say;
  }

  /** Takes what the engine says; what is no media is passed over. Where fragments tell no duration, no track is left out. @param {any} message */
  take(message) {
    switch (message.type) {
      case 'tracks': return this.#choose(message.tracks);
      case 'fragment': return this.#fragment(message);
      case 'end':
        this.#ending = !message.reason;
        return this.#finish();
    }
  }

  /** Drops what there is and goes on at the next keyframe. */
  reset() {
    for (const feed of this.#feeds.values()) Object.assign(feed, { buffer: null, queue: [], bytes: 0, fresh: true });
    this.#open();
  }

  #choose(tracks) {
    const problems = [];
    const usable = tracks.filter(track => {
      const why = track.refused ?? (supports(track.mime) ? null
        : `This browser cannot play ${track.codec} (${track.kind === 'video' ? 'picture' : 'sound'}).`);
      if (why) problems.push(why);
      return !why;
    });
    const chosen = ['video', 'audio'].map(kind => usable.find(track => track.kind === kind)).filter(Boolean);
    if (!chosen.length) return this.#say({ type: 'unplayable', reason: problems.join(' ') || 'The broadcast has no tracks.' });
    this.#without = problems.join(' ');
    if (this.#source && this.#rename(chosen)) return this.#tell();
    this.#feeds = new Map(chosen.map(track => [track.id, {
      track, mime: track.mime, video: track.kind === 'video', missed: 0, silent: false, buffer: null, queue: [], bytes: 0, init: null, fresh: true,
    }]));
    this.#tell();
    this.#open();
  }

  /** What is played now. */
  #tell() {
    const feeds = [...this.#feeds.values()], silent = feeds.filter(feed => feed.silent);
    const remarks = [this.#without, ...silent.map(({ video }) => `The ${video ? 'picture' : 'sound'} does not arrive.`)];
    this.#say({ type: 'chosen', tracks: feeds.filter(feed => !feed.silent).map(feed => feed.track), remark: remarks.filter(Boolean).join(' ') });
  }

  /**
   * One has brought something. Where that changes which are silent, all begins anew with the others: browsers take no buffer out of
   * a source that plays, nor a new one in.
   */
  #brought(one, duration) {
    const feeds = [...this.#feeds.values()];
    for (const feed of feeds) feed.missed = feed === one ? 0 : feed.missed + duration;
    const changed = feeds.filter(feed => feed.silent !== feed.missed > SILENT_US);
    if (!changed.length) return;
    for (const feed of changed) feed.silent = !feed.silent;
    this.#tell();
    this.reset();
  }

  /** Other tracks in the same buffers, one of each kind: another rendition goes on where the one before ends. */
  #rename(chosen) {
    const feeds = [...this.#feeds.values()];
    const pairs = chosen.map(track => ({ track, feed: feeds.find(feed => feed.video === (track.kind === 'video')) }));
    if (pairs.length !== feeds.length || !pairs.every(({ track, feed }) => this.#retype(feed, track.mime))) return false;
    const other = pairs.filter(({ track, feed }) => this.#feeds.get(track.id) !== feed);
    // It begins with its own init segment.
    for (const { feed, track } of other) Object.assign(feed, { track, init: null, fresh: true });
    this.#feeds = new Map(pairs.map(({ track, feed }) => [track.id, feed]));
    return true;
  }

  /** Another codec string in the same buffer, where the browser can. */
  #retype(feed, mime) {
    if (!feed || feed.mime === mime) return Boolean(feed);
    if (!feed.buffer?.changeType) return false;
    feed.mime = mime;
    feed.queue.push({ mime });
    return true;
  }

  #open() {
    const source = new Source();
    this.#source = source;
    source.addEventListener('sourceopen', () => {
      if (source !== this.#source) return;
      try {
        for (const feed of this.#feeds.values()) {
          if (feed.silent) continue;
          const buffer = source.addSourceBuffer(feed.mime);
          feed.buffer = buffer;
          buffer.addEventListener('updateend', () => {
            this.#pump(feed, buffer);
            if (source === this.#source) this.#say({ type: 'buffered' });
          });
          buffer.addEventListener('error', () => source === this.#source && this.#broken('a segment could not be read'));
        }
      } catch (error) {
        return this.#say({ type: 'unplayable', reason: `This browser cannot play the broadcast: ${error.message}.` });
      }
      for (const feed of this.#feeds.values()) this.#pump(feed, feed.buffer);
    }, { once: true });
    this.#say({ type: 'source', source });
  }

  #broken(reason) {
    this.#source = null;
    this.#say({ type: 'broken', reason });
  }

  #fragment({ track, init, data, keyframe, duration = 0 }) {
    const feed = this.#feeds.get(track);
    if (!feed) return;
    if (init) feed.init = init;
    this.#brought(feed, duration);
    if (!this.#source || !feed.init || (feed.fresh && feed.video && !keyframe)) return;
    if (init || feed.fresh) this.#queue(feed, feed.init);
    feed.fresh = false;
    this.#queue(feed, data);
    if (feed.queue.length > QUEUE_MAX || feed.bytes > QUEUE_BYTES_MAX) return this.reset();
    this.#pump(feed, feed.buffer);
  }

  #queue(feed, data) {
    feed.queue.push(data);
    feed.bytes += data.byteLength;
  }

  #pump(feed, buffer) {
    if (!buffer || buffer !== feed.buffer || buffer.updating || this.#source?.readyState !== 'open') return;
    if (trim(buffer, KEEP + TRIM_STEP, KEEP)) return;
    const item = feed.queue.shift();
    if (!item) return this.#finish();
    try {
      if (item.mime) {
        buffer.changeType(item.mime);
        return this.#pump(feed, buffer);
      }
      buffer.appendBuffer(item);
      feed.bytes -= item.byteLength;
    } catch (error) {
      if (error.name !== 'QuotaExceededError') return this.#broken(error.message);
      feed.queue.unshift(item);
      if (!trim(buffer, 2 * TRIM_STEP, TRIM_STEP)) this.#broken('the browser has no room for a group');
    }
  }

  #finish() {
    const feeds = [...this.#feeds.values()];
    if (!this.#ending || this.#source?.readyState !== 'open') return;
    if (feeds.some(feed => feed.queue.length || feed.buffer?.updating)) return;
    this.#source.endOfStream();
  }
}

/** Lets go of what is older than `keep` seconds, once there is more than `limit`. */
function trim(buffer, limit, keep) {
  const { buffered } = buffer, last = buffered.length - 1;
  if (last < 0) return false;
  const edge = buffered.end(last);
  if (edge - buffered.start(0) <= limit) return false;
  buffer.remove(0, edge - keep);
  return true;
}
