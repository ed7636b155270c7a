// The look of <beacon-player>. A constructed sheet: pages need not allow inline styles.
export const style = new CSSStyleSheet();
style.replaceSync(`
:host { display: block; position: relative; aspect-ratio: 16 / 9; overflow: hidden; background: #000; color: #f3f4f4;
  font: 15px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; color-scheme: light dark;
  --raised: #fff; --text: #1d2124; --soft: #5d656b; --line: #d6d8d2; --accent: #1b8378; --live: #ff8b82; }
@media (prefers-color-scheme: dark) {
  :host { --raised: #1d2225; --text: #e8eaea; --soft: #9ba4aa; --line: #343b40; --accent: #4cbcae; }
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
#stage { position: absolute; inset: 0; background: #000; }
video { display: block; width: 100%; height: 100%; object-fit: contain; }
button { font: inherit; color: inherit; cursor: pointer; touch-action: manipulation; }
:focus-visible { outline: 2px solid #fff; outline-offset: -3px; border-radius: 8px; box-shadow: 0 0 0 4px rgb(0 0 0 / .6); }
.notice, .ask { position: absolute; inset: 0; display: flex; flex-direction: column; align-items: center; justify-content: safe center;
  gap: 4px; padding: 16px 20px; overflow: auto; text-align: center; }
.notice { background: rgb(8 10 12 / .62); pointer-events: none; }
.notice p { margin: 0; max-width: 36em; text-wrap: balance; }
#stage[data-state="refused"] .notice { pointer-events: auto; }
#stage:has(#controls:not([hidden])) .notice { padding-bottom: 56px; }
.notice button { pointer-events: auto; margin-top: 12px; }
#headline { font-size: 1.1rem; font-weight: 600; }
#reason, #cure { color: #cdd2d5; font-size: .93rem; }
#spinner { width: 30px; height: 30px; margin-bottom: 10px; border: 3px solid rgb(255 255 255 / .22); border-top-color: #fff;
  border-radius: 50%; animation: turn 1s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
.pill { min-height: 44px; padding: 0 20px; border: 0; border-radius: 99px; background: #fff; color: #14181a; font-weight: 600; }
.pill.quiet { background: rgb(255 255 255 / .14); color: #fff; }
.ask { background: rgb(8 10 12 / .8); gap: 14px; }
.ask p { margin: 0; max-width: 34em; text-wrap: pretty; }
.ask div { display: flex; flex-wrap: wrap; gap: 10px; justify-content: center; }
#big { display: grid; place-items: center; width: 76px; height: 76px; border: 0; border-radius: 50%; background: #fff; color: #14181a; }
#big svg { width: 36px; height: 36px; }
#unmute { position: absolute; left: 50%; bottom: 68px; translate: -50% 0; box-shadow: 0 2px 12px rgb(0 0 0 / .4); }
svg { display: block; width: 24px; height: 24px; fill: currentColor; }
.line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }

#controls { position: absolute; inset: auto 0 0; display: flex; align-items: center; gap: 2px; padding: 40px 8px 4px;
  background: linear-gradient(transparent, rgb(0 0 0 / .6) 45%, rgb(0 0 0 / .82)); transition: opacity .25s; }
#stage.idle { cursor: none; }
#stage.idle #controls:not(:focus-within) { opacity: 0; }
@media (any-pointer: coarse) { #stage.idle #controls:not(:focus-within) { pointer-events: none; } }
#controls button { flex: none; display: grid; grid-auto-flow: column; place-items: center; gap: 7px; height: 44px; min-width: 44px; padding: 0;
  border: 0; border-radius: 8px; background: none; }
#controls button:hover:enabled { background: rgb(255 255 255 / .14); }
#controls button:disabled { opacity: .4; cursor: default; }
#controls #live { padding: 0 10px; font-size: .87rem; font-weight: 600; color: #e4e7e8; }
#live::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: currentColor; }
#controls #live.on { color: var(--live); opacity: 1; }
#peers { flex: 1; min-width: 0; padding: 0 6px; overflow: hidden; color: #e4e7e8; font-size: .87rem; text-overflow: ellipsis; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
#volume { flex: 0 1 84px; min-width: 40px; height: 44px; margin: 0 6px 0 0; accent-color: #fff; cursor: pointer; }

#menu { position: absolute; inset: auto 8px 62px auto; width: min(330px, calc(100% - 16px)); max-width: none; max-height: calc(100% - 70px);
  margin: 0; padding: 0; overflow: auto; border: 1px solid var(--line); border-radius: 12px; background: var(--raised); color: var(--text);
  box-shadow: 0 8px 30px rgb(0 0 0 / .35); }
#menu:modal { position: fixed; inset: auto 0 0; width: min(480px, 100%); max-height: 88vh; margin: 0 auto; border-width: 1px 0 0;
  border-radius: 16px 16px 0 0; }
#menu::backdrop { background: rgb(0 0 0 / .45); }
#sheet { padding: 14px 16px; }
#menu fieldset { margin: 0; padding: 0; border: 0; }
#menu legend { padding: 0 0 6px; font-weight: 600; }
#menu label { display: grid; grid-template-columns: 24px 1fr; gap: 0 6px; align-items: start; min-height: 44px; padding: 5px 0; cursor: pointer; }
#menu input { width: 18px; height: 18px; margin: 2px 0 0; accent-color: var(--accent); }
#menu small { display: block; color: var(--soft); font-size: .82rem; }
#menu p { margin: 8px 0 0; padding-top: 8px; border-top: 1px solid var(--line); color: var(--soft); font-size: .82rem; }
#menu :focus-visible { outline-color: var(--accent); outline-offset: 2px; box-shadow: none; border-radius: 50%; }

#menu fieldset + fieldset { margin-top: 12px; }

#done { display: none; position: sticky; bottom: 12px; width: 100%; margin-top: 10px; background: var(--accent); color: var(--raised); }
#menu:modal #done { display: block; }

/* Phones have keys of their own for it; elsewhere it goes where there is no room at all. */
@container (max-width: 480px) { @media (pointer: coarse) { #volume { display: none; } } }
@container (max-width: 420px) { @media (pointer: fine) { #peers { visibility: hidden; } } }
@container (max-width: 360px) { #volume { display: none; } }
@container (min-width: 640px) {
  #menu { width: 580px; }
  #sheet { display: grid; grid-template-columns: 1fr 1fr; gap: 0 24px; }
  #menu fieldset + fieldset { margin-top: 0; }
  #menu fieldset:first-child { grid-row: span 2; }
  #menu #sizes { margin-top: 12px; }
  #given, #done { grid-column: 1 / -1; }
}
:host { container-type: inline-size; }
@media (prefers-reduced-motion: reduce) { #spinner { animation-duration: 3s; } #controls { transition: none; } }
`);
