// `URLSearchParams`, and the form of queries and of forms' bodies that it reads and writes.
import * as system from "./system.js";

function decoded(text) {
  text = text.replaceAll("+", " ");
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return decodedBytes(text);
  }
}

// What is percent-encoded wrongly, or is no UTF-8.
function decodedBytes(text) {
  const bytes = system.encode(text);
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const pair = bytes[at] === 0x25 ? String.fromCharCode(...bytes.subarray(at + 1, at + 3)) : "";
    const isEncoded = /^[0-9a-f]{2}$/i.test(pair);
    bytes[length] = isEncoded ? Number.parseInt(pair, 16) : bytes[at];
    length += 1;
    if (isEncoded) at += 2;
  }
  return system.decode(bytes.subarray(0, length));
}

// The pairs of names and values in a query.
export function pairsOf(query) {
  const pairs = [];
  for (const part of query.split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    const [name, value] = at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
    pairs.push([decoded(name), decoded(value)]);
  }
  return pairs;
}

function encoded(text) {
  return encodeURIComponent(text).replace(/[!'()~]|%20/g, character =>
    character === "%20" ? "+" : `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const textOf = value => String(value).toWellFormed();

// Has parameters be those of a query, and `changed` be told what it is after each change.
export let attach;

export class URLSearchParams {
  #pairs = [];
  #changed = null;

  static {
    attach = (params, query, changed) => {
      params.#pairs = pairsOf(query);
      params.#changed = changed;
    };
  }

  constructor(init = "") {
    if (typeof init === "object" && init !== null) {
      for (const pair of init[Symbol.iterator] ? init : Object.entries(init)) {
        const [name, value, ...more] = pair;
        if (value === undefined || more.length) throw new TypeError("a parameter is a pair");
        this.#pairs.push([textOf(name), textOf(value)]);
      }
    } else this.#pairs = pairsOf(textOf(init).replace(/^\?/, ""));
  }

  #tell() {
    this.#changed?.(String(this));
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#pairs.push([textOf(name), textOf(value)]);
    this.#tell();
  }

  delete(name, value) {
    name = textOf(name);
    this.#pairs = this.#pairs.filter(pair => pair[0] !== name || (value !== undefined && pair[1] !== textOf(value)));
    this.#tell();
  }

  get(name) {
    name = textOf(name);
    return this.#pairs.find(pair => pair[0] === name)?.[1] ?? null;
  }

  getAll(name) {
    name = textOf(name);
    return this.#pairs.filter(pair => pair[0] === name).map(pair => pair[1]);
  }

  has(name, value) {
    name = textOf(name);
    return this.#pairs.some(pair => pair[0] === name && (value === undefined || pair[1] === textOf(value)));
  }

  set(name, value) {
    name = textOf(name);
    const first = this.#pairs.find(pair => pair[0] === name);
    if (first) {
      first[1] = textOf(value);
      this.#pairs = this.#pairs.filter(pair => pair === first || pair[0] !== name);
    } else this.#pairs.push([name, textOf(value)]);
    this.#tell();
  }

  // By their names' code units; what has the same name keeps its order.
  sort() {
    this.#pairs.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
    this.#tell();
  }

  forEach(visit, self) {
    for (const [name, value] of this) visit.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#pairs.length; at += 1) yield [...this.#pairs[at]];
  }

  *keys() {
    for (const [name] of this) yield name;
  }

  *values() {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return this.#pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  }

  get [Symbol.toStringTag]() {
    return "URLSearchParams";
  }
}
