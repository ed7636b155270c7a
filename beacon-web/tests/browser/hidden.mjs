// node hidden.mjs URL
// A page broadcasts and another passes it on, both in tabs that nobody sees; a third one, in a window of its own, plays. Prints
// what was seen.
import { sleep, tabs, until } from './tabs.mjs';

const [url] = process.argv.slice(2);

const seen = await tabs(url, async open => {
  const caster = await open('/broadcast?name=test&source=pattern&quality=360p&max-links=1');
  await until('a broadcast', () => caster.run(`(() => { const it = document.querySelector('beacon-broadcaster');
    it.start(); return it.state?.name === 'live'; })()`));
  const relay = await open('/watch?name=test&max-links=2');
  await until('a relay', () => relay.run(`document.querySelector('beacon-player').stats?.segments_delivered > 0`));
  // Another tab comes before both.
  await (await open('')).show();
  await until('being hidden', async () => await caster.run('document.hidden') && await relay.run('document.hidden'));
  const viewer = await open('/watch?name=test&max-links=1', true);
  const frames = `document.querySelector('beacon-player').video.getVideoPlaybackQuality().totalVideoFrames`;
  await until('a viewer', () => viewer.run(`${frames} > 10`));
  const look = async () => ({
    hidden: await caster.run('document.hidden') && await relay.run('document.hidden'),
    seen: !await viewer.run('document.hidden'),
    published: await caster.run(`document.querySelector('beacon-broadcaster').stats.segments_published`),
    rate: await caster.run(`document.querySelector('beacon-broadcaster').broadcast.picture.rate`),
    passed: await relay.run(`document.querySelector('beacon-player').stats.bytes_uploaded`),
    frames: await viewer.run(frames),
    missed: await viewer.run(`document.querySelector('beacon-player').stats.segments_missed`),
    peers: await viewer.run(`document.querySelector('beacon-player').stats.bytes_from_peers`),
  });
  const first = await until('a first look', look);
  await sleep(15_000);
  return { first, last: await until('a last look', look) };
});
console.log(JSON.stringify(seen));
process.exit(0);
