// <beacon-player src="name or ticket" signal="wss://…" muted autoplay controls consent
//                profile="live|low-latency" latency="2" upload="auto|off|KBIT" identity="kept|new" token="v4.public.…">
import { watch } from './index.js';
import { Member } from './member.js';
import { style } from './style.js';
import { CHOICES, VIEW, icon, radios } from './view.js';

/** The controls fade after so long without a touch. */
const FADE_MS = 3000;
/** A player this narrow has no room for the menu: it lies over the page. */
const NARROW = 480;
/** What a person chose, kept by the browser. */
const AGREED = 'beacon-consent', GIVE = 'beacon-give';
/** The tallest picture that saves data: the smallest there is, whatever it is. */
const SAVER_HEIGHT = 1;

/** Where storage is forbidden, as for pages in frames of other sites, it is kept for as long as the page is. */
const kept = {
  here: new Map(),
  get(key) { try { return this.here.get(key) ?? localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { this.here.set(key, value); } },
};

export class BeaconPlayer extends Member {
  static observedAttributes = ['src', 'signal', 'latency', 'upload', 'profile', 'muted', 'controls', 'identity', 'token'];

  #root = this.attachShadow({ mode: 'open' });
  #video;
  /** @type {import('./index.js').Watch | null} */
  #watch = null;
  #fade = 0;
  #give = '';
  /** What the person chose in the menu; it goes before the attribute. */
  #profile = '';
  /** @type {'auto' | number} */
  #rendition = 'auto';
  #due = false;
  /** A touch has brought the controls, and does nothing else. */
  #woke = false;
  #connected = new AbortController();

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [style];
    this.#root.innerHTML = VIEW;
    this.#video = this.#root.querySelector('video');
    for (const [id, name] of [['toggle', 'play'], ['mute', 'sound'], ['give', 'relay'], ['pip', 'pip'], ['full', 'wide'], ['big', 'play']])
      icon(this.#at(id), name);
    this.#listen();
  }

  connectedCallback() {
    super.connectedCallback();
    if (this.hasAttribute('muted')) this.#video.muted = true;
    this.#at('pip').hidden = !document.pictureInPictureEnabled;
    this.#connected = new AbortController();
    // A page that comes back as it was left has said goodbye to all.
    addEventListener('pageshow', ({ persisted }) => persisted && this.#renew(), { signal: this.#connected.signal });
    this.#renew();
  }

  disconnectedCallback() {
    this.#connected.abort();
    this.#close();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected || before === now) return;
    if (name === 'controls') this.#show();
    else if (name === 'muted') this.#video.muted = now !== null;
    else if (name === 'upload') this.#settle();
    else this.#renew();
  }

  renamed() {
    if (this.isConnected) this.#renew();
  }

  /** The attribute `upload`: 'auto', 'off' or kbit/s. */
  get upload() {
    const value = this.getAttribute('upload') || 'auto';
    const kbit = Number(value);
    return value === 'off' ? 'off' : kbit > 0 ? kbit : 'auto';
  }

  /** The running watch; null before the first connection and without a `src`. */
  get watch() { return this.#watch; }
  get video() { return this.#video; }
  get stats() { return this.#watch?.stats ?? null; }
  get state() { return this.#watch?.state ?? null; }

  play() {
    if (this.#watch) this.#watch.play();
    else this.#ask(true);
  }

  pause() {
    this.#watch?.pause();
  }

  /** Takes the keys. */
  focus() {
    this.#at('stage').focus({ preventScroll: true });
  }

  #at(id) {
    return /** @type {any} */ (this.#root.getElementById(id));
  }

  /** @returns {HTMLInputElement[]} */
  #inputs() {
    return [...this.#at('menu').querySelectorAll('input')];
  }

  // The way to the first connection.

  /** Begins anew with what the attributes say, once for all that change together. */
  #renew() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#close();
      this.#settle();
      if (this.isConnected && this.getAttribute('src')) this.#ask(this.hasAttribute('autoplay'));
      else this.#show();
    });
  }

  /** Connects when the person has agreed, and wants to see it. */
  #ask(wanted) {
    const agreed = !this.hasAttribute('consent') || kept.get(AGREED) === 'yes';
    this.#at('ask').hidden = agreed;
    this.#at('start').hidden = wanted || !agreed;
    if (agreed && wanted) this.#open();
    this.#show();
  }

  #agree(give) {
    if (this.hasAttribute('consent')) kept.set(AGREED, 'yes');
    if (give) this.#choose(give);
    this.#press();
  }

  /** The one button of an overlay. */
  #press() {
    this.play();
    // The button that had it is gone; keys go on working.
    this.focus();
  }

  #open() {
    const src = this.getAttribute('src');
    if (!src) return;
    this.#close();
    const latency = Number(this.getAttribute('latency')) || undefined;
    const signal = this.getAttribute('signal') || undefined;
    const profile = this.#profile || this.getAttribute('profile') || undefined;
    const maxLinks = Number(this.getAttribute('max-links')) || undefined;
    const { identity, token } = this;
    this.#watch = watch({ src, signal, latency, profile, maxLinks, identity, token, video: this.#video, rendition: this.#rendition, ...this.#limits() });
    this.#watch.on('change', () => this.#show());
    this.#watch.on('state', state => this.#tell('statechange', state));
    this.#watch.on('stats', stats => this.#tell('stats', stats));
    this.#watch.on('event', event => this.#tell('peerevent', event));
  }

  #close() {
    const watch = this.#watch;
    this.#watch = null;
    watch?.close();
    for (const id of ['ask', 'start']) this.#at(id).hidden = true;
    this.#menu(false);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #limits() {
    if (this.#give === 'saver') return { upload: /** @type {const} */ ('off'), maxHeight: SAVER_HEIGHT };
    if (this.#give === 'off') return { upload: /** @type {const} */ ('off'), maxHeight: null };
    const { upload } = this;
    return { upload: upload === 'off' ? /** @type {const} */ ('auto') : upload, maxHeight: null };
  }

  #choose(give) {
    kept.set(GIVE, give);
    this.#settle();
  }

  /** What the person chose once goes before the attribute. */
  #settle() {
    const stored = kept.get(GIVE) ?? '';
    this.#give = CHOICES.some(({ value }) => value === stored) ? stored : this.upload === 'off' ? 'off' : 'auto';
    const { upload, maxHeight } = this.#limits();
    this.#watch?.setUpload(upload, maxHeight);
    this.#show();
  }

  /** @param {HTMLInputElement} input */
  #chosen({ name, value }) {
    if (name === 'give') return this.#choose(value);
    if (name === 'rendition') {
      this.#rendition = value === 'auto' ? 'auto' : Number(value);
      this.#watch?.setRendition(this.#rendition);
      return this.#show();
    }
    this.#profile = value;
    this.#watch?.setProfile(value);
    this.#show();
  }

  // What is shown.

  #show() {
    const watch = this.#watch, state = watch?.state, video = this.#video;
    this.#at('controls').hidden = !watch || state?.name === 'refused' || !this.hasAttribute('controls');
    const blocked = Boolean(watch?.blocked);
    if (watch) this.#at('start').hidden = !blocked;
    this.#at('notice').hidden = !state?.headline || blocked;
    this.#at('spinner').hidden = !state?.busy;
    this.#put('headline', state?.headline);
    this.#put('reason', state?.reason);
    this.#put('cure', state?.cure);
    this.#at('again').hidden = !['refused', 'ended'].includes(state?.name ?? '');
    this.#at('unmute').hidden = !watch?.silenced || blocked;
    this.#at('stage').dataset.state = state?.name ?? '';

    const ready = state?.name === 'playing' || state?.name === 'paused' || state?.name === 'buffering';
    const paused = video.paused || video.ended;
    this.#button('toggle', paused ? 'play' : 'pause', paused ? 'Play' : 'Pause');
    // What is kept can be seen once more.
    this.#at('toggle').disabled = !ready && !(state?.name === 'ended' && watch?.playback === 'mse' && watch.behind !== null);
    const live = Boolean(watch?.live);
    this.#at('live').classList.toggle('on', live);
    this.#at('live').disabled = !ready;
    this.#at('live').setAttribute('aria-label', live ? 'At the live moment' : 'Go to the live moment');
    const peers = state?.peers ?? 0;
    this.#put('peers', ready && watch ? [behind(watch), peers === 1 ? '1 peer' : `${peers} peers`, watch.remark].filter(Boolean).join(' · ') : '');
    const quiet = video.muted || video.volume === 0;
    this.#button('mute', quiet ? 'silent' : 'sound', quiet ? 'Turn the sound on' : 'Mute');
    if (Number(this.#at('volume').value) !== (video.muted ? 0 : video.volume)) this.#at('volume').value = video.muted ? 0 : video.volume;
    const full = document.fullscreenElement === this;
    this.#button('full', full ? 'narrow' : 'wide', full ? 'Leave full screen' : 'Full screen');
    if (this.#at('menu').open) this.#showMenu();
  }

  #showMenu() {
    const profile = this.#watch?.profile === 'live' ? 'live' : 'low-latency';
    this.#listRenditions();
    const chosen = { give: this.#give, profile, rendition: String(this.#rendition) };
    for (const input of this.#inputs()) input.checked = input.value === chosen[input.name];
    const { bytes_uploaded: sent = 0, bytes_acknowledged: signed = 0, bytes_from_origin: origin = 0, bytes_from_peers: peers = 0 } = this.stats ?? {};
    const now = this.#watch?.sparing && this.#give === 'auto' ? 'Nothing is passed on now: the connection is metered, or the battery low. ' : '';
    const earned = signed ? ` (${megabytes(signed)} of it acknowledged)` : '';
    this.#put('given', `${now}So far ${megabytes(origin + peers)} received and ${megabytes(sent)} passed on${earned}. Another delay connects anew.`);
  }

  /** The pictures there are, where there is a choice. */
  #listRenditions() {
    const watch = this.#watch, list = watch?.renditions ?? [], shown = watch?.tracks.find(track => track.kind === 'video');
    this.#at('sizes').hidden = list.length < 2;
    const auto = shown && this.#rendition === 'auto' ? `${label(shown)} now. ` : '';
    const entries = [
      { value: 'auto', label: 'Automatic', cost: `${auto}The largest that arrives in time.` },
      ...list.map(track => ({
        value: String(track.height), label: label(track),
        cost: [track.bitrate ? `${(track.bitrate / 1e6).toFixed(1)} Mbit/s` : '', track.id === shown?.id ? 'shown now' : ''].filter(Boolean).join(', '),
      })),
    ];
    const html = radios('rendition', entries.map(entry => ({ ...entry, label: escaped(entry.label) })));
    const box = this.#at('renditions');
    if (box.dataset.list === html) return;
    // What has the keys keeps them.
    const focused = /** @type {any} */ (this.#root.activeElement)?.closest?.('#renditions')?.querySelector(':focus')?.value;
    box.dataset.list = html;
    box.innerHTML = html;
    if (focused) box.querySelector(`[value="${focused}"]`)?.focus();
  }

  #put(id, text = '') {
    // Writing the same again would be read out again.
    if (this.#at(id).textContent !== text) this.#at(id).textContent = text;
  }

  #button(id, name, label) {
    icon(this.#at(id), name);
    if (this.#at(id).getAttribute('aria-label') !== label) this.#at(id).setAttribute('aria-label', label);
  }

  // What is done.

  #listen() {
    const on = (id, act) => this.#at(id).addEventListener('click', act);
    on('toggle', () => this.#toggle());
    on('live', () => this.#watch?.goLive());
    on('mute', () => this.#mute());
    on('unmute', () => this.#mute());
    on('full', () => this.#full());
    on('pip', () => this.#pip());
    on('give', () => this.#menu(!this.#at('menu').open));
    on('again', () => this.#watch?.restart());
    on('big', () => this.#press());
    on('done', () => this.#menu(false));
    on('yes', () => this.#agree(''));
    on('alone', () => this.#agree('off'));
    this.#listenToMenu();
    this.#at('volume').addEventListener('input', event => this.#volume(Number(event.target.value)));
    const stage = this.#at('stage');
    // A touch brings the controls first. It is a click too, of which none but the touch itself knows that they were gone.
    stage.addEventListener('pointerdown', ({ pointerType }) => { this.#woke = pointerType === 'touch' && stage.classList.contains('idle'); }, true);
    for (const part of [this.#video, this.#at('controls')]) part.addEventListener('click', event => this.#wake(event), true);
    this.#video.addEventListener('click', () => {
      if (this.#at('menu').open) this.#menu(false);
      else if (this.hasAttribute('controls')) this.#toggle();
    });
    this.#video.addEventListener('dblclick', () => this.hasAttribute('controls') && this.#full());
    this.#video.addEventListener('volumechange', () => this.#show());
    this.addEventListener('keydown', event => this.#key(event));
    for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, () => this.#awake());
    this.#video.addEventListener('play', () => this.#awake());
    this.addEventListener('fullscreenchange', () => this.#show());
  }

  #listenToMenu() {
    const menu = this.#at('menu');
    menu.addEventListener('change', event => this.#chosen(event.target));
    menu.addEventListener('close', () => this.#at('give').setAttribute('aria-expanded', String(menu.open)));
    // A phone is turned, a window made smaller.
    new ResizeObserver(() => {
      if (!menu.open || menu.matches(':modal') === this.#narrow) return;
      this.#menu(false);
      this.#menu(true);
    }).observe(this);
    // What is beside its sheet closes it, and so does the key that leaves it.
    menu.addEventListener('click', ({ target }) => target === menu && this.#menu(false));
    menu.addEventListener('focusout', ({ relatedTarget: to }) => to && to !== this.#at('give') && !menu.contains(to) && this.#menu(false));
  }

  /** @param {Event} click */
  #wake(click) {
    if (this.#woke) click.stopImmediatePropagation();
    this.#woke = false;
  }

  #toggle() {
    if (this.#video.paused) this.play();
    else this.pause();
    this.#show();
  }

  #mute() {
    this.#video.muted = !this.#video.muted;
    if (!this.#video.muted && this.#video.volume === 0) this.#video.volume = 0.5;
  }

  #volume(value) {
    this.#video.volume = Math.min(1, Math.max(0, value));
    this.#video.muted = this.#video.volume === 0;
  }

  async #full() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.requestFullscreen) await this.requestFullscreen();
      else /** @type {any} */ (this.#video).webkitEnterFullscreen?.();
    } catch { /* refused by the browser or a person: it stays as it is */ }
  }

  async #pip() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.#video.requestPictureInPicture();
    } catch { /* as above */ }
  }

  get #narrow() { return this.clientWidth <= NARROW; }

  #menu(open) {
    const menu = this.#at('menu');
    if (open === menu.open) return;
    // It gives the keys back to what had them.
    if (!open) return menu.close();
    this.#at('give').setAttribute('aria-expanded', 'true');
    if (this.#narrow) menu.showModal();
    else menu.show();
    this.#showMenu();
    this.#inputs().find(input => input.checked)?.focus();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.hasAttribute('controls')) return;
    const { key } = event, target = /** @type {Element} */ (event.composedPath()[0]);
    if (key === 'Escape' && this.#at('menu').open) return this.#menu(false);
    // A focused control keeps the keys it has by itself.
    if (target.closest('input') || (key === ' ' && target.closest('button'))) return;
    const step = value => this.#volume((this.#video.muted ? 0 : this.#video.volume) + value);
    const keys = {
      ' ': () => this.#toggle(), k: () => this.#toggle(), l: () => this.#watch?.goLive(), m: () => this.#mute(),
      f: () => this.#full(), p: () => this.#pip(), ArrowUp: () => step(0.1), ArrowDown: () => step(-0.1),
    };
    const act = keys[key.length === 1 ? key.toLowerCase() : key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #awake() {
    const stage = this.#at('stage');
    stage.classList.remove('idle');
    clearTimeout(this.#fade);
    this.#fade = setTimeout(() => stage.classList.toggle('idle', !this.#video.paused && !this.#at('menu').open), FADE_MS);
  }
}

function behind({ live, behind }) {
  return live || behind === null || behind < 1 ? '' : `−${behind.toFixed(0)} s`;
}

/** What a picture is called. @param {import('./index.js').Track} track */
function label({ name, height = 0 }) {
  return name || `${height}p`;
}

/** Labels are the broadcaster's words. @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

if (!customElements.get('beacon-player')) customElements.define('beacon-player', BeaconPlayer);
