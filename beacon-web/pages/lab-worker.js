// The simulator at work: plays a plan at the speed that the page wants, and tells what it looks like.
import init, { Lab, schedulers } from '/lab.js';

/** From one look at the clock to the next; the longest it works in one go; simulated time in one step. */
const TICK_MS = 40, WORK_MS = 150, STEP_MS = 20;
/** Between two sights: simulated time at least, and real time at least. */
const SIGHT_MS = 1000, SIGHT_REAL_MS = 250;

/** @type {Lab | null} */
let lab = null;
let speed = 1, paused = false, at = 0, last = 0, sighted = 0, sightedAt = -SIGHT_MS, timer = 0;

self.onmessage = ({ data }) => {
  try {
    ORDERS[data.type](data);
  } catch (error) {
    self.postMessage({ type: 'trouble', text: String(error) });
  }
};

const ORDERS = {
  start({ plan }) {
    lab?.free();
    lab = null;
    lab = new Lab(plan);
    [at, sighted, sightedAt, paused] = [0, 0, -SIGHT_MS, false];
    last = performance.now();
    tell();
    tick();
  },
  /** Times the real speed; Infinity is as fast as it goes. */
  speed({ speed: wanted }) {
    speed = wanted;
  },
  pause({ paused: wanted }) {
    paused = wanted;
    last = performance.now();
    if (lab && paused) tell();
    tick();
  },
  /** Kill, crowd, lose: with the numbers that it takes. */
  happen({ what, numbers }) {
    if (lab && at < lab.end) self.postMessage({ type: 'event', what, text: lab[what](...numbers) });
  },
};

function tick() {
  clearTimeout(timer);
  if (!lab || paused || at >= lab.end) return;
  const now = performance.now(), until = Math.min(lab.end, at + (now - last) * speed);
  // What it cannot do in time is not made up for: it goes slower than wanted.
  last = now;
  while (at < until && performance.now() - now < WORK_MS) at = lab.runUntil(Math.min(until, at + STEP_MS));
  if (at >= lab.end || at - sightedAt >= SIGHT_MS && now - sighted >= SIGHT_REAL_MS) tell();
  timer = setTimeout(tick, speed === Infinity ? 0 : TICK_MS);
}

function tell() {
  if (!lab) return;
  [sighted, sightedAt] = [performance.now(), at];
  self.postMessage({ type: 'sight', sight: JSON.parse(lab.sight()), ended: at >= lab.end, end: lab.end });
}

await init();
self.postMessage({ type: 'ready', schedulers: schedulers() });
