// What p2p-media-loader needs: a live HLS stream made by ffmpeg, a server of static files that counts what it hands out, and a WebTorrent tracker.
import Tracker from 'bittorrent-tracker/server';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdirSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GROUP, until } from './stage.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.m3u8': 'application/vnd.apple.mpegurl', '.m4s': 'video/iso.segment', '.mp4': 'video/mp4',
};
/** Seconds of a segment, and segments in the playlist. */
export const SEGMENT = GROUP, LISTED = 15;

/** Streams the clip again and again, as fast as it plays; nothing is encoded. */
export async function live(on, clip) {
  const folder = join(on.folder, 'hls');
  mkdirSync(folder);
  on.start('/usr/bin/ffmpeg', [
    '-hide_banner', '-loglevel', 'error', '-re', '-stream_loop', '-1', '-i', clip, '-c', 'copy', '-f', 'hls', '-hls_time', String(SEGMENT),
    '-hls_list_size', String(LISTED), '-hls_flags', 'delete_segments+program_date_time+independent_segments+temp_file', '-hls_segment_type', 'fmp4',
    join(folder, 'index.m3u8'),
  ]);
  // As a stream that has been live for a while.
  await until('the playlist is full', () => existsSync(join(folder, `index${LISTED}.m4s`)), 500);
  const sent = { media: 0 };
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://x').pathname);
    const file = path.startsWith('/hls/') ? join(folder, path.slice(5)) : path.startsWith('/modules/') ? join(here, 'node_modules', path.slice(9)) : join(here, path);
    if (!existsSync(file)) return void response.writeHead(404).end();
    if (path.endsWith('.m4s')) sent.media += statSync(file).size;
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'cache-control': 'no-store' });
    createReadStream(file).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  const tracker = new Tracker({ udp: false, http: true, ws: true, stats: false });
  tracker.listen(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(tracker, 'listening')]);
  return {
    url: `http://127.0.0.1:${server.address().port}`, tracker: `ws://127.0.0.1:${tracker.http.address().port}`, sent,
    end: async () => {
      server.closeAllConnections();
      server.close();
      await new Promise(done => tracker.close(done));
    },
  };
}
