// Where the bytes come from: totals, rates, links.

const SPAN = 60; // seconds of history
const WINDOW = 3; // snapshots that a rate is taken over
const SIDE_MAX = 6; // neighbours drawn on each side
const NS = 'http://www.w3.org/2000/svg';
const at = (id) => document.getElementById(id);

export class Panel {
  #past = [];
  #history = [];
  #nodes = new Map();

  /** One more snapshot; `seen` is what this browser adds: { behind, stalls }. */
  show({ snapshot, browsers, at_ms: now }, seen) {
    const { stats } = snapshot;
    // A viewer that started anew counts from zero.
    if (this.#past.some((past) => past.now >= now)) this.#past = [];
    const before = this.#past[0], seconds = before ? (now - before.now) / 1000 : 0;
    const rate = (is, was) => (seconds && was !== undefined ? Math.max(0, is - was) * 8 / seconds : 0);
    const links = snapshot.links.map((link) => {
      const was = before?.links.get(link.peer);
      return { ...link, down: rate(link.received, was?.received), up: rate(link.sent, was?.sent) };
    });
    const of = (field) => rate(stats[field], before?.stats[field]);
    const rates = { origin: of('bytes_from_origin'), peers: of('bytes_from_peers'), sent: of('bytes_uploaded') };
    this.#past = [...this.#past, { now, stats, links: new Map(links.map((link) => [link.peer, link])) }].slice(-WINDOW);
    if (seconds) this.#history = [...this.#history, rates].slice(-SPAN);

    this.#totals(stats, rates);
    this.#graph();
    this.#flow(links);
    this.#facts(stats, browsers, seen);
    this.#table(links);
  }

  #totals(stats, rates) {
    const { bytes_from_origin: origin, bytes_from_peers: peers, bytes_uploaded: sent } = stats;
    const all = origin + peers, percent = all ? Math.round(100 * peers / all) : 0;
    const [first, second] = at('share').children;
    first.style.flexGrow = all ? origin : 0;
    second.style.flexGrow = all ? peers : 0;
    at('share').setAttribute('aria-label', all
      ? `${100 - percent} percent from the origin, ${percent} percent from peers` : 'No bytes yet');
    at('from-origin').textContent = all ? `${size(origin)} · ${100 - percent} %` : '–';
    at('from-peers').textContent = all ? `${size(peers)} · ${percent} %` : '–';
    at('uploaded').textContent = size(sent);
    at('rate').textContent = `in ${speed(rates.origin + rates.peers)} · out ${speed(rates.sent)}`;
  }

  #graph() {
    const list = this.#history, width = 300, height = 48;
    const top = Math.max(1, ...list.map(({ origin, peers, sent }) => Math.max(origin + peers, sent))) * 1.1;
    const x = (i) => (width * (i + SPAN - list.length) / (SPAN - 1)).toFixed(1);
    const y = (value) => (height * (1 - value / top)).toFixed(1);
    const line = (value) => list.map((rates, i) => `${i ? 'L' : 'M'}${x(i)} ${y(value(rates))}`).join('');
    const area = (value) => list.length > 1 ? `${line(value)}L${width} ${height}L${x(0)} ${height}Z` : '';
    const [peers, origin, sent] = at('history').children;
    peers.setAttribute('d', area((rates) => rates.origin + rates.peers));
    origin.setAttribute('d', area((rates) => rates.origin));
    sent.setAttribute('d', line((rates) => rates.sent));
  }

  /** Senders on the left, this viewer in the middle, those it passes on to on the right. */
  #flow(links) {
    const left = [], right = [];
    for (const link of links) (link.origin || link.received >= link.sent ? left : right).push(link);
    const weight = (link) => (link.origin ? Infinity : link.received + link.sent);
    const shown = [left, right].map((side) => side.sort((a, b) => weight(b) - weight(a)).slice(0, SIDE_MAX));
    const rows = Math.max(1, ...shown.map((side) => side.length));
    const height = Math.max(120, 46 * rows + 16), flow = at('flow');
    flow.setAttribute('viewBox', `0 0 400 ${height}`);
    const fresh = new Set(['me']);
    this.#node('me', 200, height / 2, 'me', 'This viewer', links.length ? '' : 'no peers yet');
    shown.forEach((side, column) => side.forEach((link, i) => {
      const y = height * (i + 0.5) / side.length, x = column ? 330 : 70;
      fresh.add(link.peer);
      const name = link.origin ? 'Origin' : short(link.peer);
      this.#node(link.peer, x, y, link.origin ? 'origin' : 'peer', name, caption(link));
      this.#wires(link, x, y, height / 2);
    }));
    for (const [key, group] of this.#nodes) {
      if (fresh.has(key)) continue;
      group.remove();
      this.#nodes.delete(key);
    }
    const hidden = links.length - shown[0].length - shown[1].length;
    flow.setAttribute('aria-label', `${links.length} links. ${links.slice(0, SIDE_MAX).map((link) =>
      `${link.origin ? 'Origin' : short(link.peer)}: ${speed(link.down)} in, ${speed(link.up)} out`).join('. ')}`);
    at('more').hidden = hidden === 0;
    at('more').textContent = `and ${hidden} more, listed below`;
  }

  #node(key, x, y, kind, name, detail) {
    let group = this.#nodes.get(key);
    if (!group) {
      group = svg('g');
      group.append(svg('path'), svg('path'), svg('circle'), svg('text'), svg('text'));
      const [down, up] = group.children;
      down.setAttribute('class', 'wire down');
      up.setAttribute('class', 'wire up');
      at('flow').append(group);
      this.#nodes.set(key, group);
      // Wires go beneath every node.
      at('flow').append(this.#nodes.get('me'));
    }
    group.setAttribute('class', kind);
    const [, , circle, title, sub] = group.children;
    set(circle, { cx: x, cy: y - 6, r: kind === 'me' ? 11 : 7 });
    set(title, { x, y: y + (kind === 'me' ? 20 : 14) });
    set(sub, { x, y: y + (kind === 'me' ? 31 : 25), class: 'sub' });
    title.textContent = name;
    sub.textContent = detail;
  }

  #wires(link, x, y, middle) {
    const [down, up] = this.#nodes.get(link.peer).children;
    const side = x < 200 ? 1 : -1, from = [x + 11 * side, y - 6], to = [200 - 15 * side, middle - 6];
    const curve = (a, b, shift) =>
      `M${a[0]} ${a[1] + shift}C${200 - 70 * side} ${y - 6 + shift} ${200 - 70 * side} ${middle - 6 + shift} ${to[0]} ${b[1] + shift}`;
    for (const [wire, rate, shift] of [[down, link.down, -2], [up, link.up, 3]]) {
      wire.setAttribute('d', curve(from, to, shift));
      wire.style.strokeWidth = `${rate > 0 ? Math.min(6, 1 + Math.sqrt(rate / 250_000)) : 1}px`;
      wire.classList.toggle('still', rate === 0);
      wire.classList.toggle('spare', rate === 0 && (link.down > 0 || link.up > 0 || wire === up));
    }
  }

  #facts(stats, browsers, seen) {
    const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value} ms`);
    const facts = [
      ['Role', role(stats.role)],
      ['Peers', `${stats.peers} · ${stats.parents} sending`],
      ['Hops from origin', stats.hops_max || '–'],
      ['Latency to here, median', stats.segments_delivered ? ms(stats.latency_ms.p50) : '–'],
      ['This page behind that', seen.behind === null ? '–' : `${seen.behind.toFixed(1)} s`],
      ['Start took', stats.startup_ms ? ms(stats.startup_ms) : '–'],
      ['Stalls', `${stats.stalls} · ${seen.stalls} on this page`],
      ['Segments missed', stats.segments_missed ? `${stats.segments_missed} of ${stats.segments_expected}` : '0'],
      ['Browsers watching', browsers],
    ];
    const list = at('facts');
    while (list.children.length < facts.length) {
      const row = document.createElement('div');
      row.append(document.createElement('dt'), document.createElement('dd'));
      list.append(row);
    }
    facts.forEach(([name, value], i) => {
      const [term, detail] = list.children[i].children;
      term.textContent = name;
      detail.textContent = value;
    });
  }

  #table(links) {
    at('links').replaceChildren(...links.map((link) => {
      const row = document.createElement('tr');
      const cells = [link.origin ? 'Origin' : short(link.peer), `${(link.rtt_us / 1000).toFixed(1)} ms`,
        `${size(link.received)} · ${speed(link.down)}`, `${size(link.sent)} · ${speed(link.up)}`, link.score];
      for (const text of cells) {
        const cell = document.createElement('td');
        cell.textContent = text;
        row.append(cell);
      }
      row.title = link.peer;
      return row;
    }));
  }
}

function svg(name) {
  return document.createElementNS(NS, name);
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function caption(link) {
  if (!link.down && !link.up) return 'quiet';
  return [link.down && `${speed(link.down)} in`, link.up && `${speed(link.up)} out`].filter(Boolean).join(', ');
}

function role(name) {
  const text = String(name).replace(/([a-z])([A-Z])/g, '$1-$2').replace(/[-_]/g, '-').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function short(peer) {
  return peer.slice(0, 6);
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const step = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toFixed(bytes / 1000 ** step < 10 ? 1 : 0)} ${['B', 'kB', 'MB', 'GB'][step]}`;
}

export function speed(bits) {
  if (bits < 1000) return '0 kbit/s';
  return bits < 1_000_000 ? `${Math.round(bits / 1000)} kbit/s` : `${(bits / 1_000_000).toFixed(1)} Mbit/s`;
}
