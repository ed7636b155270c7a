// node player.mjs URL FOLDER WHAT
// <beacon-player> and watch() as a person and a page have them. WHAT is
//   consent   the question before the first connection, with a storage and without one
//   touch     a phone: what a tap does, and the menu
//   keys      keyboard and mouse, and the menu of a desk
//   again     attributes that change, a page that comes back, a browser that starts no video by itself
//   refused   pages whose policy forbids something, browsers that lack something
//   server    a signaling server that is out of reach from the start, of another version, or updated; one that a ticket names
//   codecs    a broadcast in VP8, which only a decoder plays
// Leaves pictures in FOLDER, and prints what was seen.
import { PHONE, launch, pictures, playing } from './chromium.mjs';
import { between } from './between.mjs';

const [url, folder, what] = process.argv.slice(2);
const { browser, errors, open } = await launch(url);

/** Keeps every state of the player. */
const listen = page => page.addInitScript(() => {
  window.states = [];
  addEventListener('statechange', ({ detail }) => window.states.push(detail.name), true);
});
const no = names => async page => {
  await listen(page);
  await page.addInitScript(names => { for (const name of names) delete globalThis[name]; }, names);
};

async function broadcast() {
  const caster = await open('/broadcast?name=test&source=pattern&quality=360p');
  await caster.getByRole('button', { name: 'Go live' }).click();
  await caster.waitForFunction(() => document.querySelector('beacon-broadcaster').state?.name === 'live');
  return caster;
}

/** What the player is at. */
const look = page => page.evaluate(() => {
  const { video, state, watch } = document.querySelector('beacon-player');
  return {
    state: state?.name ?? '', reason: state?.reason ?? '', cure: state?.cure ?? '', paused: video.paused, live: watch?.live ?? false,
    upload: String(watch?.upload ?? ''), playback: watch?.playback ?? '', remark: watch?.remark ?? '', states: window.states,
  };
});
const state = async (page, wanted) => {
  await page.waitForFunction(wanted => document.querySelector('beacon-player').state?.name === wanted, wanted);
  return look(page);
};
const paused = (page, wanted) => page.waitForFunction(wanted => document.querySelector('beacon-player').video.paused === wanted, wanted);
const faded = page => page.locator('beacon-player #stage.idle').waitFor({ timeout: 30_000 });
const menu = page => page.getByRole('button', { name: /What you pass on/ });
const dialog = page => page.getByRole('dialog');
/** The name of what has the keys. */
const focused = page => page.evaluate(() => {
  const inner = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
  return inner.id || inner.getAttribute('name') || inner.tagName;
});

const shows = {
  async consent() {
    await broadcast();
    const asked = page => page.getByRole('button', { name: 'Watch', exact: true });
    const page = await open('/watch?name=test&consent', listen);
    await asked(page).waitFor();
    const before = await look(page);
    await pictures(page, folder, 'consent');
    await asked(page).click();
    await playing(page);
    await page.reload();
    await playing(page);
    const again = await look(page);
    // As in a frame of a site that may store nothing.
    const bare = await open('/watch?name=test&consent', async page => {
      await listen(page);
      await page.addInitScript(() => Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } }));
    });
    await bare.getByRole('button', { name: 'Watch without passing on' }).click();
    await playing(bare);
    await bare.evaluate(() => document.querySelector('beacon-player').setAttribute('latency', '1'));
    await bare.waitForFunction(() => window.states.filter(state => state === 'connecting').length > 1);
    await playing(bare);
    return { before, again, bare: await look(bare) };
  },

  async touch() {
    await broadcast();
    const page = await playing(await open('/watch?name=test', listen, { viewport: PHONE, hasTouch: true, isMobile: true }));
    const box = await page.locator('beacon-player').boundingBox();
    const toggle = { x: box.x + 30, y: box.y + box.height - 26 }, middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const taps = [];
    for (const { x, y } of [middle, toggle]) {
      await faded(page);
      await page.touchscreen.tap(x, y);
      await page.waitForTimeout(500);
      taps.push((await look(page)).paused);
    }
    // The controls are there now.
    await page.touchscreen.tap(toggle.x, toggle.y);
    await paused(page, true);
    await page.touchscreen.tap(middle.x, middle.y);
    await paused(page, false);
    await menu(page).tap();
    await dialog(page).waitFor();
    const { x, y, width, height } = await page.getByRole('button', { name: 'Done' }).boundingBox();
    const fits = x >= 0 && y >= 0 && x + width <= PHONE.width && y + height <= PHONE.height;
    const choices = await page.getByRole('radio').count();
    await page.screenshot({ path: `${folder}/menu-touch.png` });
    await page.getByRole('button', { name: 'Done' }).tap();
    await dialog(page).waitFor({ state: 'hidden' });
    return { taps, fits, choices, focused: await focused(page) };
  },

  async keys() {
    await broadcast();
    const page = await playing(await open('/watch?name=test', listen));
    // Nothing has the keys, and they work.
    const began = await focused(page);
    await page.keyboard.press('Space');
    await paused(page, true);
    await page.keyboard.press('k');
    await paused(page, false);
    await page.keyboard.press('Tab');
    const first = await focused(page);
    await menu(page).focus();
    await page.keyboard.press('Enter');
    await dialog(page).waitFor();
    const within = await focused(page);
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'hidden' });
    const after = await focused(page);
    await page.keyboard.press('Enter');
    await dialog(page).waitFor();
    // The keys go on to what is behind it: it closes.
    await page.getByRole('link', { name: 'All broadcasts' }).focus();
    await dialog(page).waitFor({ state: 'hidden' });
    // Two clicks fill the screen, and it is at the live moment as before.
    await page.locator('beacon-player video').dblclick({ position: { x: 200, y: 100 } });
    await page.waitForFunction(() => document.fullscreenElement);
    await page.waitForFunction(() => document.querySelector('beacon-player').watch.live);
    return { began, first, within, after, ...await look(page) };
  },

  async again() {
    await broadcast();
    const page = await playing(await open('/watch?name=test', async page => {
      await listen(page);
      await page.addInitScript(() => Object.defineProperty(navigator, 'connection', { value: new EventTarget() }));
    }));
    // Somebody leaves the house.
    await page.evaluate(() => Object.assign(navigator.connection, { type: 'cellular' }).dispatchEvent(new Event('change')));
    await page.waitForFunction(() => document.querySelector('beacon-player').watch.sparing);
    await menu(page).click();
    const sparing = await dialog(page).innerText();
    await page.keyboard.press('Escape');
    await page.evaluate(() => document.querySelector('beacon-player').setAttribute('upload', '800'));
    await page.waitForFunction(() => document.querySelector('beacon-player').watch.upload === 800);
    await playing(page);
    const changed = await look(page);
    // What a browser does that keeps pages for the way back.
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    await page.waitForTimeout(1000);
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await page.waitForFunction(() => document.querySelector('beacon-player').state?.name === 'connecting');
    await playing(page);
    const bare = await open('/watch?name=test', async page => {
      await listen(page);
      await page.addInitScript(() => {
        const { play } = HTMLMediaElement.prototype;
        let touched = false;
        addEventListener('pointerdown', () => { touched = true; }, true);
        HTMLMediaElement.prototype.play = function () {
          return touched ? play.call(this) : Promise.reject(new DOMException('not now', 'NotAllowedError'));
        };
        addEventListener('DOMContentLoaded', () => document.querySelector('beacon-player').removeAttribute('controls'));
      });
    });
    await state(bare, 'paused');
    await bare.getByRole('button', { name: 'Play' }).waitFor();
    const blocked = await look(bare);
    await pictures(bare, folder, 'press-play');
    await bare.getByRole('button', { name: 'Play' }).click();
    await playing(bare);
    return { sparing, changed, blocked, pressed: await look(bare) };
  },

  async refused() {
    const policy = (...rules) => async page => {
      await listen(page);
      await page.route(/\/watch\?/, async route => {
        const response = await route.fetch();
        await route.fulfill({ response, headers: { ...response.headers(), 'content-security-policy': rules.join('; ') } });
      });
    };
    const own = "connect-src 'self'; style-src 'self'", seen = {};
    const refusals = {
      wasm: policy("script-src 'self'", "worker-src 'self'", own),
      worker: policy("script-src 'self' 'wasm-unsafe-eval'", "worker-src 'none'", own),
      webrtc: no(['RTCPeerConnection']),
      media: no(['MediaSource', 'ManagedMediaSource', 'WebKitMediaSource']),
    };
    for (const [name, prepare] of Object.entries(refusals)) {
      const page = await open('/watch?name=test', prepare);
      seen[name] = await state(page, 'refused');
      if (name === 'wasm') await pictures(page, folder, 'refused');
      await page.context().close();
    }
    // Browsers say in the console what a policy forbids.
    errors.splice(0);
    const page = await open('/', no(['RTCPeerConnection']));
    seen.told = await page.evaluate(async () => {
      const { watch } = await import('/index.js');
      const live = watch({ src: 'test', video: document.createElement('video') });
      return new Promise(resolve => live.on('state', ({ name, reason }) => resolve(`${name}: ${reason}`)));
    });
    // To relay nothing is needed that plays.
    const relay = await open('/', no(['MediaSource', 'ManagedMediaSource', 'WebKitMediaSource']));
    seen.relay = await relay.evaluate(async () => {
      const { watch } = await import('/index.js');
      const live = watch({ src: 'test' });
      await new Promise(resolve => setTimeout(resolve, 3000));
      return live.state.name;
    });
    return seen;
  },

  async server() {
    const server = await between(url);
    const away = await open(`${server.url}/watch?name=test`, listen);
    await away.waitForFunction(() => document.querySelector('beacon-player').state?.reason.includes('signaling'));
    const lost = await look(away);
    await pictures(away, folder, 'signaling-lost');
    const caster = await broadcast();
    // A ticket names the server that has it.
    const ticket = await caster.evaluate(() => document.querySelector('beacon-broadcaster').broadcast.ticket);
    const elsewhere = await open(server.url);
    await elsewhere.evaluate(async ticket => {
      await import('/element.js');
      const player = document.createElement('beacon-player');
      for (const [name, value] of Object.entries({ src: ticket, autoplay: '', muted: '' })) player.setAttribute(name, value);
      document.body.append(player);
    }, ticket);
    await playing(elsewhere);
    server.passes();
    await playing(away);
    const back = await look(away);
    server.speaks(99);
    const other = await open(`${server.url}/watch?name=test`, listen);
    const stale = await state(other, 'refused');
    server.updates();
    await menu(away).click();
    await away.getByLabel('Close to the moment').check();
    const old = await state(away, 'refused');
    server.close();
    // Sockets that fail are told of in the console.
    errors.splice(0);
    return { lost, back, old, stale };
  },

  async codecs() {
    const caster = await open('/');
    // In a page: VP8, which MP4 does not hold.
    await caster.evaluate(async () => {
      const { Peer, engine, signalOf } = await import('/peer.js');
      const size = { width: 320, height: 180 }, tracks = [{ id: 0, kind: 'video', codec: 'vp8', ...size }], module = await engine();
      const peer = await new Promise(resolve => {
        const made = new Peer(module, { type: 'publish', options: { name: 'test', signal: signalOf(location), tracks } }, {
          take: ({ type }) => type === 'ready' && resolve(made), failed: cause => console.error(cause),
        });
      });
      window.peer = peer;
      const encoder = new VideoEncoder({
        output: chunk => {
          const data = new Uint8Array(chunk.byteLength);
          chunk.copyTo(data);
          peer.post({ type: 'write', object: { track: 0, pts: chunk.timestamp, keyframe: chunk.type === 'key', data } });
        },
        error: error => console.error(error.message),
      });
      encoder.configure({ codec: 'vp8', ...size, latencyMode: 'realtime' });
      const canvas = new OffscreenCanvas(size.width, size.height), context = canvas.getContext('2d');
      let at = 0;
      setInterval(() => {
        context.fillStyle = `hsl(${at * 6} 80% 50%)`;
        context.fillRect(at % 200, 40, 99, 66);
        const frame = new VideoFrame(canvas, { timestamp: at * 33_333 });
        encoder.encode(frame, { keyFrame: at++ % 30 === 0 });
        frame.close();
      }, 33);
    });
    const page = await playing(await open('/watch?name=test', listen));
    const plays = await look(page);
    const without = await open('/watch?name=test', no(['VideoDecoder']));
    const refused = await state(without, 'refused');
    await pictures(without, folder, 'other-codec');
    return { plays, refused };
  },
};

try {
  const seen = await shows[what]();
  console.log(JSON.stringify({ seen, errors }));
} finally {
  await browser.close();
}
