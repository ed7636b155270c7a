// What this browser lacks, found out without starting anything.
import { place } from './mse.js';

/** The smallest module with a SIMD instruction: the engine is built with them. */
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** @returns {import('./index.js').Support} */
export function support() {
  const missing = [];
  if (!globalThis.WebAssembly?.validate(SIMD)) missing.push('WebAssembly with SIMD');
  if (!globalThis.RTCPeerConnection) missing.push('WebRTC');
  if (!globalThis.Worker) missing.push('workers');
  const relay = !missing.length;
  if (place === 'none') missing.push('Media Source Extensions');
  return { relay, play: !missing.length, media: place, missing };
}

/**
 * The upload limit in bits per second that `upload` stands for; undefined for none.
 * `auto` gives nothing on metered connections and on a low battery, where the browser tells.
 * @param {import('./index.js').Upload} upload
 */
export async function uploadLimit(upload) {
  if (upload === 'off') return 0;
  if (typeof upload === 'number') return Math.max(0, Math.round(upload * 1000));
  return await sparing() ? 0 : undefined;
}

/** Calls `changed` whenever it may be another time to spare them, until `signal` ends it. @param {() => void} changed @param {AbortSignal} signal */
export async function whenSparing(changed, signal) {
  /** @type {any} */
  const browser = navigator;
  const battery = await browser.getBattery?.().catch(() => null);
  if (signal.aborted) return;
  browser.connection?.addEventListener?.('change', changed, { signal });
  for (const event of ['levelchange', 'chargingchange']) battery?.addEventListener(event, changed, { signal });
}

async function sparing() {
  /** @type {any} */
  const browser = navigator;
  const { saveData, type } = browser.connection ?? {};
  if (saveData || type === 'cellular') return true;
  const battery = await browser.getBattery?.().catch(() => null);
  return Boolean(battery && !battery.charging && battery.level < 0.2);
}
