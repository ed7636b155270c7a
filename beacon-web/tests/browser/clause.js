// A worker that runs one clause.
import init, { transportClause } from './dist/beacon.js';

self.onmessage = async ({ data: { name, ports } }) => {
  // What a panic says; the trap that follows says nothing.
  const said = [];
  console.error = (...words) => said.push(words.join(' '));
  try {
    await init();
    await Promise.race([transportClause(name, ports), trapped()]);
    self.postMessage({ name, error: null });
  } catch (error) {
    self.postMessage({ name, error: [...said, String(error?.message ?? error)].join('\n') });
  }
};

// A panic in a task of its own reaches nobody but the window.
function trapped() {
  return new Promise((_, reject) => {
    self.addEventListener('error', event => reject(event.error ?? event.message));
    self.addEventListener('unhandledrejection', event => reject(event.reason));
  });
}
