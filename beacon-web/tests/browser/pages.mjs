// node pages.mjs URL SECONDS FOLDER
// Opens the watch page of a signaling server twice in the system's Chromium, lets both play, and the home page; takes
// pictures of all in both themes and at a phone's size into FOLDER, and prints what was seen as one line of JSON.
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, seconds, folder] = process.argv.slice(2);
const DESK = { width: 1280, height: 800 }, PHONE = { width: 390, height: 844 };
const errors = [];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required'],
});

async function open(path) {
  const page = await (await browser.newContext({ viewport: DESK })).newPage();
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
  page.on('pageerror', error => errors.push(String(error)));
  await page.goto(url + path);
  return page;
}

async function watch() {
  const page = await open('/watch?name=test');
  await page.waitForFunction(() => {
    const { video, state } = document.querySelector('beacon-player');
    return video?.currentTime > 0 && state?.name === 'playing';
  }, null, { timeout: 90_000 });
  return page;
}

async function pictures(page, name) {
  for (const [size, viewport] of [['', DESK], ['-phone', PHONE]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(folder, `${name}${size}-${colorScheme}.png`), timeout: 60_000 });
    }
  }
}

// In a page: what its player is at.
function look() {
  const { video, stats, state } = document.querySelector('beacon-player');
  const quality = video.getVideoPlaybackQuality();
  return {
    time: video.currentTime,
    frames: quality.totalVideoFrames - quality.droppedVideoFrames,
    audio: video.webkitAudioDecodedByteCount,
    buffered: video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.buffered.start(0) : 0,
    state: state.name,
    stats,
  };
}

try {
  const pages = [await watch(), await watch()];
  const first = await Promise.all(pages.map(page => page.evaluate(look)));
  await pages[0].waitForTimeout(Number(seconds) * 1000);
  const last = await Promise.all(pages.map(page => page.evaluate(look)));
  const home = await open('/');
  await home.getByRole('link', { name: /test/ }).waitFor();
  const listed = await home.locator('#list').innerText();
  await pictures(home, 'home');
  await pictures(pages[1], 'watch');
  console.log(JSON.stringify({ first, last, listed, errors }));
} finally {
  await browser.close();
}
