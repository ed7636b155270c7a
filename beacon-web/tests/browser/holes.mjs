// node holes.mjs URL COUNT
// Watches a broadcast that leaves pictures and sound out for a moment, again and again, until a player has crossed COUNT holes.
// Prints where it went each time and how far the newest media was then, in seconds.
import { launch, playing } from './chromium.mjs';

const [url, count] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** In a page before all else: keeps where the player seeks once it plays. */
function note() {
  window.crossings = [];
  customElements.whenDefined('beacon-player').then(() => {
    const find = () => {
      const video = document.querySelector('beacon-player')?.video;
      if (!video) return setTimeout(find, 5);
      video.addEventListener('seeking', () => {
        const { buffered, currentTime } = video;
        if (video.played.length) window.crossings.push({ to: currentTime, edge: buffered.end(buffered.length - 1) });
      });
    };
    find();
  });
}

try {
  const page = await playing(await open('/watch?name=test', page => page.addInitScript(note)));
  await page.waitForFunction(count => window.crossings.length >= count, Number(count));
  await playing(page);
  console.log(JSON.stringify({ crossings: await page.evaluate(() => window.crossings), errors }));
} finally {
  await browser.close();
}
