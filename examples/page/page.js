// The page: what a person sees and does.

import { KEEP } from '/mse.js';
import { Panel } from '/panel.js';
import { Show } from '/show.js';
import { Stream } from '/stream.js';

const at = (id) => document.getElementById(id);
const video = at('video'), stage = at('stage');
/** In full screen the controls fade after this long without a touch. */
const FADE_MS = 3000;
/** Media that was to come and has not for so long is worth a word about why. */
const LATE_MS = 1500;

let link = 'connecting', latest = null, described = false, fade = 0, dragging = false;

const program = new Show(video, { resync: () => stream.resync(), changed: () => show() });
const { player } = program;
const panel = new Panel();
const stream = new Stream({
  tracks(tracks) {
    described = true;
    program.describe(tracks);
    choices();
    show();
  },
  stats(stats) {
    latest = stats;
    const { snapshot } = stats;
    panel.show({ ...snapshot.stats, links: snapshot.links }, { behind: player.started ? player.behind : null, stalls: player.stalls });
    show();
  },
  init: (track, body) => program.init(track, body),
  fragment: (track, body, keyframe) => program.fragment(track, body, keyframe),
  gap: (track) => program.gap(track),
  end: () => program.end(),
  status(status) {
    link = status;
    show();
  },
});

// What is told.

/** The state in words: [name, headline, reason, whether it is busy]. */
function state() {
  if (program.refusal) return ['refused', 'This cannot be played here', program.refusal, false];
  if (video.ended || (program.ended && !player.started)) return ['ended', 'The broadcast has ended', 'Play shows its last seconds again.', false];
  if (link === 'connecting') return ['connecting', 'Connecting', 'to the viewer on this machine', true];
  const running = player.started && !video.paused && video.readyState >= 3 && !video.seeking;
  if (link === 'lost' && !running) return ['lost', 'The viewer cannot be reached', 'It has stopped or is restarting. Trying again.', true];
  if (!described || !player.started) return ['connecting', 'Connecting', waiting(), true];
  if (video.paused) return ['paused', '', '', false];
  if (running || video.readyState >= 3) return ['playing', '', '', false];
  return ['buffering', 'Buffering', shortage(), true];
}

function waiting() {
  const peers = latest?.snapshot.stats.peers ?? 0;
  if (described) return 'The first pictures are on their way.';
  if (!latest) return 'Waiting for the broadcast.';
  if (!peers) return `Looking for peers that carry “${latest.name}”.`;
  return `${peers === 1 ? 'One peer' : `${peers} peers`} found; waiting for the first segment.`;
}

function shortage() {
  const now = performance.now(), peers = latest?.snapshot.stats.peers ?? 0;
  if (player.behind > 1) return 'The pictures are here; this device is slow to decode them.';
  if (now - program.gapAt < 4000) return 'A segment did not arrive in time; going on at the next one that can be decoded.';
  if (now - program.arrivedAt < LATE_MS) return 'Filling up after a pause.';
  const since = Number.isFinite(program.arrivedAt) ? Math.round((now - program.arrivedAt) / 1000) : 0;
  if (latest && !peers) return 'All peers are gone; looking for others.';
  return `Nothing new for ${since} s; ${peers === 1 ? 'one peer is' : `${peers} peers are`} connected.`;
}

function show() {
  const [name, headline, reason, busy] = state();
  put('state', headline);
  put('reason', reason || '');
  at('notice').hidden = !headline;
  at('spinner').hidden = !busy;
  stage.dataset.state = name;

  const parts = [program.rendition, program.remark].filter(Boolean);
  put('kind', parts.map((part) => (typeof part === 'string' ? part
    : `${part.width} × ${part.height}`)).join(' · '));
  if (latest?.name && at('name').textContent !== latest.name) {
    put('name', latest.name);
    document.title = `${latest.name} – Beacon`;
  }
  controls();
}

function controls() {
  const paused = video.paused || video.ended;
  icon('toggle', paused ? 'play' : 'pause', paused ? 'Play' : 'Pause');
  const quiet = video.muted || video.volume === 0;
  icon('mute', quiet ? 'silent' : 'sound', quiet ? 'Turn the sound on' : 'Mute');
  at('unmute').hidden = !(player.silenced && video.muted && player.started);
  at('toggle').disabled = !player.started;

  const live = player.started && player.following && !video.paused && !program.ended;
  at('live').classList.toggle('on', live);
  at('live').disabled = !player.started || program.ended;
  at('live').setAttribute('aria-label', live ? 'At the live moment' : 'Go to the live moment');
  const { start, live: edge } = player.window, back = Math.max(0, edge - video.currentTime);
  const seek = at('seek');
  seek.disabled = !player.started;
  const room = Math.min(KEEP, Math.max(1, edge - start));
  if (!dragging) {
    seek.min = KEEP - room;
    seek.value = player.following && !video.paused ? KEEP : KEEP - back;
  }
  const word = !player.started || live || program.ended || back < 0.5 ? '' : `−${back.toFixed(0)} s`;
  put('behind', word);
  seek.setAttribute('aria-valuetext', word ? `${back.toFixed(0)} seconds behind live` : 'live');
  fill(seek);
  const volume = at('volume');
  volume.value = video.muted ? 0 : video.volume;
  fill(volume);
  const full = document.fullscreenElement === stage;
  icon('full', full ? 'narrow' : 'wide', full ? 'Leave full screen' : 'Full screen');
}

function fill(range) {
  const part = (range.value - range.min) / (range.max - range.min || 1);
  range.style.setProperty('--part', `${(100 * part).toFixed(1)}%`);
}

function put(id, text) {
  // Writing the same again would be read out again.
  if (at(id).textContent !== text) at(id).textContent = text;
}

function icon(id, name, label) {
  at(id).querySelector('use').setAttribute('href', `#${name}`);
  at(id).setAttribute('aria-label', label);
}

function choices() {
  const { videos } = program, select = at('quality');
  select.hidden = videos.length < 2;
  select.replaceChildren(...videos.map((track) => {
    const name = track.name || `${track.width} × ${track.height}`;
    return new Option(name, track.id, false, track.id === program.rendition?.id);
  }));
}

// What is done.

function toggle() {
  if (!player.started) return;
  if (video.paused || video.ended) player.play();
  else player.pause();
  show();
}

function mute() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
  player.silenced = false;
}

function louder(step) {
  if (video.muted && step < 0) return;
  video.volume = Math.min(1, Math.max(0, (video.muted ? 0 : video.volume) + step));
  video.muted = video.volume === 0;
  player.silenced = false;
}

async function full() {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (stage.requestFullscreen) await stage.requestFullscreen();
    else video.webkitEnterFullscreen?.();
  } catch {
    // Refused by the browser or a person: the page stays as it is.
  }
}

const KEYS = {
  ' ': toggle,
  k: toggle,
  l: () => player.started && player.goLive(),
  m: mute,
  f: full,
  ArrowLeft: () => player.seek(video.currentTime - 5),
  ArrowRight: () => player.seek(video.currentTime + 5),
  ArrowUp: () => louder(0.1),
  ArrowDown: () => louder(-0.1),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  // A focused control keeps the keys it has by itself.
  if (target.closest('select, summary')) return;
  if (key === ' ' && target.closest('button')) return;
  if (key.startsWith('Arrow') && (target.closest('input, .scroll') || !target.closest('#stage, body'))) return;
  // Off the player, up and down scroll the page.
  if ((key === 'ArrowUp' || key === 'ArrowDown') && !target.closest('#stage') && !document.fullscreenElement) return;
  const act = KEYS[key.length === 1 ? key.toLowerCase() : key];
  if (!act) return;
  event.preventDefault();
  act();
  awake();
});

at('toggle').onclick = video.onclick = toggle;
video.ondblclick = full;
at('live').onclick = () => player.goLive();
at('mute').onclick = mute;
at('unmute').onclick = mute;
at('full').onclick = full;
at('volume').oninput = (event) => {
  video.volume = Number(event.target.value);
  video.muted = video.volume === 0;
  player.silenced = false;
};
at('seek').oninput = (event) => {
  dragging = true;
  player.seek(player.window.live - KEEP + Number(event.target.value));
};
at('seek').onchange = () => { dragging = false; };
at('quality').onchange = (event) => program.prefer(Number(event.target.value));

function awake() {
  stage.classList.remove('idle');
  clearTimeout(fade);
  fade = setTimeout(() => stage.classList.toggle('idle', !video.paused), FADE_MS);
}
for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, awake);
document.addEventListener('fullscreenchange', () => {
  awake();
  show();
});

show();
stream.open();
