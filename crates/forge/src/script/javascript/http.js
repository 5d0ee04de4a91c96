// `Request` and `Response`, as the Fetch standard has them.
import { hrefOf } from "./address.js";
import { Body, extract } from "./body.js";
import { Headers, READ } from "./headers.js";

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const USUAL = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

function methodOf(given) {
  const method = String(given);
  if (!METHOD.test(method)) throw new TypeError(`\`${method}\` is no method`);
  const upper = method.toUpperCase();
  return USUAL.has(upper) ? upper : method;
}

function addressOf(given) {
  const text = String(given);
  const href = hrefOf(text);
  if (href === null) throw new TypeError(`\`${text}\` is no URL`);
  return href;
}

// A copy of another message's body, made without reading it.
const COPY = Symbol("copy");

// A response that stands for a failure of the network.
const ERROR = Symbol("error");

// What the host gives of a request that came in: its address and headers are made when they are asked
// for.
export const ARRIVED = Symbol("arrived");

// A response that came from a server: its URL, and whether others led there.
const RECEIVED = Symbol("received");

export class Request extends Body {
  #method;
  #url;
  #headers;
  #redirect = "follow";
  #signal;

  constructor(input, init = {}) {
    const arrived = init[ARRIVED];
    if (arrived) {
      super(arrived.body);
      this.#method = arrived.method;
      this.#url = arrived.url;
      this.#headers = arrived.headers;
      return;
    }
    const from = input instanceof Request ? input : null;
    const method = methodOf(init.method ?? from?.method ?? "GET");
    const headers = new Headers(init.headers ?? from?.headers);
    let [body, type] = extract(init[COPY] ? null : init.body);
    if (init[COPY]) body = init[COPY].body;
    else if (init.body === undefined && from) body = from.taken();
    if (body && (method === "GET" || method === "HEAD")) {
      throw new TypeError(`a request with method ${method} has no body`);
    }
    super(body);
    if (type && !headers.has("content-type")) headers.set("content-type", type);
    this.#method = method;
    this.#url = from ? from.url : addressOf(input);
    this.#headers = headers;
    this.#redirect = init.redirect ?? from?.redirect ?? "follow";
    this.#signal = init.signal ?? from?.signal;
  }

  get method() {
    return this.#method;
  }

  get url() {
    if (typeof this.#url === "function") {
      const text = this.#url();
      this.#url = hrefOf(text) ?? text;
    }
    return this.#url;
  }

  get headers() {
    if (typeof this.#headers === "function") this.#headers = new Headers({ [READ]: this.#headers() });
    return this.#headers;
  }

  get redirect() {
    return this.#redirect;
  }

  get signal() {
    return (this.#signal ??= new AbortController().signal);
  }

  get duplex() {
    return "half";
  }

  clone() {
    return new Request(this, { [COPY]: { body: this.shared() } });
  }

  get [Symbol.toStringTag]() {
    return "Request";
  }
}

show(Request, ["method", "url", "headers", "redirect", "signal", "duplex"]);

const WITHOUT_BODY = new Set([101, 103, 204, 205, 304]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class Response extends Body {
  #status;
  #statusText;
  #headers;
  #type;
  #received;

  constructor(given, init = {}) {
    const status = init.status === undefined ? 200 : Math.trunc(Number(init.status));
    if (!(status >= 200 && status <= 599) && !init[ERROR] && !init[RECEIVED]) {
      throw new RangeError(`${init.status} is no status from 200 to 599`);
    }
    const headers = new Headers(init.headers);
    let [body, type] = extract(init[COPY] ? null : given);
    if (init[COPY]) body = init[COPY].body;
    if (body && WITHOUT_BODY.has(status)) {
      throw new TypeError(`a response with status ${status} has no body`);
    }
    super(body);
    if (type && !headers.has("content-type")) headers.set("content-type", type);
    this.#status = status;
    this.#statusText = String(init.statusText ?? "");
    this.#headers = headers;
    this.#type = init[ERROR] ? "error" : "default";
    this.#received = init[RECEIVED];
  }

  get status() {
    return this.#status;
  }

  get statusText() {
    return this.#statusText;
  }

  get headers() {
    return this.#headers;
  }

  get type() {
    return this.#type;
  }

  get url() {
    return this.#received?.url ?? "";
  }

  get redirected() {
    return this.#received?.redirected ?? false;
  }

  get ok() {
    return this.status >= 200 && this.status <= 299;
  }

  static json(value, init = {}) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError("there is no JSON of that");
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    const { status, statusText } = init;
    return new Response(text, { status, statusText, headers });
  }

  static error() {
    return new Response(null, { status: 0, [ERROR]: true });
  }

  static redirect(url, status = 302) {
    if (!REDIRECTS.has(status)) throw new RangeError(`${status} is no redirect`);
    return new Response(null, { status, headers: { location: addressOf(url) } });
  }

  clone() {
    const { status, statusText, headers } = this;
    const copied = { [COPY]: { body: this.shared() }, [RECEIVED]: this };
    return new Response(null, { status, statusText, headers, ...copied });
  }

  get [Symbol.toStringTag]() {
    return "Response";
  }
}

show(Response, ["status", "statusText", "headers", "type", "url", "redirected"]);

// The response that a server gave.
export function received(stream, { status, headers, url, redirected }) {
  const body = WITHOUT_BODY.has(status) ? null : stream;
  return new Response(body, { status, headers, [RECEIVED]: { url: url.replace(/#.*$/, ""), redirected } });
}

// Has attributes come up where properties are listed, as the standard says.
function show(message, names) {
  for (const name of names) Object.defineProperty(message.prototype, name, { enumerable: true });
}
