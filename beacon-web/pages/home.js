// What is live: the list of the signaling server, refreshed while somebody looks.
import { ago, plural } from './format.js';

const REFRESH_MS = 3000;
/** More are found by searching. */
const SHOWN_MAX = 200;
/** Categories, and tags, to choose from; those of the most broadcasts. */
const CHIPS_MAX = 12;

/**
 * @typedef {{name: string, publisher: string, viewers: number, age: number, title: string, category: string,
 *   tags: string[], thumbnail: string | null}} Stream
 */

/** @returns {any} */
const at = id => document.getElementById(id);
const word = at('word');
/** @type {Stream[] | null} */
let streams = null;
let failed = '';
/** What is wanted; the address says the same. */
const query = new URLSearchParams(location.search);
const chosen = { category: query.get('category') ?? '', tags: new Set(query.getAll('tag').map(fold)) };

word.value = query.get('q') ?? '';
word.addEventListener('input', changed);
at('find').addEventListener('submit', event => {
  event.preventDefault();
  at('list').querySelector('a')?.click();
});
at('none-all').addEventListener('click', () => {
  word.value = chosen.category = '';
  chosen.tags.clear();
  changed();
  word.focus();
});

/** Letters in one case: nobody tells Music from music. */
function fold(text) { return text.trim().toLowerCase(); }

function changed() {
  const query = new URLSearchParams();
  if (word.value) query.set('q', word.value);
  if (chosen.category) query.set('category', chosen.category);
  for (const tag of chosen.tags) query.append('tag', tag);
  const text = query.toString();
  history.replaceState(null, '', text ? `?${text}` : location.pathname);
  show();
}

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

/** @param {Stream} stream */
function matches({ name, title, category, tags }) {
  const wanted = fold(word.value), folded = tags.map(fold);
  return [name, title, category, ...tags].some(text => fold(text).includes(wanted))
    && (!chosen.category || fold(category) === fold(chosen.category))
    && [...chosen.tags].every(tag => folded.includes(tag));
}

function show() {
  const all = streams ?? [];
  const found = all.filter(matches).sort((a, b) => b.viewers - a.viewers || a.name.localeCompare(b.name));
  const list = at('list'), shown = found.slice(0, SHOWN_MAX);
  // Kept by name, so that a refresh moves neither focus nor pointer.
  const before = new Map([...list.children].map(item => [item.dataset.name, item]));
  const items = shown.map(stream => update(before.get(stream.name) ?? create(stream), stream));
  if (items.length !== list.children.length || items.some((item, i) => item !== list.children[i])) list.replaceChildren(...items);
  const count = streams && all.length ? (found.length < all.length ? `${found.length} of ${all.length}` : String(all.length)) : '';
  put(at('count'), count);
  filters(all);
  none(all, found);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className, text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {Stream} stream */
function create({ name }) {
  const item = document.createElement('li');
  item.dataset.name = name;
  const link = document.createElement('a');
  link.className = 'card';
  link.href = `/watch?name=${encodeURIComponent(name)}`;
  const picture = make('span', 'picture');
  const words = make('span', 'words');
  words.append(make('strong', ''), make('span', 'facts'), make('span', 'tags'));
  link.append(picture, words);
  item.append(link);
  return item;
}

/** @param {Stream} stream */
function update(item, stream) {
  const { name, title, viewers, age, category, tags, thumbnail } = stream;
  thumb(item.querySelector('.picture'), thumbnail, title || name);
  put(item.querySelector('strong'), title || name);
  const since = Date.now() / 1000 - age;
  put(item.querySelector('.facts'), [category, plural(viewers, 'viewer'), `for ${ago(since)}`].filter(Boolean).join(' · '));
  const list = item.querySelector('.tags');
  const told = tags.join(', ');
  if (list.dataset.told !== told) {
    list.dataset.told = told;
    list.replaceChildren(...tags.map(tag => make('span', 'tag', tag)));
  }
  return item;
}

/** The picture, or the first letter where there is none or it does not load. */
function thumb(place, source, title) {
  const wanted = source ?? '';
  if (place.dataset.source === wanted && (wanted || place.dataset.title === title)) return;
  Object.assign(place.dataset, { source: wanted, title });
  const live = make('span', 'live', 'Live');
  const letter = make('span', 'letter', [...title][0]?.toUpperCase() ?? '');
  letter.ariaHidden = 'true';
  if (!wanted) return place.replaceChildren(letter, live);
  const image = new Image(320, 180);
  image.alt = '';
  image.decoding = 'async';
  // The one before stays until the next is here.
  image.onload = () => place.dataset.source === wanted && place.replaceChildren(image, live);
  image.onerror = () => place.dataset.source === wanted && place.replaceChildren(letter, live);
  if (!place.firstChild) place.replaceChildren(letter, live);
  image.src = wanted;
}

/** What there is to choose from: the most frequent first, and whatever is chosen. @param {Stream[]} all */
function filters(all) {
  const categories = frequent(all.map(({ category }) => category).filter(Boolean), chosen.category ? [chosen.category] : []);
  const tags = frequent(all.flatMap(({ tags }) => tags), [...chosen.tags]);
  const place = at('filters');
  place.hidden = !categories.length && !tags.length;
  const wanted = [...categories.map(text => ({ kind: 'category', text })), ...tags.map(text => ({ kind: 'tag', text }))];
  const told = JSON.stringify(wanted);
  if (place.dataset.told !== told) {
    place.dataset.told = told;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;
    place.replaceChildren(...wanted.map(chip));
    place.querySelector(`[data-key="${CSS.escape(focused ?? '')}"]`)?.focus();
  }
  for (const button of place.children) {
    const { kind, value } = button.dataset;
    button.ariaPressed = String(kind === 'category' ? fold(chosen.category) === value : chosen.tags.has(value));
  }
}

function frequent(words, kept) {
  const counts = new Map();
  for (const text of [...kept.map(text => ({ text, weight: 0 })), ...words.map(text => ({ text, weight: 1 }))]) {
    const known = counts.get(fold(text.text));
    // As somebody wrote it, not as it was folded for the address.
    counts.set(fold(text.text), { text: text.weight || !known ? text.text : known.text, count: (known?.count ?? 0) + text.weight });
  }
  const must = new Set(kept.map(fold));
  return [...counts].sort(([a, x], [b, y]) => Number(must.has(b)) - Number(must.has(a)) || y.count - x.count || a.localeCompare(b))
    .slice(0, CHIPS_MAX).map(([, { text }]) => text).sort((a, b) => a.localeCompare(b));
}

function chip({ kind, text }) {
  const button = /** @type {HTMLButtonElement} */ (make('button', `chip ${kind}`, kind === 'tag' ? `#${text}` : text));
  const value = fold(text);
  button.type = 'button';
  Object.assign(button.dataset, { kind, value, key: `${kind}:${value}` });
  button.addEventListener('click', () => {
    if (kind === 'category') chosen.category = fold(chosen.category) === value ? '' : text;
    else if (!chosen.tags.delete(value)) chosen.tags.add(value);
    changed();
  });
  return button;
}

function none(all, found) {
  at('none').hidden = (streams === null && !failed) || (found.length > 0 && !failed);
  at('none-command').hidden = Boolean(failed) || all.length > 0;
  at('none-all').hidden = Boolean(failed) || all.length === 0;
  if (failed) return say('The list cannot be had', `The server does not answer (${failed}). This page goes on trying.`);
  if (all.length) return say('Nothing found', 'No broadcast of this server fits the search and what is chosen.');
  say('Nobody is live', 'A broadcast appears here by itself. To start one with a test picture:');
  const signal = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
  put(at('none-command').firstElementChild, `broadcaster --signal ${signal} --name launch --source test`);
}

function say(title, text) {
  put(at('none-title'), title);
  put(at('none-text'), text);
}

setInterval(() => document.hidden || refresh(), REFRESH_MS);
document.addEventListener('visibilitychange', () => document.hidden || refresh());
refresh();
