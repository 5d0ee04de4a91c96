// `Request` and `Response`, as the Fetch standard has them.
import { hrefOf } from "./address.js";
import { Body, extract } from "./body.js";
import { Headers } from "./headers.js";

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

// A response that came from a server: its URL, and whether others led there.
const RECEIVED = Symbol("received");

export class Request extends Body {
  constructor(input, init = {}) {
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
    define(this, {
      method,
      url: from ? from.url : addressOf(input),
      headers,
      redirect: init.redirect ?? from?.redirect ?? "follow",
      signal: init.signal ?? from?.signal ?? new AbortController().signal,
      duplex: "half",
    });
  }

  clone() {
    return new Request(this, { [COPY]: { body: this.shared() } });
  }

  get [Symbol.toStringTag]() {
    return "Request";
  }
}

const WITHOUT_BODY = new Set([101, 103, 204, 205, 304]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class Response extends Body {
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
    define(this, {
      status,
      statusText: String(init.statusText ?? ""),
      headers,
      type: init[ERROR] ? "error" : "default",
      url: init[RECEIVED]?.url ?? "",
      redirected: init[RECEIVED]?.redirected ?? false,
    });
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

// The response that a server gave.
export function received(stream, { status, headers, url, redirected }) {
  const body = WITHOUT_BODY.has(status) ? null : stream;
  return new Response(body, { status, headers, [RECEIVED]: { url: url.replace(/#.*$/, ""), redirected } });
}

function define(message, properties) {
  for (const [name, value] of Object.entries(properties)) {
    Object.defineProperty(message, name, { value, enumerable: true });
  }
}
