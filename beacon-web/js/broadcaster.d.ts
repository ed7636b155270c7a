import type { Broadcast, BroadcastState, SourceName } from './broadcast.js';
import type { Own, PeerEvent, Stats, Token } from './index.js';

/**
 * `<beacon-broadcaster name="launch" signal="wss://…" source="camera" quality="720p" ladder profile="live" max-links="8" token="v4.public.…">`
 *
 * The person chooses camera, screen or test picture, microphone and quality, sees what is sent, and goes live. Without `name`
 * they are asked for one. Events: `statechange`, `stats`, `peerevent`, with the value in `detail`. Parts: `stage`, `video`,
 * `panel`.
 */
export class BeaconBroadcaster extends HTMLElement {
  /** Who it is, and leave to join, of the next broadcast: what is set goes before the attributes of these names. */
  identity: Own | undefined;
  token: Token | undefined;
  /** The running broadcast, or the last one; null before the first. */
  readonly broadcast: Broadcast | null;
  readonly video: HTMLVideoElement;
  readonly state: BroadcastState | null;
  readonly stats: Stats | null;
  /** Shows a source, and broadcasts it if there is a broadcast. */
  choose(source: SourceName): Promise<void>;
  /** Goes live, with the camera when nothing else was chosen. */
  start(): Promise<void>;
  /** Ends the broadcast; what is captured stays on show. */
  stop(): void;
  addEventListener<K extends keyof BroadcasterEvents>(name: K, listener: (event: BroadcasterEvents[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener<K extends keyof HTMLElementEventMap>(name: K, listener: (event: HTMLElementEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
}

export interface BroadcasterEvents {
  statechange: CustomEvent<BroadcastState>;
  stats: CustomEvent<Stats>;
  peerevent: CustomEvent<PeerEvent>;
}

declare global {
  interface HTMLElementTagNameMap {
    'beacon-broadcaster': BeaconBroadcaster;
  }
}
