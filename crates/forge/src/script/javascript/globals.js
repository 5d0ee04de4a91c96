// Puts what a web-interoperable runtime has (WinterTC's minimum common API) into the global scope.
import { Blob, File } from "./blob.js";
import { performance } from "./clock.js";
import { structuredClone } from "./clone.js";
import { console, reportError } from "./console.js";
import { Crypto, CryptoKey, SubtleCrypto, crypto } from "./crypto.js";
import * as events from "./events.js";
import { fetch } from "./fetch.js";
import { FormData } from "./form.js";
import { Headers } from "./headers.js";
import * as http from "./http.js";
import * as streams from "./streams.js";
import { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream } from "./text.js";
import * as timers from "./timers.js";
import { URL, URLSearchParams } from "./url.js";

const { AbortController, AbortSignal, CustomEvent, Event, EventTarget } = events;
const { Request, Response } = http;

const given = {
  ...{ AbortController, AbortSignal, CustomEvent, Event, EventTarget },
  ...{ Blob, File, FormData, Headers, Request, Response, URL, URLSearchParams },
  ...{ TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream },
  ...{ Crypto, CryptoKey, SubtleCrypto, crypto },
  ...{ console, fetch, performance, reportError, structuredClone },
  ...streams,
  ...timers,
  navigator: { userAgent: "Dayfly" },
  self: globalThis,
};

for (const [name, value] of Object.entries(given)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

const { addEventListener, removeEventListener, dispatchEvent } = EventTarget.prototype;
const target = new EventTarget();
let handles = null;

// What was given to `addEventListener("fetch", …)`.
export function listener() {
  return handles;
}

// Whether nobody prevents what an event announces.
export function dispatch(event) {
  return dispatchEvent.call(target, event);
}

globalThis.addEventListener = (type, callback, options) => {
  if (type === "fetch") handles = callback;
  else addEventListener.call(target, type, callback, options);
};
globalThis.removeEventListener = (type, callback) => {
  if (type === "fetch" && handles === callback) handles = null;
  else removeEventListener.call(target, type, callback);
};
globalThis.dispatchEvent = dispatch;
