// One broadcast: the player, and what goes on beneath it.
import '../element.js';
import { signalOf } from '../peer.js';
import { Panel } from './panel.js';
import { ago, plural } from './format.js';

/** The list tells how many watch. */
const LIST_MS = 10_000;

const at = id => document.getElementById(id);
const query = new URLSearchParams(location.search);
const name = query.get('name')?.trim() ?? '', ticket = query.get('ticket')?.trim() ?? '';
const player = /** @type {import('../element.js').BeaconPlayer} */ (at('player'));
const panel = new Panel();

if (name || ticket) begin();
else location.replace('/');

function begin() {
  at('name').textContent = name || 'By ticket';
  document.title = `${name || 'Watch'} – Beacon`;
  for (const attribute of ['latency', 'upload', 'profile', 'consent', 'max-links'])
    if (query.has(attribute)) player.setAttribute(attribute, query.get(attribute) ?? '');
  player.addEventListener('stats', ({ detail }) => panel.show(detail, player.watch));
  player.addEventListener('statechange', ({ detail }) => {
    document.title = `${detail.name === 'ended' ? 'Ended: ' : ''}${name || 'Watch'} – Beacon`;
  });
  // Whatever a ticket names: this page may speak to no other server.
  player.setAttribute('signal', signalOf(location));
  player.setAttribute('src', ticket || name);
  if (name) at('dashboard').setAttribute('href', `/dashboard?name=${encodeURIComponent(name)}`);
  // Keys work before anything has them.
  document.addEventListener('keydown', event => {
    if (event.target === document.body && !player.dispatchEvent(new KeyboardEvent('keydown', event))) event.preventDefault();
  });
  about();
  setInterval(() => document.hidden || about(), LIST_MS);
}

async function about() {
  // Decoration: without it the page is as good.
  const streams = await fetch('/api/streams').then(response => response.json()).catch(() => []);
  const stream = streams.find(stream => stream.name === name);
  const [picture] = player.watch?.tracks.filter(track => track.kind === 'video') ?? [];
  const parts = [
    stream && plural(stream.viewers, 'viewer'),
    stream && `live for ${ago(stream.since)}`,
    // Not to be broken at its spaces.
    picture && `${picture.width}\u00a0×\u00a0${picture.height}`,
  ];
  at('about').textContent = parts.filter(Boolean).join(' · ');
}
