// A plan of the laboratory out of the page's knobs, as the TOML that `sim run` reads.

/**
 * @typedef {{viewers: number, length: number, profile: string, scheduler: string, seed: number, mbit: number, up: number, none: number,
 *   origin: number, loss: number, latency: number, stay: number}} Knobs
 */

/** Seconds at the start in which the report measures nothing. */
const WARMUP_S = 10;

/** @param {Knobs} knobs @param {string[]} events   what was done while it ran, as TOML */
export function plan(knobs, events) {
  const { viewers, length, profile, scheduler, seed, mbit, up, none, origin, loss, latency, stay } = knobs;
  const warmup = Math.min(WARMUP_S, length - 1);
  const lines = [
    'name = "page"', `seed = ${seed}`, `peers = ${viewers}`, `warmup_s = ${warmup}`, `measure_s = ${length - warmup}`, `scheduler = "${scheduler}"`,
    '', '[stream]', `profile = "${profile}"`, `mbit = ${real(mbit)}`,
    '', '[origin]', `up = ${real(origin)}`,
    '', '[network]', `latency = { planetlab = { scale = ${real(latency)} } }`, `loss = ${real(loss)}`,
    ...stay > 0 ? ['', '[churn]', `stay = { exponential = { mean = ${real(stay)} } }`] : [],
    ...access(up, none),
  ];
  return [lines.join('\n'), ...events.map(event => event.trim())].join('\n\n') + '\n';
}

/** Those who give nothing, and among the others as many with half of the mean as with half more than it. */
function access(up, none) {
  const classes = none < 100 && up > 0 ? [[2 * none, 0], [100 - none, up / 2], [100 - none, up * 1.5]] : [[1, 0]];
  return classes.filter(([share]) => share).flatMap(([share, up]) => ['', '[[access]]', `share = ${share}`, `up = ${real(up)}`]);
}

/** A number that TOML does not take for an integer. */
function real(number) {
  return Number.isInteger(number) ? `${number}.0` : String(number);
}
