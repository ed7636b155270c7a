// Who a page is in the mesh. A key is kept by the browser for the pages of its origin, so that what they carry is earned by one
// account over all visits; and two peers are never one at once, for their neighbours and the server would take them for one.
import { goodbyes, peerId } from './peer.js';

/** Names the lock and, in localStorage, the key: 32 bytes in hexadecimal digits. A number follows. */
const NAME = 'beacon-identity-';
/** Keys that are kept at most. So many tabs can play at once, each with the first key that is free; further ones have a new key. */
const KEPT_MAX = 8;

/**
 * Who this page is, until `free` is called: with the key that is given, one that is kept, or a new one that is not. It is new where the
 * browser has no locks (on pages of http://) or may store nothing, and for an ephemeral peer, of which nothing is to be left.
 * @param {{identity?: import('./index.js').Own, token?: import('./index.js').Token, profile?: string}} options
 * @returns {Promise<{identity: Uint8Array, token: string | undefined, free: () => void}>}
 */
export async function own({ identity, token, profile }) {
  const key = await choose(identity ?? (profile === 'ephemeral' ? 'new' : 'kept'));
  try {
    const told = typeof token === 'function' ? await token(await peerId(key.identity)) : token;
    return { ...key, token: told || undefined };
  } catch (error) {
    key.free();
    throw error;
  }
}

/** @param {import('./index.js').Own} wanted */
async function choose(wanted) {
  if (!['kept', 'new'].includes(/** @type {any} */ (wanted)) && !(wanted instanceof Uint8Array)) throw new Error("identity: use 'kept', 'new' or 32 secret bytes");
  const alone = identity => ({ identity, free: () => {} });
  if (wanted === 'new') return alone(made());
  // An earlier peer of this page may be leaving with the same key.
  await goodbyes();
  if (wanted !== 'kept') return alone(wanted);
  for (let number = 0; number < KEPT_MAX; number++) {
    const free = await hold(NAME + number);
    if (!free) continue;
    const identity = stored(NAME + number);
    if (identity) return { identity, free };
    free();
    break;
  }
  return alone(made());
}

function made() {
  return crypto.getRandomValues(new Uint8Array(32));
}

/** What gives a lock back, or null when another peer of this origin has it. @returns {Promise<(() => void) | null>} */
function hold(name) {
  return new Promise(resolve => {
    const none = () => resolve(null);
    if (!navigator.locks) return none();
    // It is held until the inner promise is kept; the browser gives it back with the page.
    navigator.locks.request(name, { ifAvailable: true }, lock => lock && new Promise(free => resolve(() => free(undefined)))).then(none, none);
  });
}

/** The key under a name, made if there is none; null where nothing may be stored. */
function stored(name) {
  try {
    const kept = localStorage.getItem(name) ?? '';
    if (/^[0-9a-f]{64}$/.test(kept)) return Uint8Array.from(kept.match(/../g) ?? [], byte => parseInt(byte, 16));
    const key = made();
    localStorage.setItem(name, Array.from(key, byte => byte.toString(16).padStart(2, '0')).join(''));
    return key;
  } catch {
    return null;
  }
}
