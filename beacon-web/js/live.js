// A video element that shows pictures as they come out of a decoder, with sound beside it: the low-latency way to play.
// It answers to what Player (player.js) answers to.

/** After the end, what is decoded still has this long to be seen. */
const LAST_MS = 600;

/** Whether this browser can: frames in and out of the worker, and sound by samples. */
export function decodes() {
  return Boolean(globalThis.VideoDecoder && globalThis.AudioDecoder && globalThis.AudioWorkletNode
    && (globalThis.MediaStreamTrackGenerator || HTMLCanvasElement.prototype.captureStream));
}

/** One codec per family, as decoders are asked for it. */
const PICTURES = ['avc1.42E01F', 'vp09.00.31.08', 'vp8', 'av01.0.05M.08', 'hvc1.1.6.L93.B0'], SOUNDS = ['opus', 'mp4a.40.2'];

/** The families that this browser decodes, as the beginnings of codec strings. */
export async function decodable() {
  const asked = [
    ...PICTURES.map(codec => [codec, VideoDecoder.isConfigSupported({ codec })]),
    ...SOUNDS.map(codec => [codec, AudioDecoder.isConfigSupported({ codec, sampleRate: 48_000, numberOfChannels: 2 })]),
  ].map(async ([codec, answer]) => (await answer.catch(() => null))?.supported ? [/[a-z0-9]+/.exec(codec)[0]] : []);
  return (await Promise.all(asked)).flat();
}

export class LivePlayer {
  #video;
  #changed;
  #listening = new AbortController();
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {GainNode | null} */
  #gain = null;
  /** @type {CanvasRenderingContext2D | null} */
  #canvas = null;
  #delay = 0;

  started = false;
  following = true;
  silenced = false;
  blocked = false;
  /** Nothing to show. */
  starved = false;
  waiting = false;
  stalls = 0;

  /** @param {HTMLVideoElement} video @param {{changed: () => void}} options */
  constructor(video, { changed }) {
    this.#video = video;
    this.#changed = changed;
    const { signal } = this.#listening;
    for (const event of ['playing', 'pause', 'play', 'volumechange']) {
      video.addEventListener(event, () => {
        this.#loudness();
        changed();
      }, { signal });
    }
  }

  /** What the worker shows on: for its first message, and what of it is transferred. */
  async open() {
    /** @type {any} */
    const decode = {}, transfer = [];
    if (globalThis.MediaStreamTrackGenerator) {
      const generator = new globalThis.MediaStreamTrackGenerator({ kind: 'video' });
      this.#video.srcObject = new MediaStream([generator]);
      transfer.push(decode.writable = generator.writable);
    } else {
      this.#canvas = document.createElement('canvas').getContext('2d', { alpha: false });
      this.#video.srcObject = this.#canvas?.canvas.captureStream() ?? null;
    }
    const port = await this.#speaker();
    if (port) transfer.push(decode.speaker = port);
    return { decode, transfer };
  }

  /** Where sound goes; null when there can be none. */
  async #speaker() {
    try {
      const context = new AudioContext({ latencyHint: 'interactive' });
      this.#context = context;
      await context.audioWorklet.addModule(new URL('./speaker.js', import.meta.url));
      if (this.#listening.signal.aborted) return null;
      const node = new AudioWorkletNode(context, 'beacon-speaker', { numberOfInputs: 0, outputChannelCount: [2] });
      this.#gain = new GainNode(context, { gain: 0 });
      node.connect(this.#gain).connect(context.destination);
      context.onstatechange = () => this.#loudness();
      const { port1, port2 } = new MessageChannel();
      node.port.postMessage(port1, [port1]);
      this.#loudness();
      return port2;
    } catch {
      return null;
    }
  }

  /** Sound is as loud as the element, and waits where the browser wants a touch first. */
  #loudness() {
    const video = this.#video, context = this.#context;
    const on = !video.muted && !video.paused;
    if (this.#gain) this.#gain.gain.value = on ? video.volume : 0;
    if (!video.muted) this.silenced = false;
    if (on && context?.state === 'suspended') context.resume().catch(() => {});
  }

  /** A picture, where the worker has no way to the element. @param {VideoFrame} frame */
  picture(frame) {
    const context = this.#canvas;
    if (context) {
      const { canvas } = context, { displayWidth: width, displayHeight: height } = frame;
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      context.drawImage(frame, 0, 0);
    }
    frame.close();
  }

  /** What the worker says of itself. @param {{starved: boolean, stalls: number}} said */
  told({ starved, stalls }) {
    this.starved = starved;
    this.stalls = stalls;
    if (!this.started) {
      this.started = true;
      this.play();
    }
    this.#changed();
  }

  /** @param {number} delay milliseconds */
  set delay(delay) {
    this.#delay = delay;
  }

  /** Seconds behind what could be shown. */
  get behind() {
    return this.#delay / 1000;
  }

  play() {
    const video = this.#video;
    this.blocked = false;
    this.following = true;
    video.play().then(() => {
      // Whether sound may be heard is told by the context alone.
      if (video.muted || this.#context?.state !== 'suspended') return;
      this.#context.resume().catch(() => {});
      setTimeout(() => {
        if (this.#context?.state !== 'suspended') return;
        video.muted = true;
        this.silenced = true;
        this.#changed();
      }, 300);
    }, error => {
      if (error.name !== 'NotAllowedError') return;
      if (video.muted) this.blocked = true;
      else {
        video.muted = true;
        this.silenced = true;
        this.play();
      }
      this.#changed();
    });
  }

  pause() {
    this.following = false;
    this.#video.pause();
  }

  goLive() {
    this.play();
  }

  /** Nothing more comes. */
  end() {
    setTimeout(() => this.#listening.signal.aborted || this.#video.pause(), LAST_MS + this.#delay);
  }

  close() {
    this.#listening.abort();
    this.#video.srcObject = null;
    this.#context?.close().catch(() => {});
  }
}
