// Media Source Extensions, kept close to the live edge. Times are seconds of media time.

/** How much of the past stays seekable. */
export const KEEP = 30;
/** Trimming waits until this much more has gathered. */
const TRIM_STEP = 5;
/** Reserve beyond one segment, at least and at most; each stall adds a step. */
const RESERVE_MIN = 0.3, RESERVE_MAX = 3, RESERVE_STEP = 0.25;
/** A stall-free time after which a step of reserve is given back. */
const CALM_MS = 30_000;
/** Behind the target by more than this: seek instead of playing faster. */
const BEHIND_MAX = 1.5;
/** Between two such seeks, at least and at most: a device that decodes too slowly gains nothing by them. */
const JUMP_MIN_MS = 3000, JUMP_MAX_MS = 30_000;
/** A picture that stands still for so long though there is media gets a push. */
const STUCK_MS = 1500;
/** What may wait to be appended; beyond it the stream starts anew. */
const QUEUE_MAX = 256, QUEUE_BYTES_MAX = 48 << 20;
const TICK_MS = 250;

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

export class Player {
  #video;
  #resync;
  #changed;
  #source = null;
  #tracks = [];
  /** Per chosen track: { mime, buffer, queue, bytes, init, fed }. */
  #feeds = new Map();
  #showing = null;
  #ending = false;
  /** End of what is buffered, and where the stretch that it ends began. */
  #edge = 0;
  #stretch = 0;
  #segment = 0.1;
  #reserve = 0;
  #calmSince = 0;
  #moved = { at: 0, time: 0 };
  #failures = 0;
  #jumps = { next: 0, pause: JUMP_MIN_MS };

  /** Whether playing has begun, whether it stays at the live edge, whether a gap was just met. */
  started = false;
  following = true;
  gapAt = -Infinity;
  arrivedAt = -Infinity;
  ended = false;
  /** Why it cannot play, for a person; null otherwise. */
  refusal = null;
  /** What is left out though the rest plays. */
  remark = null;
  silenced = false;
  stalls = 0;

  /** `resync` starts the stream anew; `changed` is called when something visible may differ. */
  constructor(video, { resync, changed }) {
    this.#video = video;
    this.#resync = resync;
    this.#changed = changed;
    for (const event of ['playing', 'pause', 'seeked', 'timeupdate', 'ended', 'volumechange', 'resize'])
      video.addEventListener(event, () => changed());
    video.addEventListener('waiting', () => this.#stalled());
    video.addEventListener('error', () => this.#broken(video.error?.message));
    document.addEventListener('visibilitychange', () => this.tick());
    setInterval(() => this.tick(), TICK_MS);
  }

  // What the stream brings.

  describe({ showing, list }) {
    this.#tracks = list;
    if (!Source) {
      return this.#refuse('This browser has no Media Source Extensions. Use a current Chromium, Firefox or Safari.');
    }
    const problems = [];
    const usable = list.filter((track) => {
      const why = track.refused ?? (Source.isTypeSupported(track.mime) ? null
        : `This browser cannot play ${track.codec} (${isVideo(track) ? 'picture' : 'sound'}).`);
      if (why) problems.push(why);
      return !why;
    });
    this.videos = usable.filter(isVideo);
    const kept = this.videos.find((track) => track.id === this.choice);
    const chosen = [kept ?? this.videos[0], usable.find((track) => !isVideo(track))].filter(Boolean);
    if (!chosen.length) return this.#refuse(problems.join(' '));
    this.refusal = null;
    this.remark = problems.length ? problems.join(' ') : null;
    this.#choose(chosen, showing);
  }

  init(id, body) {
    const feed = this.#feeds.get(id);
    if (!feed) return;
    // A stream that starts anew repeats what is known.
    if (feed.init && same(feed.init, body)) return;
    feed.init = body;
    this.#queue(feed, body);
  }

  fragment(id, body) {
    const feed = this.#feeds.get(id);
    if (!feed) return;
    this.arrivedAt = performance.now();
    this.#queue(feed, body);
  }

  gap(id) {
    if (this.#feeds.has(id)) this.gapAt = performance.now();
  }

  end() {
    this.#ending = true;
    this.#finish();
  }

  // What a person asks for.

  play() {
    const { video } = this.#at();
    if (video.ended) this.#jump(0);
    else if (this.started && !this.#inside()) this.goLive();
    const started = video.play();
    started?.catch((error) => {
      if (error.name !== 'NotAllowedError' || video.muted) return;
      // Browsers start sound only after a person has touched the page.
      video.muted = this.silenced = true;
      video.play().catch(() => this.#changed());
      this.#changed();
    });
  }

  pause() {
    this.following = false;
    this.#video.pause();
  }

  goLive() {
    const { edge } = this.#at();
    this.following = true;
    if (edge > 0) this.#jump(edge - this.target);
    if (this.#video.paused) this.#video.play().catch(() => this.#changed());
    this.#changed();
  }

  seek(time) {
    const { start, edge } = this.#at();
    if (edge <= 0) return;
    const wanted = Math.min(Math.max(time, start), edge - this.target);
    this.following = wanted >= edge - this.target - 0.3;
    this.#jump(wanted);
    this.#changed();
  }

  /** Shows another rendition, by track number. */
  prefer(id) {
    this.choice = id;
    this.#showing = null;
    this.#resync();
  }

  // What a person is told.

  get rendition() {
    return this.#tracks.find((track) => isVideo(track) && this.#feeds.has(track.id));
  }

  /** Seconds behind the newest media that is here. */
  get behind() {
    const { edge } = this.#at();
    return Math.max(0, edge - this.#video.currentTime);
  }

  /** How far from the edge it aims to play: a segment, and a reserve that stalls have taught. */
  get target() {
    return this.#segment + Math.max(this.#reserve, RESERVE_MIN, 2 * this.#segment);
  }

  /** The stretch that can be seeked in. */
  get window() {
    const { start, edge } = this.#at();
    return { start: Math.max(start, edge - KEEP), edge, live: edge - this.target };
  }

  /** Keeps it playing: called on a timer and whenever something has come. */
  tick() {
    this.#measure();
    if (!this.started) this.#begin();
    else if (!this.#video.paused && !this.#seeking()) {
      this.#cross();
      this.#push();
    }
    this.#changed();
  }

  // Inside.

  #at() {
    const video = this.#video, { buffered } = video, last = buffered.length - 1;
    return last < 0 ? { video, start: 0, edge: 0 }
      : { video, start: buffered.start(0), edge: buffered.end(last) };
  }

  /** Goes to a time, or to the first there is after it: a seek into a hole would wait for ever. */
  #jump(time) {
    const { buffered } = this.#video;
    for (let i = 0; i < buffered.length; i++) {
      const last = i === buffered.length - 1;
      if (time < buffered.end(i) - 0.15 || last) {
        this.#video.currentTime = Math.max(time, buffered.start(i) + 0.01);
        return;
      }
    }
  }

  /** A seek is under way that what is buffered can end. */
  #seeking() {
    return this.#video.seeking && this.#inside();
  }

  #inside() {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i++)
      if (currentTime >= buffered.start(i) - 0.1 && currentTime <= buffered.end(i)) return true;
    return false;
  }

  #refuse(why) {
    this.refusal = why;
    this.#close();
    this.#changed();
  }

  #choose(chosen, showing) {
    const kept = showing === this.#showing && this.#source && chosen.length === this.#feeds.size
      && chosen.every((track) => this.#feeds.has(track.id))
      && chosen.every((track) => this.#retype(this.#feeds.get(track.id), track.mime));
    if (kept) return;
    this.#close();
    this.#showing = showing;
    for (const track of chosen)
      this.#feeds.set(track.id, { mime: track.mime, buffer: null, queue: [], bytes: 0, init: null });
    this.#open();
  }

  /** Another codec string in the same buffer, where the browser can. */
  #retype(feed, mime) {
    if (feed.mime === mime) return true;
    if (!feed.buffer?.changeType) return false;
    feed.mime = mime;
    feed.queue.push({ mime });
    return true;
  }

  #open() {
    const source = new Source(), video = this.#video, url = URL.createObjectURL(source);
    this.#source = source;
    if (Source !== globalThis.MediaSource) video.disableRemotePlayback = true;
    source.addEventListener('sourceopen', () => {
      URL.revokeObjectURL(url);
      if (source !== this.#source) return;
      try {
        for (const feed of this.#feeds.values()) {
          feed.buffer = source.addSourceBuffer(feed.mime);
          feed.buffer.addEventListener('updateend', () => {
            this.#pump(feed);
            this.tick();
          });
          feed.buffer.addEventListener('error', () => this.#broken('a segment could not be read'));
        }
      } catch (error) {
        return this.#refuse(`This browser cannot play the broadcast: ${error.message}`);
      }
      for (const feed of this.#feeds.values()) this.#pump(feed);
    }, { once: true });
    video.src = url;
  }

  #close() {
    this.#source = null;
    this.#feeds.clear();
    this.started = this.ended = this.#ending = false;
    this.#edge = 0;
    if (this.#video.src) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
  }

  /** The decoder gave up: once more from the newest group, a few times. */
  #broken(why) {
    if (!this.#source) return;
    this.#failures += 1;
    if (this.#failures > 5) return this.#refuse(`The player failed: ${why || 'unknown reason'}. Reload the page to try again.`);
    this.#close();
    this.#showing = null;
    setTimeout(() => this.#resync(), 300 * this.#failures);
  }

  #queue(feed, data) {
    feed.queue.push({ data });
    feed.bytes += data.byteLength;
    if (feed.queue.length > QUEUE_MAX || feed.bytes > QUEUE_BYTES_MAX) {
      feed.queue = [];
      feed.bytes = 0;
      feed.init = null;
      return this.#resync();
    }
    this.#pump(feed);
  }

  #pump(feed) {
    const { buffer } = feed;
    if (!buffer || buffer.updating || this.#source?.readyState === 'closed' || this.#video.error) return;
    if (this.#trim(buffer, KEEP + TRIM_STEP, KEEP)) return;
    const item = feed.queue.shift();
    if (!item) return this.#finish();
    try {
      if (item.mime) {
        buffer.changeType(item.mime);
        return this.#pump(feed);
      }
      buffer.appendBuffer(item.data);
      feed.bytes -= item.data.byteLength;
    } catch (error) {
      if (error.name !== 'QuotaExceededError') return this.#broken(error.message);
      feed.queue.unshift(item);
      if (!this.#trim(buffer, 2 * TRIM_STEP, TRIM_STEP)) this.#broken('the browser has no room for a group');
    }
  }

  /** Lets go of what is older than `keep` seconds, once there is more than `limit`. */
  #trim(buffer, limit, keep) {
    const { buffered } = buffer, last = buffered.length - 1;
    if (last < 0) return false;
    const edge = buffered.end(last);
    if (edge - buffered.start(0) <= limit) return false;
    buffer.remove(0, edge - keep);
    return true;
  }

  #finish() {
    const feeds = [...this.#feeds.values()];
    if (!this.#ending || this.ended) return;
    if (feeds.some((feed) => feed.queue.length || feed.buffer?.updating)) return;
    this.ended = true;
    if (this.#source?.readyState === 'open') this.#source.endOfStream();
    if (!this.started) this.#begin();
    this.#changed();
  }

  /** The first picture: as soon as there is a target's worth of media, or all there will be. */
  #begin() {
    const { video, edge } = this.#at(), { buffered } = video;
    if (edge <= 0 || (edge - buffered.start(buffered.length - 1) < this.target && !this.ended)) return;
    this.started = true;
    this.following = true;
    this.#calmSince = performance.now();
    this.#jump(edge - this.target);
    this.play();
  }

  /** Learns from an edge that has moved, and steers towards the target. */
  #measure() {
    const { video, edge } = this.#at(), { buffered } = video;
    const step = edge - this.#edge;
    if (Math.abs(step) < 0.001) return;
    // A segment is what the edge moves by, holes aside.
    const stretch = buffered.length ? buffered.start(buffered.length - 1) : 0;
    const whole = this.#edge > 0 && (stretch === this.#stretch || this.#edge > stretch);
    if (whole && step > 0) this.#segment = Math.max(step, this.#segment * 0.95);
    this.#edge = edge;
    this.#stretch = stretch;
    if (!this.started || video.paused || this.#seeking() || !this.following) {
      if (!this.following) video.playbackRate = 1;
      return;
    }
    if (performance.now() - this.#calmSince > CALM_MS) {
      this.#reserve = Math.max(0, this.#reserve - RESERVE_STEP);
      this.#failures = 0;
      this.#calmSince = performance.now();
    }
    const over = edge - video.currentTime - this.target;
    if (this.#ending) video.playbackRate = 1;
    else if (over > BEHIND_MAX && this.#mayJump()) this.#jump(edge - this.target);
    else video.playbackRate = over > 0.6 ? 1.08 : over > 0.15 ? 1.03 : over < -0.2 ? 0.96 : 1;
  }

  /** Whether it is time to seek to the edge again. */
  #mayJump() {
    const now = performance.now(), jumps = this.#jumps;
    if (now < jumps.next) return false;
    jumps.pause = now - jumps.next < jumps.pause ? Math.min(2 * jumps.pause, JUMP_MAX_MS) : JUMP_MIN_MS;
    jumps.next = now + jumps.pause;
    return true;
  }

  #stalled() {
    const { video, edge } = this.#at();
    if (this.started && !video.seeking && !this.ended && edge - video.currentTime < 0.2) {
      this.stalls += 1;
      this.#calmSince = performance.now();
      if (this.following)
        this.#reserve = Math.min(RESERVE_MAX, Math.max(this.#reserve, RESERVE_MIN, 2 * this.#segment) + RESERVE_STEP);
    }
    this.tick();
  }

  /** Over a hole in what is buffered: always forward, so it cannot loop. */
  #cross() {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i++) {
      const start = buffered.start(i);
      if (currentTime >= start && currentTime < buffered.end(i) - 0.15) return;
      if (start > currentTime) {
        if (buffered.end(i) - start < 0.1) continue;
        this.#video.currentTime = start + 0.01;
        return;
      }
    }
  }

  /** Media is here and yet time stands still: a push, and if that is no help, from the start. */
  #push() {
    const { currentTime } = this.#video, now = performance.now();
    if (currentTime !== this.#moved.time || this.behind < 0.5) {
      this.#moved = { at: now, time: currentTime };
      return;
    }
    if (now - this.#moved.at < STUCK_MS) return;
    this.#failures += 1;
    this.#moved.at = now;
    if (this.#failures > 3) this.#broken('the picture stands still');
    else this.#video.currentTime = currentTime + 0.1;
  }
}

export function isVideo(track) {
  return 'video' in track.kind;
}

function same(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
