// `TextEncoder` and `TextDecoder`; of encodings UTF-8, and what a byte or two a character has.
import { TransformStream } from "./streams.js";
import * as system from "./system.js";

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    return system.encode(String(text));
  }

  encodeInto(text, target) {
    let read = 0;
    let written = 0;
    for (const character of String(text)) {
      const bytes = system.encode(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

const LABELS = new Map([
  ...["utf-8", "utf8", "unicode-1-1-utf-8"].map(label => [label, "utf-8"]),
  ...["utf-16le", "utf-16", "ucs-2", "unicode"].map(label => [label, "utf-16le"]),
  ...["latin1", "iso-8859-1", "ascii", "us-ascii", "windows-1252", "cp1252"].map(label => [
    label,
    "windows-1252",
  ]),
]);

// What windows-1252 has from 0x80 to 0x9f.
const WINDOWS =
  "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

export class TextDecoder {
  #rest = new Uint8Array(0);
  #begun = false;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    const encoding = LABELS.get(String(label).trim().toLowerCase());
    if (!encoding) throw new RangeError(`the encoding \`${label}\` is not known`);
    Object.defineProperties(this, {
      encoding: { value: encoding, enumerable: true },
      fatal: { value: Boolean(fatal), enumerable: true },
      ignoreBOM: { value: Boolean(ignoreBOM), enumerable: true },
    });
  }

  decode(input, { stream = false } = {}) {
    let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input);
    if (this.#rest.length) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    const whole = stream ? bytes.length - unfinished(bytes, this.encoding) : bytes.length;
    this.#rest = bytes.slice(whole);
    let text = this.#text(bytes.subarray(0, whole));
    if (!this.#begun && text) {
      if (!this.ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#begun = true;
    }
    if (!stream) this.#begun = false;
    return text;
  }

  #text(bytes) {
    if (this.encoding === "windows-1252") {
      let text = "";
      for (const byte of bytes) {
        text += byte >= 0x80 && byte < 0xa0 ? WINDOWS[byte - 0x80] : String.fromCharCode(byte);
      }
      return text;
    }
    if (this.encoding === "utf-16le") return this.#utf16(bytes);
    const text = system.decode(bytes);
    if (this.fatal && text.includes("\ufffd") && !same(system.encode(text), bytes)) {
      throw new TypeError("the bytes are no UTF-8");
    }
    return text;
  }

  #utf16(bytes) {
    let text = "";
    for (let at = 0; at + 1 < bytes.length; at += 2) {
      text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
    }
    const whole = bytes.length % 2 === 0 && text.isWellFormed();
    if (!whole && this.fatal) throw new TypeError("the bytes are no UTF-16");
    return (bytes.length % 2 ? `${text}\ufffd` : text).toWellFormed();
  }
}

export class TextEncoderStream extends TransformStream {
  constructor() {
    // The first half of a character that comes in two chunks.
    let half = "";
    super({
      transform(chunk, controller) {
        let text = half + chunk;
        half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? "";
        if (half) text = text.slice(0, -1);
        if (text) controller.enqueue(system.encode(text));
      },
      flush(controller) {
        if (half) controller.enqueue(system.encode(half));
      },
    });
  }

  get encoding() {
    return "utf-8";
  }
}

export class TextDecoderStream extends TransformStream {
  #decoder;

  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    super({
      transform(chunk, controller) {
        const text = decoder.decode(chunk, { stream: true });
        if (text) controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text) controller.enqueue(text);
      },
    });
    this.#decoder = decoder;
  }

  get encoding() {
    return this.#decoder.encoding;
  }

  get fatal() {
    return this.#decoder.fatal;
  }

  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }
}

// The bytes of an ArrayBuffer or of a view of one.
export function bytesOf(input) {
  if (ArrayBuffer.isView(input)) {
    return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  }
  if (input instanceof ArrayBuffer) return new Uint8Array(input);
  throw new TypeError("bytes are an ArrayBuffer or a view of one");
}

// How many bytes at the end belong to a character that goes on.
function unfinished(bytes, encoding) {
  if (encoding === "utf-16le") return bytes.length % 2;
  if (encoding !== "utf-8") return 0;
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc0) {
      const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needs > back ? back : 0;
    }
    if (byte < 0x80) return 0;
  }
  return 0;
}

function same(left, right) {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
