// `fetch`, as the Fetch standard has it where there is one server and no page: no cache, no cookies, no
// policy of origins.
import { DayflyError } from "./bridge.js";
import { bytesOf, hasBody, pieces } from "./body.js";
import { Headers } from "./headers.js";
import { Request, received } from "./http.js";
import { begin } from "./outgoing.js";
import { ReadableStream } from "./streams.js";
import { URL } from "./url.js";

const MOST_REDIRECTS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
// What is not an app's to say: the connection's own headers, and lengths that are counted here.
const OF_CONNECTION = [
  ...["connection", "content-length", "host", "http2-settings", "keep-alive", "proxy-authenticate"],
  ...["proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
];
// What a server at another origin must not see, and what describes a body that is not sent on.
const OF_ORIGIN = ["authorization", "cookie"];
const OF_BODY = ["content-encoding", "content-language", "content-length", "content-location", "content-type"];

export async function fetch(input, init) {
  const request = new Request(input, init);
  const { signal } = request;
  signal.throwIfAborted();
  let exchange;
  const ended = Promise.withResolvers();
  ended.promise.catch(() => {});
  let isEnded = false;
  const end = reason => {
    isEnded = true;
    ended.reject(reason);
    exchange?.close();
  };
  signal.addEventListener("abort", () => end(signal.reason));
  const asked = { ...partsOf(request), use: started => (exchange = started), end };
  try {
    return await Promise.race([ended.promise, follow(asked, request, ended.promise)]);
  } catch (error) {
    if (isEnded || !(error instanceof DayflyError) || error.kind === "not-yet") throw error;
    throw new TypeError(`failed to fetch \`${request.url}\`: ${error.message}`, { cause: error });
  }
}

function partsOf(request) {
  const url = new URL(request.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`\`${request.url}\` cannot be fetched: only http and https can`);
  }
  if (url.username || url.password) throw new TypeError("a URL with a password cannot be fetched");
  const headers = new Headers(request.headers);
  for (const name of OF_CONNECTION) headers.delete(name);
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (!headers.has("user-agent")) headers.set("user-agent", navigator.userAgent);
  const content = hasBody(request) ? bytesOf(request) : null;
  return { method: request.method, url, headers, content };
}

async function follow(asked, request, ended) {
  let { method, url, headers, content } = asked;
  let isStreamed = hasBody(request) && content === null;
  for (let redirects = 0; ; redirects += 1) {
    if (content) headers.set("content-length", String(content.length));
    const body = isStreamed ? watched(pieces(request), asked.end) : content && [content];
    const exchange = begin({ method, url, headers: [...headers], body });
    asked.use(exchange);
    const head = await exchange.head();
    const answered = new Headers(head.headers);
    const location = REDIRECTS.has(head.status) ? answered.get("location") : null;
    if (location === null || request.redirect === "manual") {
      const response = { ...head, headers: answered, url: url.href, redirected: redirects > 0 };
      return received(streamOf(exchange, ended), response);
    }
    exchange.close();
    if (request.redirect === "error") throw new TypeError(`\`${url.href}\` redirects`);
    if (redirects === MOST_REDIRECTS) throw new TypeError(`\`${request.url}\` redirects too often`);
    const next = new URL(location, url);
    if (next.protocol !== "http:" && next.protocol !== "https:") {
      throw new TypeError(`\`${url.href}\` redirects to \`${next.href}\`, which cannot be fetched`);
    }
    if (!next.hash) next.hash = url.hash;
    const isPost = method === "POST" && (head.status === 301 || head.status === 302);
    if (isPost || (head.status === 303 && method !== "GET" && method !== "HEAD")) {
      [method, content, isStreamed] = ["GET", null, false];
      for (const name of OF_BODY) headers.delete(name);
    } else if (isStreamed) throw new TypeError("a body that was a stream cannot be sent again");
    if (next.origin !== url.origin) for (const name of OF_ORIGIN) headers.delete(name);
    url = next;
  }
}

// What the app's own stream throws is what the app is told.
async function* watched(pieces, end) {
  try {
    yield* pieces;
  } catch (error) {
    end(error);
    throw error;
  }
}

function streamOf(exchange, ended) {
  return new ReadableStream(
    {
      // Once for the whole body: a promise keeps whatever was ever to wait for it.
      start(controller) {
        ended.catch(reason => controller.error(reason));
      },
      async pull(controller) {
        const piece = await exchange.read();
        if (piece) controller.enqueue(piece);
        else {
          exchange.close();
          controller.close();
        }
      },
      cancel: () => exchange.close(),
    },
    { highWaterMark: 0 },
  );
}
