// The viewer's stream: one WebSocket, opened again when it is lost. JSON comes as text, media as
// binary: four bytes (what, track, decodable from here, 0) and a body.

const INIT = 1, FRAGMENT = 2, GAP = 3, END = 4;
const RETRY_MIN_MS = 500, RETRY_MAX_MS = 5000;

export class Stream {
  #on;
  #socket = null;
  #retry = RETRY_MIN_MS;
  #timer = 0;

  /** `on` has tracks, stats, init, fragment, gap, end and status (connecting, open, lost). */
  constructor(on) {
    this.#on = on;
  }

  open() {
    clearTimeout(this.#timer);
    const url = new URL('/stream', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onopen = () => {
      this.#retry = RETRY_MIN_MS;
      this.#on.status('open');
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#take(data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) this.#again();
    };
  }

  /** Drops what is under way and starts anew at the newest group. */
  resync() {
    this.#socket?.close();
    this.open();
  }

  #again() {
    this.#on.status('lost');
    this.#timer = setTimeout(() => this.open(), this.#retry);
    this.#retry = Math.min(this.#retry * 1.6, RETRY_MAX_MS);
  }

  #take(data) {
    if (typeof data === 'string') {
      const notice = JSON.parse(data);
      if (notice.tracks) this.#on.tracks(notice.tracks);
      if (notice.stats) this.#on.stats(notice.stats);
      return;
    }
    const [what, track, keyframe] = new Uint8Array(data, 0, 4);
    const body = new Uint8Array(data, 4);
    if (what === INIT) this.#on.init(track, body);
    else if (what === FRAGMENT) this.#on.fragment(track, body, keyframe === 1);
    else if (what === GAP) this.#on.gap(track);
    else if (what === END) this.#on.end();
  }
}
