// node pages.mjs URL SECONDS FOLDER
// Opens the watch page of a signaling server twice in the system's Chromium, lets both play, and the home page; takes
// pictures of all into FOLDER, and prints what was seen as one line of JSON.
import { launch, pictures, playing } from './chromium.mjs';

const [url, seconds, folder] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

const watch = async () => playing(await open('/watch?name=test'));

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
  await pictures(home, folder, 'home');
  await pictures(pages[1], folder, 'watch');
  console.log(JSON.stringify({ first, last, listed, errors }));
} finally {
  await browser.close();
}
