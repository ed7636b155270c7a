// The broadcaster, and whom it reaches.
import '../broadcaster.js';
import { ago, duration, plural, size, speed } from './format.js';

/** The list tells how many watch. */
const LIST_MS = 5000;
/** The picture in lists is a new one this often. */
const PICTURE_MS = 20_000;
/** The first one waits for the first frames. */
const PICTURE_FIRST_MS = 2000;
/** What a signaling server takes at most. */
const PICTURE_BYTES_MAX = 20 * 1024;

/** @returns {any} */
const at = id => document.getElementById(id);
const query = new URLSearchParams(location.search);
const caster = /** @type {import('../broadcaster.js').BeaconBroadcaster} */ (at('caster'));
let viewers = 0, listing = false;

for (const attribute of ['name', 'source', 'quality', 'profile', 'max-links', 'heading', 'category', 'tags'])
  if (query.get(attribute)) caster.setAttribute(attribute, query.get(attribute) ?? '');
if (query.has('ladder')) caster.setAttribute('ladder', '');

caster.addEventListener('statechange', ({ detail }) => {
  const live = detail.name === 'live', name = caster.broadcast?.name ?? '';
  document.title = `${live ? `Live: ${name}` : 'Broadcast'} – Beacon`;
  at('idle').hidden = live;
  at('invite').hidden = at('facts').hidden = !live;
  at('link').value = new URL(`/watch?name=${encodeURIComponent(name)}`, location.href).href;
  if (live) count();
  if (live !== listing) setTimeout(picture, PICTURE_FIRST_MS);
  listing = live;
});
caster.addEventListener('stats', ({ detail }) => facts(detail));
at('link').addEventListener('focus', () => at('link').select());
at('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(at('link').value);
    at('copied').textContent = 'Copied.';
  } catch {
    at('link').focus();
    at('copied').textContent = 'Copy it with the keyboard.';
  }
});
setInterval(count, LIST_MS);
setInterval(picture, PICTURE_MS);

async function count() {
  if (document.hidden || caster.state?.name !== 'live') return;
  // Decoration: without it the page is as good.
  const streams = await fetch('/api/streams').then(response => response.json()).catch(() => []);
  viewers = streams.find(stream => stream.name === caster.broadcast?.name)?.viewers ?? viewers;
}

/** Lists it with what is sent right now, small. */
async function picture() {
  const { video, broadcast } = caster;
  if (caster.state?.name !== 'live' || !video.videoWidth) return;
  const canvas = new OffscreenCanvas(320, 180), scale = Math.min(320 / video.videoWidth, 180 / video.videoHeight);
  const [width, height] = [video.videoWidth * scale, video.videoHeight * scale];
  canvas.getContext('2d')?.drawImage(video, (320 - width) / 2, (180 - height) / 2, width, height);
  const file = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.7 });
  if (file.size <= PICTURE_BYTES_MAX) broadcast?.list({ thumbnail: new Uint8Array(await file.arrayBuffer()) });
}

function facts(stats) {
  const broadcast = caster.broadcast;
  if (!broadcast) return;
  const slowest = Math.max(0, ...stats.links.map(link => link.rtt_us / 1000));
  const all = [
    ['Viewers', plural(viewers, 'viewer')],
    ['Served by this device', String(stats.peers)],
    ['Uplink', speed(broadcast.rate)],
    ['Sent so far', size(stats.bytes_uploaded)],
    ['Published so far', size(stats.bytes_published)],
    ['Slowest link', stats.links.length ? duration(slowest) : '–'],
    ['Live for', ago(broadcast.since / 1000)],
  ];
  at('facts').replaceChildren(...all.map(([name, value]) => {
    const row = document.createElement('div'), term = document.createElement('dt'), detail = document.createElement('dd');
    term.textContent = name;
    detail.textContent = value;
    row.append(term, detail);
    return row;
  }));
}
