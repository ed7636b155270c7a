// The engine's worker. The page posts what it wants, with the port to its Connector in the first message, and gets back
// what WebPeer says; media in batches, so that a segment is one message.
//
// In:  {type: 'watch' | 'publish', options, port, module?}   module: the compiled WebAssembly, to save a second compilation
//      {type: 'write', object}  {type: 'tracks', tracks}  {type: 'stats', id}  {type: 'stop'}
// Out: {type: 'batch', messages: Out[]}  {type: 'ready', ticket?}  {type: 'stats', id, stats}  {type: 'failed', reason}
import init, { WebPeer } from './beacon.js';

/** @type {WebPeer | undefined} */
let peer;
/** @type {object[]} */
let batch = [];

// Messages are taken one after the other, also while the module is being compiled.
let turn = Promise.resolve();
self.onmessage = event => {
  turn = turn.then(() => take(event.data)).catch(error => {
    self.postMessage({ type: 'failed', reason: String(error?.message ?? error) });
  });
};

async function take(message) {
  switch (message.type) {
    case 'watch':
    case 'publish':
      await init(message.module ? { module_or_path: message.module } : undefined);
      peer = WebPeer[message.type](message.options, message.port, say);
      self.postMessage({ type: 'ready', ticket: peer.ticket });
      break;
    case 'write':
      if (peer && !peer.write(message.object)) say({ type: 'keyframe', track: message.object.track });
      break;
    case 'tracks':
      peer?.setTracks(message.tracks);
      break;
    case 'stats':
      self.postMessage({ type: 'stats', id: message.id, stats: peer?.stats() });
      break;
    case 'stop':
      peer?.stop();
      break;
  }
}

// Collects what is said in one go of the engine.
function say(message) {
  if (batch.push(message) === 1) queueMicrotask(flush);
}

function flush() {
  const messages = batch;
  batch = [];
  const bytes = messages.flatMap(message => [message.data, message.init]).filter(Boolean).map(view => view.buffer);
  self.postMessage({ type: 'batch', messages }, bytes);
}
