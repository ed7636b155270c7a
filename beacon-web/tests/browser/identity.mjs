// node identity.mjs URL   tabs of one browser watch "test", one after the other and at once. Prints who each of them was, as one
// line of JSON.
import { launch } from './chromium.mjs';

const [url] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

// In a page: watches, and tells who it is once it has a neighbour. It is asked for no token here, but would be for this peer.
const come = async options => {
  const { watch } = await import('/index.js');
  window.live?.close();
  window.asked = [];
  window.live = watch({ src: 'test', ...options, token: peer => { window.asked.push(peer); return ''; } });
  await window.met();
  return window.asked.at(-1);
};

const again = async () => {
  window.live.restart();
  await window.met();
  return window.asked;
};

const prepare = page => page.addInitScript(() => {
  window.met = () => new Promise((resolve, reject) => {
    const look = state => {
      if (state.name === 'refused') reject(new Error(state.reason));
      if (state.peers) resolve();
    };
    window.live.on('state', look);
  });
});

try {
  const first = await open('/', prepare);
  const beside = async () => {
    const page = await first.context().newPage();
    await prepare(page);
    await page.goto(url);
    return page;
  };
  const second = await beside();
  const seen = { first: await first.evaluate(come, {}), second: await second.evaluate(come, {}) };
  seen.restarted = await second.evaluate(again);
  await second.reload();
  seen.reloaded = await second.evaluate(come, {});
  await first.close();
  const third = await beside();
  seen.third = await third.evaluate(come, {});
  seen.fresh = await third.evaluate(come, { identity: 'new' });
  seen.ephemeral = await third.evaluate(come, { profile: 'ephemeral' });
  seen.given = await third.evaluate(come, { identity: 'own' }).catch(error => String(error));
  seen.kept = await third.evaluate(() => Object.keys(localStorage).filter(key => key.startsWith('beacon-identity')));
  const other = await open('/', prepare);
  seen.elsewhere = await other.evaluate(come, {});
  console.log(JSON.stringify({ ...seen, errors }));
} finally {
  await browser.close();
}
