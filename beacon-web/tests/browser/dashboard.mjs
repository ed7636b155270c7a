// node dashboard.mjs URL FOLDER
// Joins the broadcast "launch" with a page and looks at its dashboard: graph, charts, tables, events; lets the page leave;
// then a build without charts, and no broadcast. Takes pictures into FOLDER and prints what was seen as one line of JSON.
import { launch, pictures } from './chromium.mjs';

const [url, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);
const PATIENCE = { timeout: 90_000 };
const texts = (page, selector) => page.locator(selector).allInnerTexts();

// In a page: what is drawn.
function look() {
  const all = (selector, of) => [...document.querySelectorAll(selector)].map(of);
  return {
    title: document.querySelector('#title').textContent,
    tiles: all('#tiles dd', dd => dd.textContent),
    nodes: all('#mesh [data-id]', ({ dataset: { id, role, hop } }) => ({ id, role, hop })),
    wires: all('#mesh [data-from]', ({ dataset: { from, to } }) => ({ from, to })),
    graph: document.querySelector('#mesh svg').getAttribute('aria-label'),
    charts: all('.plot', plot => plot.getAttribute('aria-label')),
    painted: all('.plot canvas', canvas => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value).length;
    }),
    rows: all('#peers tbody tr', row => [...row.cells].map(cell => cell.textContent)),
  };
}

try {
  const viewer = await open('/watch?name=launch');
  await viewer.waitForFunction(() => document.querySelector('beacon-player').state?.name === 'playing', null, PATIENCE);
  const page = await open('/dashboard?name=launch');
  // Everybody has told: all but one has a parent, and there is a history.
  await page.waitForFunction(() => {
    const nodes = [...document.querySelectorAll('#mesh [data-id]')], wired = new Set([...document.querySelectorAll('#mesh [data-to]')].map(wire => wire.dataset.to));
    return nodes.length === 5 && nodes.every(({ dataset: { id, role } }) => role === 'origin' || role === 'silent' || wired.has(id))
      && /[1-9]\d* %/.test(document.querySelector('#offload').textContent) && !document.querySelector('#egress').textContent.startsWith('0');
  }, null, PATIENCE);
  await page.locator('summary').click();
  await page.waitForFunction(() => document.querySelectorAll('#past tbody tr').length >= 4, null, PATIENCE);
  const seen = { ...await page.evaluate(look), history: await page.locator('#past tbody tr').count(), events: await texts(page, '#events li') };
  await page.locator('summary').click();
  await pictures(page, folder, 'dashboard', true);

  await viewer.close({ runBeforeUnload: true }).catch(() => {});
  await viewer.context().close();
  await page.waitForFunction(() => document.querySelectorAll('#mesh [data-id]').length === 4, null, PATIENCE);
  seen.left = await texts(page, '#events li');

  const expected = errors.length;
  const plain = await open('/dashboard?name=launch', page =>
    page.route('**/charts/**', route => route.fulfill({ status: 404, body: 'there is no such page' })));
  await plain.locator('#plain').waitFor();
  await plain.locator('#peers tbody tr').nth(3).waitFor();
  seen.plain = await plain.locator('#plain').innerText();
  seen.plain_rows = await plain.locator('#peers tbody tr').count();
  await pictures(plain, folder, 'dashboard-plain');
  const unknown = await open('/dashboard?name=nothing');
  await unknown.locator('#trouble:not([hidden])').waitFor();
  seen.unknown = await unknown.locator('#trouble').innerText();
  await pictures(unknown, folder, 'dashboard-unknown');
  await unknown.close();
  // What a page asks for in vain is in the console.
  errors.splice(expected, errors.length, ...errors.slice(expected).filter(text => !text.includes('404')));
  const chooser = await open('/dashboard');
  await chooser.locator('#choices a').first().waitFor();
  seen.choices = await texts(chooser, '#choices a');
  console.log(JSON.stringify({ ...seen, errors }));
} finally {
  await browser.close();
}
