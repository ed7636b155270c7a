// node turn.mjs URL  a page broadcasts and another watches, and neither may use anything but a relay. Prints where the second
// got to, and what its connections go through, as one line of JSON.
import { launch } from './chromium.mjs';

const [url] = process.argv.slice(2);
const { browser, open } = await launch(url);

// Before anything else in a page: a browser that asks for relays alone, as privacy settings and extensions make one.
const relayOnly = page => page.addInitScript(() => {
  const Real = RTCPeerConnection;
  self.connections = [];
  self.RTCPeerConnection = class extends Real {
    constructor(configuration) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
      self.connections.push(this);
    }
  };
});

const come = async broadcasts => {
  const [{ watch }, { broadcast }] = await Promise.all([import('/index.js'), import('/broadcast.js')]);
  const peer = broadcasts ? broadcast({ name: 'launch', source: 'pattern', quality: '360p' }) : watch({ src: 'launch' });
  self.peer = peer;
  return new Promise(resolve => {
    const look = state => (state.name === 'refused' || state.name === 'live' || state.peers) && resolve(state);
    peer.on('state', look);
    look(peer.state);
  });
};

const ways = async () => {
  const types = [];
  for (const connection of self.connections.filter(connection => connection.connectionState === 'connected')) {
    for (const stat of (await connection.getStats()).values()) {
      if (stat.type === 'local-candidate') types.push(stat.candidateType);
    }
  }
  return types;
};

try {
  const origin = await open('/', relayOnly);
  await origin.evaluate(come, true);
  const viewer = await open('/', relayOnly);
  const state = await viewer.evaluate(come, false);
  console.log(JSON.stringify({ state, ways: await viewer.evaluate(ways) }));
} finally {
  await browser.close();
}
