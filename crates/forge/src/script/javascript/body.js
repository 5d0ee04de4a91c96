// Bodies of requests and responses: bytes, a text, a stream, or standard input.
import { Blob, blobOf, contentOf, joined } from "./blob.js";
import { FormData, formOf, multipart } from "./form.js";
import { URLSearchParams } from "./params.js";
import { ReadableStream } from "./streams.js";
import * as system from "./system.js";
import { TextDecoder, bytesOf as bytesOfBuffer } from "./text.js";

const PIECE = 65536;

// By its message: the body that it has.
const bodies = new WeakMap();

// What a body given to a constructor is, and the content type that it implies.
export function extract(given) {
  if (given === null || given === undefined) return [null, null];
  if (given instanceof ReadableStream) return [{ stream: given }, null];
  if (given instanceof ArrayBuffer || ArrayBuffer.isView(given)) {
    return [{ bytes: bytesOfBuffer(given).slice() }, null];
  }
  if (given instanceof Blob) return [{ bytes: contentOf(given) }, given.type || null];
  if (given instanceof FormData) {
    const [bytes, type] = multipart(given);
    return [{ bytes }, type];
  }
  if (given instanceof URLSearchParams) {
    return [{ text: String(given) }, "application/x-www-form-urlencoded;charset=UTF-8"];
  }
  return [{ text: String(given) }, "text/plain;charset=UTF-8"];
}

export function hasBody(message) {
  return bodies.has(message);
}

// What a message has that is not read piece by piece.
export function bytesOf(message) {
  const body = bodies.get(message);
  if (!body) return new Uint8Array(0);
  if (body.stream || body.input) return null;
  return body.bytes ?? system.encode(body.text);
}

// A message's body as bytes, piece by piece.
export async function* pieces(message) {
  for await (const piece of message.body) yield asBytes(piece);
}

function asBytes(piece) {
  if (piece instanceof Uint8Array) return piece;
  if (typeof piece === "string") return system.encode(piece);
  return bytesOfBuffer(piece);
}

function streamOf(body) {
  if (body.stream) return body.stream;
  if (body.input) {
    return new ReadableStream(
      {
        pull(controller) {
          const piece = system.read(PIECE);
          if (piece.length) controller.enqueue(piece);
          else controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }
  const bytes = body.bytes ?? system.encode(body.text);
  return new ReadableStream({
    start(controller) {
      if (bytes.length) controller.enqueue(bytes);
      controller.close();
    },
  });
}

// What requests and responses have in common.
export class Body {
  #used = false;

  constructor(body) {
    if (body) bodies.set(this, body);
  }

  get body() {
    const body = bodies.get(this);
    if (!body) return null;
    // What was given out as a stream stays one.
    if (!body.stream) bodies.set(this, { stream: streamOf(body), given: true });
    return bodies.get(this).stream;
  }

  get bodyUsed() {
    return this.#used;
  }

  async #whole() {
    const body = bodies.get(this);
    if (!body) return new Uint8Array(0);
    if (this.#used || body.stream?.locked) throw new TypeError("the body was read already");
    this.#used = true;
    if (body.text !== undefined) return system.encode(body.text);
    if (body.bytes) return body.bytes;
    const parts = [];
    if (body.input) {
      for (let part = system.read(PIECE); part.length; part = system.read(PIECE)) parts.push(part);
    } else {
      for await (const part of body.stream) parts.push(asBytes(part));
    }
    return parts.length === 1 ? parts[0] : joined(parts);
  }

  async text() {
    return new TextDecoder().decode(await this.#whole());
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async bytes() {
    return (await this.#whole()).slice();
  }

  async arrayBuffer() {
    return (await this.bytes()).buffer;
  }

  async blob() {
    return blobOf(await this.bytes(), this.headers.get("content-type") ?? "");
  }

  async formData() {
    const type = this.headers.get("content-type") ?? "";
    return formOf(await this.#whole(), type);
  }

  // The body for a copy of this message, which keeps its own.
  shared() {
    const body = bodies.get(this);
    if (!body) return null;
    if (this.#used) throw new TypeError("the body was read already");
    if (!body.stream && !body.input) return body;
    const [own, other] = streamOf(body).tee();
    bodies.set(this, { stream: own });
    return { stream: other };
  }

  // The body for a message made of this one, which has it no longer.
  taken() {
    const body = bodies.get(this);
    if (!body) return null;
    if (this.#used || body.stream?.locked) throw new TypeError("the body was read already");
    this.#used = true;
    return body;
  }
}
