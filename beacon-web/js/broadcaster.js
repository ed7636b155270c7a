// <beacon-broadcaster name="launch" signal="wss://…" source="camera|screen|pattern" quality="720p" ladder profile="live"
//                     heading="Night launch" category="Space" tags="rocket, live" identity="kept|new" token="v4.public.…">
import { Capture, broadcast } from './broadcast.js';
import { VIDEO } from './codec.js';
import { VIEW, style } from './broadcaster-view.js';
import { Member } from './member.js';

/** Quality that a person chose, kept by the browser. */
const QUALITY = 'beacon-quality';
const TICK_MS = 1000;

/** @typedef {import('./broadcast.js').SourceName} SourceName */
/** @typedef {import('./broadcast.js').Quality} Quality */

export class BeaconBroadcaster extends Member {
  static observedAttributes = ['name', 'quality'];

  #root = this.attachShadow({ mode: 'open' });
  /** @type {Capture} */
  #capture;
  /** @type {import('./broadcast.js').Broadcast | null} */
  #broadcast = null;
  /** Cause and cure of the last thing that went wrong before a broadcast. @type {{reason: string, cure: string} | null} */
  #trouble = null;
  /** Questions of the browser that are open. */
  #asking = 0;
  #timer = 0;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [style];
    this.#root.innerHTML = VIEW;
    this.#capture = new Capture({ preview: this.video, changed: () => this.#show() });
    this.#listen();
  }

  connectedCallback() {
    super.connectedCallback();
    this.#at('quality').value = this.#quality;
    this.#timer = setInterval(() => this.#show(), TICK_MS);
    this.#show();
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.stop();
    this.#capture.close();
  }

  attributeChangedCallback(attribute) {
    if (attribute === 'quality') this.#at('quality').value = this.#quality;
    this.#show();
  }

  get video() { return /** @type {HTMLVideoElement} */ (this.#root.querySelector('video')); }
  /** The running broadcast, or the last one; null before the first. */
  get broadcast() { return this.#broadcast; }
  get state() { return this.#broadcast?.state ?? null; }
  get stats() { return this.#broadcast?.stats ?? null; }

  get #live() { return ['asking', 'starting', 'live'].includes(this.state?.name ?? ''); }

  /** @returns {Quality} */
  get #quality() {
    let kept = null;
    try { kept = localStorage.getItem(QUALITY); } catch { /* storage is forbidden */ }
    const wanted = this.getAttribute('quality') ?? kept ?? '';
    return wanted in VIDEO.sizes ? /** @type {Quality} */ (wanted) : '720p';
  }

  /** Shows a source, and broadcasts it if there is a broadcast. @param {SourceName} source */
  async choose(source) {
    await this.#try(() => this.#capture.choose(source, VIDEO.sizes[/** @type {Quality} */ (this.#at('quality').value)].height));
  }

  /** Goes live. */
  async start() {
    const name = this.getAttribute('name')?.trim() || this.#at('name').value.trim();
    if (this.#live || !name) return;
    const source = this.getAttribute('source');
    if (!this.#capture.source) await this.choose(source === 'screen' || source === 'pattern' ? source : 'camera');
    if (!this.#capture.source || this.#live) return;
    const signal = this.getAttribute('signal') || undefined, profile = this.getAttribute('profile') || undefined;
    const maxLinks = Number(this.getAttribute('max-links')) || undefined;
    const { identity, token } = this;
    this.#trouble = null;
    this.#broadcast = broadcast({ name, signal, profile, maxLinks, identity, token, ...this.#words(), quality: this.#at('quality').value, ladder: this.hasAttribute('ladder'), capture: this.#capture });
    this.#broadcast.on('change', () => this.#show());
    this.#broadcast.on('state', state => this.#tell('statechange', state));
    this.#broadcast.on('stats', stats => this.#tell('stats', stats));
    this.#broadcast.on('event', event => this.#tell('peerevent', event));
    this.#tell('statechange', this.#broadcast.state);
    this.#show();
  }

  /** What lists show of it. */
  #words() {
    const tags = (this.getAttribute('tags') ?? '').split(',').map(tag => tag.trim()).filter(Boolean);
    return { title: this.getAttribute('heading')?.trim(), category: this.getAttribute('category')?.trim(), tags };
  }

  /** Ends the broadcast; what is captured stays. */
  stop() {
    this.#broadcast?.close();
    this.#show();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #at(id) {
    return /** @type {any} */ (this.#root.getElementById(id));
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    this.#asking += 1;
    this.#show();
    try {
      await act();
      this.#trouble = null;
    } catch (error) {
      const { reason, cure, message } = /** @type {any} */ (error);
      this.#trouble = { reason: reason ?? message, cure: cure ?? '' };
    }
    this.#asking -= 1;
    this.#show();
  }

  #listen() {
    this.#at('panel').addEventListener('submit', event => {
      event.preventDefault();
      if (this.#live) this.stop();
      else this.start();
    });
    // Buttons, for a person on the way to the last of them with the arrow keys is asked for no camera.
    for (const button of this.#sources()) button.addEventListener('click', () => this.choose(/** @type {SourceName} */ (button.value)));
    this.#at('microphone').addEventListener('click', () => this.#try(() => this.#capture.setMicrophone(!this.#capture.microphone)));
    this.#at('quality').addEventListener('change', () => {
      const { value } = this.#at('quality');
      try { localStorage.setItem(QUALITY, value); } catch { /* forgotten at the next visit */ }
      if (this.#live) this.#broadcast?.setQuality(value);
      else if (this.#capture.source) this.#capture.resize(VIDEO.sizes[value].height);
    });
  }

  /** @returns {HTMLButtonElement[]} */
  #sources() {
    return /** @type {HTMLButtonElement[]} */ ([...this.#root.querySelectorAll('button[name=source]')]);
  }

  #show() {
    const live = this.#live, { source, microphone, remark } = this.#capture;
    for (const button of this.#sources()) button.setAttribute('aria-pressed', String(button.value === source));
    this.#at('naming').hidden = this.hasAttribute('name');
    this.#at('name').disabled = live || this.hasAttribute('name');
    this.#put('microphone', microphone ? 'Microphone is on' : 'Microphone is off');
    this.#at('microphone').setAttribute('aria-pressed', String(microphone));
    this.#put('go', live ? 'End the broadcast' : 'Go live');
    this.#at('go').classList.toggle('end', live);
    this.#at('go').disabled = this.#asking > 0 && !live;
    this.#notice(source);
    const warning = [live || source ? this.#trouble && `${this.#trouble.reason} ${this.#trouble.cure}` : '', live ? this.state?.remark : remark];
    this.#put('remark', warning.filter(Boolean).join(' '));
    this.#at('remark').hidden = !this.#at('remark').textContent;
    this.#facts(live);
  }

  /** What covers the picture: only what keeps it from being shown, or broadcast. */
  #notice(source) {
    const { state } = this, stopped = state?.name === 'refused' || state?.name === 'ended' ? state : null;
    const now = this.#asking ? { headline: 'Waiting for your permission', reason: 'The browser asks what this page may use.', busy: true }
      : this.#trouble && !source ? { headline: 'Nothing to show', ...this.#trouble }
      : state && this.#live && state.name !== 'live' ? state
      : stopped ?? (source ? null : { headline: 'Choose what to show', reason: 'Nothing is sent before you go live.' });
    this.#put('headline', now?.headline);
    this.#put('reason', now?.reason);
    this.#put('cure', /** @type {any} */ (now)?.cure);
    this.#at('spinner').hidden = !(/** @type {any} */ (now)?.busy);
    this.#at('notice').classList.toggle('shown', Boolean(now));
    const on = state?.name === 'live';
    this.#at('badge').hidden = !on;
    if (on && this.#broadcast) this.#put('badge', `Live ${clock(Date.now() - this.#broadcast.since)}`);
  }

  #facts(live) {
    const broadcast = this.#broadcast, peers = broadcast?.state.peers ?? 0, picture = broadcast?.picture;
    this.#put('facts', live && broadcast?.stats ? [
      peers === 1 ? '1 viewer is served directly' : `${peers} viewers are served directly`,
      `${(broadcast.rate / 1e6).toFixed(1)} Mbit/s up`,
      picture && `${picture.width} × ${picture.height}, ${Math.round(picture.rate)} per second${picture.sizes?.length > 1 ? `, and ${picture.sizes[1]}p` : ''}`,
    ].filter(Boolean).join(' · ') : '');
  }

  #put(id, text = '') {
    // Writing the same again would be read out again.
    if (this.#at(id).textContent !== text) this.#at(id).textContent = text;
  }
}

function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000)), two = value => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  return `${hours ? `${hours}:` : ''}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

if (!customElements.get('beacon-broadcaster')) customElements.define('beacon-broadcaster', BeaconBroadcaster);
