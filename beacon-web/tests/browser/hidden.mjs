// node hidden.mjs URL
// A page broadcasts and another passes it on, both in tabs that nobody sees; a third one, in a window of its own, plays. Talks to
// Chromium itself: what drives it elsewhere keeps every tab visible. Prints what was seen.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ws as WebSocket } from 'playwright-core/lib/utilsBundle';

const [url] = process.argv.slice(2);
const PATIENCE_MS = 90_000, ANSWER_MS = 10_000;
const profile = await mkdtemp(join(tmpdir(), 'beacon-hidden-'));
const chromium = spawn(process.env.CHROMIUM || '/usr/bin/chromium', [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--disable-background-networking',
  '--disable-component-update', '--autoplay-policy=no-user-gesture-required', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
], { stdio: 'ignore' });
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** Asks until there is an answer that counts. */
async function until(what, ask) {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(200)) {
    const answer = await ask().catch(() => null);
    if (answer) return answer;
  }
  throw new Error(`${what} did not come about`);
}

/** One connection for the browser and all its pages. */
async function connect() {
  const [port, path] = (await until('Chromium', () => readFile(join(profile, 'DevToolsActivePort'), 'utf8'))).split('\n');
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`), waiting = new Map();
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  let last = 0;
  socket.onmessage = ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    waiting.get(id)?.(error ? { error } : result);
  };
  return (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    waiting.set(++last, answer => answer.error ? reject(new Error(answer.error.message)) : resolve(answer));
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
    // A page that is being loaded may forget what it was asked.
    setTimeout(() => reject(new Error(`no answer to ${method} ${params.expression ?? ''}`)), ANSWER_MS);
  });
}

async function scene(send) {
  const open = async (path, newWindow = false) => {
    const { targetId } = await send('Target.createTarget', { url: path ? url + path : 'about:blank', newWindow });
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
    const run = async expression => {
      const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
      if (exceptionDetails) throw new Error(exceptionDetails.text);
      return result.value;
    };
    return { run, show: () => send('Target.activateTarget', { targetId }) };
  };
  const caster = await open('/broadcast?name=test&source=pattern&quality=360p&max-links=1');
  await until('a broadcast', () => caster.run(`(() => { const it = document.querySelector('beacon-broadcaster');
    it.start(); return it.state?.name === 'live'; })()`));
  const relay = await open('/watch?name=test&max-links=2');
  await until('a relay', () => relay.run(`document.querySelector('beacon-player').stats?.segments_delivered > 0`));
  // Another tab comes before both.
  await (await open('')).show();
  await until('being hidden', async () => await caster.run('document.hidden') && await relay.run('document.hidden'));
  const viewer = await open('/watch?name=test&max-links=1', true);
  const frames = `document.querySelector('beacon-player').video.getVideoPlaybackQuality().totalVideoFrames`;
  await until('a viewer', () => viewer.run(`${frames} > 10`));
  const look = async () => ({
    hidden: await caster.run('document.hidden') && await relay.run('document.hidden'),
    seen: !await viewer.run('document.hidden'),
    published: await caster.run(`document.querySelector('beacon-broadcaster').stats.segments_published`),
    rate: await caster.run(`document.querySelector('beacon-broadcaster').broadcast.picture.rate`),
    passed: await relay.run(`document.querySelector('beacon-player').stats.bytes_uploaded`),
    frames: await viewer.run(frames),
    missed: await viewer.run(`document.querySelector('beacon-player').stats.segments_missed`),
    peers: await viewer.run(`document.querySelector('beacon-player').stats.bytes_from_peers`),
  });
  const first = await until('a first look', look);
  await sleep(15_000);
  return { first, last: await until('a last look', look) };
}

try {
  console.log(JSON.stringify(await scene(await connect())));
} finally {
  const gone = new Promise(resolve => chromium.once('exit', resolve));
  chromium.kill();
  await gone;
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(0);
