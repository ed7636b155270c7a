/**
 * The engine's worker, to be started with `new Worker(url, { type: 'module' })`: it exports nothing and speaks by messages, which
 * worker.js lists. Pages that use `watch` and `broadcast` need not know it.
 */
export {};
