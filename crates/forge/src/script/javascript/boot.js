// Loads the app once, before the instance is frozen, and handles one request in each thawed one.
import * as std from "qjs:std";
import * as bridge from "./bridge.js";
// What a handler imports of it is not looked for at a request.
import "./dayfly.js";
import * as system from "./system.js";
import { inspect } from "./console.js";
import { Variables, renewEnvironment, requestOf } from "./cgi.js";
import { Response } from "./http.js";
import { listener } from "./globals.js";
import { joined } from "./blob.js";
import { bytesOf, pieces } from "./body.js";
import { renewClock } from "./clock.js";
import * as rejections from "./rejections.js";
import { hintFor, resolve } from "./resolve.js";
import { mapped, readMap } from "./sourcemap.js";
import { wait } from "./waiting.js";

const CONFIGURATION = "/dayfly/dayfly.json";
const INTERFACES = "/dayfly/interfaces.json";

export async function initialize(native) {
  system.use(native);
  Math.random = native.random;
  const { entry } = JSON.parse(std.loadFile(CONFIGURATION));
  bridge.use(JSON.parse(std.loadFile(INTERFACES)));
  native.hook(resolving, rejections.track, wait);
  const app = await load(entry);
  const fetch = handlerOf(app);
  rejections.tell();
  std.gc();
  return problem => (problem === undefined ? run(fetch) : fail(problem));
}

// Whether the app has what tells the variables of the process.
let hasStd = false;

function resolving(base, name) {
  if (name === "qjs:std" && !base.startsWith("/dayfly/") && !hasStd) {
    hasStd = true;
    if (system.isThawed()) renewEnvironment(new Variables(), isEvent);
  }
  return resolve(base, name);
}

async function load(entry) {
  readMap(entry);
  try {
    return await import(entry);
  } catch (error) {
    const hint = hintFor(error);
    if (hint) error.message += ` (${hint})`;
    if (error instanceof Error) error.stack = mapped(error.stack);
    throw error;
  }
}

// `export default { fetch }`, or what was given to `addEventListener("fetch", …)`.
function handlerOf(app) {
  const exported = app.default;
  if (typeof exported?.fetch === "function") {
    return (request, context) => exported.fetch(request, {}, context);
  }
  if (typeof exported === "function") return (request, context) => exported(request, {}, context);
  if (listener()) return dispatched;
  throw new TypeError(
    "the script handles nothing: it needs `export default { fetch(request) { … } }`",
  );
}

function dispatched(request, context) {
  let answer;
  listener()({
    type: "fetch",
    request,
    respondWith(response) {
      answer = response;
    },
    waitUntil: context.waitUntil,
  });
  return answer;
}

// Whether a part of the answer was written.
let begun = false;
let isEvent = false;

async function run(fetch) {
  system.thaw();
  renewClock();
  const variables = new Variables();
  isEvent = variables.get("REQUEST_METHOD") === undefined && variables.get("CE_ID") !== undefined;
  if (hasStd) renewEnvironment(variables, isEvent);
  const pending = [];
  const context = {
    waitUntil(promise) {
      pending.push(promise);
    },
    passThroughOnException() {},
  };
  let succeeded;
  try {
    const response = await fetch(requestOf(variables, isEvent), context);
    if (!(response instanceof Response)) {
      throw new TypeError(`the handler answered ${inspect(response)}, which is no Response`);
    }
    await send(response);
    succeeded = !isEvent || response.ok;
  } catch (error) {
    succeeded = fail(error);
  }
  if (pending.length) await settle(pending);
  rejections.tell();
  return succeeded;
}

async function settle(pending) {
  for (const outcome of await Promise.allSettled(pending)) {
    if (outcome.status === "rejected") system.log(`in waitUntil: ${inspect(outcome.reason)}`);
  }
}

async function send(response) {
  const head = isEvent ? "" : headOf(response);
  const content = bytesOf(response);
  if (content) {
    begun = true;
    system.write(joined([system.encode(head), content]));
    return;
  }
  if (head) system.write(system.encode(head));
  begun = true;
  for await (const piece of pieces(response)) system.write(piece);
}

function headOf(response) {
  let head = `Status: ${response.status}\n`;
  for (const [name, value] of response.headers) head += `${name}: ${value}\n`;
  return `${head}\n`;
}

// Says what went wrong to the log, and to the client only that something did.
function fail(problem) {
  rejections.tell();
  system.log(inspect(problem));
  if (isEvent || begun) return false;
  begun = true;
  system.write(
    system.encode("Status: 500\nContent-Type: text/plain\n\nInternal Server Error\n"),
  );
  return true;
}
