// What the interpreter and its driver give: bytes in and out, text, randomness, the environment.
import * as os from "qjs:os";

let native;
let thawed = false;

export function use(given) {
  native = given;
}

// From now on a request is handled.
export function thaw() {
  thawed = true;
}

export function isThawed() {
  return thawed;
}

// The next bytes of standard input, at most so many; none at its end.
export function read(most) {
  const buffer = new ArrayBuffer(most);
  const count = os.read(0, buffer, 0, most);
  if (count < 0) throw new Error(`failed to read the body (error ${-count})`);
  return new Uint8Array(buffer, 0, count);
}

export function write(bytes, to = 1) {
  let at = 0;
  while (at < bytes.length) {
    const count = os.write(to, bytes.buffer, bytes.byteOffset + at, bytes.length - at);
    if (count < 0) throw new Error(`failed to write (error ${-count})`);
    at += count;
  }
}

export function log(line) {
  write(encode(`${line}\n`), 2);
}

export function encode(text) {
  return native.encode(text.isWellFormed() ? text : text.toWellFormed());
}

export function decode(bytes) {
  return native.decode(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function fillRandom(bytes) {
  const error = native.fillRandom(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (error) throw new Error(`failed to get random bytes (error ${error})`);
}

// Whole blocks of bytes into the state of a digest.
export function compress(words, state, constants, bytes) {
  native.compress(words, state, constants, bytes);
}

// Calls the function of the host that a block is for, which gets the result.
export function call(block) {
  native.call(block.buffer);
}

// Where bytes are in memory, as long as they live.
export function addressOf(bytes) {
  return (native.address(bytes.buffer) >>> 0) + bytes.byteOffset;
}

// A copy of what is in memory.
export function peek(address, length) {
  return native.peek(address, length);
}

// The environment as it is now, `NAME=VALUE` each ended by a NUL.
export function environment() {
  return decode(native.environment());
}
