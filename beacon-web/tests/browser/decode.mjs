// node decode.mjs URL FOLDER
// What plays frame by frame: losses and damage in the decoder, a browser without a way from the worker to an element, one without
// WebCodecs, and the choice in the player's menu. Leaves
// pictures of the menu in FOLDER, and prints what was seen.
import { launch, pictures, playing } from './chromium.mjs';

const [url, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/**
 * Feeds a screen with 60 pictures, a keyframe every 15, some lost and one damaged, and another one that is to show them long after;
 * says which were shown.
 */
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
    const data = at === 40 ? new Uint8Array(chunk.data.length).fill(255) : chunk.data;
    screen.take({ ...chunk, data, gapBefore: at === 22 });
  }
  await new Promise(resolve => setTimeout(resolve, 1500));
  const counts = screen.counts();
  screen.close();
  let late = 0;
  const patient = new Screen({
    latency: 1.4,
    say: ({ type, frame }) => {
      if (type !== 'picture') return;
      late += 1;
      frame.close();
    },
  });
  patient.take({ type: 'tracks', tracks: [{ id: 0, kind: 'video', codec: 'avc1.42E01F', config, ...size }] });
  for (const chunk of chunks) {
    await new Promise(resolve => setTimeout(resolve, 33));
    patient.take({ ...chunk, gapBefore: false });
  }
  await new Promise(resolve => setTimeout(resolve, 2000));
  patient.close();
  return { late, shown, left: counts.left, broken: said.filter(({ type }) => type === 'broken').length, starved: said.some(({ starved }) => starved) };
});

/** Feeds a screen with a second of sound, some of it damaged; says how many blocks were heard before and after. */
const deafened = page => page.evaluate(async () => {
  const { Screen } = await import('/decode.js');
  const rate = 48_000, packets = [], said = [], heard = { before: 0, after: 0 };
  const encoder = new AudioEncoder({
    output: chunk => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      packets.push({ type: 'object', track: 1, pts: chunk.timestamp, keyframe: true, gapBefore: false, data });
    },
    error: error => { throw error; },
  });
  encoder.configure({ codec: 'opus', sampleRate: rate, numberOfChannels: 1 });
  const tone = Float32Array.from({ length: rate }, (_, at) => Math.sin(at / 20) / 4);
  encoder.encode(new AudioData({ format: 'f32-planar', sampleRate: rate, numberOfFrames: rate, numberOfChannels: 1, timestamp: 0, data: tone }));
  await encoder.flush();
  const { port1, port2 } = new MessageChannel();
  let damage = false;
  port2.onmessage = () => { heard[damage ? 'after' : 'before'] += 1; };
  const screen = new Screen({ say: message => said.push(message), speaker: port1 });
  const video = { id: 0, kind: 'video', codec: 'vp8', width: 320, height: 180 };
  screen.take({ type: 'tracks', tracks: [video, { id: 1, kind: 'audio', codec: 'opus', rate, channels: 1 }] });
  while (!said.some(({ type }) => type === 'chosen')) await new Promise(resolve => setTimeout(resolve, 10));
  const feed = async packets => {
    for (const packet of packets) screen.take(packet);
    await new Promise(resolve => setTimeout(resolve, 500));
  };
  await feed(packets.slice(0, 20));
  damage = true;
  await feed([{ ...packets[20], data: new Uint8Array(0) }, { ...packets[20], data: new Uint8Array(64).fill(255) }]);
  await feed(packets.slice(21));
  screen.close();
  return heard;
});

const look = page => page.evaluate(async () => {
  const { age } = await import('/pattern.js');
  const { video, watch, state } = document.querySelector('beacon-player');
  return { playback: watch.playback, remark: watch.remark, state: state.name, shown: watch.shown, age: age(video, new OffscreenCanvas(2, 2)) };
});

/** Waits for 30 pictures; says how often the page was told that something may differ. */
const goesOn = page => page.evaluate(() => new Promise(resolve => {
  const { video, watch } = document.querySelector('beacon-player');
  let count = 0, changes = 0;
  const end = watch.on('change', () => { changes += 1; });
  const next = () => {
    if (++count <= 30) return video.requestVideoFrameCallback(next);
    end();
    resolve(changes);
  };
  next();
}));

async function watch(prepare) {
  const page = await playing(await open('/watch?name=test&profile=low-latency', prepare));
  const changes = await goesOn(page);
  return { page, changes, seen: await look(page) };
}

try {
  const caster = await open('/broadcast?name=test&source=pattern&quality=360p&profile=low-latency');
  await caster.getByRole('button', { name: 'Go live' }).click();
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state?.name === 'live');
  const { page, changes, seen: plain } = await watch();
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
  console.log(JSON.stringify({ changes, plain, canvas, without, larger, smooth, ended, damaged: await damaged(caster), deafened: await deafened(caster), errors }));
} finally {
  await browser.close();
}

async function watchEnd(page) {
  await page.waitForFunction(() => document.querySelector('beacon-player').state?.name === 'ended');
  return true;
}
