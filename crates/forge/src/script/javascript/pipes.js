// Streams of the host's: what comes and goes piece by piece.
import { DayflyError, Failure, Handle, call, wordsOf } from "./bridge.js";
import { until } from "./waiting.js";

export const CLOSED = Symbol("closed");

// What a stream gives, `CLOSED` at its end.
export function on(stream, name, ...values) {
  try {
    return stream.attempt(name, ...values);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    const [kind, number] = failure.error;
    if (kind === "closed") return CLOSED;
    const error = new Handle("error.error", number);
    const code = call("types.http-error-code", number);
    const [name, text] = code ? wordsOf(code) : ["failed", error.call("to-debug-string").split("\n")[0]];
    error.close();
    throw new DayflyError(`the body failed: ${text}`, name);
  }
}

// Writes pieces of bytes to the stream of a number, as long as the other side takes more, and closes it.
export async function fill(number, pieces) {
  const stream = new Handle("streams.output-stream", number);
  try {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) {
        const room = on(stream, "check-write");
        if (room === CLOSED) return;
        if (room) {
          if (on(stream, "write", piece.subarray(at, at + room)) === CLOSED) return;
          at += room;
        } else await until(stream.call("subscribe"));
      }
      if (on(stream, "flush") === CLOSED) return;
    }
  } finally {
    stream.close();
  }
}

// The next piece, null at the end. Nothing else goes on meanwhile.
export function read(stream, size) {
  for (;;) {
    const piece = on(stream, "read", size);
    if (piece === CLOSED) return null;
    if (piece.length) return piece;
    const pollable = new Handle("poll.pollable", stream.call("subscribe"));
    pollable.call("block");
    pollable.close();
  }
}
