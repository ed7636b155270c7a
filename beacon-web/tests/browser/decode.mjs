// node decode.mjs URL FOLDER
// What plays frame by frame: losses and damage in the decoder, a browser without a way from the worker to an element, one without
// WebCodecs, and the choice in the player's menu. Leaves
// pictures of the menu in FOLDER, and prints what was seen.
import { launch, pictures, playing } from './chromium.mjs';

const [url, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** Feeds a screen with 60 pictures, a keyframe every 15, some lost and one damaged; says which were shown. */
const damaged = page => page.evaluate(async () => {
  const { Screen } = await import('/decode.js');
  const chunks = [], size = { width: 320, height: 180 };
  let config;
  const encoder = new VideoEncoder({
    output: (chunk, about) => {
      config ??= new Uint8Array(about.decoderConfig.description);
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      chunks.push({ type: 'object', track: 0, pts: chunk.timestamp, keyframe: chunk.type === 'key', data });
    },
    error: error => { throw error; },
  });
  encoder.configure({ codec: 'avc1.42E01F', ...size, latencyMode: 'realtime', avc: { format: 'avc' } });
  const canvas = new OffscreenCanvas(size.width, size.height), context = canvas.getContext('2d');
  for (let at = 0; at < 60; at++) {
    context.fillStyle = `hsl(${at * 6} 80% 50%)`;
    context.fillRect(at, at, 99, 66);
    const frame = new VideoFrame(canvas, { timestamp: at * 33_333 });
    encoder.encode(frame, { keyFrame: at % 15 === 0 });
    frame.close();
  }
  await encoder.flush();
  const shown = [], said = [];
  const screen = new Screen({
    say: message => {
      if (message.type === 'picture') {
        shown.push(Math.round(message.frame.timestamp / 33_333));
        message.frame.close();
      } else said.push(message);
      if (message.type === 'broken') screen.reset();
    },
  });
  screen.take({ type: 'tracks', tracks: [{ id: 0, kind: 'video', codec: 'avc1.42E01F', config, ...size }] });
  while (!said.some(({ type }) => type === 'chosen')) await new Promise(resolve => setTimeout(resolve, 10));
  for (const [at, chunk] of chunks.entries()) {
    await new Promise(resolve => setTimeout(resolve, 33));
    if (at === 20 || at === 21) continue;
    if (at === 40) chunk.data.fill(255);
    screen.take({ ...chunk, gapBefore: at === 22 });
  }
  await new Promise(resolve => setTimeout(resolve, 1500));
  const counts = screen.counts();
  screen.close();
  return { shown, left: counts.left, broken: said.filter(({ type }) => type === 'broken').length, starved: said.some(({ starved }) => starved) };
});

const look = page => page.evaluate(async () => {
  const { age } = await import('/pattern.js');
  const { video, watch, state } = document.querySelector('beacon-player');
  return { playback: watch.playback, remark: watch.remark, state: state.name, shown: watch.shown, age: age(video, new OffscreenCanvas(2, 2)) };
});

const goesOn = page => page.evaluate(() => new Promise(resolve => {
  const { video } = document.querySelector('beacon-player');
  let count = 0;
  const next = () => ++count > 30 ? resolve(count) : video.requestVideoFrameCallback(next);
  next();
}));

async function watch(prepare) {
  const page = await playing(await open('/watch?name=test&profile=low-latency', prepare));
  await goesOn(page);
  return { page, seen: await look(page) };
}

try {
  const caster = await open('/broadcast?name=test&source=pattern&quality=360p&profile=low-latency');
  await caster.getByRole('button', { name: 'Go live' }).click();
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state?.name === 'live');
  const { page, seen: plain } = await watch();
  const { seen: canvas } = await watch(page => page.addInitScript(() => { delete window.MediaStreamTrackGenerator; }));
  const { seen: without } = await watch(page => page.addInitScript(() => { delete window.VideoDecoder; }));
  // Another size: the same decoder goes on with the first group of it.
  await caster.getByLabel('Quality').selectOption('720p');
  await page.waitForFunction(() => document.querySelector('beacon-player').video.videoHeight === 720);
  await goesOn(page);
  const larger = await look(page);
  // To and fro by the menu.
  await page.getByRole('button', { name: /What you pass on/ }).click();
  await pictures(page, folder, 'menu');
  await page.getByLabel('Smooth').check();
  await page.waitForFunction(() => document.querySelector('beacon-player').watch.playback === 'mse');
  await page.keyboard.press('Escape');
  await playing(page);
  await goesOn(page);
  const smooth = await look(page);
  await caster.getByRole('button', { name: 'End the broadcast' }).click();
  const ended = await watchEnd(page);
  console.log(JSON.stringify({ plain, canvas, without, larger, smooth, ended, damaged: await damaged(caster), errors }));
} finally {
  await browser.close();
}

async function watchEnd(page) {
  await page.waitForFunction(() => document.querySelector('beacon-player').state?.name === 'ended');
  return true;
}
