// The engine's worker. The page posts what it wants, with the port to its Connector in the first message, and gets back
// what WebPeer says; media in batches, so that a segment is one message.
//
// In:  {type: 'watch' | 'publish' | 'broadcast', options, port, module?, buffers?}
//        module: the compiled WebAssembly, to save a second compilation
//        buffers: media goes into Media Source Extensions here (mse.js), and fragments leave without their data
//        decode: {writable?, speaker?}: media is decoded here (decode.js), with `latency`, and objects leave without their data
//        broadcast: publishes what is encoded here (encode.js), with `options.quality`; it begins with the first picture
//      {type: 'picture', source, readable?}  {type: 'frame', frame}  {type: 'sound', port}  {type: 'quality', quality}
//      {type: 'upload', bps?}  {type: 'choose', choice}
//      {type: 'write', object}  {type: 'tracks', tracks}  {type: 'list', listing}  {type: 'stats', id}  {type: 'reset'}  {type: 'stop'}
// Out: {type: 'batch', messages: Out[]}  {type: 'ready', ticket?}  {type: 'stats', id, stats}  {type: 'failed', reason, stale?}
//      with `buffers` also {type: 'source', handle} and what else Buffers says; with `decode` what Screen says, and stats with
//      `shown`; with `broadcast` {type: 'refused' | 'mute'} of the encoder, {type: 'unlisted', reason}, and stats with `encoder`
import init, { WebPeer } from './beacon.js';
import { Screen } from './decode.js';
import { Buffers } from './mse.js';

/** @type {WebPeer | undefined} */
let peer;
/** @type {Buffers | undefined} */
let buffers;
/** @type {Screen | undefined} */
let screen;
/** @type {import('./encode.js').Studio | undefined} */
let studio;
/** @type {object[]} */
let batch = [];

// Messages are taken one after the other, also while the module is being compiled.
let turn = Promise.resolve();
self.onmessage = event => {
  turn = turn.then(() => take(event.data)).catch(error => {
    self.postMessage({ type: 'failed', reason: String(error?.message ?? error), stale: error?.stale });
  });
};

/** Starts the engine that the page has compiled. It may be of an earlier build than this file: a page can be open for days. */
async function start(module) {
  try {
    await init(module ? { module_or_path: module } : undefined);
  } catch (error) {
    if (module && (error instanceof WebAssembly.LinkError || error instanceof TypeError)) error.stale = 'build';
    throw error;
  }
}

async function take(message) {
  switch (message.type) {
    case 'watch':
    case 'publish':
      await start(message.module);
      if (message.buffers) buffers = new Buffers(buffered);
      if (message.decode) screen = new Screen({ ...message.decode, latency: message.latency, say: shown });
      peer = WebPeer[message.type](message.options, message.port, say);
      self.postMessage({ type: 'ready', ticket: peer.ticket });
      break;
    case 'broadcast': {
      const { Studio } = await import('./encode.js');
      await start(message.module);
      studio = new Studio({ ...message.options, tell: told => encoded(told, message) });
      break;
    }
    case 'picture':
      studio?.picture(message);
      break;
    case 'frame':
      if (studio) studio.frame(message.frame);
      else message.frame.close();
      break;
    case 'sound':
      studio?.hear(message.port);
      break;
    case 'quality':
      studio?.setQuality(message.quality);
      break;
    case 'write':
      if (peer && !peer.write(message.object)) say({ type: 'keyframe', track: message.object.track });
      break;
    case 'tracks':
      peer?.setTracks(message.tracks);
      break;
    case 'upload':
      peer?.setUpload(message.bps);
      break;
    case 'choose':
      peer?.choose(message.choice);
      break;
    case 'list':
      // Words too long for a list end no broadcast.
      try {
        peer?.list(message.listing);
      } catch (error) {
        self.postMessage({ type: 'unlisted', reason: String(error?.message ?? error) });
      }
      break;
    case 'stats':
      self.postMessage({ type: 'stats', id: message.id, stats: peer?.stats(), encoder: studio?.counts(), shown: screen?.counts() });
      break;
    case 'reset':
      buffers?.reset();
      screen?.reset();
      break;
    case 'stop':
      studio?.close();
      screen?.close();
      if (peer) peer.stop();
      else if (studio) say({ type: 'end' });
      break;
  }
}

// The tracks are known with the first picture: now there is something to publish.
function encoded(told, { options, port }) {
  if (told.type !== 'tracks') return self.postMessage(told);
  try {
    peer = WebPeer.publish({ ...options, tracks: told.tracks }, port, say);
    studio?.publish(peer);
    self.postMessage({ type: 'ready', ticket: peer.ticket });
  } catch (error) {
    self.postMessage({ type: 'failed', reason: String(error?.message ?? error) });
  }
}

function shown(message, transfer = []) {
  self.postMessage(message, { transfer });
}

function buffered(message) {
  if (message.type !== 'source') return self.postMessage(message);
  const { handle } = message.source;
  self.postMessage({ type: 'source', handle }, { transfer: [handle] });
}

// Collects what is said in one go of the engine.
function say(message) {
  if (buffers || screen) {
    buffers?.take(message);
    screen?.take(message);
    const { data, init, ...rest } = message;
    message = rest;
  }
  if (batch.push(message) === 1) queueMicrotask(flush);
}

function flush() {
  const messages = batch;
  batch = [];
  const bytes = messages.flatMap(message => [message.data, message.init]).filter(Boolean).map(view => view.buffer);
  self.postMessage({ type: 'batch', messages }, { transfer: bytes });
}
