// What the tests do inside of a page; run.mjs calls it.
import init, { Connector } from './dist/beacon.js';

const modules = init();
// Held, so that they are not collected.
const kept = [];

function connected(keeping) {
  const { port1, port2 } = new MessageChannel();
  kept.push(keeping ? Connector.keepingChannels(port2) : new Connector(port2));
  return port1;
}

/** Runs one clause of the transport's suite: transports in a worker, connectors here. */
window.clause = async (name, keeping) => {
  await modules;
  const ports = Array.from({ length: 4 }, () => connected(keeping));
  const worker = new Worker('./clause.js', { type: 'module' });
  return new Promise(resolve => {
    worker.onmessage = event => resolve(event.data);
    worker.onerror = event => resolve({ name, error: event.message });
    worker.postMessage({ name, ports }, ports);
  }).finally(() => worker.terminate());
};

/** Starts a peer in a worker; counts what comes. */
async function start(type, options) {
  await modules;
  const port = connected(options.keeping);
  const worker = new Worker('./dist/worker.js', { type: 'module' });
  const seen = {
    tracks: [], objects: 0, fragments: 0, bytes: 0, gaps: 0, events: [], ticket: null, failed: null, end: null,
  };
  const waiting = new Map();
  worker.onmessage = ({ data }) => {
    if (data.type === 'failed') seen.failed = data.reason;
    if (data.type === 'ready') seen.ticket = data.ticket;
    if (data.type === 'stats') waiting.get(data.id)?.(data.stats);
    for (const message of data.messages ?? []) count(seen, message);
  };
  worker.onerror = event => { seen.failed = event.message; };
  worker.postMessage({ type, options, port }, [port]);
  let last = 0;
  window.seen = async () => {
    const id = ++last;
    const stats = await new Promise(resolve => {
      waiting.set(id, resolve);
      worker.postMessage({ type: 'stats', id });
    });
    return { ...seen, stats };
  };
  window.leave = () => worker.postMessage({ type: 'stop' });
  return worker;
}

window.watch = options => start('watch', options).then(() => {});

/** Publishes 30 frames of noise per second. */
window.publish = async options => {
  const worker = await start('publish', options);
  const data = new Uint8Array(2000);
  let frame = 0;
  setInterval(() => {
    crypto.getRandomValues(data);
    const keyframe = frame % 60 === 0;
    worker.postMessage({ type: 'write', object: { track: 0, pts: Math.round(frame++ * 1e6 / 30), keyframe, data } });
  }, 1000 / 30);
  // Other words for lists, and a picture.
  const canvas = new OffscreenCanvas(320, 180);
  canvas.getContext('2d').fillRect(40, 40, 80, 80);
  const file = await canvas.convertToBlob({ type: 'image/jpeg' });
  worker.postMessage({ type: 'list', listing: { ...options.listing, thumbnail: new Uint8Array(await file.arrayBuffer()) } });
};

function count(seen, message) {
  switch (message.type) {
    case 'tracks': seen.tracks = message.tracks.map(({ config, ...track }) => track); break;
    case 'object': seen.objects++; seen.bytes += message.data.length; break;
    case 'fragment': seen.fragments++; seen.bytes += message.data.length; break;
    case 'gap': seen.gaps++; break;
    case 'event': if (seen.events.length < 100) seen.events.push(message.text); break;
    case 'end': seen.end = message; break;
  }
}
window.ready = true;
