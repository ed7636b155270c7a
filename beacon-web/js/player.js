// A video element, kept close to the live edge. Times are seconds of media time.
import { KEEP } from './mse.js';

/** Reserve beyond one segment, at least and at most; each stall adds a step. */
const RESERVE_MIN = 0.3, RESERVE_MAX = 3, RESERVE_STEP = 0.25;
/** The reserve that is enough to begin with: the rest is gained by playing a little slower. */
const RESERVE_FIRST = 0.15;
/** A newcomer is sent at once what there is of a group. It has come when nothing follows for this part of a segment. */
const GATHERED = 0.25;
/** A stall-free time after which a step of reserve is given back. */
const CALM_MS = 30_000;
/** Behind the target by more than this: seek instead of playing faster. */
const BEHIND_MAX = 1.5;
/** Between two such seeks, at least and at most: a device that decodes too slowly gains nothing by them. */
const JUMP_MIN_MS = 3000, JUMP_MAX_MS = 30_000;
/** A picture that stands still for so long though there is media gets a push. */
const STUCK_MS = 1500;
const TICK_MS = 250;

export class Player {
  #video;
  #changed;
  #broken;
  #latency;
  #url = '';
  #timer = 0;
  /** A timer, while more of what there is may follow. */
  #gathering = 0;
  #listening = new AbortController();
  #ending = false;
  /** End of what is buffered, and when it got there. */
  #edge = 0;
  #edgeAt = 0;
  /** How long segments are, and how long the edge has stood still between two of them: the longest lately. */
  #segment = 0.1;
  #pause = 0;
  #reserve = 0;
  #calmSince = 0;
  #moved = { at: 0, time: 0 };
  #pushes = 0;
  #jumps = { next: 0, pause: JUMP_MIN_MS };
  /** A person has paused it: media that begins anew waits. */
  #resting = false;

  /** Playing has begun. */
  started = false;
  /** It stays at the live edge, for as long as nobody pauses. */
  following = true;
  /** The browser allows no sound before a person has touched the page. */
  silenced = false;
  /** The browser starts nothing by itself. */
  blocked = false;
  /** Nothing to show: told by the element itself. */
  starved = false;
  /** In a hole, until the time of what is behind it has come. */
  waiting = false;
  stalls = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {{latency?: number, changed: () => void, broken: (reason: string) => void}} options
   *   latency: seconds to stay behind the newest media, when it is to be more than what plays smoothly
   */
  constructor(video, { latency = 0, changed, broken }) {
    this.#video = video;
    this.#latency = latency;
    this.#changed = changed;
    this.#broken = broken;
    const { signal } = this.#listening;
    for (const event of ['playing', 'pause', 'seeked', 'timeupdate', 'ended'])
      video.addEventListener(event, () => changed(), { signal });
    video.addEventListener('waiting', () => this.#stalled(), { signal });
    video.addEventListener('error', () => broken(video.error?.message || 'unknown reason'), { signal });
    document.addEventListener('visibilitychange', () => this.#seen(), { signal });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Shows what is buffered elsewhere: a handle from a worker, or a source of this page. @param {any} source */
  attach(source) {
    const video = this.#video;
    this.#detach();
    if (globalThis.ManagedMediaSource && !globalThis.MediaSource) video.disableRemotePlayback = true;
    if (globalThis.MediaSourceHandle && source instanceof globalThis.MediaSourceHandle) video.srcObject = /** @type {any} */ (source);
    else video.src = this.#url = URL.createObjectURL(source);
  }

  close() {
    clearInterval(this.#timer);
    clearTimeout(this.#gathering);
    this.#listening.abort();
    this.#detach();
  }

  #detach() {
    const video = this.#video;
    this.started = this.#ending = this.waiting = false;
    this.#edge = 0;
    if (video.srcObject) video.srcObject = null;
    if (video.hasAttribute('src')) {
      video.removeAttribute('src');
      video.load();
    }
    URL.revokeObjectURL(this.#url);
  }

  /** What can be gone back to: its start, and the live edge. */
  get window() {
    const { buffered } = this.#video, edge = this.#end;
    return { start: buffered.length ? Math.max(buffered.start(0), edge - KEEP) : 0, live: edge - this.target };
  }

  /** Goes to a time within the window; at its end it follows the live edge again. @param {number} time */
  seek(time) {
    const { start, live } = this.window;
    if (this.#end <= 0) return;
    this.following = time >= live - 0.3;
    this.#jump(Math.min(Math.max(time, start), live));
    this.#changed();
  }

  /** Nothing more comes. */
  end() {
    this.#ending = true;
    this.#tick();
  }

  play() {
    const video = this.#video;
    this.blocked = this.#resting = false;
    // What is kept once more, after the end.
    if (video.ended) this.#jump(0);
    else if (this.started && !this.#inside()) this.goLive();
    // A pause of a moment, such as between the two clicks for full screen, leaves it at the edge.
    else if (this.behind < this.target + BEHIND_MAX) this.following = true;
    video.play().catch(error => {
      if (error.name !== 'NotAllowedError') return;
      if (video.muted) this.blocked = true;
      else {
        video.muted = this.silenced = true;
        this.play();
      }
      this.#changed();
    });
  }

  pause() {
    this.#resting = true;
    this.following = false;
    this.#video.pause();
  }

  goLive() {
    this.#resting = false;
    this.following = true;
    if (this.#end > 0) this.#jump(this.#end - this.target);
    if (this.#video.paused) this.#video.play().catch(() => this.#changed());
    this.#changed();
  }

  /** Seconds behind the newest media that is here. */
  get behind() {
    return Math.max(0, this.#end - this.#video.currentTime);
  }

  /** How far from the edge it aims to play: what comes at once, and a reserve that stalls have taught. */
  get target() {
    return Math.max(this.#latency, Math.max(this.#segment, this.#pause) + Math.max(this.#reserve, RESERVE_MIN, 2 * this.#segment));
  }

  get #end() {
    const { buffered } = this.#video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  /** Whether its window is there to be seen: the page, or the one of picture in picture. */
  get #visible() {
    return !document.hidden || Boolean(document.pictureInPictureElement);
  }

  /** Nobody sees or hears it. Browsers stop it then; the worker goes on, and what comes meanwhile is behind us. */
  get #unnoticed() {
    return !this.#visible && (this.#video.muted || this.#video.volume === 0);
  }

  #seen() {
    if (document.hidden || !this.started) return;
    this.#moved.at = this.#edgeAt = performance.now();
    this.#edge = this.#end;
    if (this.following && this.behind > this.target + BEHIND_MAX) this.goLive();
  }

  #tick() {
    if (this.#unnoticed && this.started) return;
    const playing = this.started && !this.#video.paused;
    if (playing && !this.#seeking()) this.#cross();
    this.#measure();
    if (!this.started) this.#begin();
    // Of what is heard alone the browser may have stopped the picture.
    else if (playing && this.#visible) this.#push();
    this.#changed();
  }

  /** The first picture: as soon as there is enough to go on with, or all there will be. */
  #begin() {
    const { buffered } = this.#video;
    if (!buffered.length) return;
    // Holes count: they are crossed, and behind a busy encoder there may be one every second.
    const enough = this.#end - buffered.start(0) >= Math.max(this.#latency, this.#segment + RESERVE_FIRST);
    if (!this.#ending && (!enough || this.#gathering)) return;
    this.started = true;
    this.following = !this.#resting;
    this.#calmSince = performance.now();
    this.#jump(this.#end - this.target);
    if (!this.#resting) this.play();
  }

  /** Goes to a time, or to the first there is after it: a seek into a hole would wait for ever. */
  #jump(time) {
    const { buffered } = this.#video;
    for (let i = 0; i < buffered.length; i++) {
      if (time < buffered.end(i) - 0.15 || i === buffered.length - 1) {
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

  /** A segment has come. @param {number} duration microseconds */
  arrived(duration) {
    this.#segment = Math.max(Math.min(duration / 1e6, RESERVE_MAX), this.#segment * 0.95);
  }

  /** More is buffered. */
  buffered() {
    if (this.started) return this.#tick();
    this.#measure();
    clearTimeout(this.#gathering);
    this.#gathering = setTimeout(() => {
      this.#gathering = 0;
      this.#tick();
    }, 1000 * GATHERED * this.#segment);
  }

  /** Learns from an edge that has moved, and steers towards the target. */
  #measure() {
    const video = this.#video, edge = this.#end, now = performance.now();
    if (Math.abs(edge - this.#edge) < 0.001) return;
    // What a source has paused for is no measure of what is on the way.
    const pause = (now - this.#edgeAt) / 1000;
    if (this.#edge > 0 && pause < RESERVE_MAX) this.#pause = Math.max(pause, this.#pause * 0.95);
    this.#edge = edge;
    this.#edgeAt = now;
    if (!this.started || video.paused || this.#seeking() || !this.following) {
      if (!this.following) video.playbackRate = 1;
      return;
    }
    if (now - this.#calmSince > CALM_MS) {
      this.#reserve = Math.max(0, this.#reserve - RESERVE_STEP);
      this.#pushes = 0;
      this.#calmSince = now;
    }
    const over = edge - video.currentTime - this.target;
    if (this.#ending || this.waiting) video.playbackRate = 1;
    else if (over > BEHIND_MAX && this.#mayJump()) this.#jump(edge - this.target);
    else video.playbackRate = over > 0.6 ? 1.08 : over > 0.15 ? 1.03 : over < -0.05 ? 0.96 : 1;
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
    const video = this.#video;
    if (this.started && !this.#unnoticed && !video.seeking && !this.#ending && this.behind < 0.2) {
      this.stalls += 1;
      this.#calmSince = performance.now();
      if (this.following)
        this.#reserve = Math.min(RESERVE_MAX, Math.max(this.#reserve, RESERVE_MIN, 2 * this.#segment) + RESERVE_STEP);
    }
    this.#tick();
  }

  /**
   * Over a hole in what is buffered: always forward, so it cannot loop. At the live edge time goes on in a hole as it does
   * elsewhere; else every one would take its length off the reserve.
   */
  #cross() {
    const { buffered, currentTime } = this.#video, edge = this.#end;
    this.waiting = false;
    for (let i = 0; i < buffered.length; i++) {
      const start = buffered.start(i);
      if (currentTime >= start && currentTime < buffered.end(i) - 0.15) return;
      if (start <= currentTime || buffered.end(i) - start < 0.1) continue;
      // Between two segments it is half of one nearer on average.
      this.waiting = this.following && !this.#ending && edge - start < this.target - this.#segment / 2;
      if (!this.waiting) this.#video.currentTime = start + 0.01;
      return;
    }
  }

  /** Media is here and yet time stands still: a push, and if that is no help, from the start. */
  #push() {
    const { currentTime } = this.#video, now = performance.now();
    if (currentTime !== this.#moved.time || this.behind < 0.5 || this.waiting) {
      this.#moved = { at: now, time: currentTime };
      return;
    }
    // A seek takes its time, but one into a hole takes for ever.
    if (now - this.#moved.at < (this.#video.seeking ? 2 * STUCK_MS : STUCK_MS)) return;
    this.#moved.at = now;
    this.#pushes += 1;
    if (this.#pushes > 3) {
      this.#pushes = 0;
      this.#broken('the picture stands still');
    } else this.#video.currentTime = currentTime + 0.1;
  }
}
