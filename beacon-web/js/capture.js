// What a page captures: one picture source at a time, and a mix of microphone, sound of the screen and test tone.
import { draw, TICK_MS } from './pattern.js';

/** Samples per second: what Opus takes. */
const RATE = 48_000;
/** Pictures per second: of the camera and screen, and of the preview of the test picture. */
const FRAMES = 30, PREVIEW_FRAMES = 10;
const TONE = { hertz: 1000, gain: 0.1 };
/** Time over which sound comes and goes, in seconds: no clicks. */
const FADE = 0.02;

/** Something that a person can put right. */
export class CaptureError extends Error {
  /** @param {string} cause @param {string} cure */
  constructor(cause, cure) {
    super(cause);
    this.reason = cause;
    this.cure = cure;
  }
}

export class Capture {
  #preview;
  #changed;
  /** @type {MediaStream | null} */
  #picture = null;
  /** @type {MediaStream | null} */
  #voice = null;
  /** @type {Mixer | null} */
  #mixer = null;
  /** @type {((message: any, transfer?: any[]) => void) | null} */
  #post = null;
  #stop = () => {};
  /** Counts what was asked for: an answer to something else comes too late. */
  #wanted = 0;
  #voiceWanted = 0;
  #height = 720;
  /** What is gone, in words. */
  #gone = { picture: '', voice: '' };

  /** @type {import('./broadcast.js').SourceName | null} */
  source = null;
  /** The microphone is on. */
  microphone = false;
  /** @param {{preview?: HTMLVideoElement, changed?: () => void}} [options] */
  constructor({ preview, changed = () => {} } = {}) {
    this.#preview = preview;
    this.#changed = changed;
  }

  /** What went wrong with what is on, in words; empty while all is well. */
  get remark() {
    const held = this.#mixer?.held ? 'The browser holds back all sound until this page is touched: press anywhere in it.' : '';
    return [this.#gone.picture, this.#gone.voice, held].filter(Boolean).join(' ');
  }

  /**
   * Turns to another source; the one before goes on until the person has agreed.
   * @param {import('./broadcast.js').SourceName} source
   * @param {number} [height]   of the picture, at most
   */
  async choose(source, height = this.#height) {
    const wanted = ++this.#wanted;
    const stream = source === 'pattern' ? null : await open(source, height);
    if (wanted !== this.#wanted) return stop(stream);
    this.#stop();
    stop(this.#picture);
    this.source = source;
    this.#gone.picture = '';
    this.#picture = stream;
    this.#height = height;
    stream?.getVideoTracks()[0]?.addEventListener('ended', () => {
      if (stream !== this.#picture) return;
      this.#gone.picture = source === 'screen' ? 'The screen is shared no more; viewers see its last picture. Choose a source.'
        : 'The camera is gone; viewers see its last picture. Choose a source.';
      this.#changed();
    });
    this.#stop = this.#show();
    this.#mixer?.play(source, stream);
    this.#feed();
    this.#changed();
  }

  /** The height of the picture, at most, from now on. @param {number} height */
  resize(height) {
    this.#height = height;
    const track = this.#picture?.getVideoTracks()[0];
    if (track) track.applyConstraints(limits(height)).catch(() => { /* it stays, and is scaled where it is encoded */ });
    else this.#feed();
  }

  /** @param {boolean} on */
  async setMicrophone(on) {
    const wanted = ++this.#voiceWanted;
    const voice = on ? this.#voice ?? await media(() => navigator.mediaDevices.getUserMedia({ audio: true }), 'microphone') : null;
    if (wanted !== this.#voiceWanted) return void (voice === this.#voice || stop(voice));
    // The light at the microphone goes out.
    if (voice !== this.#voice) stop(this.#voice);
    this.#voice = voice;
    this.#gone.voice = '';
    voice?.getAudioTracks()[0]?.addEventListener('ended', () => this.#fallSilent(voice), { once: true });
    this.microphone = on;
    this.#mixer?.speak(this.#voice);
    this.#changed();
  }

  /** @param {MediaStream} voice   that has ended by itself */
  #fallSilent(voice) {
    if (voice !== this.#voice) return;
    this.#voice = null;
    this.microphone = false;
    this.#gone.voice = 'The microphone is gone; connect it and turn it on again.';
    this.#mixer?.speak(null);
    this.#changed();
  }

  /** Hands everything to the engine's worker, from now on. @param {(message: any, transfer?: any[]) => void} post */
  async feed(post) {
    this.#mixer ??= await Mixer.start(() => this.#changed());
    this.#post = post;
    const { port1, port2 } = new MessageChannel();
    this.#mixer.tap(port1);
    this.#mixer.speak(this.#voice);
    this.#mixer.play(this.source, this.#picture);
    post({ type: 'sound', port: port2 }, [port2]);
    this.#feed();
  }

  /** Hands out nothing more; the preview stays. */
  rest() {
    this.#post = null;
    this.#stop();
    this.#stop = this.#show();
    this.#mixer?.close();
    this.#mixer = null;
  }

  close() {
    this.#wanted += 1;
    this.#voiceWanted += 1;
    this.rest();
    this.#stop();
    this.#picture = stop(this.#picture);
    this.#voice = stop(this.#voice);
    this.source = null;
    this.microphone = false;
    this.#gone = { picture: '', voice: '' };
    if (this.#preview) this.#preview.srcObject = null;
  }

  #feed() {
    const post = this.#post;
    if (!post || !this.source) return;
    const track = this.#picture?.getVideoTracks()[0];
    if (!track) return post({ type: 'picture', source: this.source });
    if (globalThis.MediaStreamTrackProcessor) {
      const { readable } = new globalThis.MediaStreamTrackProcessor({ track });
      return post({ type: 'picture', source: this.source, readable }, [readable]);
    }
    post({ type: 'picture', source: this.source, frames: true });
    const end = frames(track, frame => post({ type: 'frame', frame }, [frame])), stop = this.#stop;
    this.#stop = () => {
      end();
      stop();
    };
  }

  /** Shows the source to the person; gives back how to end that. */
  #show() {
    const preview = this.#preview;
    if (!preview || !this.source) return () => {};
    preview.muted = true;
    let end = () => {};
    if (this.#picture) preview.srcObject = new MediaStream(this.#picture.getVideoTracks());
    else [preview.srcObject, end] = patternStream();
    preview.play().catch(() => { /* it plays when it is seen */ });
    return end;
  }
}

/** @param {'camera' | 'screen'} source @param {number} height */
function open(source, height) {
  const devices = navigator.mediaDevices, video = limits(height);
  return media(() => source === 'camera' ? devices.getUserMedia({ video }) : devices.getDisplayMedia({ video, audio: true }), source);
}

function limits(height) {
  return { height: { ideal: height }, width: { ideal: Math.round(height * 16 / 9) }, frameRate: { ideal: FRAMES } };
}

const CURES = {
  camera: 'Connect a camera, or choose the screen or the test picture.',
  screen: 'Choose the camera or the test picture.',
  microphone: 'Connect a microphone, or go on without one.',
};

/** @template T @param {() => Promise<T>} ask @param {'camera' | 'screen' | 'microphone'} what @returns {Promise<T>} */
async function media(ask, what) {
  const { mediaDevices: devices } = navigator;
  if (!devices) throw new CaptureError('Browsers give pictures and sound to secure pages only.', 'Open this page by https://, or on this machine.');
  if (what === 'screen' && !devices.getDisplayMedia)
    throw new CaptureError('This browser shares no screen.', CURES.screen);
  try {
    return await ask();
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    if (name === 'NotAllowedError' || name === 'SecurityError') {
      throw what === 'screen' ? new CaptureError('Sharing the screen was not allowed.', 'Choose “Screen” again and pick what to show.')
        : new CaptureError(`This page may not use the ${what}.`, `Allow the ${what} for this page, at the address bar, and choose it again.`);
    }
    if (name === 'NotFoundError') throw new CaptureError(`There is no ${what}.`, CURES[what]);
    if (name === 'NotReadableError' || name === 'AbortError')
      throw new CaptureError(`The ${what} cannot be used; perhaps another program has it.`, `Close that program and choose it again.`);
    throw new CaptureError(`The ${what} failed: ${message}.`, CURES[what]);
  }
}

/** Ends all tracks. @param {MediaStream | null} stream @returns {null} */
function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  return null;
}

/** The pictures of a track, where the browser hands them out by way of an element only. */
function frames(track, take) {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
  let over = false;
  const next = () => {
    if (over) return;
    if (video.readyState >= 2) take(new VideoFrame(video, { timestamp: performance.now() * 1000 }));
    wait();
  };
  const wait = () => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(next) : setTimeout(next, 1000 / FRAMES);
  video.play().catch(() => { /* the track has ended */ });
  wait();
  return () => {
    over = true;
    video.srcObject = null;
  };
}

/** The test picture for a preview: what is broadcast is drawn where it is encoded. @returns {[MediaStream, () => void]} */
function patternStream() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const context = canvas.getContext('2d');
  let number = 0;
  const once = () => context && !document.hidden && draw(context, number += FRAMES / PREVIEW_FRAMES, Date.now());
  once();
  const timer = setInterval(once, 1000 / PREVIEW_FRAMES), stream = canvas.captureStream(PREVIEW_FRAMES);
  return [stream, () => {
    clearInterval(timer);
    stop(stream);
  }];
}

/** Everything that is heard, as one sound without a break. */
class Mixer {
  #context;
  #out;
  /** @type {MediaStreamAudioSourceNode | null} */
  #voice = null;
  /** @type {{node: AudioNode, end: () => void} | null} */
  #other = null;

  /** Ends the wait for a touch. */
  #touched = new AbortController();

  /** @param {() => void} changed   it is heard, or held back */
  static async start(changed) {
    const context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
    await context.audioWorklet.addModule(new URL('./tap.js', import.meta.url));
    // Without a touch of the page it waits; the picture does not.
    context.resume().catch(() => {});
    return new Mixer(context, changed);
  }

  constructor(context, changed) {
    this.#context = context;
    context.onstatechange = changed;
    const { signal } = this.#touched;
    for (const touch of ['pointerup', 'keydown']) addEventListener(touch, () => context.resume().catch(() => {}), { signal, capture: true });
    this.#out = new AudioWorkletNode(context, 'beacon-tap', {
      numberOfInputs: 1, numberOfOutputs: 1, channelCount: 2, channelCountMode: 'explicit', channelInterpretation: 'speakers',
    });
    // Nodes that lead nowhere are not run; its output is silence.
    this.#out.connect(context.destination);
  }

  /** @param {MessagePort} port */
  tap(port) {
    this.#out.port.postMessage(port, [port]);
  }

  /** @param {MediaStream | null} stream */
  speak(stream) {
    this.#voice?.disconnect();
    this.#voice = stream && this.#context.createMediaStreamSource(stream);
    this.#voice?.connect(this.#out);
  }

  /** @param {string | null} source @param {MediaStream | null} stream */
  play(source, stream) {
    this.#other?.end();
    this.#other = null;
    if (source === 'pattern') this.#other = this.#tone();
    else if (source === 'screen' && stream?.getAudioTracks().length) {
      const node = this.#context.createMediaStreamSource(new MediaStream(stream.getAudioTracks()));
      this.#other = { node, end: () => node.disconnect() };
    }
    this.#other?.node.connect(this.#out);
  }

  /** A tone at the beginning of every second, while the box of the test picture is white. */
  #tone() {
    const context = this.#context, buffer = context.createBuffer(1, RATE, RATE), data = buffer.getChannelData(0);
    const length = RATE * TICK_MS / 1000;
    for (let i = 0; i < length; i++) {
      const edge = Math.min(i, length - i) / (RATE * FADE / 4);
      data[i] = Math.sin(2 * Math.PI * TONE.hertz * i / RATE) * TONE.gain * Math.min(1, edge);
    }
    const node = new AudioBufferSourceNode(context, { buffer, loop: true });
    node.start(0, Date.now() % 1000 / 1000);
    return {
      node,
      end: () => {
        node.stop();
        node.disconnect();
      },
    };
  }

  /** The browser waits for a person. */
  get held() { return this.#context.state === 'suspended'; }

  close() {
    this.#touched.abort();
    this.#context.onstatechange = null;
    this.#context.close().catch(() => {});
  }
}
