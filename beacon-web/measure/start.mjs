// node start.mjs --help
import { measure, options, sleep, table, until } from './stage.mjs';

const where = options(`Usage: node start.mjs [--starts N] [--after SECONDS] [--mbit N]

How long a page takes to the first picture, and for what: pages are opened one after the other, first where there is nobody but the
origin, then where two viewers watch. Prints when each step was reached, since the page was asked for, and how the player did
afterwards. Fails on a stall.

  --starts N        pages, of each kind (default: 20)
  --after SECONDS   that each plays (default: 6)
  --mbit N          of the broadcast (default: 2)`, { starts: 20, after: 6, mbit: 2 });
const CROWDS = [['the origin alone', 0], ['two viewers', 2]];
/** The way to the first picture: the marks that the player leaves (README), and what the page itself knows. */
const STEPS = [
  ['loaded', 'the page is loaded'], ['watch', 'watch() is called'], ['engine', 'the engine is compiled'], ['ready', 'the engine runs'],
  ['peer', 'the first peer is there'], ['segment', 'the first segment is there'], ['begin', 'the player begins'], ['picture', 'the first picture is shown'],
];

/** In a page before all else: when the first picture was shown. */
function listen() {
  customElements.whenDefined('beacon-player').then(() => {
    const wait = () => {
      const video = document.querySelector('beacon-player')?.video;
      if (!video) return setTimeout(wait, 5);
      video.requestVideoFrameCallback(now => { window.firstPicture = now; });
    };
    wait();
  });
}

/** In a page that shows pictures: when each step was reached, and what became of it. */
function reached(steps) {
  const { watch } = document.querySelector('beacon-player');
  const marked = steps.map(step => [step, performance.getEntriesByName(`beacon-${step}`)[0]?.startTime]);
  return {
    ...Object.fromEntries(marked), loaded: performance.getEntriesByType('navigation')[0].loadEventEnd, picture: window.firstPicture,
    stalls: watch.stalls, behind: watch.behind,
  };
}

/** Opens pages beside so many viewers. */
async function starts(on, count) {
  const viewers = Array.from({ length: count }, () => on.viewer(['--sink', 'null']));
  for (const viewer of viewers) await until('a viewer plays', () => viewer.stats()?.segments_delivered > 8);
  const times = [];
  for (let at = 0; at < where.starts; at++) {
    const page = await on.open('/watch?name=test', page => page.addInitScript(listen));
    await page.waitForFunction(() => window.firstPicture);
    await sleep(where.after * 1000);
    times.push(await page.evaluate(reached, STEPS.map(([step]) => step)));
    await page.context().close();
  }
  await Promise.all(viewers.map(viewer => viewer.stop()));
  return times;
}

/** So much of all that is said under a name is no more than this. */
function share(times, key, part) {
  const sorted = times.map(time => time[key]).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)];
}

await measure(where, async on => {
  await on.broadcaster([]);
  const crowds = [];
  for (const [name, count] of CROWDS) crowds.push({ name, times: await starts(on, count) });
  table([`ms since the page was asked for, ${where.starts} starts each`, ...crowds.flatMap(({ name }) => [`${name}, p50`, 'p95'])],
    STEPS.map(([key, name]) => [name, ...crowds.flatMap(({ times }) => [0.5, 0.95].map(part => Math.round(share(times, key, part))))]));
  for (const { name, times } of crowds) {
    const [half, most] = [0.5, 1].map(part => share(times, 'behind', part).toFixed(2));
    console.log(`\n${name}, ${where.after} s later: ${half} s (p50) and ${most} s (most) behind the newest media`);
  }
  const stalls = crowds.flatMap(({ times }) => times).reduce((sum, time) => sum + time.stalls, 0);
  if (stalls) throw new Error(`${stalls} stalls`);
  if (on.errors.length) throw new Error(on.errors.join('; '));
  return { crowds };
});
