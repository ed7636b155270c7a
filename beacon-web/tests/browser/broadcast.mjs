// node broadcast.mjs URL FOLDER        one page broadcasts and changes its source, another plays; prints what was seen
// node broadcast.mjs URL readme PAGE…  the pages of a README, as files: the one that broadcasts first, then those that play
import { readFile } from 'node:fs/promises';
import { launch, pictures, playing } from './chromium.mjs';

const [url, what, ...files] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** What a player is at. */
const look = page => page.evaluate(async () => {
  const { age } = await import('/pattern.js');
  const { video, state, watch } = document.querySelector('beacon-player');
  const quality = video.getVideoPlaybackQuality();
  return {
    time: video.currentTime,
    frames: quality.totalVideoFrames - quality.droppedVideoFrames,
    audio: video.webkitAudioDecodedByteCount,
    width: video.videoWidth,
    height: video.videoHeight,
    state: state.name,
    codecs: watch.tracks.map(track => track.codec),
    age: age(video, new OffscreenCanvas(2, 2)),
  };
});

/** Waits until a player has gone on by so many pictures. */
async function goesOn(page, count) {
  await page.evaluate(() => {
    const { video } = document.querySelector('beacon-player');
    const shown = () => video.getVideoPlaybackQuality().totalVideoFrames;
    window.mark = { time: video.currentTime, frames: shown() };
    window.gone = () => video.currentTime > window.mark.time + 1 ? shown() - window.mark.frames : 0;
  });
  await page.waitForFunction(count => window.gone() >= count, count);
}

const state = page => page.evaluate(() => document.querySelector('beacon-broadcaster').state);
const named = (page, name) => page.waitForFunction(name => document.querySelector('beacon-broadcaster').state?.name === name, name);

async function scenes(folder) {
  const caster = await open('/broadcast?name=test&quality=360p&heading=A%20test&category=Demo&tags=page,%20live');
  await pictures(caster, folder, 'broadcast-before');
  await caster.getByText('Test picture').click();
  await caster.getByRole('button', { name: 'Go live' }).click();
  await named(caster, 'live');
  const link = await caster.getByLabel('Link for viewers').inputValue();
  const viewer = await playing(await open(link.slice(url.length)));
  await goesOn(viewer, 30);
  const listed = await caster.evaluate(async () => {
    // Asked again here: `waitForFunction` takes the promise of an asynchronous function for a yes.
    let listing;
    for (let tries = 0; !listing?.thumbnail; tries += 1) {
      if (tries === 300) throw new Error(`no thumbnail is listed: ${JSON.stringify(listing)}`);
      await new Promise(done => setTimeout(done, 200));
      [listing] = await (await fetch('/api/streams')).json();
    }
    // Not by an element's decode(): that asks the compositor, which may refuse a page that it is not drawing.
    const answer = await fetch(listing.thumbnail);
    if (!answer.ok) throw new Error(`no thumbnail: ${answer.status} ${await answer.text()}`);
    const image = await createImageBitmap(await answer.blob());
    const { title, category, tags } = listing;
    return [title, category, ...tags, `${image.width} × ${image.height}`];
  });
  const seen = { listed, pattern: await look(viewer) };

  await caster.getByText('Camera').click();
  await caster.getByRole('button', { name: 'Microphone is off' }).click();
  await caster.getByRole('button', { name: 'Microphone is on' }).waitFor();
  await viewer.waitForFunction(() => window.gone() > 120);
  seen.camera = await look(viewer);
  await caster.getByText('Screen').click();
  await goesOn(viewer, 60);
  seen.screen = await look(viewer);
  await caster.getByLabel('Quality').selectOption('720p');
  await viewer.waitForFunction(() => document.querySelector('beacon-player').video.videoHeight === 720);
  await goesOn(viewer, 30);
  seen.larger = await look(viewer);
  await pictures(caster, folder, 'broadcast');
  const live = await state(caster);

  // Another one of that name, and one that may not use the camera.
  const second = await open('/broadcast?name=test&source=pattern');
  await second.getByRole('button', { name: 'Go live' }).click();
  await named(second, 'refused');
  const taken = await state(second);
  const refusing = await open('/broadcast?name=other', page => page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };
  }));
  await refusing.getByRole('button', { name: 'Go live' }).click();
  await refusing.getByText('This page may not use the camera.').waitFor();
  const cure = await refusing.locator('#cure').textContent();

  await caster.getByRole('button', { name: 'End the broadcast' }).click();
  await viewer.waitForFunction(() => document.querySelector('beacon-player').state?.name === 'ended');
  return { ...seen, live, taken, cure, errors };
}

async function readme() {
  const show = async (file, at) => open(`/readme/${at}`, async page => page.route(`**/readme/${at}`, async route =>
    route.fulfill({ contentType: 'text/html', body: await readFile(file, 'utf8') })));
  const caster = await show(files[0], 0);
  await caster.getByRole('button', { name: 'Go live' }).click();
  await caster.getByText(/^Live/).first().waitFor();
  const played = [];
  for (const [at, file] of files.slice(1).entries()) {
    const viewer = await playing(await show(file, at + 1));
    await goesOn(viewer, 30);
    played.push(await look(viewer));
  }
  return { played, errors };
}

/** A page whose sound the browser holds back until it is touched, and what else may go wrong while it is live. */
async function sound() {
  const caster = await open('/broadcast?name=test&quality=360p');
  await caster.evaluate(() => {
    // As Chromium does without the switch that these tests start it with.
    const Real = AudioContext;
    window.AudioContext = class extends Real {
      constructor(options) {
        super(options);
        super.suspend();
      }

      resume() {
        return window.touched ? super.resume() : Promise.resolve();
      }
    };
  });
  await caster.getByText('Test picture').click();
  await caster.getByRole('button', { name: 'Go live' }).click();
  await named(caster, 'live');
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state.remark.includes('holds back'));
  const viewer = await playing(await open('/watch?name=test'));
  await goesOn(viewer, 30);
  const mute = await look(viewer);
  await caster.evaluate(() => { window.touched = true; });
  await caster.mouse.click(2, 2);
  await viewer.waitForFunction(() => document.querySelector('beacon-player').watch.tracks.length === 2);
  await goesOn(viewer, 60);
  const heard = await look(viewer);
  await caster.waitForFunction(() => !document.querySelector('beacon-broadcaster').state.remark);

  await caster.evaluate(() => document.querySelector('beacon-broadcaster').broadcast.list({ title: 'x'.repeat(200) }));
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state.remark);
  return { mute, heard, live: await state(caster), remark: (await state(caster)).remark, microphone: await caster.evaluate(microphones), errors };
}

/** In a page: what became of microphones that came too late, twice, or went. */
async function microphones() {
  const { Capture } = await import('/broadcast.js');
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices), given = [];
  navigator.mediaDevices.getUserMedia = async wanted => {
    const stream = await real(wanted);
    await new Promise(done => setTimeout(done, 300));
    given.push(stream.getAudioTracks()[0]);
    return stream;
  };
  const open = () => given.filter(track => track.readyState === 'live').length;
  const closed = new Capture(), late = closed.setMicrophone(true);
  closed.close();
  await late;
  const afterClose = [open(), closed.microphone];
  const twice = new Capture();
  await Promise.all([twice.setMicrophone(true), twice.setMicrophone(true)]);
  const afterTwo = [open(), twice.microphone];
  given.find(track => track.readyState === 'live').dispatchEvent(new Event('ended'));
  const gone = [twice.microphone, twice.remark];
  return { afterClose, afterTwo, gone };
}

const plays = { readme, sound };

try {
  console.log(JSON.stringify(await (plays[what] ?? (() => scenes(what)))()));
} finally {
  await browser.close();
}
