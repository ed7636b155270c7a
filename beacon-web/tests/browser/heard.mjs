// node heard.mjs URL COUNT
// Watches a broadcast that leaves pictures and sound out for a moment, again and again, in a tab that another one hides: with the
// sound on, and without it in picture in picture, until COUNT holes are crossed each time. Prints what was seen.
import { tabs, until } from './tabs.mjs';

const [url, count] = process.argv.slice(2);
const player = `document.querySelector('beacon-player')`;

const seen = await tabs(url, async open => {
  const page = await open('/watch?name=test');
  await until('a picture', () => page.run(`${player}.video.currentTime > 0 && ${player}.state.name === 'playing'`));
  await page.run(`window.crossed = 0; ${player}.video.addEventListener('seeking', () => { window.crossed += 1; })`);
  const crosses = async () => {
    await (await open('')).show();
    await until('being hidden', () => page.run('document.hidden'));
    await page.run(`window.crossed = 0; window.began = ${player}.video.currentTime`);
    await until('crossing holes', () => page.run(`window.crossed >= ${count}`));
    return page.run(`({ hidden: document.hidden, muted: ${player}.video.muted, window: Boolean(document.pictureInPictureElement),
      crossed: window.crossed, played: ${player}.video.currentTime - window.began, behind: ${player}.watch.behind })`);
  };
  const heard = await crosses();
  await page.show();
  await until('being seen', () => page.run('!document.hidden'));
  await page.run(`(async () => { ${player}.video.muted = true; await ${player}.video.requestPictureInPicture(); })()`);
  return { heard, above: await crosses() };
});
console.log(JSON.stringify(seen));
process.exit(0);
