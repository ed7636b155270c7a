// node work.mjs URL  a page broadcasts and another one watches, at a server that asks both for work. Prints where each got to as one line of JSON.
import { launch } from './chromium.mjs';

const { browser, open } = await launch(process.argv[2]);

// In a page: comes, until it is live, has a neighbour, or is refused.
const come = async broadcasts => {
  const [{ watch }, { broadcast }] = await Promise.all([import('/index.js'), import('/broadcast.js')]);
  const peer = broadcasts ? broadcast({ name: 'launch', source: 'pattern', quality: '360p' }) : watch({ src: 'launch' });
  return new Promise(resolve => {
    const look = state => (state.name === 'refused' || state.name === 'live' || state.peers) && resolve(state);
    peer.on('state', look);
    look(peer.state);
  });
};

try {
  const [origin, viewer] = [await open('/'), await open('/')];
  console.log(JSON.stringify({ origin: await origin.evaluate(come, true), viewer: await viewer.evaluate(come, false) }));
} finally {
  await browser.close();
}
