// What is live: the list of the signaling server, refreshed while somebody looks.
import { ago, plural } from './format.js';

const REFRESH_MS = 3000;
/** More are found by searching. */
const SHOWN_MAX = 200;

/** @returns {any} */
const at = id => document.getElementById(id);
const word = at('word');
/** @type {{name: string, publisher: string, viewers: number, since: number}[] | null} */
let streams = null;
let failed = '';

word.value = new URLSearchParams(location.search).get('q') ?? '';
word.addEventListener('input', () => {
  const query = word.value ? `?q=${encodeURIComponent(word.value)}` : location.pathname;
  history.replaceState(null, '', query);
  show();
});
at('find').addEventListener('submit', event => {
  event.preventDefault();
  at('list').querySelector('a')?.click();
});

async function refresh() {
  try {
    const response = await fetch('/api/streams');
    if (!response.ok) throw new Error(`it says ${response.status}`);
    streams = await response.json();
    failed = '';
  } catch (error) {
    failed = error.message;
  }
  show();
}

function show() {
  const wanted = word.value.trim().toLowerCase();
  const all = streams ?? [];
  const found = all.filter(({ name }) => name.toLowerCase().includes(wanted))
    .sort((a, b) => b.viewers - a.viewers || a.name.localeCompare(b.name));
  const list = at('list'), shown = found.slice(0, SHOWN_MAX);
  // Kept by name, so that a refresh moves neither focus nor pointer.
  const before = new Map([...list.children].map(item => [item.dataset.name, item]));
  const items = shown.map(stream => update(before.get(stream.name) ?? create(stream), stream));
  if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) list.replaceChildren(...items);
  const count = streams && all.length ? (wanted ? `${found.length} of ${all.length}` : String(all.length)) : '';
  if (at('count').textContent !== count) at('count').textContent = count;
  none(all, found, wanted);
}

function create({ name }) {
  const item = document.createElement('li');
  item.dataset.name = name;
  const link = document.createElement('a');
  link.className = 'card';
  link.href = `/watch?name=${encodeURIComponent(name)}`;
  const [badge, title, facts] = ['span', 'strong', 'span'].map(tag => document.createElement(tag));
  badge.className = 'live';
  badge.textContent = 'Live';
  title.textContent = name;
  facts.className = 'facts';
  link.append(badge, title, facts);
  item.append(link);
  return item;
}

function update(item, { viewers, since }) {
  const facts = `${plural(viewers, 'viewer')} · for ${ago(since)}`;
  const shown = item.querySelector('.facts');
  if (shown.textContent !== facts) shown.textContent = facts;
  return item;
}

function none(all, found, wanted) {
  at('none').hidden = (streams === null && !failed) || (found.length > 0 && !failed);
  at('none-command').hidden = Boolean(failed) || all.length > 0;
  if (failed) return say('The list cannot be had', `The server does not answer (${failed}). This page goes on trying.`);
  if (all.length) return say('Nothing found', `No broadcast of this server has “${wanted}” in its name.`);
  say('Nobody is live', 'A broadcast appears here by itself. To start one with a test picture:');
  const signal = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
  at('none-command').firstElementChild.textContent = `broadcaster --signal ${signal} --name launch --source test`;
}

function say(title, text) {
  at('none-title').textContent = title;
  at('none-text').textContent = text;
}

setInterval(() => document.hidden || refresh(), REFRESH_MS);
document.addEventListener('visibilitychange', () => document.hidden || refresh());
refresh();
