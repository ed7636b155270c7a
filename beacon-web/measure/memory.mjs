// node memory.mjs --help
import { privateBytes, look, watching } from './page.mjs';
import { measure, options, sleep, table, until } from './stage.mjs';

const where = options(`Usage: node memory.mjs [--minutes N] [--settle N] [--mbit N]

A page plays a broadcast and passes it on to another page and a native viewer. Its memory is looked at every five seconds, a line is
fitted through each kind of it, and the measurement fails when one grows by more than its limit, as it must not in a page that
is left open for a day.

  --minutes N   how long it is looked at (default: 10)
  --settle N    minutes before that: buffers fill, code is compiled (default: 2)
  --mbit N      of the broadcast (default: 2)`, { minutes: 10, settle: 2, mbit: 2 });
const EVERY_MS = 5000;

/**
 * Megabytes per minute that the fitted line may rise by. Measured on a page that leaks nothing: within a third of these, where what
 * has been thrown away is collected first. (A leak of one symbol in a hundred, at 2 Mbit/s, is 0.15.)
 */
const LIMITS = { heap: 0.1, worker: 0.1, wasm: 0.1, process: 0.6 };
const NAMES = { heap: 'heap of the page', worker: 'heap of the worker', wasm: 'WebAssembly', process: 'process, shared with no other' };

/** Bytes in use by JavaScript, after what is garbage has been collected. @param {(method: string) => Promise<any>} send */
async function heap(send) {
  await send('HeapProfiler.collectGarbage');
  return (await send('Runtime.getHeapUsage')).usedSize;
}

/** Speaks with the worker of a page, which is a target of its own. */
async function inWorker(session) {
  const attached = new Promise(resolve => session.on('Target.attachedToTarget', resolve));
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const { sessionId } = await attached, waiting = new Map();
  let last = 0;
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message);
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  return (method, params = {}) => new Promise(resolve => {
    waiting.set(++last, resolve);
    session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id: last, method, params }) });
  });
}

/** Slope of the line with the least squares, in units per minute, and how far points lie from it. */
function fit(samples, key) {
  const n = samples.length, mean = of => samples.reduce((sum, sample) => sum + of(sample), 0) / n;
  const [x, y] = [mean(({ minute }) => minute), mean(sample => sample[key])];
  const slope = mean(s => (s.minute - x) * (s[key] - y)) / mean(s => (s.minute - x) ** 2);
  const off = Math.sqrt(mean(s => (s[key] - y - slope * (s.minute - x)) ** 2));
  return { slope, off, mean: y };
}

await measure(where, async on => {
  await on.broadcaster(['--max-links', '1']);
  const subject = await watching(on, '/watch?name=test');
  await watching(on, '/watch?name=test&max-links=1&upload=off');
  const viewer = on.viewer(['--sink', 'null', '--upload-limit', '0.01', '--links', '1']);
  await until('a viewer plays', () => viewer.stats()?.segments_delivered > 8);
  const session = await subject.page.context().newCDPSession(subject.page), worker = await inWorker(session);
  const wasm = () => worker('Runtime.evaluate', {
    awaitPromise: true, returnByValue: true,
    expression: `import(new URL('./beacon.js', location)).then(({ default: init }) => init()).then(({ memory }) => memory.buffer.byteLength)`,
  }).then(({ result }) => result.value);

  const begun = Date.now(), samples = [];
  let counted = false, first;
  console.log('minute   ' + Object.values(NAMES).join(', ') + ', in MB');
  for (let at = begun; at <= begun + (where.settle + where.minutes) * 60_000; at += EVERY_MS) {
    await sleep(Math.max(0, at - Date.now()));
    const minute = (Date.now() - begun) / 60_000;
    if (!counted && minute >= where.settle) [counted, first] = [true, await subject.page.evaluate(look)];
    const sample = {
      minute, heap: await heap(method => session.send(method)), worker: await heap(worker), wasm: await wasm(), process: privateBytes(subject.pid),
    };
    for (const key of Object.keys(LIMITS)) sample[key] /= 1e6;
    if (counted) samples.push(sample);
    if (samples.length % 12 === 1) console.log([minute.toFixed(1).padStart(6), ...Object.keys(LIMITS).map(key => sample[key].toFixed(2).padStart(8))].join(' '));
  }
  const last = await subject.page.evaluate(look);
  const fits = Object.fromEntries(Object.keys(LIMITS).map(key => [key, fit(samples, key)]));
  table(['memory of the page, MB', 'mean', 'grows per minute', 'points lie off by', 'limit per minute'],
    Object.entries(fits).map(([key, { slope, off, mean }]) => [NAMES[key], mean.toFixed(1), slope.toFixed(3), off.toFixed(2), LIMITS[key]]));
  const passed = last.stats.bytes_uploaded - first.stats.bytes_uploaded, played = last.time - first.time;
  console.log(`\nit played ${played.toFixed(0)} s and passed on ${(passed / 1e6).toFixed(1)} MB, ${last.stalls - first.stalls} stalls`);
  const wrong = Object.entries(fits).filter(([key, { slope }]) => slope > LIMITS[key])
    .map(([key, { slope }]) => `${NAMES[key]}: grows by ${slope.toFixed(3)} MB per minute, ${LIMITS[key]} at most`);
  if (played < where.minutes * 30) wrong.push(`it played ${played.toFixed(0)} s in ${where.minutes} min`);
  if (passed < played * 100_000) wrong.push('it passed next to nothing on');
  if (wrong.length) throw new Error(wrong.join('; '));
  return { fits, samples, played, passed };
});
