// The programs of this workspace, started as a person starts them, and Chromium beside them. All end with their stage.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from '../tests/browser/chromium.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
/** Far more than any step takes, for a machine that does ten things at once. */
export const PATIENCE_MS = 90_000;

export const sleep = ms => new Promise(done => setTimeout(done, ms));

/**
 * What the command line says: paths, which all measurements have, and numbers as given here with what they are without being told.
 * @param {string} help @param {Record<string, number>} numbers
 */
export function options(help, numbers) {
  const own = { bins: join(root, 'target/release'), pages: join(root, 'beacon-web/dist'), clip: join(root, 'target/clips/bigbuckbunny.mp4') };
  const texts = Object.fromEntries(Object.keys({ ...own, ...numbers, json: '' }).map(name => [name, { type: 'string' }]));
  try {
    const { values } = parseArgs({ options: { ...texts, help: { type: 'boolean', short: 'h' } } });
    if (values.help) {
      console.log(`${help}\n\n  --bins DIR    the programs (default: target/release)\n  --pages DIR   the build for browsers (default: beacon-web/dist)`
        + '\n  --clip FILE   any video (default: what cargo xtask clip fetches)\n  --json FILE   writes the figures there as well');
      process.exit(0);
    }
    const read = Object.entries(numbers).map(([name, otherwise]) => {
      const value = Number(values[name] ?? otherwise);
      if (!(value > 0)) throw new Error(`--${name} must be a number above zero, not ${values[name]}`);
      return [name, value];
    });
    return { ...own, ...values, ...Object.fromEntries(read) };
  } catch (error) {
    console.error(`error: ${error.message}\n\n${help}`);
    process.exit(2);
  }
}

/** Asks until there is an answer that counts. */
export async function until(what, ask, pause = 200) {
  let said;
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(pause)) {
    said = await ask();
    if (said) return said;
  }
  throw new Error(`${what}: has not come about in ${PATIENCE_MS / 1000} s`);
}

/** Seconds from one keyframe of the clip to the next, and of all of it. */
export const GROUP = 2, LENGTH = 32;

/**
 * The clip at so many Mbit/s, 640 pixels wide, made once and kept beside it. No encoder runs while something is measured: one that has
 * no time leaves pictures out; and so small a picture leaves the time to others than the decoder, which is the same for all.
 */
export function clip({ clip, mbit }) {
  if (!existsSync(clip)) throw new Error(`${clip} is not there: cargo xtask clip`);
  const made = clip.replace(/(\.\w+)?$/, `-${mbit}M.mp4`), rate = `${mbit}M`, frames = String(25 * GROUP);
  if (existsSync(made)) return made;
  console.log(`making ${made}`);
  execFileSync('ffmpeg', [
    '-hide_banner', '-loglevel', 'error', '-y', '-stream_loop', '-1', '-i', clip, '-t', String(LENGTH), '-vf', 'fps=25,scale=640:-2', '-c:v', 'libx264', '-preset', 'veryfast',
    '-profile:v', 'main', '-pix_fmt', 'yuv420p', '-b:v', rate, '-maxrate', rate, '-bufsize', rate, '-g', frames, '-keyint_min', frames, '-sc_threshold', '0',
    '-c:a', 'aac', '-b:a', '128k', '-movflags', '+faststart', '-f', 'mp4', `${made}.part`,
  ], { stdio: ['ignore', 'ignore', 'inherit'] });
  renameSync(`${made}.part`, made);
  return made;
}

/** @param {{bins: string, pages: string, clip: string, mbit: number}} where */
export async function stage(where) {
  const { bins, pages } = where, source = `file:${clip(where)}`;
  if (!existsSync(join(pages, 'beacon_bg.wasm'))) throw new Error(`${pages} holds no build for browsers: cargo xtask web`);
  const folder = mkdtempSync(join(tmpdir(), 'beacon-measure-'));
  const running = new Set();
  /** Starts a program of this workspace, or another one by its path. */
  const start = (name, args, stdout = 'ignore') => {
    const path = name.includes('/') ? name : join(bins, name);
    if (!existsSync(path)) throw new Error(`${path} is not there: cargo build --release --bins`);
    const child = spawn(path, args, { stdio: ['ignore', stdout, 'inherit'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return child;
  };
  const server = start('beacon-signal', ['--listen', '127.0.0.1:0', '--pages', pages], 'pipe');
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  const host = /ws:\/\/(\S+)/.exec(line)?.[1];
  if (!host) throw new Error(`beacon-signal says ${line}`);
  const signal = `ws://${host}`, url = `http://${host}`;

  /** Starts `broadcaster` or `viewer`; `stats()` reads the counters that it writes each second. */
  const peer = (program, args) => {
    const file = join(folder, `${running.size}-${program}-${Math.random().toString(36).slice(2)}.json`);
    const child = start(program, ['--signal', signal, '--name', 'test', '--stats', file, ...args]);
    const stats = () => {
      try { return JSON.parse(readFileSync(file, 'utf8')); } catch { return null; }
    };
    const stop = async () => {
      if (child.exitCode !== null || child.signalCode) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    };
    return { pid: child.pid, stats, stop };
  };
  const listed = () => until('the broadcast is listed', async () => {
    const list = await fetch(`${url}/api/streams`).then(answer => answer.json());
    return list.some(({ name }) => name === 'test');
  });
  const chromium = await launch(url);
  const end = async () => {
    await chromium.browser.close().catch(() => {});
    const gone = [...running].map(child => once(child, 'exit'));
    for (const child of running) child.kill('SIGTERM');
    await Promise.all(gone);
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    url, folder, start, end, ...chromium,
    broadcaster: async args => {
      const it = peer('broadcaster', ['--source', source, '--loop', ...args]);
      await listed();
      return it;
    },
    viewer: args => peer('viewer', args),
  };
}

/** Runs a measurement on a stage of its own; what it throws is the failure, exit code 1. */
export async function measure(where, run) {
  const before = loadavg()[0];
  let on;
  try {
    on = await stage(where);
    const figures = await run(on);
    const about = { cores: cpus().length, load_before: before, load_after: loadavg()[0] };
    console.log(`\n${about.cores} cores, load ${before.toFixed(1)} before and ${about.load_after.toFixed(1)} after`);
    if (where.json) writeFileSync(where.json, `${JSON.stringify({ ...figures, about }, null, 2)}\n`);
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  } finally {
    await on?.end();
  }
}

/** A table of Markdown: columns as wide as they must be. @param {string[]} head @param {(string | number)[][]} rows */
export function table(head, rows) {
  const all = [head, ...rows].map(row => row.map(String));
  const widths = head.map((_, at) => Math.max(3, ...all.map(row => row[at].length)));
  const line = row => `| ${row.map((cell, at) => at ? cell.padStart(widths[at]) : cell.padEnd(widths[at])).join(' | ')} |`;
  const rule = `|${widths.map((width, at) => at ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2)).join('|')}|`;
  console.log([line(all[0]), rule, ...all.slice(1).map(line)].join('\n'));
}
