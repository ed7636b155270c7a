// Beacon for pages: a broadcast is watched, and relayed, by a few lines. index.d.ts says what there is.
import { Buffers, place, playable } from './mse.js';
import { Peer, engine, sentence, signalOf } from './peer.js';
import { Player } from './player.js';
import { state } from './state.js';
import { support, uploadLimit } from './support.js';

export { support };

/** A decoder that fails so often in a row is given up. */
const FAILURES_MAX = 5;
/** After so long without a failure they are counted anew. */
const CALM_MS = 30_000;
/** A ticket begins like this; anything else is a name. */
const TICKET = 'beacon1';

/** @param {import('./index.js').WatchOptions} options */
export function watch(options) {
  return new Watch(options);
}

class Watch {
  #options;
  #listeners = new Map();
  /** Distinguishes what an earlier worker still says. */
  #run = 0;
  /** @type {Peer | undefined} */
  #peer;
  /** @type {Buffers | undefined} */
  #buffers;
  /** @type {Player | undefined} */
  #player;
  /** @type {any} */
  #stats = null;
  /** @type {any[]} */
  #tracks = [];
  #failures = 0;
  #failedAt = 0;
  #replaced = false;
  #facts;
  #told = '';
  #leave = () => this.close();

  /** What is left out though the rest plays. */
  remark = '';

  constructor(options) {
    this.#options = { upload: 'auto', ...options };
    this.#begin();
    addEventListener('pagehide', this.#leave);
  }

  get state() {
    const { video } = this.#options;
    return state({ ...this.#facts, video, player: this.#player, peers: this.#stats?.peers ?? 0 });
  }

  get tracks() { return this.#tracks; }
  get stats() { return this.#stats; }
  get upload() { return this.#options.upload; }
  /** Seconds behind the newest media that is here. */
  get behind() { return this.#player?.started ? this.#player.behind : null; }
  get stalls() { return this.#player?.stalls ?? 0; }
  get live() { return Boolean(this.#player?.started && this.#player.following && !this.#options.video.paused); }
  get silenced() { return Boolean(this.#player?.silenced && this.#options.video.muted); }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  play() { this.#player?.play(); }
  pause() { this.#player?.pause(); }
  goLive() { this.#player?.goLive(); }

  /** Passes on more or less from now on; it connects anew. */
  setUpload(upload, maxHeight = this.#options.maxHeight) {
    if (upload === this.#options.upload && maxHeight === this.#options.maxHeight) return;
    Object.assign(this.#options, { upload, maxHeight });
    this.restart();
  }

  /** Connects anew, also after an end or a refusal. */
  restart() {
    this.#end();
    this.#begin();
  }

  close() {
    removeEventListener('pagehide', this.#leave);
    this.#end();
    this.#player?.close();
    this.#player = undefined;
    this.#facts.over = true;
    this.#say('close');
    this.#listeners.clear();
  }

  #begin() {
    const { src: name, video, latency } = this.#options;
    this.#facts = {
      name, described: false, lost: '', refusal: null, over: false, since: performance.now(), arrivedAt: -Infinity, gapAt: -Infinity,
    };
    this.#stats = null;
    this.#replaced = false;
    this.#player?.close();
    this.#player = video && new Player(video, { latency, changed: () => this.#changed(), broken: reason => this.#broken(reason) });
    const run = ++this.#run;
    this.#start(run).catch(error => run === this.#run
      && this.#refuse(`The player could not start: ${error.message}.`, 'Reload the page to try again.'));
    this.#changed();
  }

  async #start(run) {
    const { src, signal, profile, upload, video, maxHeight, identity, iceServers } = this.#options;
    const { relay, play, missing } = support();
    if (video ? !play : !relay)
      return this.#refuse(`This browser has no ${missing.join(', no ')}.`, 'Use a current Chromium, Firefox or Safari.');
    const [module, uploadBps] = await Promise.all([engine(), uploadLimit(upload)]);
    if (run !== this.#run) return;
    const from = src.startsWith(TICKET) ? { ticket: src } : { name: src };
    const buffers = Boolean(video) && place === 'worker';
    if (video && !buffers) this.#buffers = new Buffers(message => this.#take({ ...message, handle: message.source }));
    // What is shown is what is carried: one rendition. A relay that shows nothing carries all.
    const shown = video ? { mode: 'mse', codecs: playable(), maxHeight: maxHeight ?? screenHeight() } : { mode: 'none', maxHeight };
    const options = { ...from, ...shown, signal: signal || signalOf(location), profile, uploadBps, identity };
    this.#peer = new Peer(module, { type: 'watch', options, buffers }, {
      iceServers,
      take: data => run === this.#run && this.#take(data),
      failed: cause => run === this.#run && this.#refuse(cause, 'Reload the page to try again.'),
    });
  }

  /** Ends what runs, with a goodbye. */
  #end() {
    this.#run += 1;
    this.#peer?.end();
    this.#peer = this.#buffers = undefined;
  }

  #take(data) {
    switch (data.type) {
      case 'batch': return data.messages.forEach(message => this.#message(message));
      case 'source': return this.#player?.attach(data.handle);
      case 'chosen':
        this.#tracks = data.tracks;
        this.remark = data.remark;
        this.#say('tracks', data.tracks);
        return this.#changed();
      case 'stats':
        if (data.stats) this.#say('stats', this.#stats = data.stats);
        return this.#changed();
      case 'broken': return this.#broken(data.reason);
      case 'refused': return this.#refuse(data.reason, 'Use a browser that plays it, or ask the broadcaster for another codec.');
      case 'failed': return this.#refuse(sentence(data.reason), '');
    }
  }

  #message(message) {
    const facts = this.#facts;
    this.#buffers?.take(message);
    switch (message.type) {
      case 'tracks':
        facts.described = true;
        if (!this.#options.video) this.#say('tracks', this.#tracks = message.tracks);
        break;
      case 'fragment': facts.arrivedAt = performance.now(); break;
      case 'gap': facts.gapAt = performance.now(); break;
      case 'event':
        if (message.name === 'signal-lost') facts.lost = message.text.replace(/^rendezvous lost: /, '');
        if (message.name === 'signal-back' || message.name === 'peer') facts.lost = '';
        if (message.name === 'replaced') this.#replaced = true;
        this.#say('event', message);
        break;
      case 'end': return this.#over(message.reason);
    }
    this.#changed();
  }

  #over(reason) {
    // The broadcaster began anew under the same name.
    if (this.#replaced && !reason) return this.restart();
    if (reason) return this.#refuse(sentence(reason), '');
    this.#facts.over = true;
    this.#player?.end();
    // A worker that buffers is where the last seconds are.
    if (place !== 'worker' || !this.#options.video) this.#end();
    else this.#peer?.rest();
    this.#changed();
  }

  /** The decoder gave up: once more from the next keyframe, a few times. */
  #broken(reason) {
    const now = performance.now();
    this.#failures = now - this.#failedAt > CALM_MS ? 1 : this.#failures + 1;
    this.#failedAt = now;
    if (this.#failures > FAILURES_MAX) return this.#refuse(`The player failed: ${reason}.`, 'Reload the page to try again.');
    const run = this.#run;
    setTimeout(() => {
      if (run !== this.#run) return;
      this.#peer?.post({ type: 'reset' });
      this.#buffers?.reset();
    }, 300 * this.#failures);
  }

  #refuse(cause, cure) {
    this.#end();
    this.#facts.refusal = { cause, cure };
    this.#changed();
  }

  #changed() {
    const now = this.state, told = JSON.stringify(now);
    if (told !== this.#told) {
      this.#told = told;
      this.#say('state', now);
    }
    this.#say('change');
  }

  #say(name, detail) {
    for (const listener of this.#listeners.get(name) ?? []) listener(detail);
  }
}

/** Pixels from top to bottom, with a phone on its side. */
function screenHeight() {
  return Math.round(Math.min(screen.width, screen.height) * devicePixelRatio);
}
