// The engine as a page has it: a worker, and the page's end of its connections.
import init, { Connector, peerId as idOf } from './beacon.js';

const STATS_MS = 1000;
/** How long a peer gets to say goodbye. */
const GOODBYE_MS = 500;

/** @type {Promise<WebAssembly.Module> | undefined} */
let compiled;
/** Peers that are leaving. @type {Set<Promise<void>>} */
const leaving = new Set();

/** What the player needs of a page's policy, by what a policy that lacks it is heard to forbid. */
const NEEDS = {
  'script-src': "script-src 'self' 'wasm-unsafe-eval'", 'worker-src': "worker-src 'self'", 'connect-src': "connect-src 'self'", 'media-src': 'media-src blob:',
};
const HERE = new URL('.', import.meta.url).href;
let lacking = '';
globalThis.document?.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
  if (['wasm-eval', 'blob'].includes(blockedURI) || blockedURI.startsWith(HERE)) lacking = NEEDS[effectiveDirective] ?? lacking;
});

/** Cause and cure, when the page's policy has forbidden something that the player needs. */
export function forbidden() {
  return lacking ? ['The security policy of this page forbids what the player needs.', `Whoever runs the page has to allow it: Content-Security-Policy: ${lacking}.`] : null;
}

/** The engine, compiled once for the page and its workers. */
export function engine() {
  compiled ??= (async () => {
    const response = await fetch(new URL('./beacon_bg.wasm', import.meta.url));
    if (!response.ok) throw new Error(`beacon_bg.wasm: the server says ${response.status}`);
    const typed = response.headers.get('content-type')?.startsWith('application/wasm');
    const module = typed ? await WebAssembly.compileStreaming(response)
      : await WebAssembly.compile(await response.arrayBuffer());
    await init({ module_or_path: module });
    return module;
  })();
  compiled.catch(() => { compiled = undefined; });
  return compiled;
}

/** The id of the peer with this identity: who makes tokens for it names it so. @param {Uint8Array} identity */
export async function peerId(identity) {
  await engine();
  return idOf(identity);
}

/** Kept when the peers of this page that have been ended are gone. */
export async function goodbyes() {
  await Promise.all(leaving);
}

/** A worker with its Connector, from the first message to the goodbye. */
export class Peer {
  #worker;
  #connector;
  #asking;
  #gone;

  /**
   * @param {WebAssembly.Module} module
   * @param {object} message                 the first one: 'watch' or 'publish', see worker.js
   * @param {{iceServers?: RTCIceServer[], take: (data: any) => void, failed: (cause: string) => void, gone?: () => void}} page
   *   `gone` is called when it is no more
   * @param {any[]} transfer                 of the first message
   */
  constructor(module, message, { iceServers, take, failed, gone = () => {} }, transfer = []) {
    const { port1: port, port2 } = new MessageChannel();
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.#worker = worker;
    this.#gone = gone;
    try {
      this.#connector = new Connector(port2, iceServers);
    } catch (error) {
      worker.terminate();
      gone();
      throw error;
    }
    worker.onmessage = ({ data }) => take(data);
    worker.onerror = event => failed(`The engine failed: ${event.message || 'its worker did not load'}.`);
    worker.postMessage({ ...message, port, module }, [port, ...transfer]);
    this.#asking = setInterval(() => worker.postMessage({ type: 'stats' }), STATS_MS);
  }

  /** @param {object} message @param {any[]} transfer */
  post(message, transfer = []) {
    this.#worker.postMessage(message, transfer);
  }

  /** Counters are asked for no more. */
  rest() {
    clearInterval(this.#asking);
  }

  /** Ends it, with a goodbye; nothing more is heard of it. */
  end() {
    this.rest();
    const goodbye = this.#leave().then(() => { leaving.delete(goodbye); });
    leaving.add(goodbye);
  }

  /** Kept when it is gone. @returns {Promise<void>} */
  #leave() {
    const worker = this.#worker;
    return new Promise(resolve => {
      const gone = () => {
        worker.terminate();
        this.#connector.close();
        this.#gone();
        resolve();
      };
      const late = setTimeout(gone, GOODBYE_MS);
      worker.onmessage = ({ data }) => {
        if (!data.messages?.some(message => message.type === 'end')) return;
        clearTimeout(late);
        worker.onmessage = null;
        // Goodbyes are on their way over channels that this page may keep.
        setTimeout(gone, GOODBYE_MS / 10);
      };
      worker.onerror = null;
      worker.postMessage({ type: 'stop' });
    });
  }
}

/** The signaling server that serves the page. */
export function signalOf({ protocol, host }) {
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/ws`;
}

/** @param {string} text */
export function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
