// A server before the signaling server: it hands on what is asked of it but for sockets, for which there is nobody at first. Its
// pages may connect to anybody.
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { wsServer as WebSocketServer } from 'playwright-core/lib/utilsBundle';

/** @param {string} url   of the signaling server */
export async function between(url) {
  const { hostname, port } = new URL(url);
  let version = 0, passing = false, newer = false;
  const talker = new WebSocketServer({ noServer: true });
  const server = createServer((asked, answer) => {
    const { method, url: path, headers } = asked, glue = newer && path === '/beacon.js';
    // What is altered is to come whole and plain.
    if (glue) for (const name of ['if-none-match', 'accept-encoding']) delete headers[name];
    request({ hostname, port, method, path, headers }, async from => {
      delete from.headers['content-security-policy'];
      if (glue) delete from.headers['content-length'];
      answer.writeHead(from.statusCode ?? 500, from.headers);
      if (!glue) return from.pipe(answer);
      // What the engine takes from JavaScript has other names in each build.
      answer.end((await from.toArray()).join('').replaceAll('__wbg_', '__wbg_later_'));
    }).end();
  });
  server.on('upgrade', (asked, socket, head) => {
    socket.on('error', () => {});
    if (version) return talker.handleUpgrade(asked, socket, head, ws => ws.send(JSON.stringify({ type: 'challenge', version, nonce: btoa('0'.repeat(32)) })));
    if (!passing) return socket.destroy();
    const to = connect(Number(port), hostname, () => {
      const headers = Object.entries(asked.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
      to.write(`GET ${asked.url} HTTP/1.1\r\n${headers}\r\n`);
      to.pipe(socket).pipe(to);
    });
    to.on('error', () => socket.destroy());
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(null)));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** From now on sockets reach the signaling server. */
    passes: () => { passing = true; },
    /** From now on it has the JavaScript of another build. */
    updates: () => { newer = true; },
    /** From now on they reach one that speaks another version of its protocol. */
    speaks: other => { version = other; },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
