// The system's Chromium, what pages complain of in it, and pictures of them.
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const DESK = { width: 1280, height: 800 }, PHONE = { width: 390, height: 844 };

/** Starts it; `open` opens a path of the server at `url` in a profile of its own. */
export async function begin(url) {
  const errors = [];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
      '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required'],
  });
  const open = async path => {
    const page = await (await browser.newContext({ viewport: DESK })).newPage();
    page.setDefaultTimeout(90_000);
    page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
    page.on('pageerror', error => errors.push(String(error)));
    await page.goto(url + path);
    return page;
  };
  return { browser, errors, open };
}

/** In both themes, at a desk's and a phone's size; of a phone also what is further down, with `whole`. */
export async function pictures(page, folder, name, whole = false) {
  for (const [size, viewport] of [['', DESK], ['-phone', PHONE]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      // Charts follow the size a frame later.
      await page.waitForTimeout(150);
      await page.screenshot({ path: join(folder, `${name}${size}-${colorScheme}.png`), timeout: 60_000, fullPage: whole });
    }
  }
  await page.setViewportSize(DESK);
}
