// What <beacon-player> consists of.

/** Icons of 24 × 24. */
const ICONS = {
  play: '<path d="M7 4.5v15l12.5-7.5z"/>',
  pause: '<path d="M6.5 5h4v14h-4zM13.5 5h4v14h-4z"/>',
  sound: '<path d="M4 9.5h3.5L12 5.5v13L7.5 14.5H4z"/><path class="line" d="M15 9.2a4 4 0 0 1 0 5.6M17.6 6.8a7.4 7.4 0 0 1 0 10.4"/>',
  silent: '<path d="M4 9.5h3.5L12 5.5v13L7.5 14.5H4z"/><path class="line" d="m15.5 9.5 5 5m0-5-5 5"/>',
  wide: '<path class="line" d="M5 9V5h4M19 9V5h-4M5 15v4h4M19 15v4h-4"/>',
  narrow: '<path class="line" d="M9 5v4H5M15 5v4h4M9 19v-4H5M15 19v-4h4"/>',
  relay: '<circle cx="6" cy="12" r="2.4"/><circle cx="18" cy="6" r="2.4"/><circle cx="18" cy="18" r="2.4"/><path class="line" d="m8 11 8-4M8 13l8 4"/>',
  pip: '<path class="line" d="M4 5h16v14H4z"/><path d="M12 12h6v5h-6z"/>',
};

/** What a viewer may give, and what each costs. */
export const CHOICES = [
  { value: 'auto', label: 'Pass it on', cost: 'You upload about as much as you watch. Off by itself on metered connections and a low battery.' },
  { value: 'off', label: 'Do not pass it on', cost: 'You upload nothing. Who gives less stands further back: it may start later and stall more often.' },
  { value: 'saver', label: 'Save data', cost: 'Nothing is uploaded, and the smallest picture there is comes down.' },
];

/** How far behind the moment it is played, and what each costs. */
const DELAYS = [
  { value: 'live', label: 'Smooth', cost: 'About a second behind; short troubles of the network do not show.' },
  { value: 'low-latency', label: 'Close to the moment', cost: 'A fraction of a second; the picture may stand still when something is lost.' },
];

export const radios = (name, list) => list.map(({ value, label, cost }) =>
  `<label><input type="radio" name="${name}" value="${value}"><span>${label}<small>${cost}</small></span></label>`).join('');

export const VIEW = `
<div id="stage" part="stage" role="region" aria-label="Live video" tabindex="-1">
  <video part="video" playsinline></video>
  <div class="notice" id="notice" role="status" aria-live="polite" hidden>
    <span id="spinner" aria-hidden="true"></span>
    <p id="headline"></p><p id="reason"></p><p id="cure"></p>
    <button id="again" class="pill" type="button" hidden>Try again</button>
  </div>
  <button id="unmute" class="pill" type="button" hidden>Turn the sound on</button>
  <div id="controls" part="controls" hidden>
    <button id="toggle" type="button" title="Play or pause (space)"></button>
    <button id="live" type="button" title="Go to the live moment (L)">Live</button>
    <span id="peers"></span>
    <button id="mute" type="button" title="Sound on or off (M)"></button>
    <input id="volume" type="range" min="0" max="1" step="0.05" aria-label="Volume">
    <button id="give" type="button" title="What you pass on, delay, picture" aria-label="What you pass on, delay, picture" aria-haspopup="dialog" aria-expanded="false" aria-controls="menu"></button>
    <button id="pip" type="button" title="Picture in picture (P)" aria-label="Picture in picture"></button>
    <button id="full" type="button" title="Full screen (F)"></button>
  </div>
  <dialog id="menu" aria-label="What you pass on, delay, picture"><div id="sheet"><fieldset><legend>What you pass on</legend>${radios('give', CHOICES)}</fieldset>
    <fieldset><legend>Delay</legend>${radios('profile', DELAYS)}</fieldset>
    <fieldset id="sizes" hidden><legend>Picture</legend><div id="renditions"></div></fieldset><p id="given"></p><button id="done" class="pill" type="button">Done</button></div></dialog>
  <div class="ask" id="ask" hidden>
    <p id="note">Viewers carry this video to each other. While you watch, other viewers can see your IP address, and your device passes on to
      them what it receives.</p>
    <div><button id="yes" class="pill" type="button">Watch</button><button id="alone" class="pill quiet" type="button">Watch without passing on</button></div>
  </div>
  <div class="ask" id="start" hidden><button id="big" type="button" aria-label="Play"></button></div>
</div>`;

/** Puts an icon into a button, once. @param {HTMLElement} button @param {string} name */
export function icon(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;
}
