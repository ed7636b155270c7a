// node tokens.mjs URL PUBLISH WATCH  a page broadcasts with the token for the identity of sixes, and pages watch with the one
// for sevens: its owner, another peer, and one that shows none. Prints where each got to as one line of JSON.
import { launch } from './chromium.mjs';

const [url, publish, token] = process.argv.slice(2);
const { browser, open } = await launch(url);

// In a page: comes, until it is live, has a neighbour, or is refused.
const come = async ({ secret, token, broadcasts }) => {
  const [{ peerId, watch }, { broadcast }] = await Promise.all([import('/index.js'), import('/broadcast.js')]);
  const identity = new Uint8Array(32).fill(secret);
  const options = { identity, token };
  const peer = broadcasts ? broadcast({ name: 'launch', source: 'pattern', quality: '360p', ...options }) : watch({ src: 'launch', ...options });
  const state = await new Promise(resolve => {
    const look = state => (state.name === 'refused' || state.name === 'live' || state.peers) && resolve(state);
    peer.on('state', look);
    look(peer.state);
  });
  return { id: await peerId(identity), state };
};

try {
  const seen = [];
  for (const options of [{ secret: 6, token: publish, broadcasts: true }, { secret: 7, token }, { secret: 8, token }, { secret: 9 }]) {
    const page = await open('/');
    seen.push(await page.evaluate(come, options));
  }
  const [{ state: origin }, { id, state: bearer }, { state: thief }, { state: stranger }] = seen;
  console.log(JSON.stringify({ id, origin, bearer, thief, stranger }));
} finally {
  await browser.close();
}
