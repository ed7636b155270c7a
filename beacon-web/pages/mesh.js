// Who has it from whom: the mesh as a picture, hop by hop from the top, laid out by d3-force.

/** Pixels of the picture's own. */
const RADIUS = 13, BETWEEN = 62, LINE = 92, ROW = 14;
/** Rounds of the layout: of a new picture, and of one that changed. */
const ROUNDS = 160, ROUNDS_MORE = 50;
/** Letters of an id that are written at a peer. */
const ID_SHOWN = 6;

/** What a peer does in the mesh. A relay is who says that it has children, or whom another calls its parent. */
export function role(peer, mesh) {
  mesh.named ??= new Set(mesh.peers.flatMap(({ parents }) => parents.map(({ id }) => id)));
  if (peer.id === mesh.origin) return 'origin';
  if (peer.told === null) return 'silent';
  return peer.children || mesh.named.has(peer.id) ? 'relay' : 'leaf';
}

export class MeshGraph {
  #d3;
  #place;
  #told = '';
  /** @type {Map<string, any>} */
  #nodes = new Map();

  /** Null when this build has no d3-force. @returns {Promise<MeshGraph | null>} */
  static async load(place) {
    try {
      // In this order: each adds to `d3`.
      for (const part of ['dispatch', 'quadtree', 'timer', 'force']) await script(`/pages/charts/d3-${part}.js`);
      return new MeshGraph(/** @type {any} */ (globalThis).d3, place);
    } catch {
      return null;
    }
  }

  constructor(d3, place) {
    this.#d3 = d3;
    this.#place = place;
  }

  /** @param {any} mesh as `/api/streams/NAME/mesh` has it */
  show(mesh) {
    const hops = mesh.peers.map(peer => peer.hop ?? 0), beyond = Math.max(0, ...hops) + 1;
    const peers = mesh.peers.map(peer => ({ id: peer.id, hop: peer.hop ?? beyond, role: role(peer, mesh), peer }));
    const known = new Set(peers.map(({ id }) => id));
    const links = peers.flatMap(({ id, peer }) => {
      // A peer that names a parent twice has it once.
      const parents = new Map(peer.parents.filter(parent => known.has(parent.id) && parent.id !== id).map(parent => [parent.id, parent]));
      return [...parents.values()].map(({ id: from, stripes, rtt_ms }) => ({ source: from, target: id, stripes, rtt_ms }));
    });
    const shape = JSON.stringify([peers.map(({ id, hop, role }) => [id, hop, role]), links.map(({ source, target, stripes }) => [source, target, stripes])]);
    if (shape !== this.#told) {
      this.#told = shape;
      this.#draw(peers, links, beyond);
    }
    this.#titles(peers);
  }

  #draw(peers, links, beyond) {
    const { forceSimulation, forceX, forceY, forceCollide, forceLink, forceManyBody } = this.#d3;
    const rows = layers(peers, beyond);
    const fresh = peers.some(({ id }) => !this.#nodes.has(id));
    const nodes = peers.map((peer, i) => {
      const { x, y } = this.#nodes.get(peer.id) ?? { x: (i % 7 - 3) * BETWEEN, y: rows[peer.hop].middle };
      return { ...peer, x, y };
    });
    const simulation = forceSimulation(nodes).stop()
      .force('link', forceLink(links).id(node => node.id).distance(LINE).strength(0.12))
      .force('apart', forceCollide(BETWEEN / 2).strength(1))
      // So that links which pass a hop by do not run through who is there.
      .force('room', forceManyBody().strength(-220).distanceMax(3 * LINE))
      .force('middle', forceX(0).strength(0.04))
      .force('hop', forceY(node => rows[node.hop].middle).strength(0.9));
    simulation.alpha(fresh ? 1 : 0.3);
    for (let round = 0; round < (fresh ? ROUNDS : ROUNDS_MORE); round++) {
      simulation.tick();
      // What hop a peer is at is read from where it stands.
      for (const node of nodes) node.y = Math.min(rows[node.hop].bottom, Math.max(rows[node.hop].top, node.y));
    }
    this.#nodes = new Map(nodes.map(node => [node.id, node]));
    const xs = nodes.map(node => node.x), half = Math.max(Math.min(240, this.#place.clientWidth / 2) - 56, ...xs.map(Math.abs)) + 2 * RADIUS + 30;
    const deep = rows.at(-1).bottom + 52;
    const picture = element('svg', { viewBox: `${-half} -34 ${2 * half} ${deep + 34}`, role: 'img', 'aria-label': words(peers, links) });
    picture.append(arrows(), ...rows.flatMap((row, hop) => row.count ? band(row, hop, beyond, half) : []),
      ...links.map(link => wire(link)), ...nodes.map(node => dot(node)));
    this.#place.replaceChildren(picture);
  }

  /** What a pointer that rests on a peer is told. */
  #titles(peers) {
    for (const { id, role, peer } of peers) {
      const title = this.#place.querySelector(`[data-id="${id}"] title`);
      const rate = bits => `${(bits / 1e6).toFixed(1)} Mbit/s`;
      const text = role === 'silent' ? `${id}: tells nothing` : role === 'origin' ? `The origin, gives ${rate(peer.up_bps)}`
        : `${id}: ${role}, hop ${peer.hop ?? '–'}, has ${rate(peer.origin_bps + peer.peers_bps)}, gives ${rate(peer.up_bps)}`;
      if (title && title.textContent !== text) title.textContent = text;
    }
  }
}

/** Where the peers of each hop may stand: the more there are, the deeper their band. */
function layers(peers, beyond) {
  const rows = [];
  let top = 0;
  for (let hop = 0; hop <= beyond; hop++) {
    const count = peers.filter(peer => peer.hop === hop).length;
    const depth = Math.max(0, Math.ceil(count / ROW) - 1) * BETWEEN;
    rows.push({ count, top, bottom: top + depth, middle: top + depth / 2 });
    if (count) top += depth + LINE;
  }
  // The last may be empty: nobody's hop is unknown.
  while (rows.length > 1 && !rows.at(-1).count) rows.pop();
  return rows;
}

function words(peers, links) {
  const count = name => peers.filter(peer => peer.role === name).length;
  const deepest = Math.max(0, ...peers.map(({ peer }) => peer.hop ?? 0));
  return `Graph of the mesh: ${count('relay')} relays and ${count('leaf')} leaves, ${links.length} links, ${deepest} hops at most. The table of peers has the same.`;
}

function band({ top, bottom }, hop, beyond, half) {
  const middle = (top + bottom) / 2;
  const text = element('text', { x: -half + 8, y: middle + 4, class: 'hop' });
  text.textContent = hop === 0 ? '' : hop === beyond ? 'not told' : `hop ${hop}`;
  return [element('rect', { x: -half, y: top - 27, width: 2 * half, height: bottom - top + 62, class: `band ${hop % 2 ? 'odd' : ''}` }), text];
}

function wire({ source, target, stripes, rtt_ms }) {
  const middle = (source.y + target.y) / 2;
  // Peers of one hop: around, not through what stands between.
  const sag = Math.abs(source.y - target.y) < 4 ? middle + 34 : middle;
  const path = element('path', {
    d: `M${round(source.x)} ${round(source.y)}C${round(source.x)} ${round(sag)} ${round(target.x)} ${round(sag)} ${round(target.x)} ${round(target.y)}`,
    class: `wire ${source.role === 'origin' ? 'of-origin' : ''}`, 'stroke-width': 1 + Math.min(8, stripes) * 0.35,
    'marker-end': `url(#${source.role === 'origin' ? 'arrow-of-origin' : 'arrow'})`, 'data-from': source.id, 'data-to': target.id,
  });
  const title = element('title', {});
  title.textContent = `${source.id} to ${target.id}: ${stripes} stripe${stripes === 1 ? '' : 's'}, ${rtt_ms} ms there and back`;
  path.append(title);
  return path;
}

/** The heads of wires, at the rim of the peer that they lead to. */
function arrows() {
  const made = element('defs', {});
  for (const kind of ['', 'of-origin']) {
    const marker = element('marker', { id: kind ? `arrow-${kind}` : 'arrow', viewBox: '0 0 8 8', refX: RADIUS + 6, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse', orient: 'auto' });
    marker.append(element('path', { d: 'M0 0L8 4L0 8Z', class: `arrow ${kind}` }));
    made.append(marker);
  }
  return made;
}

function dot({ id, x, y, hop, role, peer }) {
  const group = element('g', { class: `peer ${role}`, transform: `translate(${round(x)} ${round(y)})`, 'data-id': id, 'data-hop': peer.hop ?? '', 'data-role': role });
  const label = element('text', { y: RADIUS + 14 });
  label.textContent = role === 'origin' ? 'Origin' : id.slice(0, ID_SHOWN);
  group.append(element('title', {}), element('circle', { r: role === 'origin' ? RADIUS + 3 : role === 'relay' ? RADIUS : RADIUS - 3 }), label);
  return group;
}

const round = number => Math.round(number * 10) / 10;

function element(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function script(source) {
  return new Promise((resolve, reject) => {
    const made = document.createElement('script');
    made.src = source;
    made.onload = resolve;
    made.onerror = reject;
    document.head.append(made);
  });
}
