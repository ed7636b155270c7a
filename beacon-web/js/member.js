// What <beacon-player> and <beacon-broadcaster> have in common: who they are in the mesh.

/** Bytes and functions are no attributes, so these two are properties as well, which go before the attributes. */
const PROPERTIES = /** @type {const} */ (['identity', 'token']);

export class Member extends HTMLElement {
  /** @type {{identity?: import('./index.js').Own, token?: import('./index.js').Token}} */
  #set = {};

  /** To be called when it comes into a page: what was set before the class was known is no property of the class. */
  connectedCallback() {
    for (const name of PROPERTIES) {
      const early = Object.getOwnPropertyDescriptor(this, name)?.value;
      delete this[name];
      if (early !== undefined) this[name] = early;
    }
  }

  /** Who it is: 'kept', 'new' or 32 secret bytes. */
  get identity() { return this.#set.identity ?? /** @type {any} */ (this.getAttribute('identity') || undefined); }
  set identity(value) {
    this.#set.identity = value ?? undefined;
    this.renamed();
  }

  /** Leave to join, for a peer: itself, or what asks for it. */
  get token() { return this.#set.token ?? (this.getAttribute('token') || undefined); }
  set token(value) {
    this.#set.token = value ?? undefined;
    this.renamed();
  }

  /** It is another one now, or has another token. */
  renamed() {}
}
