// What the stream brings, through the player of beacon-web: which of its tracks are shown, and what goes wrong.
import { Buffers, place, supports } from '/mse.js';
import { Player } from '/player.js';

/** A decoder that fails so often in a row is given up. */
const FAILURES_MAX = 5;
/** After so long without a failure they are counted anew. */
const CALM_MS = 30_000;

export class Show {
  #resync;
  #changed;
  #buffers;
  /** All tracks that the stream has, and the init segments that the buffers were not given. */
  #tracks = [];
  #inits = new Map();
  #showing = null;
  #preferred = -1;
  #failures = 0;
  #failedAt = 0;

  player;
  /** The pictures there are, and the one that is shown. */
  videos = [];
  rendition = null;
  arrivedAt = -Infinity;
  gapAt = -Infinity;
  /** All has come. */
  ended = false;
  /** Why it cannot play, for a person; null otherwise. */
  refusal = null;
  /** What is left out though the rest plays. */
  remark = '';

  /** `resync` starts the stream anew; `changed` is called when something visible may differ. */
  constructor(video, { resync, changed }) {
    this.#resync = resync;
    this.#changed = changed;
    this.player = new Player(video, { changed, broken: (why) => this.#broken(why) });
  }

  describe({ showing, list }) {
    if (place === 'none') {
      return this.#refuse('This browser has no Media Source Extensions. Use a current Chromium, Firefox or Safari.');
    }
    this.#tracks = list.map(({ kind, label, ...track }) => ({ ...track, ...kind.video, kind: 'video' in kind ? 'video' : 'audio', name: label }));
    // Another timeline: nothing of what is buffered goes on.
    if (showing !== this.#showing) {
      this.#showing = showing;
      this.ended = false;
      this.#buffers = new Buffers((said) => this.#said(said));
    }
    this.refusal = null;
    this.#choose();
  }

  /** Shows another rendition, by track number, from its next group on. */
  prefer(id) {
    this.#preferred = id;
    this.#choose();
  }

  /** Buffers take the first of each kind that they can. */
  #choose() {
    const at = this.#tracks.findIndex((track) => track.id === this.#preferred);
    if (at > 0) this.#tracks.unshift(...this.#tracks.splice(at, 1));
    this.#buffers?.take({ type: 'tracks', tracks: this.#tracks });
  }

  init(track, init) {
    this.#inits.set(track, init);
    const of = this.#tracks.find(({ id }) => id === track);
    if (of) of.begun = false;
  }

  fragment(track, data, keyframe) {
    const init = this.#inits.get(track), shown = this.#tracks.find(({ id }) => id === track);
    if (!shown?.chosen) return;
    this.arrivedAt = performance.now();
    this.#buffers?.take({ type: 'fragment', track, data, keyframe, init: shown.begun ? undefined : init });
    shown.begun ||= keyframe || shown.kind === 'audio';
  }

  gap(track) {
    if (this.#tracks.find(({ id }) => id === track)?.chosen) this.gapAt = performance.now();
  }

  end() {
    this.ended = true;
    this.#buffers?.take({ type: 'end' });
    this.player.end();
  }

  #said(said) {
    switch (said.type) {
      case 'source': return this.player.attach(said.source);
      case 'broken': return this.#broken(said.reason);
      case 'unplayable': return this.#refuse(said.reason);
      case 'chosen': {
        const ids = said.tracks.map(({ id }) => id);
        for (const track of this.#tracks) {
          const chosen = ids.includes(track.id);
          if (!chosen || !track.chosen) track.begun = false;
          track.chosen = chosen;
        }
        this.remark = said.remark;
        this.videos = this.#tracks.filter(({ kind, refused, mime }) => kind === 'video' && !refused && supports(mime));
        this.videos.sort((a, b) => b.height - a.height);
        this.rendition = this.#tracks.find((track) => track.chosen && track.kind === 'video') ?? null;
        this.#changed();
      }
    }
  }

  /** The decoder gave up: once more from the newest group, a few times. */
  #broken(why) {
    const now = performance.now();
    this.#failures = now - this.#failedAt > CALM_MS ? 1 : this.#failures + 1;
    this.#failedAt = now;
    if (this.#failures > FAILURES_MAX) return this.#refuse(`The player failed: ${why}. Reload the page to try again.`);
    setTimeout(() => {
      this.#showing = null;
      this.#resync();
    }, 300 * this.#failures);
  }

  #refuse(why) {
    this.refusal = why;
    this.#changed();
  }
}
