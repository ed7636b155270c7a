// A broadcast out of a page: what is captured is encoded in the engine's worker and published. broadcast.d.ts says what there is.
import { Capture, CaptureError } from './capture.js';
import { VIDEO } from './codec.js';
import { own } from './identity.js';
import { Peer, engine, sentence, signalOf } from './peer.js';
import { support, uploadLimit } from './support.js';

export { Capture, CaptureError };

/** Seconds that rates and shares are taken over. */
const WINDOW = 4;
/** The share of pictures left out that is worth a word. */
const LEFT_OUT = 0.1;

/** @param {import('./broadcast.js').BroadcastOptions} options */
export function broadcast(options) {
  return new Broadcast(options);
}

class Broadcast {
  #options;
  #listeners = new Map();
  #capture;
  #own;
  /** @type {Peer | undefined} */
  #peer;
  /** What the counters were, the newest last. @type {{at: number, sent: number, encoder: any}[]} */
  #past = [];
  #phase = /** @type {'asking' | 'starting' | 'live' | 'ended' | 'refused'} */ ('asking');
  #refusal = { cause: '', cure: '' };
  #lost = '';
  #mute = '';
  #scarce = '';
  /** Why lists do not show what they were to. */
  #unlisted = '';
  /** Some who came speak another version of the protocol. */
  #strangers = false;
  #told = '';
  #leave = () => this.close();

  /** @type {import('./index.js').Stats | null} */
  stats = null;
  ticket = '';
  /** Milliseconds since 1970; 0 before it is live. */
  since = 0;

  constructor(options) {
    this.#options = { upload: 'auto', quality: '720p', ...options };
    this.#own = !options.capture;
    this.#capture = options.capture ?? new Capture({ preview: options.preview, changed: () => this.changed() });
    addEventListener('pagehide', this.#leave);
    this.#start().catch(error => this.#refuse(error));
  }

  get state() {
    const peers = this.stats?.peers ?? 0;
    const is = (name, headline, reason = '', cure = '', busy = false) => ({ name, headline, reason, cure, busy, peers, remark: this.#remark() });
    switch (this.#phase) {
      case 'asking': return is('asking', 'Waiting for your permission', 'The browser asks what this page may use.', '', true);
      case 'starting': return is('starting', 'Going live', this.#lost ? `The signaling server cannot be reached (${this.#lost}); trying again.` : '', '', true);
      case 'ended': return is('ended', 'The broadcast has ended');
      case 'refused': return is('refused', 'This cannot be broadcast', this.#refusal.cause, this.#refusal.cure);
    }
    return is('live', this.#lost ? 'Live, but no one new can come' : 'Live');
  }

  get source() { return this.#capture.source; }
  get microphone() { return this.#capture.microphone; }
  get quality() { return this.#options.quality; }
  get name() { return this.#options.name; }

  /** Bits per second that leave. */
  get rate() {
    const [first, last] = [this.#past[0], this.#past.at(-1)];
    return first && last && last.at > first.at ? Math.max(0, (last.sent - first.sent) * 8000 / (last.at - first.at)) : 0;
  }

  /** What is encoded: size, and pictures per second. */
  get picture() {
    const [first, last] = [this.#past[0], this.#past.at(-1)];
    if (!first || !last || last.at === first.at) return null;
    const frames = this.#past.slice(1).reduce((sum, { encoder }) => sum + encoder.frames, 0);
    return { sizes: last.encoder.sizes, width: last.encoder.width, height: last.encoder.height, rate: frames * 1000 / (last.at - first.at) };
  }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Another source; what was sent before goes on if it cannot be had. Throws a CaptureError. */
  setSource(source) {
    return this.#capture.choose(source, VIDEO.sizes[this.quality].height);
  }

  /** Throws a CaptureError. */
  setMicrophone(on) {
    return this.#capture.setMicrophone(on);
  }

  setQuality(quality) {
    if (!VIDEO.sizes[quality] || quality === this.quality) return;
    this.#options.quality = quality;
    this.#peer?.post({ type: 'quality', quality });
    this.#capture.resize(VIDEO.sizes[quality].height);
    this.changed();
  }

  list(listing) {
    const { title, category, tags } = this.#options;
    this.#unlisted = '';
    if (this.#phase === 'live') this.#peer?.post({ type: 'list', listing: { title, category, tags, ...listing } });
  }

  close() {
    if (this.#phase === 'ended') return;
    if (this.#phase !== 'refused') this.#phase = 'ended';
    this.#end();
    this.changed();
    this.#say('close');
    this.#listeners.clear();
  }

  async #start() {
    const { name, signal, profile, maxLinks, upload, quality, ladder, source, microphone, iceServers, report } = this.#options;
    const { title, category, tags } = this.#options;
    const missing = [...support().relay ? [] : support().missing, ...globalThis.VideoEncoder && globalThis.AudioEncoder ? [] : ['WebCodecs']];
    if (missing.length)
      throw new CaptureError(`This browser has no ${missing.join(', no ')}.`, isSecureContext ? 'Use a current Chromium.' : 'Open this page by https://.');
    if (!VIDEO.sizes[quality]) throw new CaptureError(`There is no quality “${quality}”.`, `Use ${Object.keys(VIDEO.sizes).join(', ')}.`);
    const capture = this.#capture;
    if (!capture.source) await capture.choose(source ?? 'camera', VIDEO.sizes[quality].height);
    if (microphone && !capture.microphone) await capture.setMicrophone(true);
    if (this.#phase !== 'asking') return;
    this.#phase = 'starting';
    this.changed();
    const [module, uploadBps] = await Promise.all([engine(), uploadLimit(upload === 'off' ? 'auto' : upload)]);
    if (this.#phase !== 'starting') return;
    const { identity, token, free } = await own(this.#options);
    if (/** @type {string} */ (this.#phase) !== 'starting') return free();
    // Metered or not: who broadcasts sends.
    const options = { name, signal: signal || signalOf(location), profile, maxLinks, quality, ladder, identity, token, report, title, category, tags, uploadBps: uploadBps || undefined };
    const peer = new Peer(module, { type: 'broadcast', options }, {
      iceServers,
      take: data => peer === this.#peer && this.#take(data),
      failed: cause => peer === this.#peer && this.#refuse(new CaptureError(cause, 'Reload the page to try again.')),
      gone: free,
    });
    this.#peer = peer;
    await capture.feed((message, transfer) => peer === this.#peer && peer.post(message, transfer));
    if (peer !== this.#peer) capture.rest();
  }

  #take(data) {
    switch (data.type) {
      case 'batch': return data.messages.forEach(message => this.#message(message));
      case 'ready':
        this.ticket = data.ticket;
        this.#phase = 'live';
        this.since = Date.now();
        break;
      case 'stats':
        if (!data.stats) return;
        this.stats = data.stats;
        this.#past = [...this.#past, { at: performance.now(), sent: data.stats.bytes_uploaded, encoder: data.encoder }].slice(-WINDOW);
        this.#say('stats', data.stats);
        break;
      case 'mute':
        this.#mute = data.reason;
        break;
      case 'unlisted':
        this.#unlisted = `Lists do not show it as you wish: ${sentence(data.reason.replace(/^listing: /, ''))}`;
        break;
      case 'refused': return this.#refuse(new CaptureError(sentence(data.reason), data.cure));
      case 'failed': return this.#refuse(new CaptureError(sentence(data.reason), 'Put that right, or reload the page, and start again.'));
    }
    this.changed();
  }

  #message(message) {
    if (message.type === 'event') {
      if (message.name === 'signal-lost') this.#lost = message.text.replace(/^rendezvous lost: /, '');
      if (message.name === 'signal-back' || message.name === 'peer') this.#lost = '';
      if (message.name === 'supply') this.#scarce = message.enough ? '' : `The uplinks of all viewers carry ${message.percent} % of what they want: part of the pictures is left out. A lower quality helps.`;
      if (message.name === 'other-version') this.#strangers = true;
      this.#say('event', message);
    } else if (message.type === 'end') {
      if (message.stale) return this.#refuse(new CaptureError('This page and the signaling server speak different versions of the protocol.', 'Reload the page; if that does not help, the server is to be updated.'));
      if (message.reason) return this.#refuse(refused(message.reason, this.name));
      this.close();
    }
    this.changed();
  }

  #remark() {
    const frames = this.#past.reduce((sum, { encoder }) => sum + encoder.frames, 0);
    const left = this.#past.reduce((sum, { encoder }) => sum + encoder.left, 0);
    const behind = this.#past.some(({ encoder }) => encoder.refused > 0);
    return [
      this.#lost && `The signaling server cannot be reached (${this.#lost}); trying again. Who watches already is served on.`,
      this.#capture.remark, this.#mute, this.#scarce, this.#unlisted,
      this.#strangers ? 'Somebody could not watch: their page or program speaks another version of the protocol. One of you has to reload or update.' : '',
      left > LEFT_OUT * (frames + left) ? `This device is too slow for ${this.quality}: ${Math.round(100 * left / (frames + left))} % of the pictures are left out. A lower quality helps.` : '',
      behind ? 'The engine is behind; pictures are left out.' : '',
    ].filter(Boolean).join(' ');
  }

  #refuse(error) {
    if (this.#phase === 'ended' || this.#phase === 'refused') return;
    const { message, reason = `It could not start: ${message}.`, cure = 'Reload the page to try again.' } = error;
    this.#phase = 'refused';
    this.#refusal = { cause: reason, cure };
    this.#end();
    this.changed();
  }

  #end() {
    removeEventListener('pagehide', this.#leave);
    const peer = this.#peer;
    this.#peer = undefined;
    if (this.#own) this.#capture.close();
    else this.#capture.rest();
    peer?.end();
  }

  /** Something that is shown may differ. */
  changed() {
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

/** What the signaling server says, for a person. */
function refused(reason, name) {
  if (/being published by another/.test(reason)) return new CaptureError(`“${name}” is being broadcast by somebody else.`, 'Choose another name.');
  if (/bad-join|a name has/.test(reason)) return new CaptureError(`“${name}” is no name for a broadcast.`, 'Use 1 to 64 letters, digits or signs.');
  return new CaptureError(sentence(reason), 'Start again.');
}
