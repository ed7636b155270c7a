// node run.mjs DIST clauses [--keep] NAME…          runs clauses of the transport's suite, prints a list of {name, error}
// node run.mjs DIST watch '[{options…}, …]' SECONDS  watches from one page per entry, prints what each has seen
// node run.mjs DIST publish '{options…}' SECONDS     publishes 30 frames of noise per second, prints what became of it
// Serves DIST and this folder, and opens the page in the system's Chromium; CHROMIUM names another browser.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [dist, what, ...rest] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const file = path.startsWith('/dist/') ? join(dist, path.slice(6)) : join(here, path);
  try {
    const body = await readFile(file);
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}/page.html`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required'],
});

// A page in a context of its own: two of one context would share what they store.
async function open() {
  const page = await (await browser.newContext()).newPage();
  const errors = [];
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
  page.on('pageerror', error => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => window.ready);
  return { page, errors };
}

async function clauses(names) {
  const keeping = names[0] === '--keep';
  const results = [];
  for (const name of keeping ? names.slice(1) : names) {
    const { page, errors } = await open();
    const begun = Date.now();
    const result = await page.evaluate(([name, keeping]) => window.clause(name, keeping), [name, keeping]);
    results.push({ ...result, ms: Date.now() - begun });
    if (result.error && errors.length) console.error(errors.join('\n'));
    await page.context().close();
  }
  return results;
}

async function watch([list, seconds]) {
  const pages = [];
  for (const options of JSON.parse(list)) {
    const opened = await open();
    await opened.page.evaluate(options => window.watch(options), options);
    pages.push(opened);
  }
  await pages[0].page.waitForTimeout(Number(seconds) * 1000);
  const seen = await Promise.all(pages.map(({ page }) => page.evaluate(() => window.seen())));
  return seen.map((seen, at) => ({ ...seen, errors: pages[at].errors }));
}

async function publish([options, seconds]) {
  const { page, errors } = await open();
  await page.evaluate(options => window.publish(options), JSON.parse(options));
  await page.waitForTimeout(Number(seconds) * 1000);
  return { ...await page.evaluate(() => window.seen()), errors };
}

try {
  console.log(JSON.stringify(await { clauses, publish, watch }[what](rest)));
} finally {
  await browser.close();
  server.close();
}
