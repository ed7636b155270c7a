// An audio worklet that hands what is heard to the engine's worker, past the page: it is never late for a busy page.

/** Samples of one message: 20 ms, an Opus packet. */
const BLOCK = 960;

class Tap extends AudioWorkletProcessor {
  /** @type {MessagePort | null} */
  #to = null;
  #block = new Float32Array(2 * BLOCK);
  #filled = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => { this.#to = data; };
  }

  /** @param {Float32Array[][]} inputs */
  process([input]) {
    if (!this.#to) return true;
    const length = input[0]?.length ?? 128;
    for (let i = 0; i < length; i++) {
      // Nothing connected is silence; one channel is both.
      this.#block[this.#filled] = input[0]?.[i] ?? 0;
      this.#block[BLOCK + this.#filled] = (input[1] ?? input[0])?.[i] ?? 0;
      if (++this.#filled < BLOCK) continue;
      const data = this.#block;
      this.#to.postMessage({ end: currentFrame + i + 1, rate: sampleRate, data }, [data.buffer]);
      this.#block = new Float32Array(2 * BLOCK);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor('beacon-tap', Tap);
