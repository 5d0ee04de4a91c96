// `Headers`, as the Fetch standard has them.

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = /[\0\r\n]/;
const BYTES = /^[\0-\xff]*$/;

// What came in: the host reads it as UTF-8, so it may have characters that no app can give a header.
export const READ = Symbol("read");

function nameOf(name) {
  name = String(name);
  if (!NAME.test(name)) throw new TypeError(`\`${name}\` is no header name`);
  return name.toLowerCase();
}

function lineOf(value) {
  value = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (FORBIDDEN.test(value)) throw new TypeError("a header's value is one line");
  return value;
}

function valueOf(value) {
  value = lineOf(value);
  if (!BYTES.test(value)) throw new TypeError("a header's value has no characters above U+00FF");
  return value;
}

export class Headers {
  // By name: a list of values.
  #values = new Map();

  constructor(from) {
    if (from === undefined || from === null) return;
    if (typeof from !== "object") throw new TypeError("headers are an object or pairs");
    if (from instanceof Headers) {
      for (const [name, values] of from.#values) this.#values.set(name, [...values]);
      return;
    }
    if (from[READ]) {
      for (const [name, value] of from[READ]) this.#add(nameOf(name), lineOf(value));
      return;
    }
    const pairs = from[Symbol.iterator] ? from : Object.entries(from);
    for (const pair of pairs) {
      const [name, value, ...more] = pair;
      if (more.length || value === undefined) throw new TypeError("a header is a pair");
      this.append(name, value);
    }
  }

  append(name, value) {
    this.#add(nameOf(name), valueOf(value));
  }

  #add(name, value) {
    const values = this.#values.get(name);
    if (values) values.push(value);
    else this.#values.set(name, [value]);
  }

  set(name, value) {
    this.#values.set(nameOf(name), [valueOf(value)]);
  }

  get(name) {
    return this.#values.get(nameOf(name))?.join(", ") ?? null;
  }

  has(name) {
    return this.#values.has(nameOf(name));
  }

  delete(name) {
    this.#values.delete(nameOf(name));
  }

  getSetCookie() {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  forEach(visit, self) {
    for (const [name, value] of this) visit.call(self, value, name, this);
  }

  *entries() {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name);
      if (name !== "set-cookie") yield [name, values.join(", ")];
      else for (const value of values) yield [name, value];
    }
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

  get [Symbol.toStringTag]() {
    return "Headers";
  }
}
