// Puts what a web-interoperable runtime has (WinterTC's minimum common API) into the global scope.
import { console } from "./console.js";
import * as events from "./events.js";
import { Headers } from "./headers.js";
import * as http from "./http.js";
import * as streams from "./streams.js";
import { TextDecoder, TextEncoder } from "./text.js";
import * as timers from "./timers.js";

const { AbortController, AbortSignal, CustomEvent, Event, EventTarget } = events;
const { Request, Response } = http;

const given = {
  ...{ AbortController, AbortSignal, CustomEvent, Event, EventTarget },
  ...{ Headers, Request, Response, TextDecoder, TextEncoder, console },
  ...streams,
  ...timers,
  self: globalThis,
};

for (const [name, value] of Object.entries(given)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

const { addEventListener, removeEventListener } = EventTarget.prototype;
const target = new EventTarget();
let handles = null;

// What was given to `addEventListener("fetch", …)`.
export function listener() {
  return handles;
}

globalThis.addEventListener = (type, callback, options) => {
  if (type === "fetch") handles = callback;
  else addEventListener.call(target, type, callback, options);
};
globalThis.removeEventListener = (type, callback) => {
  if (type === "fetch" && handles === callback) handles = null;
  else removeEventListener.call(target, type, callback);
};
