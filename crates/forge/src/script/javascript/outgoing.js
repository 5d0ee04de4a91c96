// Requests to other servers, which `allowed_outbound_hosts` grants, by `wasi:http`.
import { DayflyError, Handle, attempt, call } from "./bridge.js";
import { CLOSED, fill, on } from "./pipes.js";
import { forget, until } from "./waiting.js";

const KNOWN = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);
const PIECE = 65536;

// A request without what `fetch` does beyond it: a redirect is an answer like any other. The options are
// those of `fetch`.
export async function request(method, url, options) {
  return fetch(url, { ...options, method, redirect: "manual" });
}

// A header's value as its bytes; what came in as UTF-8 may have more characters.
function latin(text) {
  return Uint8Array.from(text, character => {
    const code = character.codePointAt(0);
    if (code > 255) throw new TypeError("a header's value has no characters above U+00FF");
    return code;
  });
}

function text(bytes) {
  let made = "";
  for (const byte of bytes) made += String.fromCharCode(byte);
  return made;
}

// Sends a request: its `method`, `url` (a URL), `headers` (pairs), and `body`, which is null or gives
// pieces of bytes. What comes back is an exchange whose head is to be awaited.
export function begin({ method, url, headers, body }) {
  const fields = call("types.fields.from-list", headers.map(([name, value]) => [name, latin(value)]));
  const message = new Handle("types.outgoing-request", call("types.outgoing-request.new", fields));
  message.call("set-method", KNOWN.has(method) ? [method.toLowerCase()] : ["other", method]);
  message.call("set-scheme", [url.protocol === "https:" ? "HTTPS" : "HTTP"]);
  message.call("set-authority", url.host);
  message.call("set-path-with-query", url.pathname + url.search);
  const sent = new Handle("types.outgoing-body", message.call("body"));
  let future;
  try {
    future = call("outgoing-handler.handle", message.taken(), null);
  } catch (error) {
    sent.close();
    throw error;
  }
  // What the other side does not take is its own to answer for.
  send(sent, body).catch(() => {});
  return new Exchange(new Handle("types.future-incoming-response", future));
}

class Exchange {
  #future;
  #body = null;
  #stream = null;
  #waiting = null;

  constructor(future) {
    this.#future = future;
  }

  // The status and the headers (pairs), once they are there.
  async head() {
    await this.#until(this.#future);
    const response = new Handle("types.incoming-response", this.#future.call("get"));
    this.#future.close();
    const status = response.call("status");
    const fields = new Handle("types.fields", response.call("headers"));
    const headers = fields.call("entries").map(([name, value]) => [name, text(value)]);
    fields.close();
    this.#body = new Handle("types.incoming-body", response.call("consume"));
    response.close();
    this.#stream = new Handle("streams.input-stream", this.#body.call("stream"));
    return { status, headers };
  }

  // The next piece of the body, null at its end.
  async read() {
    for (;;) {
      const piece = this.#piece();
      if (piece === CLOSED) return null;
      if (piece.length) return piece;
      await this.#until(this.#stream);
    }
  }

  #piece() {
    try {
      return on(this.#stream, "read", PIECE);
    } catch (error) {
      throw error instanceof DayflyError ? new TypeError(error.message, { cause: error }) : error;
    }
  }

  async #until(handle) {
    this.#waiting = handle.call("subscribe");
    await until(this.#waiting);
    this.#waiting = null;
  }

  // Gives back whatever is left of it; who waits for it waits for ever.
  close() {
    if (this.#waiting !== null) forget(this.#waiting);
    for (const handle of [this.#stream, this.#body, this.#future]) handle?.close();
    this.#stream = this.#body = this.#waiting = null;
  }
}

async function send(sent, body) {
  try {
    if (body) await fill(sent.call("write"), body);
    attempt("types.outgoing-body.finish", sent.taken(), null);
  } catch (error) {
    sent.close();
    throw error;
  }
}
