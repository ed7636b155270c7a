// node cost.mjs --help
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cpu, look, processes, watching } from './page.mjs';
import { measure, options, sleep, table, until } from './stage.mjs';

const where = options(`Usage: node cost.mjs [--seconds N] [--mbit N] [--children N]

What a page costs: bytes to load, and CPU time while it plays, alone and with children. The origin
serves the page alone, and its children are native viewers that pass nothing on. Fails when the page stalls or a child misses a segment.

  --seconds N    that CPU time is taken over (default: 30)
  --mbit N       of the broadcast (default: 2)
  --children N   viewers of the page (default: 4)`, { seconds: 30, mbit: 2, children: 4 });

/** What a page loads, gzipped: the engine and the scripts. */
async function size(on) {
  const page = await on.open('/watch?name=test');
  await page.waitForLoadState('networkidle');
  const files = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name).filter(name => /\.(js|css)$/.test(name)));
  const zipped = async name => gzipSync(Buffer.from(await (await fetch(name)).arrayBuffer())).length;
  const scripts = await Promise.all([...files, `${on.url}/worker.js`].map(zipped));
  await page.context().close();
  const wasm = readFileSync(join(where.pages, 'beacon_bg.wasm'));
  return { wasm: wasm.length, zipped: gzipSync(wasm).length, scripts: scripts.reduce((sum, one) => sum + one, 0) };
}

/** CPU time of a page and of the browser around it, as shares of one core. */
async function load(on, { page, pid }) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const sample = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const rest = (await processes(on.browser)).filter(({ id }) => id !== pid).reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    return { at: performance.now() / 1000, ...cpu(pid), rest, tasks: metrics.find(({ name }) => name === 'TaskDuration').value, look: await page.evaluate(look) };
  };
  const was = await sample();
  await sleep(where.seconds * 1000);
  const is = await sample(), over = is.at - was.at;
  const share = key => (is[key] - was[key]) / over;
  const grown = key => is.look.stats[key] - was.look.stats[key];
  return {
    main: share('main'), tasks: share('tasks'), worker: share('worker'), all: share('all'), rest: share('rest'),
    mbitIn: 8e-6 * (grown('bytes_from_origin') + grown('bytes_from_peers')) / over, mbitOut: 8e-6 * grown('bytes_uploaded') / over,
    pictures: is.look.frames - was.look.frames, dropped: is.look.dropped - was.look.dropped, stalls: is.look.stalls - was.look.stalls,
    missed: grown('segments_missed'), children: is.look.stats.children,
  };
}

async function costs(on) {
  const origin = await on.broadcaster(['--max-links', '1']);
  const subject = await watching(on, '/watch?name=test');
  await sleep(3000);
  const alone = await load(on, subject);
  const children = Array.from({ length: where.children }, () => on.viewer(['--sink', 'null', '--upload-limit', '0.01', '--links', '1']));
  for (const child of children) await until('a child plays', () => child.stats()?.segments_delivered > 8);
  // Stripes find their parent, which is the page: nobody else passes anything on.
  await sleep(3000);
  const before = children.map(child => child.stats());
  const serving = await load(on, subject);
  const missed = children.map((child, at) => child.stats().segments_missed - before[at].segments_missed);
  await Promise.all([...children, origin].map(peer => peer.stop()));
  await subject.page.context().close();
  return { alone, serving, missed };
}

const percent = share => `${(100 * share).toFixed(1)} %`;

await measure(where, async on => {
  const { alone, serving, missed } = await costs(on);
  table(['CPU, % of one core', 'main thread', 'tasks there', 'worker', 'whole process', 'rest of Chromium', 'in, Mbit/s', 'out, Mbit/s', 'stripes served', 'pictures', 'dropped', 'stalls'],
    [['plays', alone], [`plays, ${where.children} children`, serving]].map(([name, it]) => [
      name, ...[it.main, it.tasks, it.worker, it.all, it.rest].map(percent), it.mbitIn.toFixed(2), it.mbitOut.toFixed(2), it.children, it.pictures, it.dropped, it.stalls,
    ]));
  const bytes = await size(on);
  console.log(`\nthe engine: ${bytes.wasm} bytes, ${bytes.zipped} gzipped; scripts and styles of the page: ${bytes.scripts} gzipped`);
  const wrong = [serving.stalls && `the page stalled ${serving.stalls} times`, serving.missed && `the page missed ${serving.missed} segments`,
    missed.some(Boolean) && `children missed ${missed.join(', ')} segments`].filter(Boolean);
  if (wrong.length) throw new Error(wrong.join('; '));
  return { alone, serving, bytes };
});
