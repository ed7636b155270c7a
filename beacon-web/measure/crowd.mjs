// node crowd.mjs --help
import { watching, look } from './page.mjs';
import { measure, options, sleep, table, until } from './stage.mjs';

const where = options(`Usage: node crowd.mjs [--seconds N] [--mbit N]

Four pages and two native viewers watch a broadcast whose origin serves one neighbour only. Prints what each has from
others and passes on; fails when one stalls or misses a segment, and when the origin sends more than one copy.

  --seconds N   how long, once everybody plays (default: 60)
  --mbit N      of the broadcast (default: 2)`, { seconds: 60, mbit: 2 });
const PAGES = 4, VIEWERS = 2;

await measure(where, async on => {
  const origin = await on.broadcaster(['--max-links', '1']);
  const pages = [];
  for (let at = 0; at < PAGES; at++) pages.push(await watching(on, '/watch?name=test'));
  const viewers = Array.from({ length: VIEWERS }, () => on.viewer(['--sink', 'null']));
  for (const viewer of viewers) await until('a viewer plays', () => viewer.stats()?.segments_delivered > 8);
  // Buffers fill and stripes find their parents.
  await sleep(5000);

  const looks = async () => ({
    pages: await Promise.all(pages.map(({ page }) => page.evaluate(look))),
    viewers: viewers.map(viewer => viewer.stats()),
    origin: origin.stats(),
  });
  const before = await looks();
  console.log(`everybody plays; ${where.seconds} s from here`);
  await sleep(where.seconds * 1000);
  const after = await looks();

  const grown = (key, was, is) => is[key] - was[key];
  const peers = [
    ...pages.map((_, at) => ({ name: `page ${at + 1}`, was: before.pages[at], is: after.pages[at] })),
    ...viewers.map((_, at) => ({ name: `viewer ${at + 1}`, was: { stats: before.viewers[at] }, is: { stats: after.viewers[at] } })),
  ].map(({ name, was, is }) => {
    const from = key => grown(key, was.stats, is.stats), [origin, others] = [from('bytes_from_origin'), from('bytes_from_peers')];
    return {
      name, origin, others, uploaded: from('bytes_uploaded'), delivered: from('segments_delivered'), missed: from('segments_missed'),
      late: from('segments_late'), stalls: was.time === undefined ? from('stalls') : grown('stalls', was, is),
      played: was.time === undefined ? null : is.time - was.time, pictures: was.time === undefined ? null : is.frames - was.frames,
      hops: is.stats.hops_max,
    };
  });
  const megabytes = bytes => (bytes / 1e6).toFixed(1);
  table(['', 'from origin, MB', 'from peers, MB', 'offload', 'passed on, MB', 'times what it got', 'hops', 'segments', 'missed', 'stalls'],
    peers.map(({ name, origin, others, uploaded, hops, delivered, missed, stalls }) => [
      name, megabytes(origin), megabytes(others), `${(100 * others / (origin + others)).toFixed(0)} %`, megabytes(uploaded),
      (uploaded / (origin + others)).toFixed(2), hops, delivered, missed, stalls,
    ]));
  const sent = grown('bytes_uploaded', before.origin, after.origin), stream = grown('bytes_published', before.origin, after.origin);
  const received = peers.reduce((sum, { origin, others }) => sum + origin + others, 0);
  console.log(`\nthe origin sent ${(sent / stream).toFixed(2)} times the stream; ${(100 * (1 - sent / received)).toFixed(0)} % of what everybody got came from others`);

  const wrong = peers.flatMap(({ name, missed, late, stalls, played, delivered }) => [
    missed && `${name} missed ${missed} segments`, late && `${name} was late with ${late} segments`, stalls && `${name} stalled ${stalls} times`,
    !delivered && `${name} got nothing`, played !== null && played < where.seconds / 2 && `${name} played ${played.toFixed(1)} s of ${where.seconds}`,
  ]).filter(Boolean);
  if (sent > 1.5 * stream) wrong.push(`the origin sent ${(sent / stream).toFixed(2)} copies`);
  if (on.errors.length) wrong.push(...on.errors);
  if (wrong.length) throw new Error(wrong.join('; '));
  return { peers, sent, stream };
});
