/** What a viewer passes on at most: 'auto' is all that its links carry, but nothing on metered connections and a low
 * battery where the browser tells; 'off' is nothing; a number is kbit/s. */
export type Upload = 'auto' | 'off' | number;

/** Who a peer is, which is also whose account it earns on: 32 secret bytes; 'kept', a key that the browser keeps for the pages of this
 * origin, of which no two peers have the same at once; or 'new', a key that is forgotten with the page. Where there are no locks or
 * nothing may be stored, 'kept' is 'new'. */
export type Own = Uint8Array | 'kept' | 'new';

/** Leave to join, where the signaling server wants it; or what asks for it, once it is known for which peer: the id is 64
 * hexadecimal digits. A token is for one peer alone. */
export type Token = string | ((peer: string) => string | Promise<string>);

export interface WatchOptions {
  /** The broadcast: its name at the signaling server, or a ticket (`beacon1…`). */
  src: string;
  /** The signaling server, `wss://…`; without it the one that a ticket names, or the server of the page, at `/ws`. */
  signal?: string;
  /** Where it is shown. Without it the page relays and shows nothing. */
  video?: HTMLVideoElement;
  /** 'auto' unless told. */
  upload?: Upload;
  /** Seconds to stay behind the newest media, where it is to be more than what plays smoothly. Frame by frame 1.5 at most. */
  latency?: number;
  /** 'live' (unless told), 'low-latency' or 'ephemeral'. The last two play frame by frame (WebCodecs) where the browser can; a
   * broadcast that cannot be played the way of its profile is played the other way. */
  profile?: string;
  /** Peers it is connected with at most; 24 unless told. */
  maxLinks?: number;
  /** No rendition taller than this, or the smallest there is; what the screen can show, unless told. */
  maxHeight?: number | null;
  /** 'auto' (unless told): the largest that arrives in time. A number: the one of that height, or the next below. */
  rendition?: 'auto' | number;
  /** False: the signaling server is told nothing of links and counters for its dashboard. */
  report?: boolean;
  /** 'kept' unless told; 'new' in the profile 'ephemeral'. */
  identity?: Own;
  token?: Token;
  /** STUN and TURN (over UDP) servers, as `RTCPeerConnection` takes them; none unless told, but for the TURN server that the signaling server gives leave to use. */
  iceServers?: RTCIceServer[];
}

export interface State {
  name: 'connecting' | 'playing' | 'paused' | 'buffering' | 'ended' | 'refused';
  /** For a person; empty while all is well. `reason` is the cause of a refusal too. */
  headline: string;
  reason: string;
  cure: string;
  /** Something is under way. */
  busy: boolean;
  /** Connected peers. */
  peers: number;
}

/** A neighbour. Bytes are media, counted since it is known. */
export interface LinkStats {
  peer: string;
  origin: boolean;
  rtt_us: number;
  score: number;
  received: number;
  sent: number;
  parent_of: number;
  child_of: number;
}

/** Counters since the start, as `viewer --stats` writes them; these and more. */
export interface Stats {
  bytes_from_origin: number;
  bytes_from_peers: number;
  bytes_uploaded: number;
  /** Of those, what neighbours have signed for: by these the server's ledger pays, if it keeps one. */
  bytes_acknowledged: number;
  segments_expected: number;
  segments_delivered: number;
  segments_missed: number;
  /** Of those delivered, with pictures left out because the viewers' uplinks are too few. */
  segments_thinned: number;
  startup_ms: number;
  latency_ms: { p50: number; p95: number; p99: number };
  stalls: number;
  hops_max: number;
  peers: number;
  parents: number;
  children: number;
  role: string;
  links: LinkStats[];
  [counter: string]: unknown;
}

export interface Track {
  id: number;
  kind: 'video' | 'audio';
  codec: string;
  mime: string;
  name: string;
  bitrate: number;
  width?: number;
  height?: number;
  rate?: number;
  channels?: number;
}

/** What happened in the mesh: `name` is 'peer', 'peer-left', 'started', 'reparented', 'missed', 'signal-lost' and others. */
export interface PeerEvent {
  name: string;
  text: string;
  peer?: string;
  [detail: string]: unknown;
}

export interface Events {
  state: State;
  /** Once per second. */
  stats: Stats;
  tracks: Track[];
  event: PeerEvent;
  /** Something that is shown may differ. Media that arrives is none of it. */
  change: undefined;
  close: undefined;
}

/** A running watch. It ends with the page, also with one that the browser keeps for the way back, or with `close`. */
export interface Watch {
  readonly state: State;
  readonly stats: Stats | null;
  /** The tracks that are shown. */
  readonly tracks: Track[];
  /** All pictures of the broadcast that this browser plays, the largest first. */
  readonly renditions: Track[];
  /** What was asked for; which is shown, `tracks` says. */
  readonly rendition: 'auto' | number;
  /** What is left out though the rest plays, in words; empty when nothing is. */
  readonly remark: string;
  readonly upload: Upload;
  /** With `upload: 'auto'` nothing is passed on now: the connection is metered, or the battery low. */
  readonly sparing: boolean;
  readonly profile: string;
  /** How it is played; null where nothing is. */
  readonly playback: 'mse' | 'webcodecs' | null;
  /** What the decoder counts, with 'webcodecs': pictures shown and left out, stalls, and its delay in milliseconds. */
  readonly shown: { frames: number; left: number; stalls: number; delay: number } | null;
  /** Seconds behind the newest media that is here; null before the first picture. */
  readonly behind: number | null;
  /** Times the picture stood still. */
  readonly stalls: number;
  /** It plays at the live edge. */
  readonly live: boolean;
  /** The browser starts no video before a person has pressed something: `play` is to be called then. */
  readonly blocked: boolean;
  /** The sound is off because the browser allows none before a person has touched the page. */
  readonly silenced: boolean;
  /** Calls `listener` until the returned function is called. */
  on<K extends keyof Events>(name: K, listener: (detail: Events[K]) => void): () => void;
  play(): void;
  pause(): void;
  goLive(): void;
  /** Passes on more or less from now on; the picture goes on. Who was served beyond that is served until there is another
   * way, for 2.5 s at most. */
  setUpload(upload: Upload, maxHeight?: number | null): void;
  /** Shows another picture, from its next group on: the largest that arrives in time, or the one of that height. */
  setRendition(rendition: 'auto' | number): void;
  /** Plays with more or less delay from now on. Connects anew. */
  setProfile(profile: string): void;
  /** Connects anew, also after an end or a refusal. */
  restart(): void;
  close(): void;
}

export interface Support {
  /** It can receive and pass on. */
  relay: boolean;
  /** It can show pictures too. */
  play: boolean;
  /** Where media is buffered. */
  media: 'worker' | 'page' | 'none';
  /** What it lacks, in words. */
  missing: string[];
}

/** Watches a broadcast, and relays it. Never throws: what goes wrong is a state of its own, told after this has returned. */
export function watch(options: WatchOptions): Watch;

/** The id of the peer with this `identity`, 64 hexadecimal digits: a `token` is made for it. */
export function peerId(identity: Uint8Array): Promise<string>;
/** What this browser can do; starts nothing. */
export function support(): Support;
