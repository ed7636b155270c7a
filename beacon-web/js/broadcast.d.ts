import type { Own, PeerEvent, Stats, Token, Upload } from './index.js';

export type SourceName = 'camera' | 'screen' | 'pattern';
export type Quality = '360p' | '720p' | '1080p';

export interface BroadcastOptions {
  /** What viewers ask for: 1 to 64 characters, nobody else's at the signaling server. */
  name: string;
  /** The signaling server, `wss://…`; without it the server of the page, at `/ws`. */
  signal?: string;
  /** What lists show: a title of up to 100 characters, a category, and up to 8 tags; the name alone unless told. */
  title?: string;
  category?: string;
  tags?: string[];
  /** False: the signaling server is told nothing of links and counters for its dashboard. */
  report?: boolean;
  /** What is shown first: 'camera' unless told. 'pattern' is a test picture with a clock in it, and a tone. */
  source?: SourceName;
  /** Whether the microphone is heard; it is not unless told. */
  microphone?: boolean;
  /** '720p' unless told: 0.7, 2.5 and 4.5 Mbit/s, 30 pictures per second. */
  quality?: Quality;
  /** Publishes a smaller picture too, once the device has kept up with the large one for some seconds: 360p beside 720p and
   * 1080p, 180p beside 360p. Viewers take the one that arrives in time. */
  ladder?: boolean;
  /** Shows the person what is sent. */
  preview?: HTMLVideoElement;
  /** What is captured already: it goes on when the broadcast ends. */
  capture?: Capture;
  /** 'live' (unless told), 'low-latency' or 'ephemeral'. */
  profile?: string;
  /** Viewers that are served directly, at most; the others are served by these. */
  maxLinks?: number;
  /** kbit/s at most in all; what the links carry unless told. */
  upload?: Upload;
  /** Whose broadcast it is: 'kept' unless told, so that a name can be taken again after a reload; 'new' in the profile 'ephemeral'. */
  identity?: Own;
  token?: Token;
  /** STUN and TURN (over UDP) servers, as `RTCPeerConnection` takes them; none unless told, but for the TURN server that the signaling server gives leave to use. */
  iceServers?: RTCIceServer[];
}

export interface BroadcastState {
  name: 'asking' | 'starting' | 'live' | 'ended' | 'refused';
  /** For a person. `reason` is the cause of a refusal too. */
  headline: string;
  reason: string;
  cure: string;
  /** Something is under way. */
  busy: boolean;
  /** Connected peers. */
  peers: number;
  /** What is not as it should be though it goes on; empty while all is well. */
  remark: string;
}

export interface BroadcastEvents {
  state: BroadcastState;
  /** Once per second. */
  stats: Stats;
  event: PeerEvent;
  /** Something that is shown may differ. */
  change: undefined;
  close: undefined;
}

/** A running broadcast. It ends with the page, or with `close`. */
export interface Broadcast {
  readonly state: BroadcastState;
  readonly stats: Stats | null;
  readonly name: string;
  /** Names the publisher too; empty before it is live. */
  readonly ticket: string;
  /** Milliseconds since 1970; 0 before it is live. */
  readonly since: number;
  readonly source: SourceName | null;
  readonly microphone: boolean;
  readonly quality: Quality;
  /** Bits per second that leave. */
  readonly rate: number;
  /** What is encoded: pixels, and pictures per second. Null before it is known. */
  readonly picture: { width: number; height: number; rate: number; sizes?: number[] } | null;
  /** Calls `listener` until the returned function is called. */
  on<K extends keyof BroadcastEvents>(name: K, listener: (detail: BroadcastEvents[K]) => void): () => void;
  /** Another source from now on. Rejects with a CaptureError, and what was sent before goes on. */
  setSource(source: SourceName): Promise<void>;
  /** Rejects with a CaptureError when it cannot be had. */
  setMicrophone(on: boolean): Promise<void>;
  setQuality(quality: Quality): void;
  /** What lists show from now on, once it is live; words that are left out stay as they began. The thumbnail is a JPEG, PNG or
   * WebP file of up to 20 KiB and 1280 pixels a side, taken every five seconds at most; left out, there is none. */
  list(listing: { title?: string; category?: string; tags?: string[]; thumbnail?: Uint8Array }): void;
  close(): void;
}

/** What a person can put right: `reason` is the cause. */
export class CaptureError extends Error {
  readonly reason: string;
  readonly cure: string;
}

/** Camera, screen and microphone before a broadcast, and for more than one. */
export class Capture {
  constructor(options?: { preview?: HTMLVideoElement; changed?: () => void });
  readonly source: SourceName | null;
  readonly microphone: boolean;
  readonly remark: string;
  /** Rejects with a CaptureError, and the source before goes on. */
  choose(source: SourceName, height?: number): Promise<void>;
  setMicrophone(on: boolean): Promise<void>;
  /** The height of the picture in pixels, at most, from now on. */
  resize(height: number): void;
  /** Ends everything that is captured. */
  close(): void;
}

/** Captures, encodes and publishes. Never throws: what goes wrong is a state of its own. */
export function broadcast(options: BroadcastOptions): Broadcast;
