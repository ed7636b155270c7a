// The system's Chromium with devices that are made up, and pages that keep what went wrong in them.
import { chromium } from 'playwright-core';

export const DESK = { width: 1280, height: 800 }, PHONE = { width: 390, height: 844 };
const PATIENCE_MS = 90_000;

/** @param {string} url   of the server whose pages are opened */
export async function launch(url) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
      '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required',
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--auto-select-desktop-capture-source=Entire screen'],
  });
  const errors = [];
  /** A page in a context of its own: two of one context would share what they store. */
  async function open(path, prepare = async () => {}, context = {}) {
    const page = await (await browser.newContext({ viewport: DESK, ...context })).newPage();
    // A machine that does ten things at once takes its time.
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', message => { if (message.type() === 'error') errors.push(`${path}: ${message.text()}`); });
    page.on('pageerror', error => errors.push(`${path}: ${error}`));
    await prepare(page);
    await page.goto(new URL(path, url).href);
    return page;
  }
  return { browser, errors, open };
}

/** Waits until a player plays; when it does not, what it says is the error. */
export async function playing(page, timeout = PATIENCE_MS) {
  try {
    await page.waitForFunction(() => {
      const { video, state } = document.querySelector('beacon-player');
      return video?.currentTime > 0 && state?.name === 'playing';
    }, null, { timeout });
  } catch (error) {
    const said = await page.evaluate(() => {
      const { video, state, stats, watch } = document.querySelector('beacon-player');
      const { currentTime, readyState, paused, seeking, buffered } = video;
      const ranges = Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);
      return JSON.stringify({ state, currentTime, readyState, paused, seeking, ranges, shown: watch?.shown, playback: watch?.playback, stats });
    });
    throw new Error(`it does not play: ${said}`, { cause: error });
  }
  return page;
}

/** Pictures of a page in both themes and at a phone's size; `whole` is also what a desk has to scroll to. */
export async function pictures(page, folder, name, whole = false) {
  for (const [size, viewport] of [['', DESK], ['-phone', PHONE]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      // Charts follow the size a frame later.
      await page.waitForTimeout(150);
      await page.screenshot({ path: `${folder}/${name}${size}-${colorScheme}.png`, fullPage: whole || Boolean(size), timeout: 60_000 });
    }
  }
  await page.setViewportSize(DESK);
}
