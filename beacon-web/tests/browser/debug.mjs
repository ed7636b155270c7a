// node debug.mjs URL FOLDER
// Uses the laboratory's page: starts 12 simulated viewers, looks, kills, sends a crowd, loses frames, and lets it play to its
// end. Takes pictures into FOLDER and prints what was seen as one line of JSON.
import { launch, pictures } from './chromium.mjs';

const [url, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);
const PATIENCE = { timeout: 90_000 };

// In a page: what is drawn.
async function look() {
  const all = (selector, of) => [...document.querySelectorAll(selector)].map(of);
  const { readStrip } = await import('/pattern.js');
  const clock = id => {
    const canvas = document.getElementById(id);
    return readStrip(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height));
  };
  return {
    nodes: all('#mesh [data-id]', ({ dataset: { id, role, hop } }) => ({ id, role, hop })),
    wires: all('#mesh [data-from]', ({ dataset: { from, to } }) => ({ from, to })),
    tiles: Object.fromEntries(all('#tiles dd', dd => [dd.id, dd.textContent])),
    charts: all('.plot', plot => plot.getAttribute('aria-label')),
    painted: all('.plot canvas', canvas => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value).length;
    }),
    rows: all('#peers tbody tr', row => [...row.cells].map(cell => cell.textContent)),
    sent: clock('sent'),
    seen: clock('seen'),
    behind: document.querySelector('#behind').textContent,
  };
}

try {
  const page = await open('/debug');
  const field = (name, value) => page.locator(`[name="${name}"]`).fill(String(value));
  const viewers = async (least, most) => {
    await page.waitForFunction(([least, most]) => {
      const count = Number(document.querySelector('#viewers').textContent);
      return count >= least && count <= most;
    }, [least, most], PATIENCE);
    return Number(await page.locator('#viewers').innerText());
  };
  await page.locator('#start:enabled').waitFor();
  const schedulers = await page.locator('[name="scheduler"] option').count();

  // The form lets nothing through that a page cannot do.
  await field('viewers', 201);
  await page.locator('#start').click();
  const refused = await page.evaluate(() => document.querySelector('#start').textContent === 'Start' && !document.querySelector('[name="viewers"]').validity.valid);

  await field('viewers', 12);
  await field('mbit', 1);
  await field('length', 60);
  await page.locator('[data-speed="4"]').click();
  await page.locator('#start').click();
  await page.waitForFunction(() => document.querySelectorAll('#mesh [data-id]').length === 13
    && new Set([...document.querySelectorAll('#mesh [data-to]')].map(wire => wire.dataset.to)).size === 12
    && parseFloat(document.querySelector('#delivered').textContent) > 50 && document.querySelectorAll('.plot canvas').length === 4
    && Number(document.querySelector('#clock').dataset.seconds) > 12, null, PATIENCE);
  await page.locator('#pause').click();
  await page.waitForTimeout(500);
  const seen = { schedulers, refused, ...await page.evaluate(look) };
  const stood = await page.locator('#clock').innerText();
  await page.waitForTimeout(500);
  seen.paused = stood === await page.locator('#clock').innerText();
  await pictures(page, folder, 'debug', true);
  await page.locator('#pause').click();

  await page.locator('#kill').click();
  seen.killed = await viewers(1, 11);
  await page.locator('#crowd').click();
  seen.crowded = await viewers(10, 200);
  await field('loss', 2);
  await page.locator('#lose').click();
  await page.locator('[data-speed="Infinity"]').click();
  await page.locator('#hash[data-hash]').waitFor(PATIENCE);
  seen.hash = await page.locator('#hash').getAttribute('data-hash');
  seen.plan = await page.locator('#plan').textContent();
  seen.trouble = await page.locator('#trouble').isVisible();

  const plain = await open('/debug', page => page.route('**/charts/**', route => route.fulfill({ status: 404, body: 'there is no such page' })));
  await plain.locator('#plain').waitFor();
  await plain.locator('#start:enabled').click();
  await plain.locator('#peers tbody tr').nth(5).waitFor();
  seen.plain_rows = await plain.locator('#peers tbody tr').count();
  console.log(JSON.stringify({ ...seen, errors: errors.filter(text => !text.includes('404')) }));
} finally {
  await browser.close();
}
