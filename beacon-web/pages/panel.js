// Where the bytes come from: totals, rates, neighbours.
import { duration, size, speed } from './format.js';

/** Seconds of history. */
const SPAN = 60;
/** Snapshots that a rate is taken over. */
const WINDOW = 4;
/** Neighbours listed. */
const LINKS_MAX = 12;

/** @returns {any} */
const at = id => document.getElementById(id);

export class Panel {
  /** @type {{now: number, stats: import('../js/index.js').Stats, links: Map<string, import('../js/index.js').LinkStats>}[]} */
  #past = [];
  /** @type {{origin: number, peers: number, sent: number}[]} */
  #history = [];

  /**
   * One more snapshot, and what the player adds to it.
   * @param {import('../js/index.js').Stats} stats
   * @param {import('../js/index.js').Watch | null} watch
   */
  show(stats, watch) {
    const now = performance.now();
    // A peer that connected anew counts from zero.
    if ((this.#past.at(-1)?.stats.segments_delivered ?? 0) > stats.segments_delivered) this.#past = [];
    const before = this.#past[0], seconds = before ? (now - before.now) / 1000 : 0;
    const rate = (is, was) => seconds && was !== undefined ? Math.max(0, is - was) * 8 / seconds : 0;
    const links = stats.links.map(link => {
      const was = before?.links.get(link.peer);
      return { ...link, down: rate(link.received, was?.received), up: rate(link.sent, was?.sent) };
    });
    const rates = {
      origin: rate(stats.bytes_from_origin, before?.stats.bytes_from_origin),
      peers: rate(stats.bytes_from_peers, before?.stats.bytes_from_peers),
      sent: rate(stats.bytes_uploaded, before?.stats.bytes_uploaded),
    };
    this.#past = [...this.#past, { now, stats, links: new Map(stats.links.map(link => [link.peer, link])) }].slice(-WINDOW);
    if (seconds) this.#history = [...this.#history, rates].slice(-SPAN);
    totals(stats, rates);
    graph(this.#history);
    neighbours(links);
    facts(stats, watch);
  }
}

function totals({ bytes_from_origin: origin, bytes_from_peers: peers, bytes_uploaded: sent }, rates) {
  const all = origin + peers, percent = all ? Math.round(100 * peers / all) : 0;
  const [first, second] = at('share').children;
  for (const [span, bytes] of [[first, origin], [second, peers]]) {
    span.style.flexGrow = bytes;
    // The space between the two would show where there is one.
    span.hidden = !bytes;
  }
  at('share').setAttribute('aria-label', all ? `${percent} percent from peers, ${100 - percent} percent from the origin` : 'No bytes yet');
  put('from-origin', origin, all ? `${100 - percent} %` : '');
  put('from-peers', peers, all ? `${percent} %` : '');
  put('uploaded', sent, all ? `${(sent / all).toFixed(1)} × received` : '');
  at('rate').textContent = `in ${speed(rates.origin + rates.peers)} · out ${speed(rates.sent)}`;
}

function put(id, bytes, part) {
  const small = document.createElement('small');
  small.textContent = part;
  at(id).replaceChildren(size(bytes), small);
}

function graph(list) {
  const width = 300, height = 48;
  const top = Math.max(1, ...list.map(({ origin, peers, sent }) => Math.max(origin + peers, sent))) * 1.1;
  const x = i => (width * (i + SPAN - list.length) / (SPAN - 1)).toFixed(1);
  const y = value => (height * (1 - value / top)).toFixed(1);
  const line = value => list.map((rates, i) => `${i ? 'L' : 'M'}${x(i)} ${y(value(rates))}`).join('');
  const area = value => list.length > 1 ? `${line(value)}L${width} ${height}L${x(0)} ${height}Z` : '';
  const [peers, origin, sent] = at('history').children;
  peers.setAttribute('d', area(rates => rates.origin + rates.peers));
  origin.setAttribute('d', area(rates => rates.origin));
  sent.setAttribute('d', line(rates => rates.sent));
}

function neighbours(links) {
  const weight = link => link.down + link.up + (link.origin ? 1e12 : 0);
  const shown = links.sort((a, b) => weight(b) - weight(a) || a.peer.localeCompare(b.peer)).slice(0, LINKS_MAX);
  const list = at('links');
  while (list.children.length > shown.length) list.lastElementChild.remove();
  while (list.children.length < shown.length) list.append(row());
  shown.forEach((link, i) => {
    const item = list.children[i], [name, down, up, rtt] = item.children;
    item.className = link.origin ? 'origin' : '';
    item.title = link.peer;
    name.textContent = link.origin ? 'Origin' : link.peer.slice(0, 6);
    down.textContent = link.down ? `↓ ${speed(link.down)}` : '';
    up.textContent = link.up ? `↑ ${speed(link.up)}` : '';
    rtt.textContent = duration(link.rtt_us / 1000);
  });
  at('more').hidden = links.length > 0 && links.length <= LINKS_MAX;
  at('more').textContent = links.length ? `and ${links.length - LINKS_MAX} more` : 'No peers yet.';
}

function row() {
  const item = document.createElement('li');
  item.append(...['name', 'down', 'up', 'rtt'].map(name => {
    const part = document.createElement('span');
    part.className = name;
    return part;
  }));
  return item;
}

function facts(stats, watch) {
  const behind = watch?.behind ?? null;
  const all = [
    ['Role', role(stats.role)],
    ['Hops from the origin', stats.hops_max || '–'],
    ['Latency to here, median', stats.segments_delivered ? duration(stats.latency_ms.p50) : '–'],
    ['Picture behind that', behind === null ? '–' : duration(behind * 1000)],
    ['Start took', stats.startup_ms ? duration(stats.startup_ms) : '–'],
    // What a ledger pays by: '–' where none is kept.
    ['Acknowledged by others', stats.bytes_acknowledged ? size(stats.bytes_acknowledged) : '–'],
    ['Stalls', String(watch?.stalls ?? 0)],
    ['Segments missed', stats.segments_missed ? `${stats.segments_missed} of ${stats.segments_expected}` : '0'],
  ];
  const list = at('facts');
  while (list.children.length < all.length) {
    const row = document.createElement('div');
    row.append(document.createElement('dt'), document.createElement('dd'));
    list.append(row);
  }
  all.forEach(([name, value], i) => {
    const [term, detail] = list.children[i].children;
    term.textContent = name;
    detail.textContent = value;
  });
}

function role(name) {
  const text = name.replaceAll('-', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
