// What a watch is doing, in words for a person.

/** Media that was to come and has not for so long is worth a word about why. */
const LATE_MS = 1500;
/** A gap is the reason for waiting for so long after it. */
const GAP_MS = 4000;
/** Seconds that a lasting silence is told at: each is read out. */
const SILENCES = [120, 60, 30, 20, 10, 5, 2];
/** Nobody found in this time: perhaps the broadcast has not begun. */
const PATIENCE_MS = 8000;

/**
 * @typedef {object} Facts
 * @property {string} name
 * @property {HTMLVideoElement | undefined} video
 * @property {import('./player.js').Player | import('./live.js').LivePlayer | undefined} player
 * @property {number} peers
 * @property {boolean} described   the tracks are known
 * @property {string} lost         why signaling is out of reach; empty when it is not
 * @property {{cause: string, cure: string} | null} refusal
 * @property {boolean} over
 * @property {number} since        start, of `performance.now()`, as the next two
 * @property {number} arrivedAt
 * @property {number} gapAt
 */

/**
 * @param {Facts} facts
 * @returns {import('./index.js').State}
 */
export function state(facts) {
  const { video, player, peers } = facts;
  const is = (name, headline = '', reason = '', cure = '', busy = false) => ({ name, headline, reason, cure, busy, peers });
  if (facts.refusal) return is('refused', 'This cannot be played', facts.refusal.cause, facts.refusal.cure);
  if (facts.over && (!player?.started || video.ended || video.paused || video.readyState < 3))
    return is('ended', 'The broadcast has ended');
  if (!video || !player) return peers ? is('playing') : is('connecting', 'Connecting', waiting(facts), '', true);
  if (!player.started) return is('connecting', 'Connecting', waiting(facts), '', true);
  if (player.blocked) return is('paused', 'Press play', 'This browser starts no video by itself.');
  if (video.paused) return is('paused');
  if (video.readyState >= 3 && !player.starved) return is('playing');
  return is('buffering', 'Buffering', shortage(facts), '', true);
}

function waiting({ name, peers, described, lost, since }) {
  if (lost) return `The signaling server cannot be reached (${lost}); trying again.`;
  if (described) return 'The first pictures are on their way.';
  if (peers) return `${count(peers)} found; waiting for the first segment.`;
  if (performance.now() - since < PATIENCE_MS) return 'Looking for peers.';
  return `Nobody carries “${name}” yet. It begins here by itself once it is live.`;
}

function shortage({ player, peers, arrivedAt, gapAt, lost }) {
  const now = performance.now();
  if (now - gapAt < GAP_MS) return 'A segment did not arrive in time; going on at the next one that can be decoded.';
  if (player.waiting) return 'There are no pictures of this moment; the next ones are here.';
  if (player.behind > 1) return 'The pictures are here; this device is slow to decode them.';
  if (now - arrivedAt < LATE_MS) return 'Filling up after a pause.';
  if (!peers) return `All peers are gone; looking for others${lost ? ', but signaling cannot be reached' : ''}.`;
  const silence = Number.isFinite(arrivedAt) && SILENCES.find(seconds => now - arrivedAt >= 1000 * seconds);
  return `Nothing new for ${silence ? `${silence} s` : 'a moment'}; ${count(peers)} connected.`;
}

function count(peers) {
  return peers === 1 ? 'One peer' : `${peers} peers`;
}
