import type { Own, PeerEvent, State, Stats, Token, Upload, Watch } from './index.js';

/**
 * `<beacon-player src="name or ticket" signal="wss://…" muted autoplay controls consent profile="low-latency" latency="2" upload="auto" token="v4.public.…">`
 *
 * Nothing is connected before the person presses play, unless `autoplay` is there; with `consent` they are told first what
 * others see of them. Events: `statechange`, `stats`, `peerevent`, with the value in `detail`. Parts: `stage`, `video`,
 * `controls`.
 */
export class BeaconPlayer extends HTMLElement {
  /** The attribute of that name: 'auto', 'off' or kbit/s. What the person chose in the menu goes before it. */
  readonly upload: Upload;
  /** Who it is, and leave to join: what is set goes before the attributes of these names. To set another connects anew. */
  identity: Own | undefined;
  token: Token | undefined;
  /** The running watch; null before the first connection. */
  readonly watch: Watch | null;
  readonly video: HTMLVideoElement;
  readonly stats: Stats | null;
  readonly state: State | null;
  play(): void;
  pause(): void;
  addEventListener<K extends keyof PlayerEvents>(name: K, listener: (event: PlayerEvents[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener<K extends keyof HTMLElementEventMap>(name: K, listener: (event: HTMLElementEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
}

export interface PlayerEvents {
  statechange: CustomEvent<State>;
  stats: CustomEvent<Stats>;
  peerevent: CustomEvent<PeerEvent>;
}

declare global {
  interface HTMLElementTagNameMap {
    'beacon-player': BeaconPlayer;
  }
}
