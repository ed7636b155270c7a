// Chromium with tabs that are hidden when others come before them: what drives it elsewhere keeps every tab visible.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ws as WebSocket } from 'playwright-core/lib/utilsBundle';

const PATIENCE_MS = 90_000, ANSWER_MS = 10_000;
const profile = await mkdtemp(join(tmpdir(), 'beacon-hidden-'));
const chromium = spawn(process.env.CHROMIUM || '/usr/bin/chromium', [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--disable-background-networking',
  '--disable-component-update', '--autoplay-policy=no-user-gesture-required', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
], { stdio: 'ignore' });
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** Asks until there is an answer that counts. */
export async function until(what, ask) {
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

/**
 * Tabs of a server's pages, for as long as `scene` takes; the browser goes with it.
 * @param {string} url
 * @param {(open: (path: string, newWindow?: boolean) => Promise<{run: (expression: string) => Promise<any>, show: () => Promise<any>}>) => Promise<any>} scene
 */
export async function tabs(url, scene) {
  try {
    const send = await connect();
    return await scene(async (path, newWindow = false) => {
      const { targetId } = await send('Target.createTarget', { url: path ? url + path : 'about:blank', newWindow });
      const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
      const run = async expression => {
        const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: true }, sessionId);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      };
      return { run, show: () => send('Target.activateTarget', { targetId }) };
    });
  } finally {
    const gone = new Promise(resolve => chromium.once('exit', resolve));
    chromium.kill();
    await gone;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
