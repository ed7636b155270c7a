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
      // Two seeks before the first event of either would both show where the second went: each is noted as it is asked for.
      const own = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
      Object.defineProperty(video, 'currentTime', {
        get: () => own.get.call(video),
        set(to) {
          const { buffered, played } = video;
          if (played.length) window.crossings.push({ to, edge: buffered.end(buffered.length - 1) });
          own.set.call(video, to);
        },
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
