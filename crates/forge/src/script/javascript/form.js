// `FormData`, as the XMLHttpRequest standard has it, and the two forms of a body that it is sent in.
import * as system from "./system.js";
import { Blob, File, blobOf, contentOf, joined } from "./blob.js";
import { pairsOf } from "./params.js";

function entryOf(name, value, fileName) {
  name = String(name).toWellFormed();
  if (!(value instanceof Blob)) return [name, String(value).toWellFormed()];
  if (value instanceof File && fileName === undefined) return [name, value];
  const { type, lastModified } = value;
  return [name, new File([value], fileName ?? value.name ?? "blob", { type, lastModified })];
}

export class FormData {
  #entries = [];

  append(name, value, fileName) {
    this.#entries.push(entryOf(name, value, fileName));
  }

  delete(name) {
    this.#entries = this.#entries.filter(entry => entry[0] !== String(name));
  }

  get(name) {
    return this.#entries.find(entry => entry[0] === String(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#entries.filter(entry => entry[0] === String(name)).map(entry => entry[1]);
  }

  has(name) {
    return this.#entries.some(entry => entry[0] === String(name));
  }

  set(name, value, fileName) {
    const entry = entryOf(name, value, fileName);
    const at = this.#entries.findIndex(other => other[0] === entry[0]);
    if (at < 0) this.#entries.push(entry);
    else {
      this.#entries[at] = entry;
      this.#entries = this.#entries.filter((other, place) => place <= at || other[0] !== entry[0]);
    }
  }

  forEach(visit, self) {
    for (const [name, value] of this) visit.call(self, value, name, this);
  }

  *entries() {
    for (let at = 0; at < this.#entries.length; at += 1) yield [...this.#entries[at]];
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
    return "FormData";
  }
}

const ESCAPES = { "\n": "%0A", "\r": "%0D", '"': "%22" };
const quoted = text => `"${text.replace(/[\n\r"]/g, character => ESCAPES[character])}"`;
const lines = text => text.replace(/\r\n?|\n/g, "\r\n");

// The bytes of a form as `multipart/form-data`, and that media type.
export function multipart(form) {
  const random = new Uint8Array(16);
  system.fillRandom(random);
  const boundary = `----dayfly-${random.toHex()}`;
  const parts = [];
  for (const [name, value] of form) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name=${quoted(lines(name))}`;
    if (typeof value === "string") {
      parts.push(system.encode(`${head}\r\n\r\n${lines(value)}\r\n`));
      continue;
    }
    const type = value.type || "application/octet-stream";
    const rest = `; filename=${quoted(value.name)}\r\nContent-Type: ${type}\r\n\r\n`;
    parts.push(system.encode(head + rest), contentOf(value), system.encode("\r\n"));
  }
  parts.push(system.encode(`--${boundary}--\r\n`));
  return [joined(parts), `multipart/form-data; boundary=${boundary}`];
}

// The form that a body of this media type is.
export function formOf(bytes, type) {
  const [essence] = type.split(";", 1);
  switch (essence.trim().toLowerCase()) {
    case "application/x-www-form-urlencoded": {
      const form = new FormData();
      for (const [name, value] of pairsOf(system.decode(bytes))) form.append(name, value);
      return form;
    }
    case "multipart/form-data": {
      const found = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type);
      if (!found) throw new TypeError("the form has no boundary");
      return formOfParts(bytes, found[1] ?? found[2]);
    }
    default:
      throw new TypeError(`a body of type \`${type}\` is no form`);
  }
}

function formOfParts(bytes, boundary) {
  const form = new FormData();
  const delimiter = system.encode(`\r\n--${boundary}`);
  const malformed = () => new TypeError("the form is malformed");
  // The first delimiter has no line before it.
  let at = startsWith(bytes, 0, delimiter.subarray(2)) ? -2 : find(bytes, delimiter, 0);
  for (;;) {
    if (at === -1) throw malformed();
    at += delimiter.length;
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return form;
    while (bytes[at] === 0x20 || bytes[at] === 0x09) at += 1;
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) throw malformed();
    const headEnd = find(bytes, HEAD_END, at);
    const end = headEnd === -1 ? -1 : find(bytes, delimiter, headEnd + 2);
    if (end === -1) throw malformed();
    // An empty part ends where its head does.
    const begin = Math.min(headEnd + HEAD_END.length, end);
    addPart(form, system.decode(bytes.subarray(at + 2, headEnd)), bytes.slice(begin, end));
    at = end;
  }
}

const HEAD_END = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a]);
const PARAMETER = /;\s*(name|filename)=(?:"([^"]*)"|([^\s;]*))/gi;
const unescaped = text => text.replace(/%0A|%0D|%22/gi, decodeURIComponent);

function addPart(form, head, content) {
  const fields = new Map();
  for (const line of head.split("\r\n")) {
    const at = line.indexOf(":");
    if (at > 0) fields.set(line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim());
  }
  const disposition = fields.get("content-disposition") ?? "";
  const parameters = new Map();
  for (const [, key, inQuotes, bare] of disposition.matchAll(PARAMETER)) {
    parameters.set(key.toLowerCase(), unescaped(inQuotes ?? bare));
  }
  const name = parameters.get("name");
  if (!/^form-data\s*(?:;|$)/i.test(disposition) || name === undefined) {
    throw new TypeError("a part of the form has no name");
  }
  const fileName = parameters.get("filename");
  if (fileName === undefined) form.append(name, system.decode(content).replace(/^\ufeff/, ""));
  else form.append(name, blobOf(content, fields.get("content-type") ?? "text/plain"), fileName);
}

function startsWith(bytes, at, wanted) {
  for (let offset = 0; offset < wanted.length; offset += 1) {
    if (bytes[at + offset] !== wanted[offset]) return false;
  }
  return true;
}

// Where `wanted` is at or after `from`; -1 if it is not.
function find(bytes, wanted, from) {
  let at = bytes.indexOf(wanted[0], from);
  while (at !== -1 && !startsWith(bytes, at, wanted)) at = bytes.indexOf(wanted[0], at + 1);
  return at;
}
