// node compare.mjs --help
import { gzipSync } from 'node:zlib';
import { LISTED, SEGMENT, live } from './hls.mjs';
import { cpu, own, processes } from './page.mjs';
import { clip, measure, options, sleep, table } from './stage.mjs';

const where = options(`Usage: node compare.mjs [--seconds N] [--settle N] [--count N] [--mbit N]

The same clip, live, to the same number of pages: Beacon, and p2p-media-loader (hls.js, an HLS stream made by ffmpeg, a WebTorrent
tracker on this machine). One after the other in one run. Prints how far behind the pages are, what they have from each other, what they cost.
Fails when nobody plays, not on figures.

  --seconds N   that each is watched (default: 60)
  --settle N    seconds before that (default: 20)
  --count N     pages (default: 4)
  --mbit N      of the clip (default: 2)`, { seconds: 60, settle: 20, count: 4, mbit: 2 });
/** In a page before all else: what the video element does, the same for both; how old it is that is shown, by `window.captured`. */
function observe() {
  const seen = window.seen = { picture: null, ages: [], waits: 0, stood: 0, video: null };
  // When was captured what is shown, in milliseconds; the page of hls.js has its own word for it.
  const pieces = [];
  window.captured = time => {
    const piece = pieces.findLast(({ pts }) => pts <= time * 1e6 + 1000);
    return piece ? piece.captured / 1000 + time * 1000 - piece.pts / 1000 : null;
  };
  // Beacon's media is with the worker; what it says of it passes by here.
  const Plain = window.Worker;
  window.Worker = class extends Plain {
    constructor(...args) {
      super(...args);
      let video = null;
      this.addEventListener('message', ({ data }) => {
        if (data?.type === 'chosen') video = data.tracks.find(({ kind }) => kind === 'video')?.id;
        for (const message of data?.messages ?? [])
          if (message.type === 'fragment' && message.track === video && pieces.push(message) > 200) pieces.shift();
      });
    }
  };
  const find = () => {
    const video = document.querySelector('beacon-player')?.video ?? document.getElementById('video');
    if (!video) return setTimeout(find, 5);
    seen.video = video;
    video.requestVideoFrameCallback(now => { seen.picture = now; });
    video.addEventListener('waiting', () => { if (seen.picture && !video.seeking) seen.waits += 1; });
    let last = { time: -1, at: 0 };
    setInterval(() => {
      const now = performance.now(), { currentTime: time } = video;
      // It stands still when it has not moved for a fifth of a second.
      if (seen.picture && time === last.time && now - last.at > 200) seen.stood += now - last.at, last.at = now;
      else if (time !== last.time) last = { time, at: now };
      const captured = window.hls ? window.hls.playingDate?.getTime() : window.captured(time);
      if (captured) seen.ages.push(Date.now() - captured);
    }, 100);
  };
  addEventListener('DOMContentLoaded', find);
}

/** In a page: counters so far; ages since the last time. */
function take() {
  const { picture, ages, waits, stood, video } = window.seen, quality = video.getVideoPlaybackQuality();
  const stats = document.querySelector('beacon-player')?.stats, counts = window.counts;
  return {
    picture, ages: ages.splice(0), waits, stood, time: video.currentTime, frames: quality.totalVideoFrames, dropped: quality.droppedVideoFrames,
    origin: stats ? stats.bytes_from_origin : counts.http, peers: stats ? stats.bytes_from_peers : counts.p2p, uploaded: stats ? stats.bytes_uploaded : counts.uploaded,
    files: performance.getEntriesByType('resource').map(({ name }) => name).filter(name => /\.(js|mjs|wasm)$/.test(name)),
  };
}

/** Opens the pages, lets them settle, and looks at them for a while. */
async function watch(on, path) {
  const pages = [];
  for (let at = 0; at < where.count; at++) {
    const page = await on.open(path, page => page.addInitScript(observe));
    await page.waitForFunction(() => window.seen.picture);
    pages.push({ page, pid: await own(on.browser, page) });
  }
  await sleep(where.settle * 1000);
  const pids = new Set(pages.map(({ pid }) => pid));
  const sample = async () => {
    const rest = (await processes(on.browser)).filter(({ id }) => !pids.has(id)).reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    return { at: performance.now() / 1000, rest, pages: await Promise.all(pages.map(async ({ page, pid }) => ({ ...await page.evaluate(take), ...cpu(pid) }))) };
  };
  const was = await sample();
  await sleep(where.seconds * 1000);
  const is = await sample(), over = is.at - was.at, count = pages.length;
  await Promise.all(pages.map(({ page }) => page.context().close()));
  const grown = key => is.pages.reduce((sum, page, at) => sum + page[key] - was.pages[at][key], 0);
  const ages = is.pages.flatMap(({ ages }) => ages).sort((a, b) => a - b);
  const pictures = is.pages.map(({ picture }) => picture).sort((a, b) => a - b);
  return {
    p50: ages[Math.floor(ages.length / 2)], p95: ages[Math.floor(ages.length * 0.95)], picture: pictures[Math.floor(count / 2)],
    offload: grown('peers') / (grown('peers') + grown('origin')), origin: 8e-6 * grown('origin') / over, main: grown('main') / count / over, all: grown('all') / count / over,
    rest: (is.rest - was.rest) / count / over, waits: grown('waits'), stood: grown('stood'), frames: grown('frames'), dropped: grown('dropped'),
    played: grown('time') / count / over, files: is.pages[0].files,
  };
}

/** What a page loads to play, gzipped, workers not counted twice. */
async function weigh(files) {
  const sizes = await Promise.all([...new Set(files)].map(async file => gzipSync(Buffer.from(await (await fetch(file)).arrayBuffer())).length));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function beacon(on, args) {
  const origin = await on.broadcaster(args);
  const seen = await watch(on, '/watch?name=test');
  const weight = await weigh([...seen.files, `${on.url}/worker.js`]);
  await origin.stop();
  return { ...seen, weight };
}

async function loader(on, hls, query) {
  const seen = await watch(on, `${hls.url}/hls.html?tracker=${encodeURIComponent(hls.tracker)}${query}`);
  return { ...seen, weight: await weigh(seen.files) };
}

await measure(where, async on => {
  const figures = {}, hls = await live(on, clip(where));
  try {
    figures['Beacon, origin of 1 link'] = await beacon(on, ['--max-links', '1']);
    // As it would have it by itself: as far behind as the playlist reaches.
    figures['p2p-media-loader, a playlist behind'] = await loader(on, hls, `&behind=${LISTED - 1}`);
    figures['Beacon, origin without limit'] = await beacon(on, []);
    // What is left for others is what is more than `demand` seconds ahead.
    figures['p2p-media-loader, 5 segments behind'] = await loader(on, hls, '&behind=5&demand=4');
  } finally {
    await hls.end();
  }
  console.log(`${where.count} pages, ${where.mbit} Mbit/s, ${where.seconds} s each; Beacon: profile live, segments of 0.25 s in symbols of 1088 bytes; HLS: segments of ${SEGMENT} s, ${LISTED} listed\n`);
  const percent = share => `${(100 * share).toFixed(1)} %`;
  table(['', 'age p50, s', 'p95', 'first picture, s', 'from peers', 'origin, Mbit/s', 'CPU main', 'CPU page', 'CPU rest', 'stalls', 'stood, s', 'pictures', 'dropped', 'to load, KB'],
    Object.entries(figures).map(([name, it]) => [
      name, (it.p50 / 1000).toFixed(2), (it.p95 / 1000).toFixed(2), (it.picture / 1000).toFixed(2), percent(it.offload), it.origin.toFixed(2), percent(it.main), percent(it.all),
      percent(it.rest), it.waits, (it.stood / 1000).toFixed(1), it.frames, it.dropped, (it.weight / 1000).toFixed(0),
    ]));
  console.log('\nCPU is of one core, per page: main thread, its whole process, and its share of the rest of Chromium.');
  const dead = Object.entries(figures).filter(([, it]) => it.played < 0.5).map(([name]) => name);
  if (dead.length) throw new Error(`not played: ${dead.join(', ')}`);
  return figures;
});
