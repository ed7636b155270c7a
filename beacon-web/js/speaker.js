// An audio worklet that plays blocks of samples at their time of day, and silence where there are none.

/** Off by less than this, in milliseconds, it is left alone; by more than that it jumps; between, it plays faster or slower. */
const FINE = 8, OFF = 90;
/** How much faster or slower: it is not heard. */
const BEND = 0.008;
/** How much of an error is believed at once: calls come in bunches. */
const SMOOTH = 0.04;
/** Blocks that wait at most: two seconds of 20 ms. */
const BLOCKS_MAX = 100;

class Speaker extends AudioWorkletProcessor {
  /** @type {{due: number, rate: number, samples: Float32Array[]}[]} */
  #blocks = [];
  /** The next sample of the first block, and what it is off by, in milliseconds; positive is late. */
  #at = 0;
  #error = 0;
  #playing = false;

  constructor() {
    super();
    this.port.onmessage = ({ data: port }) => {
      port.onmessage = ({ data }) => {
        this.#blocks.push(data);
        if (this.#blocks.length > BLOCKS_MAX) this.#blocks.shift();
      };
    };
  }

  /** @param {Float32Array[][]} _ @param {Float32Array[][]} outputs */
  process(_, [output]) {
    const now = Date.now(), length = output[0].length;
    for (let i = 0; i < length; i++) {
      if (!this.#ready(now + i * 1000 / sampleRate)) continue;
      const [{ rate, samples }] = this.#blocks, at = Math.floor(this.#at), part = this.#at - at;
      for (let channel = 0; channel < output.length; channel++) {
        const plane = samples[channel] ?? samples[0];
        output[channel][i] = plane[at] + ((plane[at + 1] ?? plane[at]) - plane[at]) * part;
      }
      const bend = this.#error > FINE ? BEND : this.#error < -FINE ? -BEND : 0;
      this.#at += (rate / sampleRate) * (1 + bend);
    }
    return true;
  }

  /** Whether the first block has a sample for this time. @param {number} now */
  #ready(now) {
    for (;;) {
      const [block] = this.#blocks;
      if (!block) {
        this.#playing = false;
        return false;
      }
      if (this.#at >= block.samples[0].length) {
        this.#at -= block.samples[0].length;
        this.#blocks.shift();
        continue;
      }
      const error = now - (block.due + this.#at * 1000 / block.rate);
      if (!this.#playing) this.#error = error;
      else this.#error += (error - this.#error) * SMOOTH / 128;
      // Too early: silence until it is time. Too late: on to what is not.
      if (this.#error < (this.#playing ? -OFF : 0)) {
        this.#playing = false;
        return false;
      }
      if (this.#error > OFF) {
        this.#playing = false;
        this.#at += Math.max(1, this.#error * block.rate / 1000);
        continue;
      }
      this.#playing = true;
      return true;
    }
  }
}

registerProcessor('beacon-speaker', Speaker);
