// `Blob` and `File`, as the File API has them. What is in one is in memory.
import * as system from "./system.js";
import { ReadableStream } from "./streams.js";
import { TextDecoder, bytesOf } from "./text.js";

// The bytes of a blob, which nobody changes.
export let contentOf;

// A blob of bytes that nobody else has.
export let blobOf;

// Media types are ASCII.
function typeOf(given) {
  const type = String(given);
  return /[^ -~]/.test(type) ? "" : type.toLowerCase();
}

function contentOfPart(part) {
  if (part instanceof Blob) return contentOf(part);
  if (part instanceof ArrayBuffer || ArrayBuffer.isView(part)) return bytesOf(part);
  return system.encode(String(part));
}

// The bytes of several parts, in a new buffer.
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export class Blob {
  #bytes;
  #type;

  static {
    contentOf = blob => blob.#bytes;
    blobOf = (bytes, type) => {
      const blob = new Blob([], { type });
      blob.#bytes = bytes;
      return blob;
    };
  }

  constructor(parts = [], { type = "" } = {}) {
    if (typeof parts !== "object" || !parts?.[Symbol.iterator]) {
      throw new TypeError("the parts of a blob are a list");
    }
    this.#bytes = joined([...parts].map(contentOfPart));
    this.#type = typeOf(type);
  }

  get size() {
    return this.#bytes.length;
  }

  get type() {
    return this.#type;
  }

  slice(begin = 0, end = this.size, type = "") {
    return blobOf(this.#bytes.slice(begin, end), type);
  }

  async text() {
    return new TextDecoder().decode(this.#bytes);
  }

  async bytes() {
    return this.#bytes.slice();
  }

  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }

  stream() {
    const bytes = this.#bytes;
    return new ReadableStream({
      start(controller) {
        if (bytes.length) controller.enqueue(bytes.slice());
        controller.close();
      },
    });
  }

  get [Symbol.toStringTag]() {
    return "Blob";
  }
}

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, { lastModified = Date.now(), ...options } = {}) {
    if (name === undefined) throw new TypeError("a file has a name");
    super(parts, options);
    this.#name = String(name).toWellFormed();
    this.#lastModified = Math.trunc(Number(lastModified)) || 0;
  }

  get name() {
    return this.#name;
  }

  get lastModified() {
    return this.#lastModified;
  }

  get [Symbol.toStringTag]() {
    return "File";
  }
}
