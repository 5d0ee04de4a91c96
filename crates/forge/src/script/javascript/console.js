// `console`, whose lines go to the component's log.
import { performance } from "./clock.js";
import { mapped } from "./sourcemap.js";
import * as system from "./system.js";

// A value as a person reads it.
export function inspect(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : `caused by: ${inspect(value.cause)}\n`;
    return `${value}\n${mapped(value.stack ?? "")}${cause}`.trimEnd();
  }
  return shown(value, new Set());
}

function shown(value, within) {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "function":
      return `[function ${value.name || "(anonymous)"}]`;
    case "object":
      return value === null ? "null" : structure(value, within);
    default:
      return String(value);
  }
}

const DEEPEST = 6;
const LONGEST = 100;

function structure(value, within) {
  if (value instanceof Error) return inspect(value);
  if (value instanceof Date || value instanceof RegExp) return String(value);
  if (within.has(value)) return "[circular]";
  if (within.size >= DEEPEST) return "…";
  const inner = new Set(within).add(value);
  const list = (items, show) => {
    const some = [];
    for (const item of items) {
      if (some.length === LONGEST) {
        some.push("…");
        break;
      }
      some.push(show(item));
    }
    return some.join(", ");
  };
  const pair = ([key, item]) => `${shown(key, inner)} => ${shown(item, inner)}`;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return `[${list(value, item => shown(item, inner))}]`;
  }
  if (value instanceof Map) return `Map { ${list(value, pair)} }`;
  if (value instanceof Set) return `Set { ${list(value, item => shown(item, inner))} }`;
  const name = value.constructor?.name;
  const fields = list(entries(value), ([key, item]) => `${key}: ${shown(item, inner)}`);
  return `${name && name !== "Object" ? `${name} ` : ""}{${fields && ` ${fields} `}}`;
}

// With what its class has: attributes of the web's classes are those.
function* entries(value) {
  for (const key in value) yield [key, value[key]];
}

function line(values) {
  const [first, ...rest] = values;
  if (typeof first !== "string" || !first.includes("%")) return values.map(inspect).join(" ");
  const filled = first.replace(/%[sdifjoOc%]/g, place => {
    if (place === "%%") return "%";
    if (rest.length === 0) return place;
    const value = rest.shift();
    switch (place) {
      case "%d":
      case "%f":
        return Number(value);
      case "%i":
        return Math.trunc(Number(value));
      case "%c":
        return "";
      case "%j":
        return JSON.stringify(value);
      default:
        return inspect(value);
    }
  });
  return [filled, ...rest.map(inspect)].join(" ");
}

const counts = new Map();
const timers = new Map();
let indent = "";

function log(...values) {
  const text = line(values);
  system.log(indent ? text.replace(/^/gm, indent) : text);
}

// What nobody catches.
export function reportError(error) {
  system.log(`uncaught: ${inspect(error)}`);
}

export const console = {
  log,
  info: log,
  debug: log,
  warn: log,
  error: log,
  dir: value => log(value),
  table: value => log(value),
  trace: (...values) => log(`${line(values)}\n${mapped(new Error().stack)}`),
  assert: (holds, ...values) => holds || log("Assertion failed", ...values),
  group(...values) {
    log(...values);
    indent += "  ";
  },
  groupCollapsed: (...values) => console.group(...values),
  groupEnd() {
    indent = indent.slice(2);
  },
  count(label = "default") {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    log(`${label}: ${counts.get(label)}`);
  },
  countReset: (label = "default") => counts.delete(label),
  time: (label = "default") => timers.set(label, performance.now()),
  timeLog: (label = "default") => log(`${label}: ${performance.now() - timers.get(label)} ms`),
  timeEnd(label = "default") {
    console.timeLog(label);
    timers.delete(label);
  },
};
