// node change.mjs URL FOLDER WHAT
// What a person changes while the picture goes on. WHAT is
//   upload      two pages, one behind the other: the first passes on, does not, saves data, and passes on again
//   renditions  a page that plays through Media Source Extensions and one that plays frame by frame take other pictures
//   ladder      a page broadcasts two sizes, and another one takes them in turn
//   version     a page before a broadcast of tomorrow
// Leaves pictures in FOLDER, and prints what was seen.
import { launch, pictures, playing } from './chromium.mjs';

const [url, folder, what] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** Keeps every state of the player. */
const listen = page => page.addInitScript(() => {
  window.states = [];
  addEventListener('statechange', ({ detail }) => window.states.push(detail.name), true);
});

const look = page => page.evaluate(() => {
  const { video, state, stats, watch } = document.querySelector('beacon-player');
  return {
    time: video.currentTime, height: video.videoHeight, playback: watch?.playback, state: state.name,
    reason: `${state.reason} ${state.cure}`, uploaded: stats?.bytes_uploaded ?? 0,
    received: (stats?.bytes_from_origin ?? 0) + (stats?.bytes_from_peers ?? 0), states: window.states,
  };
});

async function watch(query = '') {
  return playing(await open(`/watch?name=test${query}`, listen));
}

/** Takes a choice of the menu. */
async function choose(page, name) {
  await page.getByRole('button', { name: /What you pass on/ }).click();
  await page.getByRole('radio', { name: new RegExp(`^${name}`) }).check();
  await page.keyboard.press('Escape');
}

/** Waits until two looks, three seconds apart, show that nothing is passed on. */
async function givesNothing(page) {
  for (;;) {
    const before = await look(page);
    await page.waitForTimeout(3000);
    const after = await look(page);
    if (after.received === before.received) continue;
    if (after.uploaded === before.uploaded) return;
  }
}

const height = (page, wanted) =>
  page.waitForFunction(wanted => document.querySelector('beacon-player').video.videoHeight === wanted, wanted);
const state = (page, wanted) =>
  page.waitForFunction(wanted => document.querySelector('beacon-player').state?.name === wanted, wanted);

const shows = {
  async upload() {
    const pages = [await watch(), await watch()];
    const passes = page => page.waitForFunction(() => document.querySelector('beacon-player').stats?.bytes_uploaded > 50_000);
    const first = await Promise.race(pages.map(page => passes(page).then(() => page)));
    const second = pages.find(page => page !== first);
    const began = await look(first);
    await choose(first, 'Do not pass it on');
    await givesNothing(first);
    // Nobody else has it.
    await state(second, 'buffering');
    const off = await look(first);
    await choose(first, 'Save data');
    await height(first, 180);
    const saver = await look(first);
    await choose(first, 'Pass it on');
    await height(first, 360);
    await second.waitForFunction(before => {
      const { video, state } = document.querySelector('beacon-player');
      return state.name === 'playing' && video.currentTime > before;
    }, (await look(second)).time + 2);
    const again = await look(first);
    return { began, off, saver, again };
  },

  async renditions() {
    const seen = {};
    for (const [name, query] of [['mse', ''], ['webcodecs', '&profile=low-latency']]) {
      const page = await watch(query);
      const began = await look(page);
      await choose(page, '180p');
      await height(page, 180);
      const small = await look(page);
      await page.getByRole('button', { name: /What you pass on/ }).click();
      const menu = await page.getByRole('group', { name: 'Picture' }).innerText();
      await pictures(page, folder, `renditions-${name}`);
      await page.keyboard.press('Escape');
      await choose(page, '360p');
      await height(page, 360);
      await choose(page, 'Automatic');
      const large = await look(page);
      seen[name] = { began, small, large, menu };
    }
    return seen;
  },

  async ladder() {
    const caster = await open('/broadcast?name=test&source=pattern&quality=360p&ladder');
    await caster.getByRole('button', { name: 'Go live' }).click();
    await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state?.name === 'live');
    const page = await watch();
    await page.waitForFunction(() => document.querySelector('beacon-player').watch.renditions.length === 2);
    const began = await look(page);
    await choose(page, '180p');
    await height(page, 180);
    const small = await look(page);
    await choose(page, '360p');
    await height(page, 360);
    const large = await look(page);
    const menu = await caster.evaluate(() => document.querySelector('beacon-broadcaster').broadcast.picture.sizes.join(' '));
    return { began, small, large, menu };
  },

  async version() {
    const page = await open('/watch?name=test', listen);
    await state(page, 'refused');
    await pictures(page, folder, 'other-version');
    return look(page);
  },
};

try {
  const seen = await shows[what]();
  console.log(JSON.stringify({ seen, errors }));
} finally {
  await browser.close();
}
