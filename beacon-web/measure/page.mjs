// A page that watches: what its player is at, and what its process costs.
import { readdirSync, readFileSync } from 'node:fs';
import { playing } from '../tests/browser/chromium.mjs';

/** One tick of the CPU times in /proc, in seconds. */
const TICK = 0.01;

/** In a page: what its player is at. */
export function look() {
  const { video, stats, state, watch } = document.querySelector('beacon-player');
  const quality = video.getVideoPlaybackQuality();
  return {
    time: video.currentTime, frames: quality.totalVideoFrames, dropped: quality.droppedVideoFrames,
    state: state?.name ?? '', stalls: watch?.stalls ?? 0, behind: watch?.behind ?? null, stats,
  };
}

/** Opens a page that plays, and finds out which process is its. */
export async function watching(on, path) {
  const page = await playing(await on.open(path));
  return { page, pid: await own(on.browser, page) };
}

/** How long a page is kept busy to find its process. */
const BUSY_MS = 500;

/** The process of a page, which nobody tells: the one whose main thread works when the page is made to. */
export async function own(browser, page) {
  const mains = async () => {
    const pids = (await processes(browser)).filter(({ type }) => type === 'renderer').map(({ id }) => id);
    return new Map(pids.map(pid => [pid, cpu(pid).main]));
  };
  const before = await mains();
  await page.evaluate(ms => { for (const end = performance.now() + ms; performance.now() < end;); }, BUSY_MS);
  const worked = [...await mains()].map(([pid, main]) => [main - (before.get(pid) ?? main), pid]);
  return worked.sort(([a], [b]) => b - a)[0][1];
}

/** All processes of Chromium, with `cpuTime` in seconds. */
export async function processes(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo;
}

/** CPU seconds of a process so far: its main thread, the worker of the engine, and all. */
export function cpu(pid) {
  const seconds = path => {
    // Behind the name, in brackets, which may hold anything: user and system time are fields 12 and 13.
    const fields = readFileSync(path, 'utf8').split(')').at(-1).trim().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  };
  const name = thread => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8');
  let worker = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // One that has ended meanwhile has cost nothing since.
    try { if (name(thread).startsWith('DedicatedWorker')) worker += seconds(`/proc/${pid}/task/${thread}/stat`); } catch { /* ended */ }
  }
  return { main: seconds(`/proc/${pid}/task/${pid}/stat`), worker, all: seconds(`/proc/${pid}/stat`) };
}

/** Bytes that a process holds in memory and shares with no other. */
export function privateBytes(pid) {
  const lines = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').split('\n');
  return lines.filter(line => /^Private_/.test(line)).reduce((sum, line) => sum + Number(/(\d+) kB/.exec(line)[1]) * 1024, 0);
}
