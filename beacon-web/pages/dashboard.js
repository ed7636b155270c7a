// The streamer's view of one broadcast: what its peers tell of themselves, refreshed while somebody looks.
import { Charts } from './charts.js';
import { MeshGraph, role } from './mesh.js';
import { ago, duration, plural, speed } from './format.js';

const REFRESH_MS = 2000;
/** Samples that the tiles look back on: a minute. */
const RECENT = 12;
/** Rows of the table of peers. */
const ROWS_MAX = 100;

/**
 * @typedef {{id: string, role: string, hop: number | null, age: number, told: number | null, origin_bps: number, peers_bps: number,
 *   up_bps: number, expected: number, missed: number, stalls: number, moves: number, startup_ms: number,
 *   latency_ms: {p50: number, p95: number, p99: number}, children: number,
 *   parents: {id: string, stripes: number, rtt_ms: number, bps: number}[]}} Peer
 * @typedef {{at: number, viewers: number, telling: number, origin_up_bps: number, from_origin_bps: number, from_peers_bps: number,
 *   latency_p50_ms: number, latency_p95_ms: number, missed: number, stalls: number}} Sample
 * @typedef {{id: number, at: number, kind: string, peer: string, count: number}} Event
 * @typedef {{name: string, title: string, origin: string | null, age: number, viewers: number, more: number, sample_s: number,
 *   totals: Record<string, number>, peers: Peer[], history: Sample[], events: Event[]}} Mesh
 */

/** @returns {any} */
const at = id => document.getElementById(id);
const name = new URLSearchParams(location.search).get('name')?.trim() ?? '';
/** @type {Charts | null} */
let charts = null;
/** @type {MeshGraph | null} */
let graph = null;
let shown = false;

if (name) begin();
else choose();

async function begin() {
  at('title').textContent = name;
  document.title = `${name}: dashboard – Beacon`;
  at('watch').href = `/watch?name=${encodeURIComponent(name)}`;
  at('watch').hidden = false;
  refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_MS);
  document.addEventListener('visibilitychange', () => document.hidden || refresh());
  [charts, graph] = await Promise.all([Charts.load(), MeshGraph.load(at('mesh'))]);
  const whole = Boolean(charts && graph);
  at('plain').hidden = whole;
  at('credits').hidden = !whole;
  document.body.classList.toggle('plain', !whole);
  at('past').open ||= !whole;
  refresh();
}

/** Without a name: the broadcasts there are. */
async function choose() {
  const streams = await fetch('/api/streams').then(response => response.json()).catch(() => []);
  at('choose').hidden = false;
  if (!streams.length) at('choose-title').textContent = 'Nobody is live';
  at('choices').replaceChildren(...streams.map(({ name, title, viewers }) => {
    const link = make('a', '', title || name);
    link.href = `?name=${encodeURIComponent(name)}`;
    const item = make('li');
    item.append(link, make('span', 'facts', ` ${plural(viewers, 'viewer')}`));
    return item;
  }));
}

async function refresh() {
  try {
    const response = await fetch(`/api/streams/${encodeURIComponent(name)}/mesh`);
    const body = await response.json().catch(() => ({ error: `the server says ${response.status}` }));
    if (response.ok) {
      trouble('');
      show(body);
    } else {
      trouble(`${body.error.charAt(0).toUpperCase()}${body.error.slice(1)}. This page goes on asking.`);
    }
  } catch {
    trouble('The server does not answer. This page goes on asking, and shows what it knew last.');
  }
}

function trouble(text) {
  put(at('trouble'), text);
  at('trouble').hidden = !text;
}

/** @param {Mesh} mesh */
function show(mesh) {
  at('board').hidden = false;
  put(at('title'), mesh.title || mesh.name);
  put(at('about'), mesh.origin ? `Live for ${ago(Date.now() / 1000 - mesh.age)}` : 'The origin is away');
  tiles(mesh);
  peers(mesh);
  history(mesh.history);
  events(mesh);
  graph?.show(mesh);
  at('mesh-more').hidden = !mesh.more;
  put(at('mesh-more'), `and ${plural(mesh.more, 'peer')} more`);
  charts?.show(mesh.history);
  // Only once: a person has the page by now.
  if (!shown) document.body.dataset.shown = String(shown = true);
}

/** @param {Mesh} mesh */
function tiles({ viewers, history, peers, totals }) {
  const recent = history.slice(-RECENT), last = history.at(-1);
  const sum = key => recent.reduce((total, sample) => total + sample[key], 0);
  const origin = sum('from_origin_bps'), others = sum('from_peers_bps'), all = origin + others;
  const telling = peers.filter(peer => peer.told !== null);
  const due = telling.reduce((total, peer) => total + peer.expected, 0);
  const missed = telling.reduce((total, peer) => total + peer.missed, 0);
  const values = {
    viewers: String(viewers),
    offload: all ? `${Math.round(100 * others / all)} %` : '–',
    egress: last ? speed(last.origin_up_bps) : '–',
    lag: last?.latency_p50_ms ? duration(last.latency_p50_ms) : '–',
    missed: due ? `${(100 * missed / due).toFixed(missed && missed < due / 100 ? 2 : 0)} %` : '–',
    stalls: String(totals.stalls),
  };
  for (const [id, text] of Object.entries(values)) put(at(id), text);
}

/** @param {Mesh} mesh */
function peers(mesh) {
  const order = peer => peer.hop ?? 99;
  const list = [...mesh.peers].sort((a, b) => order(a) - order(b) || b.up_bps - a.up_bps || a.id.localeCompare(b.id));
  const cells = list.slice(0, ROWS_MAX).map(peer => {
    const told = text => peer.told === null ? '–' : text;
    const viewer = text => role(peer, mesh) === 'origin' ? '' : told(text);
    return [peer.id, role(peer, mesh), peer.hop ?? '–', viewer(speed(peer.origin_bps)), viewer(speed(peer.peers_bps)), told(speed(peer.up_bps)),
      viewer(peer.latency_ms.p50 ? duration(peer.latency_ms.p50) : '–'), viewer(peer.missed), viewer(peer.stalls),
      viewer(peer.parents.map(parent => parent.id.slice(0, 6)).join(' ')), ago(Date.now() / 1000 - peer.age)];
  });
  rows(at('peers').tBodies[0], cells);
  const more = mesh.peers.length + mesh.more - cells.length;
  at('peers-more').hidden = !more;
  put(at('peers-more'), `and ${more} more`);
}

/** @param {Sample[]} samples */
function history(samples) {
  if (!at('past').open) return;
  rows(at('past').querySelector('tbody'), [...samples].reverse().map(sample => [
    clock(sample.at), sample.viewers, speed(sample.from_origin_bps), speed(sample.from_peers_bps), speed(sample.origin_up_bps),
    sample.latency_p50_ms ? duration(sample.latency_p50_ms) : '–', sample.latency_p95_ms ? duration(sample.latency_p95_ms) : '–',
    sample.missed, sample.stalls,
  ]));
}

const WORDS = {
  live: () => 'went live',
  ended: () => 'ended',
  joined: () => 'joined',
  left: () => 'left',
  returned: () => 'came back',
  stalled: count => `stood still${count > 1 ? ` ${count} times` : ''}`,
  missed: count => `missed ${plural(count, 'segment')}`,
  moved: count => `moved ${plural(count, 'stripe')} to another parent`,
};

/** @param {Mesh} mesh */
function events({ events, origin }) {
  const list = at('events');
  if (list.dataset.newest === String(events[0]?.id)) return;
  list.dataset.newest = String(events[0]?.id);
  list.replaceChildren(...events.map(({ at: when, kind, peer, count }) => {
    const item = make('li');
    item.dataset.kind = kind;
    const who = peer === origin || kind === 'live' || kind === 'ended' ? 'The origin' : peer;
    item.append(make('time', '', clock(when)), make('span', '', `${who} ${WORDS[kind]?.(count) ?? kind}`));
    return item;
  }));
}

function rows(body, lines) {
  while (body.rows.length > lines.length) body.deleteRow(-1);
  lines.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((text, j) => put(row.cells[j] ?? (j ? row.insertCell() : header(row)), String(text)));
  });
}

function header(row) {
  const cell = make('th');
  cell.scope = 'row';
  return row.appendChild(cell);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @returns {any} */
function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

at('past').addEventListener('toggle', () => name && refresh());
