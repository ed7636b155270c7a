// node latency.mjs URL [SECONDS [HOPS]]
// How old the picture is that a page shows, read from the clock in the test picture: a page broadcasts it with one link, HOPS
// pages play it, each from the one before, through Media Source Extensions (live) and WebCodecs (low latency). URL is a
// signaling server with pages (`beacon-signal --pages DIR`). Prints a table, and one line of JSON at the end.
import { loadavg } from 'node:os';
import { launch, playing } from './chromium.mjs';

const [url, seconds = '20', hops = '3'] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** Reads the clock of every picture that is shown. */
const sample = (page, ms) => page.evaluate(async ms => {
  const { age } = await import('/pattern.js');
  const { video, watch } = document.querySelector('beacon-player'), canvas = new OffscreenCanvas(2, 2), ages = [];
  const frames = video.getVideoPlaybackQuality().totalVideoFrames;
  let unread = 0, over = false;
  await new Promise(resolve => {
    const next = () => {
      const old = age(video, canvas);
      if (old === null) unread += 1;
      else ages.push(old);
      if (!over) video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
    // A picture that stands still must not keep it waiting.
    setTimeout(resolve, ms);
  });
  over = true;
  ages.sort((a, b) => a - b);
  const at = share => ages[Math.min(ages.length - 1, Math.floor(ages.length * share))] ?? null;
  const { hops_max: hops, segments_missed: missed, bytes_from_origin: origin, bytes_from_peers: peers } = watch.stats;
  return {
    playback: watch.playback, read: ages.length, unread, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1), stalls: watch.stalls,
    frames: video.getVideoPlaybackQuality().totalVideoFrames - frames, remark: watch.remark, hops, missed, origin, peers,
    delay: watch.shown?.delay ?? watch.behind * 1000,
  };
}, ms);

async function run(profile) {
  const name = `latency-${profile}`, query = `name=${name}&profile=${profile}`;
  const caster = await open(`/broadcast?${query}&source=pattern&quality=360p&max-links=1`);
  await caster.getByRole('button', { name: 'Go live' }).click();
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state?.name === 'live');
  const pages = [];
  for (let hop = 1; hop <= Number(hops); hop++)
    pages.push(await playing(await open(`/watch?${query}&max-links=${hop < Number(hops) ? 2 : 1}`)));
  // The delay finds its level.
  await caster.waitForTimeout(6000);
  const seen = await Promise.all(pages.map(page => sample(page, Number(seconds) * 1000)));
  for (const { playback, p50, p95, p99, hops, stalls, frames, read, missed, delay } of seen) {
    console.error([profile.padEnd(12), (playback ?? '').padEnd(10), `hops ${hops}`, `p50 ${p50} ms`, `p95 ${p95} ms`, `p99 ${p99} ms`, `delay ${Math.round(delay)} ms`,
      `${read} of ${frames} pictures read`, `${stalls} stalls`, `${missed} segments missed`].join('  '));
  }
  await Promise.all([caster, ...pages].map(page => page.context().close()));
  return seen;
}

try {
  const result = { live: await run('live'), low: await run('low-latency'), load: loadavg()[0], errors };
  console.error(`load ${result.load.toFixed(1)}`);
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
}
