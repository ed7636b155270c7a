// node lists.mjs URL FOLDER
// Uses the home page of a signaling server that has three broadcasts: looks, filters, searches, loses the server. Takes
// pictures into FOLDER and prints what was seen as one line of JSON.
import { launch, pictures } from './chromium.mjs';

const [url, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

// In a page: the cards that are shown.
const cards = () => [...document.querySelectorAll('#list li')].map(item => ({
  name: item.dataset.name,
  title: item.querySelector('strong').textContent,
  facts: item.querySelector('.facts').textContent,
  tags: [...item.querySelectorAll('.tag')].map(tag => tag.textContent),
  picture: item.querySelector('img')?.naturalWidth ?? 0,
}));
const names = async page => (await page.evaluate(cards)).map(card => card.name);

try {
  const page = await open('/');
  await page.locator('.picture img').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('#list li').length === 3);
  const seen = { all: await page.evaluate(cards) };
  await pictures(page, folder, 'home');

  await page.getByRole('button', { name: 'Space', exact: true }).click();
  seen.category = await names(page);
  await page.getByRole('button', { name: '#night' }).click();
  seen.tag = await names(page);
  seen.address = new URL(page.url()).search;
  seen.pressed = await page.locator('#filters [aria-pressed="true"]').allInnerTexts();
  // The address leads back to the same choice.
  const again = await open(`/${seen.address}`);
  await again.locator('#list li').first().waitFor();
  seen.again = await names(again);
  await again.close();
  await page.getByRole('searchbox').fill('no such thing');
  seen.nothing = await page.locator('#none').innerText();
  await pictures(page, folder, 'home-nothing');
  await page.getByRole('button', { name: 'Show all' }).click();
  seen.shown = await names(page);

  // By keyboard alone: from the search to the first broadcast that fits.
  await page.getByRole('searchbox').fill('LAUNCH');
  seen.searched = await names(page);
  await page.keyboard.press('Tab');
  seen.focused = [];
  for (let i = 0; i < 8; i++) {
    seen.focused.push(await page.evaluate(() => document.activeElement.tagName));
    if (seen.focused.at(-1) === 'A') break;
    await page.keyboard.press('Tab');
  }
  await page.route('**/api/streams', route => route.abort());
  const before = errors.length;
  await page.locator('#none-title', { hasText: 'cannot be had' }).waitFor();
  seen.lost = await page.locator('#none').innerText();
  await pictures(page, folder, 'home-lost');
  // A page that cannot fetch says so in the console too.
  errors.splice(before);
  console.log(JSON.stringify({ ...seen, errors }));
} finally {
  await browser.close();
}
