// Ten minutes of a broadcast as charts, by uPlot.
import { duration, plural, speed } from './format.js';

/** Pixels from top to bottom. */
const HEIGHT = 190;
/** Steps of an axis that counts. */
const WHOLE = [1, 2, 5].flatMap(step => [1, 10, 100, 1000, 10_000].map(ten => step * ten)).sort((a, b) => a - b);

/**
 * A chart: where, what of each sample, with which colour, and in words.
 * @typedef {{id: string, lines: {of: (sample: any) => number | null, label: string, colour: string, fill?: boolean, bars?: boolean}[],
 *   counts?: boolean, most?: number, value: (number: number) => string, words: (samples: any[]) => string}} Kind
 */

/** @type {Kind[]} */
export const KINDS = [
  {
    id: 'plot-viewers',
    lines: [{ of: sample => sample.viewers, label: 'Viewers', colour: '--peers', fill: true }],
    counts: true,
    value: number => String(Math.round(number)),
    words: samples => `${plural(samples.at(-1).viewers, 'viewer')} now, at most ${Math.max(...samples.map(sample => sample.viewers))}`,
  },
  {
    id: 'plot-bandwidth',
    // One on the other: the sum is what viewers have in all.
    lines: [
      { of: sample => sample.from_origin_bps + sample.from_peers_bps, label: 'In all', colour: '--peers', fill: true },
      { of: sample => sample.from_origin_bps, label: 'From the origin', colour: '--origin', fill: true },
    ],
    value: number => speed(number),
    words: samples => `now ${speed(samples.at(-1).from_origin_bps)} from the origin and ${speed(samples.at(-1).from_peers_bps)} from other viewers`,
  },
  {
    id: 'plot-lag',
    lines: [
      { of: sample => sample.latency_p95_ms || null, label: '95 %', colour: '--soft' },
      { of: sample => sample.latency_p50_ms || null, label: 'Median', colour: '--sent' },
    ],
    value: number => duration(number),
    words: samples => `median ${duration(samples.at(-1).latency_p50_ms)} now`,
  },
  {
    id: 'plot-health',
    lines: [
      { of: sample => sample.missed, label: 'Segments missed', colour: '--origin', bars: true },
      { of: sample => sample.stalls, label: 'Stalls', colour: '--live', bars: true },
    ],
    counts: true,
    value: number => String(Math.round(number)),
    words: samples => {
      const sum = key => samples.reduce((total, sample) => total + sample[key], 0);
      return `${plural(sum('missed'), 'segment')} missed and ${plural(sum('stalls'), 'stall')} in all`;
    },
  },
];

export class Charts {
  #uPlot;
  /** @type {Map<string, any>} */
  #plots = new Map();
  /** @type {any[]} */
  #samples = [];
  #kinds;
  #clock;

  /**
   * Null when this build has none.
   * @param {Kind[]} kinds @param {Clock} clock   how times are written
   * @returns {Promise<Charts | null>}
   */
  static async load(kinds = KINDS, clock = DAYTIME) {
    try {
      // Named by a variable: what may be missing is no part of what a checker looks for.
      const module = './charts/uplot.js';
      const { default: uPlot } = await import(module);
      const style = document.createElement('link');
      style.rel = 'stylesheet';
      style.href = '/pages/charts/uplot.css';
      const styled = new Promise((resolve, reject) => { style.onload = resolve; style.onerror = reject; });
      // Before the page's own, which have the last word.
      document.head.prepend(style);
      await styled;
      return new Charts(uPlot, kinds, clock);
    } catch {
      return null;
    }
  }

  constructor(uPlot, kinds, clock) {
    this.#uPlot = uPlot;
    this.#kinds = kinds;
    this.#clock = clock;
    // Canvases know nothing of themes.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#redraw());
    const sizes = new ResizeObserver(entries => entries.forEach(({ target, contentRect }) => {
      if (contentRect.width) this.#plots.get(target.id)?.setSize({ width: Math.floor(contentRect.width), height: HEIGHT });
    }));
    for (const { id } of kinds) sizes.observe(/** @type {Element} */ (document.getElementById(id)));
  }

  /** @param {any[]} samples */
  show(samples) {
    if (!samples.length) return;
    this.#samples = samples;
    for (const kind of this.#kinds) {
      const place = /** @type {HTMLElement} */ (document.getElementById(kind.id));
      place.role = 'img';
      place.ariaLabel = `Chart of the last ${plural(Math.max(1, Math.round((samples.at(-1).at - samples[0].at) / 60)), 'minute')}: ${kind.words(samples)}`;
      const data = [samples.map(sample => sample.at), ...kind.lines.map(line => samples.map(line.of))];
      const plot = this.#plots.get(kind.id);
      if (plot) plot.setData(data);
      else this.#plots.set(kind.id, this.#plot(kind, place, data));
    }
  }

  #redraw() {
    for (const plot of this.#plots.values()) plot.destroy();
    this.#plots.clear();
    this.show(this.#samples);
  }

  /** @param {Kind} kind */
  #plot({ lines, value, counts, most }, place, data) {
    const css = getComputedStyle(document.documentElement), colour = name => css.getPropertyValue(name).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour('--soft'), font, grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    // What the pointer is at, or the newest.
    const told = (plot, shown, series, at) => {
      const number = at === null ? plot.data[series].at(-1) : shown;
      return number === null || number === undefined ? '–' : value(number);
    };
    return new this.#uPlot({
      width: Math.max(200, Math.floor(place.clientWidth)),
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, most ?? Math.max(high * 1.15, counts ? 4 : 1)] } },
      axes: [
        { ...axis, size: 34, grid: { show: false }, space: 105, values: (_, ticks) => ticks.map(this.#clock.tick) },
        { ...axis, size: 74, space: 44, ...counts ? { incrs: WHOLE } : {}, values: (_, ticks) => ticks.map(value) },
      ],
      series: [
        { label: 'Time', value: (_, at) => at ? this.#clock.time(at) : '–' },
        ...lines.map(line => ({
          label: line.label,
          stroke: colour(line.colour),
          width: 2,
          fill: line.fill ? `color-mix(in srgb, ${colour(line.colour)} 30%, ${colour('--raised')})` : line.bars ? colour(line.colour) : undefined,
          paths: line.bars ? this.#uPlot.paths.bars({ size: [0.7, 12] }) : undefined,
          points: { show: false },
          value: told,
        })),
      ],
    }, data, place);
  }
}

const time = at => new Date(at * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const minute = at => new Date(at * 1000).toLocaleTimeString([], at % 60 ? { hour: '2-digit', minute: '2-digit', second: '2-digit' } : { hour: '2-digit', minute: '2-digit' });
/** @typedef {{time: (seconds: number) => string, tick: (seconds: number) => string}} Clock */
const DAYTIME = { time, tick: minute };
