// node watch.mjs URL SECONDS SCREENSHOT.png
// Opens the page in the system's Chromium, lets it play, reads the clock out of the picture twice and prints what was
// seen as one line of JSON. CHROMIUM names another browser.
import { chromium } from 'playwright-core';

const [url, seconds, shot] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--autoplay-policy=no-user-gesture-required'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors = [];
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
  page.on('pageerror', error => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector('video')?.currentTime > 0, null, { timeout: 60000 });
  const first = await readable(page);
  await page.waitForTimeout(seconds * 1000);
  const last = await readable(page);
  if (shot) await page.screenshot({ path: shot });
  console.log(JSON.stringify({ first, last, errors }));
} finally {
  await browser.close();
}

// What the player is at, once a picture with a readable strip is shown; after 20 s whatever there is.
async function readable(page) {
  for (let tries = 0; ; tries++) {
    const seen = await page.evaluate(look);
    if (seen.strip !== null || tries === 100) return seen;
    await page.waitForTimeout(200);
  }
}

// In the page: what the player is at, and the time in the test pattern's strip (44 cells at the bottom: 1010, 32 bits of
// milliseconds, 8 of checksum), null when it cannot be read.
function look() {
  const video = document.querySelector('video');
  const quality = video.getVideoPlaybackQuality();
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const cells = 44, cell = Math.floor(video.videoWidth / cells) & ~1;
  const row = context.getImageData(0, video.videoHeight - 8, video.videoWidth, 1).data;
  let bits = 0n;
  for (let at = 0; at < cells; at++) {
    bits = bits << 1n | (row[(at * cell + cell / 2) * 4 + 1] > 125 ? 1n : 0n);
  }
  return {
    time: video.currentTime,
    frames: quality.totalVideoFrames - quality.droppedVideoFrames,
    audio: video.webkitAudioDecodedByteCount,
    strip: bits >> 40n === 10n ? Number(bits >> 8n & 0xffffffffn) : null,
  };
}
