// Blobs, which `blob_containers` grants.
import { joined } from "./blob.js";
import { DayflyError, Handle, call } from "./bridge.js";
import { fill, read } from "./pipes.js";
import { ReadableStream } from "./streams.js";
import { contentOf } from "./values.js";
import { bytesOf } from "./text.js";

const PIECE = 65536;
const NAMES = 1000;
// Behind the last byte of any object.
const LAST = 2n ** 64n - 1n;

// A container; it is made if it is not there yet.
export function open(container = "default") {
  return new Container(new Handle("container.container", found(container)));
}

function found(name) {
  if (!call("blobstore.container-exists", name)) {
    try {
      return call("blobstore.create-container", name);
    } catch (error) {
      // Another instance may have made it meanwhile.
      if (!(error instanceof DayflyError) || !call("blobstore.container-exists", name)) throw error;
    }
  }
  return call("blobstore.get-container", name);
}

// Objects, each under a name: values are bytes. A text that is set is stored as UTF-8.
class Container {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // All of an object, a Uint8Array; null if there is none.
  get(name) {
    if (!this.exists(name)) return null;
    const stream = this.#stream(name, 0, LAST);
    const pieces = [];
    for (let piece; (piece = read(stream, PIECE)); ) pieces.push(piece);
    stream.close();
    return joined(pieces);
  }

  // A ReadableStream of an object; the first and the last byte are of it.
  read(name, first = 0, last = LAST) {
    const stream = this.#stream(name, first, last);
    const source = {
      pull(controller) {
        const piece = read(stream, PIECE);
        if (piece) return controller.enqueue(piece);
        stream.close();
        controller.close();
      },
      cancel: () => stream.close(),
    };
    return new ReadableStream(source, { highWaterMark: 0 });
  }

  // Resolves when the object is in its place. A value is a text, bytes, or gives these, as a ReadableStream does.
  async set(name, value) {
    const made = new Handle("types.outgoing-value", call("types.outgoing-value.new-outgoing-value"));
    try {
      this.#handle.call("write-data", name, made.number);
      await fill(made.call("outgoing-value-write-body"), pieces(value));
      call("types.outgoing-value.finish", made.taken());
    } finally {
      made.close();
    }
  }

  delete(name) {
    this.#handle.call("delete-object", name);
  }

  exists(name) {
    return this.#handle.call("has-object", name);
  }

  // How many bytes an object has.
  size(name) {
    return this.#handle.call("object-info", name).size;
  }

  // The names of all objects.
  keys() {
    const listed = new Handle("container.stream-object-names", this.#handle.call("list-objects"));
    const names = [];
    for (let isLast = false; !isLast; ) {
      const [more, last] = listed.call("read-stream-object-names", NAMES);
      names.push(...more);
      isLast = last;
    }
    listed.close();
    return names;
  }

  close() {
    this.#handle.close();
  }

  #stream(name, first, last) {
    const value = this.#handle.call("get-data", name, first, last);
    const stream = call("types.incoming-value.incoming-value-consume-async", value);
    return new Handle("streams.input-stream", stream);
  }
}

async function* pieces(value) {
  const isWhole = typeof value === "string" || value instanceof ArrayBuffer || ArrayBuffer.isView(value);
  for await (const piece of isWhole ? [value] : value) yield bytesOf(contentOf(piece));
}
