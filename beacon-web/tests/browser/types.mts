// What the READMEs show, as a program in TypeScript uses it: it is compiled and not run.
import { support, watch, type State } from 'beacon-web';
import { BeaconPlayer } from 'beacon-web/element';
import { broadcast, Capture, CaptureError, type BroadcastState } from 'beacon-web/broadcast';
import { BeaconBroadcaster } from 'beacon-web/broadcaster';
import { age } from 'beacon-web/pattern';
import init, { Connector, WebPeer } from 'beacon-web/beacon';
import 'beacon-web/worker';

const video = document.createElement('video');
if (support().play) {
  const live = watch({ src: 'launch', signal: 'wss://live.example.org', video, upload: 500 });
  const off = live.on('state', ({ name, headline, reason, cure }: State) => console.log(name, headline, reason, cure));
  live.on('stats', stats => console.log(stats.bytes_from_peers, stats.bytes_acknowledged, stats.links[0]?.rtt_us));
  off();
  live.close();
}

const token = async (peer: string) => (await fetch(`/token?peer=${peer}`)).text();
watch({ src: 'launch', token, identity: 'new' });
// @ts-expect-error A key is bytes.
watch({ src: 'launch', identity: 'a secret' });

const show = broadcast({ name: 'launch', source: 'pattern', microphone: true, preview: video, ladder: true });
show.on('state', (state: BroadcastState) => console.log(state.remark));
show.setSource('screen').catch((error: CaptureError) => console.log(error.reason, error.cure));
show.list({ title: 'Launch', tags: ['rocket'], thumbnail: new Uint8Array() });
const capture = new Capture({ preview: video });
capture.choose('camera', 720).then(() => broadcast({ name: 'again', capture }));

// Each element's events are its own.
const player: BeaconPlayer = document.createElement('beacon-player');
player.addEventListener('statechange', ({ detail }) => detail satisfies State);
player.addEventListener('click', event => event.clientX);
player.token = token;
player.identity = new Uint8Array(32);
const broadcaster: BeaconBroadcaster = document.createElement('beacon-broadcaster');
broadcaster.addEventListener('statechange', ({ detail }) => detail satisfies BroadcastState);
broadcaster.token = 'v4.public.…';
// @ts-expect-error A player does not go live.
player.start();
// @ts-expect-error There is no such quality.
show.setQuality('9000p');

console.log(age(video, new OffscreenCanvas(1, 1)));
await init();
const { port1, port2 } = new MessageChannel();
const connector = new Connector(port2, [{ urls: 'stun:stun.example.org:3478' }]);
console.log(connector);
const peer = WebPeer.watch({ signal: 'wss://signal.example.org', name: 'launch' }, port1, (message: unknown) => console.log(message));
peer.stop();
