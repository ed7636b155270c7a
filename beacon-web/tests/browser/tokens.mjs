// node tokens.mjs URL PUBLISH WATCH PLAYER CASTER  a page broadcasts with the token for the identity of sixes, and pages watch with
// the one for sevens: its owner, another peer, and one that shows none; then a player that is the tens by what the browser keeps, and
// an element that broadcasts as the elevens. Prints where each got to as one line of JSON.
import { launch } from './chromium.mjs';

const [url, publish, token, forPlayer, forCaster] = process.argv.slice(2);
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

// For pages: an element's state once it is live, has a neighbour, or is refused; and what the browser keeps.
const prepare = page => page.addInitScript(() => {
  window.settled = element => new Promise(resolve => {
    element.addEventListener('statechange', ({ detail }) => (detail.name === 'refused' || detail.name === 'live' || detail.peers) && resolve(detail));
  });
  localStorage.setItem('beacon-identity-0', '0a'.repeat(32));
});

const play = async token => {
  await import('/element.js');
  document.body.innerHTML = `<beacon-player src="launch" autoplay muted token="${token}"></beacon-player>`;
  return window.settled(document.querySelector('beacon-player'));
};

const cast = async token => {
  document.body.innerHTML = '<beacon-broadcaster name="studio" source="pattern" quality="360p"></beacon-broadcaster>';
  const caster = document.querySelector('beacon-broadcaster');
  let asked = '';
  // Before the class is known.
  caster.identity = new Uint8Array(32).fill(11);
  caster.token = async peer => { asked = peer; return token; };
  await import('/broadcaster.js');
  const settling = window.settled(caster);
  await caster.start();
  const state = await settling;
  return { asked, state };
};

try {
  const seen = [];
  for (const options of [{ secret: 6, token: publish, broadcasts: true }, { secret: 7, token }, { secret: 8, token }, { secret: 9 }]) {
    const page = await open('/');
    seen.push(await page.evaluate(come, options));
  }
  const player = await (await open('/', prepare)).evaluate(play, forPlayer);
  const { asked, state: caster } = await (await open('/', prepare)).evaluate(cast, forCaster);
  const [{ state: origin }, { id, state: bearer }, { state: thief }, { state: stranger }] = seen;
  console.log(JSON.stringify({ id, origin, bearer, thief, stranger, player, caster, asked }));
} finally {
  await browser.close();
}
