// The laboratory in a page: knobs, a simulator in a worker, and what it shows.
import { Charts, KINDS } from './charts.js';
import { MeshGraph } from './mesh.js';
import { duration, speed } from './format.js';
import { plan } from './plan.js';
import { draw } from '/pattern.js';

/** Samples that charts show, and that the tiles look back on. */
const SAMPLES_MAX = 600, RECENT = 10;
/** The graph is laid out anew no more often. */
const GRAPH_MS = 1000;
/** Simulated time that pictures run on without word from the simulator. */
const AHEAD_MS = 1500;
const FPS = 25;
const percent = number => `${number.toFixed(number > 0 && number < 99.95 ? 1 : 0)} %`;
const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

/**
 * What the simulator tells: `Sight` of beacon-sim.
 * @typedef {{number: number, hops: number | null, parents: {from: number, stripes: number, rtt_ms: number}[], children: number,
 *   delay_ms: number | null, seen_us: number, bytes_from_origin: number, bytes_from_peers: number, bytes_uploaded: number,
 *   bytes_duplicate: number, segments_missed: number, stalls: number}} Seen
 * @typedef {{now_us: number, viewers: number, hash: string, peers: Seen[], delays_ms: number[], due: number, bytes_published: number,
 *   bytes_origin: number, bytes_control: number}} Sight
 */

const CHARTS = [
  ...KINDS.filter(({ id }) => id === 'plot-lag' || id === 'plot-bandwidth'),
  {
    id: 'plot-delivered',
    lines: [{ of: sample => sample.delivered, label: 'Delivered', colour: '--peers', fill: true }],
    value: percent,
    most: 105,
    words: samples => `${percent(samples.at(-1).delivered ?? 0)} now`,
  },
  {
    id: 'plot-waste',
    lines: [
      { of: sample => sample.duplicates, label: 'Duplicates', colour: '--origin' },
      { of: sample => sample.control, label: 'Control', colour: '--sent' },
    ],
    value: percent,
    words: samples => `now ${percent(samples.at(-1).duplicates ?? 0)} of what comes is there already, and control frames are ${percent(samples.at(-1).control ?? 0)} of it`,
  },
];

/** @returns {any} */
const at = id => document.getElementById(id);
const worker = new Worker('/pages/lab-worker.js', { type: 'module' });
/** @type {Charts | null} */
let charts = null;
/** @type {MeshGraph | null} */
let graph = null;
let drawnAt = 0;
/** The run: what it was started with, what was done to it, and what it told. @type {any} */
let run = null;
let pace = 1;

worker.onerror = () => trouble('The simulator cannot be loaded: this browser needs module workers and WebAssembly, and the server a whole build (cargo xtask web).');
worker.onmessage = ({ data }) => TOLD[data.type](data);

const TOLD = {
  ready({ schedulers }) {
    const select = at('knobs').elements.scheduler, chosen = select.value;
    select.replaceChildren(...schedulers.map(name => new Option(name, name, name === chosen, name === chosen)));
    at('start').disabled = false;
    put(at('clock'), 'Ready');
    document.body.dataset.ready = 'true';
  },
  /** @param {{sight: Sight, ended: boolean, end: number}} told */
  sight({ sight, ended, end }) {
    if (!run) return;
    const seconds = sight.now_us / 1e6;
    if (seconds > run.seconds) sample(sight, seconds);
    else for (const peer of sight.peers) peer.rates = run.before.get(peer.number)?.rates;
    Object.assign(run, { sight, seconds, ended, heard: performance.now() });
    put(at('clock'), `${clock(seconds)} of ${clock(end / 1000)}`);
    at('clock').dataset.seconds = String(seconds);
    if (ended) finish(sight.hash);
    show(sight);
  },
  event({ text }) {
    run?.events.push(text);
    put(at('copied'), '');
    showPlan();
  },
  trouble({ text }) {
    trouble(text.replace(/^Error: /, ''));
  },
};

function start() {
  trouble('');
  run = { knobs: knobs(), events: [], samples: [], before: new Map(), totals: null, seconds: 0, heard: 0, ended: false, paused: false, sight: null, stalls: 0 };
  worker.postMessage({ type: 'speed', speed: pace });
  worker.postMessage({ type: 'start', plan: plan(run.knobs, []) });
  put(at('start'), 'Start again');
  for (const id of ['pause', 'kill', 'crowd', 'lose']) at(id).disabled = false;
  press(at('pause'), false);
  put(at('hash'), '');
  put(at('copied'), '');
  showPlan();
}

/** @returns {import('./plan.js').Knobs} */
function knobs() {
  const words = ['profile', 'scheduler'];
  return /** @type {any} */ (Object.fromEntries([...new FormData(at('knobs'))].map(([key, value]) => [key, words.includes(key) ? value : Number(value)])));
}

function finish(hash) {
  for (const id of ['pause', 'kill', 'crowd', 'lose']) at(id).disabled = true;
  put(at('hash'), `Played to its end, this run has the hash ${hash}.`);
  at('hash').dataset.hash = hash;
}

/** What happened since the last sight, as rates. @param {Sight} sight @param {number} seconds */
function sample(sight, seconds) {
  const { before, totals } = run, passed = seconds - run.seconds;
  const since = { origin: 0, peers: 0, duplicate: 0, stalls: 0 };
  for (const peer of sight.peers) {
    const then = before.get(peer.number);
    since.origin += peer.bytes_from_origin - (then?.bytes_from_origin ?? 0);
    since.peers += peer.bytes_from_peers - (then?.bytes_from_peers ?? 0);
    since.duplicate += peer.bytes_duplicate - (then?.bytes_duplicate ?? 0);
    since.stalls += peer.stalls - (then?.stalls ?? 0);
    peer.rates = { origin: rate(peer, then, 'bytes_from_origin', passed), peers: rate(peer, then, 'bytes_from_peers', passed), up: rate(peer, then, 'bytes_uploaded', passed) };
  }
  run.before = new Map(sight.peers.map(peer => [peer.number, peer]));
  run.totals = sight;
  run.stalls += since.stalls;
  const useful = since.origin + since.peers, part = (some, whole) => whole > 0 ? 100 * some / whole : null;
  const late = share => sight.delays_ms.length ? sight.delays_ms[Math.max(0, Math.ceil(sight.delays_ms.length * share) - 1)] : 0;
  run.samples.push({
    at: seconds, viewers: sight.viewers, due: sight.due, came: sight.delays_ms.length, stalls: since.stalls,
    from_origin_bps: since.origin * 8 / passed, from_peers_bps: since.peers * 8 / passed,
    latency_p50_ms: late(0.5), latency_p95_ms: late(0.95),
    delivered: part(sight.delays_ms.length, sight.due),
    duplicates: part(since.duplicate, useful + since.duplicate),
    control: part(sight.bytes_control - (totals?.bytes_control ?? 0), useful),
    sent: sight.bytes_origin - (totals?.bytes_origin ?? 0), published: sight.bytes_published - (totals?.bytes_published ?? 0),
  });
  if (run.samples.length > SAMPLES_MAX) run.samples.shift();
}

const rate = (peer, then, key, passed) => (peer[key] - (then?.[key] ?? 0)) * 8 / passed;

/** @param {Sight} sight */
function show(sight) {
  tiles(sight);
  const viewers = sight.peers.filter(({ number }) => number);
  table(viewers);
  choices(viewers);
  if (run.samples.length) charts?.show(run.samples);
  if (performance.now() - drawnAt < GRAPH_MS && !run.ended && run.seconds) return;
  drawnAt = performance.now();
  graph?.show({ origin: 'origin', peers: sight.peers.map(peer => ({
    id: name(peer.number), hop: peer.hops, told: 1, children: peer.children, origin_bps: peer.rates?.origin ?? 0, peers_bps: peer.rates?.peers ?? 0, up_bps: peer.rates?.up ?? 0,
    parents: peer.parents.map(({ from, stripes, rtt_ms }) => ({ id: name(from), stripes, rtt_ms })),
  })) });
}

const name = number => number ? String(number) : 'origin';

/** @param {Sight} sight */
function tiles({ viewers }) {
  const recent = run.samples.slice(-RECENT), last = recent.at(-1), sum = key => recent.reduce((total, sample) => total + (sample[key] ?? 0), 0);
  const origin = sum('from_origin_bps'), all = origin + sum('from_peers_bps'), due = sum('due'), published = sum('published');
  const values = {
    viewers: String(viewers),
    delivered: due ? percent(100 * sum('came') / due) : '–',
    lag: last?.latency_p50_ms ? duration(last.latency_p50_ms) : '–',
    offload: all ? percent(100 - 100 * origin / all) : '–',
    source: published ? `${(sum('sent') / published).toFixed(1)} streams` : '–',
    duplicates: last ? percent(sum('duplicates') / recent.length) : '–',
    control: last ? percent(sum('control') / recent.length) : '–',
    stalls: String(run.stalls),
  };
  for (const [id, text] of Object.entries(values)) put(at(id), text);
}

/** @param {any[]} viewers */
function table(viewers) {
  const body = at('peers').tBodies[0];
  while (body.rows.length > viewers.length) body.deleteRow(-1);
  viewers.forEach(({ number, hops, rates, delay_ms, segments_missed, stalls, parents }, i) => {
    const row = body.rows[i] ?? body.insertRow();
    const cells = [number, hops ?? '–', speed(rates?.origin ?? 0), speed(rates?.peers ?? 0), speed(rates?.up ?? 0),
      delay_ms === null ? '–' : duration(delay_ms), segments_missed, stalls, parents.map(({ from }) => name(from)).join(' ')];
    cells.forEach((text, j) => put(row.cells[j] ?? (j ? row.insertCell() : header(row)), String(text)));
  });
}

function header(row) {
  const cell = document.createElement('th');
  cell.scope = 'row';
  return row.appendChild(cell);
}

/** Whose picture is shown: who was chosen, for as long as they are here. */
function choices(viewers) {
  const select = at('viewer'), chosen = select.value, numbers = viewers.map(({ number }) => String(number));
  if (select.dataset.shown === numbers.join(' ')) return;
  select.dataset.shown = numbers.join(' ');
  select.disabled = !numbers.length;
  select.replaceChildren(...numbers.length ? numbers.map(number => new Option(`viewer ${number}`, number, false, number === chosen)) : [new Option('a viewer', '')]);
}

/** Both pictures: what the origin sends now, and the same as late as the chosen viewer has it. */
function pictures() {
  requestAnimationFrame(pictures);
  if (!run?.sight || document.hidden) return;
  const { sight, ended, paused, heard } = run;
  const ahead = ended || paused || pace === Infinity ? 0 : Math.min(AHEAD_MS, (performance.now() - heard) * pace);
  const now = sight.now_us / 1000 + ahead;
  const picture = Math.floor(now * FPS / 1000);
  if (run.picture === picture + at('viewer').value) return;
  run.picture = picture + at('viewer').value;
  paint(at('sent'), picture * 1000 / FPS);
  const viewer = sight.peers.find(({ number }) => String(number) === at('viewer').value);
  if (!viewer || viewer.delay_ms === null) {
    const context = at('seen').getContext('2d');
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    return put(at('behind'), viewer ? 'Nothing has come yet' : '');
  }
  // The newest segment ended then: beyond it, with what came while nobody looked, the picture stands.
  const newest = viewer.seen_us / 1000 + ahead, shown = Math.max(0, Math.min(now - viewer.delay_ms, newest));
  paint(at('seen'), Math.floor(shown * FPS / 1000) * 1000 / FPS);
  put(at('behind'), `${duration(now - shown)} behind`);
}

function paint(canvas, ms) {
  draw(canvas.getContext('2d'), Math.floor(ms * FPS / 1000), ms);
}

function showPlan() {
  put(at('plan'), plan(run.knobs, run.events));
}

function trouble(text) {
  put(at('trouble'), text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, '.'));
  at('trouble').hidden = !text;
}

function press(button, pressed) {
  button.setAttribute('aria-pressed', String(pressed));
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

at('knobs').addEventListener('submit', event => {
  event.preventDefault();
  start();
});
at('pause').addEventListener('click', () => {
  run.paused = !run.paused;
  press(at('pause'), run.paused);
  worker.postMessage({ type: 'pause', paused: run.paused });
});
at('speeds').addEventListener('click', ({ target }) => {
  if (!target.dataset.speed) return;
  pace = Number(target.dataset.speed);
  for (const button of at('speeds').children) press(button, button === target);
  worker.postMessage({ type: 'speed', speed: pace });
});
const happen = (what, numbers) => worker.postMessage({ type: 'happen', what, numbers });
at('kill').addEventListener('click', () => happen('kill', [30]));
at('crowd').addEventListener('click', () => happen('crowd', [Math.max(1, run.sight?.viewers ?? 1), 2]));
at('lose').addEventListener('click', () => at('knobs').elements.loss.reportValidity() && happen('lose', [Number(at('knobs').elements.loss.value)]));
at('copy').addEventListener('click', async () => {
  const done = await navigator.clipboard.writeText(at('plan').textContent).then(() => true, () => false);
  if (!done) getSelection()?.selectAllChildren(at('plan'));
  put(at('copied'), done ? 'Copied' : 'Selected: copy it with the keyboard');
});

put(at('plan'), plan(knobs(), []));
requestAnimationFrame(pictures);
[charts, graph] = await Promise.all([Charts.load(CHARTS, { time: clock, tick: clock }), MeshGraph.load(at('mesh'))]);
const whole = Boolean(charts && graph);
at('plain').hidden = whole;
at('credits').hidden = !whole;
document.body.classList.toggle('plain', !whole);
if (run?.sight) show(run.sight);
