// What <beacon-broadcaster> consists of, and its look. A constructed sheet: pages need not allow inline styles.

const SOURCES = [
  { value: 'camera', label: 'Camera' },
  { value: 'screen', label: 'Screen' },
  { value: 'pattern', label: 'Test picture' },
];
const QUALITIES = [
  { value: '360p', label: '360p · 0.7 Mbit/s' },
  { value: '720p', label: '720p · 2.5 Mbit/s' },
  { value: '1080p', label: '1080p · 4.5 Mbit/s' },
];

const sources = SOURCES.map(({ value, label }) => `<button type="button" name="source" value="${value}" aria-pressed="false">${label}</button>`).join('');
const qualities = QUALITIES.map(({ value, label }) => `<option value="${value}">${label}</option>`).join('');

export const VIEW = `
<div id="stage" part="stage">
  <video part="video" playsinline muted aria-label="What viewers see"></video>
  <span id="badge" hidden></span>
  <div id="notice" role="status" aria-live="polite"><span id="spinner" aria-hidden="true" hidden></span>
    <p id="headline"></p><p id="reason"></p><p id="cure"></p></div>
</div>
<form id="panel" part="panel">
  <p id="remark" role="status" aria-live="polite" hidden></p>
  <label id="naming" class="field"><span>Name</span><input id="name" name="name" required maxlength="64" autocomplete="off" placeholder="What viewers look for"></label>
  <fieldset><legend>Picture</legend><div class="choice">${sources}</div></fieldset>
  <div class="row">
    <div class="field"><span id="sound">Sound</span>
      <button id="microphone" class="pill quiet" type="button" aria-pressed="false" aria-describedby="sound">Microphone is off</button></div>
    <label class="field"><span>Quality</span><select id="quality">${qualities}</select></label>
  </div>
  <p id="note">Viewers connect to this device and to each other: while you broadcast, they can see its IP address.</p>
  <button id="go" class="pill" type="submit">Go live</button>
  <p id="facts"></p>
</form>`;

export const style = new CSSStyleSheet();
style.replaceSync(`
:host { display: block; container-type: inline-size; overflow: hidden; background: var(--raised); color: var(--text); border-radius: 12px;
  font: 15px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; color-scheme: light dark;
  --raised: #fff; --ground: #f0f1ed; --text: #1d2124; --soft: #5d656b; --line: #d6d8d2; --accent: #1b8378; --on: #fff; --live: #c2342b; --warn: #8a5300; }
@media (prefers-color-scheme: dark) {
  :host { --raised: #191d20; --ground: #24292d; --text: #e8eaea; --soft: #9ba4aa; --line: #343b40; --accent: #4cbcae; --on: #10201e; --live: #f0685e; --warn: #e0a04b; }
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
p, fieldset { margin: 0; padding: 0; border: 0; }
button, input, select { font: inherit; color: inherit; touch-action: manipulation; }
button, select, label { cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#stage { position: relative; aspect-ratio: 16 / 9; width: 100%; max-height: max(220px, 100vh - 515px); background: #000; color: #f3f4f4; }
:host([name]) #stage { max-height: max(220px, 100vh - 430px); }
video { display: block; width: 100%; height: 100%; object-fit: contain; }
#notice { position: absolute; inset: 0; display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px; padding: 16px 20px;
  background: rgb(8 10 12 / .7); text-align: center; }
#notice p { max-width: 36em; text-wrap: balance; }
#notice:not(.shown) { background: none; }
#headline { font-size: 1.1rem; font-weight: 600; }
#reason, #cure { color: #cdd2d5; font-size: .93rem; }
#spinner { width: 30px; height: 30px; margin-bottom: 10px; border: 3px solid rgb(255 255 255 / .22); border-top-color: #fff; border-radius: 50%;
  animation: turn 1s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
#badge { position: absolute; right: 12px; top: 12px; padding: 4px 10px; border-radius: 99px; background: #b3261e; color: #fff; font-size: .87rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
#panel { display: grid; gap: 16px; padding: 18px; }
#remark { padding: 10px 12px; border: 1px solid var(--warn); border-radius: 8px; color: var(--warn); font-size: .93rem; }
legend, .field > span { display: block; padding: 0 0 6px; color: var(--soft); font-size: .87rem; }
.row { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
input, select { width: 100%; height: 44px; padding: 0 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--ground); }
.choice { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2px; padding: 3px; border-radius: 10px; background: var(--ground); }
.choice button { min-height: 44px; padding: 4px 6px; border: 0; border-radius: 8px; background: none; text-align: center; line-height: 1.2; }
.choice button[aria-pressed=true] { background: var(--raised); color: var(--accent); font-weight: 600; box-shadow: 0 1px 3px rgb(0 0 0 / .25); }
.pill { min-height: 48px; padding: 0 20px; border: 0; border-radius: 99px; background: var(--accent); color: var(--on); font-weight: 600; }
.pill.quiet { width: 100%; min-height: 44px; border-radius: 8px; background: var(--ground); border: 1px solid var(--line); color: inherit; font-weight: 400; padding: 0 8px; }
.pill.quiet[aria-pressed=true] { border-color: var(--accent); color: var(--accent); font-weight: 600; }
.pill.end { background: none; border: 2px solid var(--live); color: var(--live); }
.pill:disabled { opacity: .5; cursor: default; }
#note, #facts { color: var(--soft); font-size: .87rem; text-wrap: pretty; }
#facts { min-height: 1.4em; text-align: center; font-variant-numeric: tabular-nums; }
@container (max-width: 420px) { .row { grid-template-columns: 1fr; } #panel { padding: 14px; } }
@container (min-width: 860px) { #panel { grid-template-columns: 1fr 1fr; align-items: end; } #remark, #note, #facts { grid-column: 1 / -1; } #naming[hidden] + fieldset { grid-column: auto; } }
@media (prefers-reduced-motion: reduce) { #spinner { animation-duration: 3s; } }
`);
