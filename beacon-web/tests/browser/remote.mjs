// node remote.mjs URL
// Pages of a signaling server, led by hand: each line of the input is one order as JSON, `{"do": …, "page": …}`, and is answered by
// one line. Pages go by names; each has a context, and so a process, of its own.
//   watch {path}     opens it and comes back at once; `look` tells how it does
//   hear {name, links}  joins a broadcast without a player and keeps a checksum of each object
//   look             what the page is at
//   stop             one that hears leaves the broadcast, and its counters stay
//   reload           as a person does
//   leave            goes to another page
//   crash            its process ends, without a word to anybody
//   shut             its tab is closed
import { createInterface } from 'node:readline';
import { launch } from './chromium.mjs';

const [url] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);
const pages = new Map();

/** Keeps what the player tells; events of the element come through the window. */
const listen = page => page.addInitScript(() => {
  window.told = [];
  addEventListener('peerevent', ({ detail }) => window.told.push(detail.name), true);
});

// In a page: a peer that plays nothing and remembers all.
async function join({ name, links: maxLinks }) {
  const { Peer, engine, signalOf } = await import('/peer.js');
  const heard = { told: [], objects: [], gaps: 0, stats: null, state: '' };
  /** FNV-1a; one byte that differs always shows. */
  const sum = data => data.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5) >>> 0;
  const take = message => {
    if (message.type === 'event') heard.told.push(message.name);
    if (message.type === 'gap') heard.gaps += 1;
    if (message.type === 'object') heard.objects.push([message.data.length, sum(message.data)]);
    if (message.type === 'end') heard.state = message.reason ?? 'ended';
  };
  window.heard = heard;
  // Held, so that it is not collected.
  window.peer = new Peer(await engine(), { type: 'watch', options: { name, maxLinks, mode: 'objects', signal: signalOf(location) } }, {
    take: data => {
      if (data.type === 'stats') heard.stats = data.stats ?? null;
      data.messages?.forEach(take);
    },
    failed: cause => { heard.state = cause; },
  });
}

// In a page: what it is at.
function look() {
  if (window.heard) return { time: 0, height: 0, frames: 0, stalls: 0, ...window.heard };
  const { video, state, stats, watch } = document.querySelector('beacon-player') ?? {};
  const quality = video?.getVideoPlaybackQuality();
  return {
    time: video?.currentTime ?? 0,
    height: video?.videoHeight ?? 0,
    frames: quality ? quality.totalVideoFrames - quality.droppedVideoFrames : 0,
    stalls: watch?.stalls ?? 0,
    state: state?.name ?? '',
    told: window.told,
    stats: stats ?? null,
    objects: [],
    gaps: 0,
  };
}

const deeds = {
  watch: async ({ page, path }) => { pages.set(page, await open(path, listen)); },
  hear: async ({ page, ...order }) => {
    pages.set(page, await open('/'));
    await pages.get(page).evaluate(join, order);
  },
  stop: ({ page }) => pages.get(page).evaluate(() => window.peer.post({ type: 'stop' })),
  look: ({ page }) => pages.get(page).evaluate(look),
  reload: async ({ page }) => { await pages.get(page).reload(); },
  leave: async ({ page }) => { await pages.get(page).goto('about:blank'); },
  crash: async ({ page: name }) => {
    const page = pages.get(name), crashed = page.waitForEvent('crash');
    // Has no answer: who would give it.
    (await page.context().newCDPSession(page)).send('Page.crash').catch(() => {});
    await crashed;
    pages.delete(name);
  },
  shut: async ({ page }) => {
    await pages.get(page).close({ runBeforeUnload: true });
    pages.delete(page);
  },
  errors: async () => errors.splice(0),
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const answer = await deeds[order.do](order).then(done => ({ done: done ?? null }), error => ({ error: String(error) }));
    console.log(JSON.stringify(answer));
  }
} finally {
  await browser.close();
}
