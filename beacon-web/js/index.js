// Beacon for pages: a broadcast is watched, and relayed, by a few lines. index.d.ts says what there is.
import { own } from './identity.js';
import { LivePlayer, decodable, decodes } from './live.js';
import { Buffers, place, playable } from './mse.js';
import { Peer, engine, forbidden, peerId, sentence, signalOf } from './peer.js';
import { Player } from './player.js';
import { state } from './state.js';
import { support, uploadLimit, whenSparing } from './support.js';

export { peerId, support };

/** A decoder that fails so often in a row is given up. */
const FAILURES_MAX = 5;
/** After so long without a failure they are counted anew. */
const CALM_MS = 30_000;
/** Profiles that play frame by frame. */
const LOW = ['low-latency', 'ephemeral'];
/** A ticket begins like this, of whatever version; anything else is a name. */
const TICKET = /^beacon\d[a-z2-7]{60}/i;
const RELOAD = 'Reload this page. If that is no help, the server that it comes from is to be updated.';
const OTHER = 'Use another browser, or ask the broadcaster for H.264 and Opus, which nearly all play.';
/** What is too old to go with the rest: cause and cure. */
const STALE = {
  page: ['This page is older than the broadcast: the two speak different versions of the protocol.', RELOAD],
  broadcast: ['The broadcast is older than this page: the two speak different versions of the protocol.', 'Ask the broadcaster to update.'],
  signaling: ['This page and the signaling server speak different versions of the protocol.', RELOAD],
  build: ['The server that this page comes from was updated while it was open, and what it has is too old for the rest.', 'Reload this page.'],
};

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
  /** @type {Player | LivePlayer | undefined} */
  #player;
  /** The ways to play that cannot play this, and why. @type {Map<'mse' | 'webcodecs', string>} */
  #unfit = new Map();
  #shown = null;
  /** @type {any} */
  #stats = null;
  /** @type {any[]} */
  #tracks = [];
  #failures = 0;
  #failedAt = 0;
  #replaced = false;
  #facts;
  #told = '';
  /** All pictures of the broadcast, the largest first. @type {any[]} */
  #renditions = [];
  /** What can be decoded, as beginnings of codec strings. @type {string[]} */
  #codecs = [];
  /** What of the way to the first picture is behind it. @type {Set<string>} */
  #reached = new Set();
  #leave = () => this.close();
  #closing = new AbortController();
  /** Nothing is passed on, by itself: the connection or the battery is to be spared. */
  #sparing = false;

  /** What cannot be played here, and whether the origin leaves out pictures. */
  #without = '';
  #thinned = false;

  constructor(options) {
    this.#options = { upload: 'auto', ...options };
    this.#begin();
    addEventListener('pagehide', this.#leave);
    whenSparing(() => this.#limit(), this.#closing.signal);
  }

  get state() {
    const { video } = this.#options;
    return state({ ...this.#facts, video, player: this.#player, peers: this.#stats?.peers ?? 0 });
  }

  /** What is left out though the rest plays. */
  get remark() {
    return [this.#without, this.#thinned && 'Fewer pictures for now: the uplinks of all viewers together are too slow.'].filter(Boolean).join(' ');
  }

  get tracks() { return this.#tracks; }
  get renditions() { return this.#renditions; }
  /** What was asked for: 'auto', or the height of a picture. */
  get rendition() { return this.#options.rendition ?? 'auto'; }
  get stats() { return this.#stats; }
  /** How it is played; null where nothing is. */
  get playback() { return !this.#player ? null : this.#player instanceof LivePlayer ? 'webcodecs' : 'mse'; }
  /** What the decoder counts, where frames are played one by one. */
  get shown() { return this.#shown; }
  get profile() { return this.#options.profile ?? 'live'; }
  get upload() { return this.#options.upload; }
  get sparing() { return this.#sparing; }
  /** Seconds behind the newest media that is here. */
  get behind() { return this.#player?.started ? this.#player.behind : null; }
  get stalls() { return this.#player?.stalls ?? 0; }
  get live() { return Boolean(this.#player?.started && this.#player.following && !this.#options.video.paused); }
  get blocked() { return Boolean(this.#player?.blocked); }
  get silenced() { return Boolean(this.#player?.silenced && this.#options.video.muted); }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  play() { this.#player?.play(); }
  pause() { this.#player?.pause(); }
  goLive() { this.#player?.goLive(); }

  /** Passes on more or less from now on. The picture goes on. */
  setUpload(upload, maxHeight = this.#options.maxHeight) {
    const { upload: before, maxHeight: height } = this.#options;
    Object.assign(this.#options, { upload, maxHeight });
    if (upload !== before) this.#limit();
    if (maxHeight !== height) this.#choose();
    this.#changed();
  }

  /** Tells the peer what it may pass on. */
  async #limit() {
    const { upload } = this.#options, run = this.#run, bps = await uploadLimit(upload);
    if (run !== this.#run || upload !== this.#options.upload) return;
    this.#sparing = upload === 'auto' && bps === 0;
    this.#peer?.post({ type: 'upload', bps });
    this.#changed();
  }

  /** Shows this picture from the next group on: 'auto', or a height in pixels. */
  setRendition(rendition) {
    if (rendition === this.rendition) return;
    this.#options.rendition = rendition;
    this.#choose();
    this.#changed();
  }

  /** Plays with more or less delay from now on; it connects anew. */
  setProfile(profile) {
    if (profile === this.profile) return;
    this.#options.profile = profile;
    this.restart();
  }

  /** Connects anew, also after an end or a refusal. */
  restart() {
    this.#unfit.clear();
    this.#again();
  }

  #again() {
    this.#end();
    this.#begin();
  }

  close() {
    removeEventListener('pagehide', this.#leave);
    this.#closing.abort();
    this.#end();
    this.#player?.close();
    this.#player = undefined;
    this.#facts.over = true;
    this.#say('close');
    this.#listeners.clear();
  }

  #begin() {
    const { src: name, video, latency } = this.#options;
    if (!decodes()) this.#unfit.set('webcodecs', 'this browser decodes no single frames');
    this.#facts = {
      name, described: false, lost: '', refusal: null, over: false, since: performance.now(), arrivedAt: -Infinity, gapAt: -Infinity,
    };
    this.#stats = null;
    this.#replaced = false;
    this.#thinned = false;
    this.#without = '';
    this.#renditions = [];
    this.#player?.close();
    this.#shown = null;
    this.#reached.clear();
    this.#reach('watch');
    const changed = () => this.#changed(), broken = reason => this.#broken(reason);
    const way = this.#ways.find(way => !this.#unfit.has(way));
    this.#player = !video ? undefined : way === 'webcodecs' ? new LivePlayer(video, { changed }) : new Player(video, { latency, changed, broken });
    const run = ++this.#run;
    this.#start(run).catch(error => this.#fail(`The player could not start: ${error.message}`, run));
    // Who has asked for it can listen first.
    queueMicrotask(changed);
  }

  /** The ways to play, the one that suits the profile first. @returns {('mse' | 'webcodecs')[]} */
  get #ways() {
    return LOW.includes(this.profile) ? ['webcodecs', 'mse'] : ['mse', 'webcodecs'];
  }

  /** It cannot be played so: the other way, if there is one. @param {string} reason */
  #unplayable(reason) {
    if (this.playback) this.#unfit.set(this.playback, reason);
    if (this.#unfit.size < 2) this.#again();
    else this.#refuse(this.#ways.map(way => sentence(this.#unfit.get(way) ?? '')).join(' '), OTHER);
  }

  /** Which tracks are taken. What is shown is what is carried: one rendition. A relay that shows nothing carries all. */
  #choice() {
    const { video, maxHeight } = this.#options, { rendition } = this;
    if (!video) return { maxHeight: maxHeight ?? undefined };
    const most = maxHeight ?? (rendition === 'auto' ? screenHeight() : undefined);
    return { codecs: this.#codecs, auto: rendition === 'auto', maxHeight: rendition === 'auto' ? most : Math.min(rendition, most ?? rendition) };
  }

  #choose() {
    this.#peer?.post({ type: 'choose', choice: this.#choice() });
  }

  async #start(run) {
    await null;
    if (run !== this.#run) return;
    const { src, signal, profile, upload, video, iceServers, latency, maxLinks } = this.#options;
    const { relay, play, missing } = support();
    if (video ? !play : !relay)
      return this.#refuse(`This browser has no ${missing.join(', no ')}.`, 'Use a current Chromium, Firefox or Safari.');
    const live = this.#player instanceof LivePlayer ? this.#player : null;
    const codecsOf = !video ? [] : live ? decodable() : playable();
    const [module, uploadBps, way, codecs] = await Promise.all([engine(), uploadLimit(upload), live?.open(), codecsOf]);
    if (run !== this.#run) return;
    const { identity, token, free } = await own(this.#options);
    if (run !== this.#run) return free();
    this.#reach('engine');
    const from = { ...(TICKET.test(src) ? { ticket: src } : { name: src }), report: this.#options.report };
    const buffers = Boolean(video) && !live && place === 'worker';
    if (video && !live && !buffers) this.#buffers = new Buffers(message => this.#take({ ...message, handle: message.source }));
    this.#codecs = codecs;
    const mode = !video ? 'none' : live ? 'objects' : 'mse';
    const options = { ...from, ...this.#choice(), mode, signal: signal || undefined, home: signalOf(location), profile, uploadBps, identity, token, maxLinks };
    this.#peer = new Peer(module, { type: 'watch', options, buffers, decode: way?.decode, latency }, {
      iceServers,
      take: data => run === this.#run && this.#take(data),
      failed: cause => this.#fail(cause, run),
      gone: free,
    }, way?.transfer);
    this.#sparing = upload === 'auto' && uploadBps === 0;
    // It was changed meanwhile.
    if (upload !== this.#options.upload) this.#limit();
  }

  /** Ends what runs, with a goodbye. */
  #end() {
    this.#run += 1;
    this.#peer?.end();
    this.#peer = this.#buffers = undefined;
  }

  #take(data) {
    switch (data.type) {
      case 'ready': return this.#reach('ready');
      case 'batch':
        data.messages.forEach(message => this.#message(message));
        // What comes all the time is seen where it is shown.
        if (data.messages.some(({ type }) => type !== 'object' && type !== 'fragment')) this.#changed();
        return;
      case 'source': return this.#player instanceof Player ? this.#player.attach(data.handle) : undefined;
      case 'buffered': return this.#player instanceof Player ? this.#player.buffered() : undefined;
      case 'picture': return this.#player instanceof LivePlayer ? this.#player.picture(data.frame) : data.frame.close();
      case 'starved': return this.#player instanceof LivePlayer ? this.#player.told(data) : undefined;
      case 'unplayable': return this.#unplayable(data.reason);
      case 'chosen': {
        const [suited] = this.#ways, why = suited !== this.playback && this.#unfit.get(suited);
        this.#tracks = data.tracks;
        this.#without = [data.remark, why && `Played ${suited === 'mse' ? 'frame by frame' : 'with more delay'}: ${why}`].filter(Boolean).join(' ');
        this.#say('tracks', data.tracks);
        return this.#changed();
      }
      case 'stats':
        if (data.shown && this.#player instanceof LivePlayer) {
          this.#shown = data.shown;
          this.#player.delay = data.shown.delay;
        }
        if (data.stats) this.#say('stats', this.#stats = data.stats);
        return this.#changed();
      case 'broken': return this.#broken(data.reason);
      case 'failed': return data.stale ? this.#refuse(...STALE[data.stale]) : this.#refuse(sentence(data.reason), 'Whoever runs this page has to put it right.');
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
      case 'object':
      case 'fragment':
        facts.arrivedAt = performance.now();
        this.#reach('segment');
        if (this.#player instanceof Player) this.#player.arrived(message.duration);
        break;
      case 'gap': facts.gapAt = performance.now(); break;
      case 'event':
        if (message.name === 'signal-lost') facts.lost = message.text.replace(/^rendezvous lost: /, '');
        if (message.name === 'signal-back' || message.name === 'peer') facts.lost = '';
        if (message.name === 'thinned') this.#thinned = message.thinned;
        if (message.name === 'replaced') this.#replaced = true;
        if (message.name === 'described') this.#renditions = pictures(message.tracks, this.#codecs);
        if (message.name === 'peer') this.#reach('peer');
        this.#say('event', message);
        break;
      case 'end': return this.#over(message);
    }
  }

  #over({ reason, stale, offered }) {
    // The broadcaster began anew under the same name.
    if (this.#replaced && !reason) return this.restart();
    if (offered) {
      const other = offered.filter(codec => !this.#codecs.some(known => codec.startsWith(known)));
      return this.#unplayable(`this browser has no ${this.playback === 'mse' ? 'player' : 'decoder'} for ${other.join(' and ')}`);
    }
    if (stale) return this.#refuse(...STALE[stale]);
    if (reason) return this.#refuse(sentence(reason), '');
    this.#facts.over = true;
    this.#player?.end();
    // A worker that buffers is where the last seconds are.
    if (!this.#options.video || (this.#buffers && place !== 'worker')) this.#end();
    else this.#peer?.rest();
    this.#changed();
  }

  /** The decoder gave up: once more from the next keyframe, a few times. */
  #broken(reason) {
    const now = performance.now();
    this.#failures = now - this.#failedAt > CALM_MS ? 1 : this.#failures + 1;
    this.#failedAt = now;
    const run = this.#run;
    if (this.#failures > FAILURES_MAX) return this.#refuse(`The player failed again and again: ${reason}.`, 'Try again, or use another browser.');
    setTimeout(() => {
      if (run !== this.#run) return;
      this.#peer?.post({ type: 'reset' });
      this.#buffers?.reset();
    }, 300 * this.#failures);
  }

  /** It could not start, or not go on. What a policy forbids is told a moment after it has failed. */
  #fail(cause, run) {
    setTimeout(() => run === this.#run && this.#refuse(...forbidden() ?? [sentence(cause), 'Reload this page to try again.']));
  }

  #refuse(cause, cure) {
    this.#end();
    // Nothing is heard behind the notice.
    this.#player?.close();
    this.#player = undefined;
    this.#facts.refusal = { cause, cure };
    this.#changed();
  }

  /** A step of the way to the first picture: the first time, a mark in the page's timeline. */
  #reach(step) {
    if (this.#reached.has(step)) return;
    this.#reached.add(step);
    performance.clearMarks(`beacon-${step}`);
    performance.mark(`beacon-${step}`);
  }

  #changed() {
    if (this.#player?.started) this.#reach('begin');
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

/** The pictures that can be decoded, the largest first. */
function pictures(tracks, codecs) {
  const playable = track => track.kind === 'video' && (!codecs.length || codecs.some(codec => track.codec.startsWith(codec)));
  return tracks.filter(playable).sort((a, b) => b.height - a.height || b.bitrate - a.bitrate);
}

/** Pixels from top to bottom, with a phone on its side. */
function screenHeight() {
  return Math.round(Math.min(screen.width, screen.height) * devicePixelRatio);
}
