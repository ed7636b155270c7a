// node hushed.mjs URL
// Watches a broadcast whose sound begins late and ends early. Prints what the player was at before, meanwhile and afterwards.
import { launch, playing } from './chromium.mjs';

const [url] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

const look = page => page.evaluate(() => {
  const { video, watch } = document.querySelector('beacon-player');
  return { remark: watch.remark, tracks: watch.tracks.map(track => track.kind), time: video.currentTime, audio: video.webkitAudioDecodedByteCount };
});

/** It plays with so many tracks, for two seconds at least. */
async function plays(page, tracks) {
  await page.waitForFunction(tracks => document.querySelector('beacon-player').watch?.tracks.length === tracks, tracks);
  await playing(page);
  const { time } = await look(page);
  await page.waitForFunction(time => document.querySelector('beacon-player').video.currentTime > time + 2, time);
  return look(page);
}

try {
  const page = await open('/watch?name=test');
  const seen = { without: await plays(page, 1), with: await plays(page, 2), after: await plays(page, 1) };
  console.log(JSON.stringify({ ...seen, errors }));
} finally {
  await browser.close();
}
