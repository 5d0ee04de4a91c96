// SHA-1 and SHA-2 (FIPS 180-4), and HMAC (RFC 2104) by them.
import * as system from "./system.js";
import { joined } from "./blob.js";

// The first so many primes.
function primes(count) {
  const found = [];
  for (let number = 2n; found.length < count; number += 1n) {
    if (found.every(prime => number % prime)) found.push(number);
  }
  return found;
}

// The first 64 bits after the point of a root of a number, rounded down.
function fraction(number, degree) {
  const wanted = number << (64n * degree);
  let root = 1n << 70n;
  for (;;) {
    const next = ((degree - 1n) * root + wanted / root ** (degree - 1n)) / degree;
    if (next >= root) return BigInt.asUintN(64, root);
    root = next;
  }
}

const upper = numbers => Uint32Array.from(numbers, number => Number(number >> 32n));
const CUBES = BigUint64Array.from(primes(80), prime => fraction(prime, 3n));
const SQUARES = primes(16).map(prime => fraction(prime, 2n));
const NEXT_SQUARES = SQUARES.slice(8);

// By its name: the words of its state as the driver counts them, its block's and its own length in
// bytes, its constants, and how it begins.
const FUNCTIONS = new Map([
  [
    "SHA-1",
    {
      ...{ words: 5, block: 64, length: 20, constants: new ArrayBuffer(0) },
      begin: Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0),
    },
  ],
  [
    "SHA-256",
    {
      ...{ words: 8, block: 64, length: 32, constants: upper(CUBES.subarray(0, 64)).buffer },
      begin: upper(SQUARES.slice(0, 8)),
    },
  ],
  [
    "SHA-384",
    {
      ...{ words: 16, block: 128, length: 48, constants: CUBES.buffer },
      begin: BigUint64Array.from(NEXT_SQUARES),
    },
  ],
  [
    "SHA-512",
    {
      ...{ words: 16, block: 128, length: 64, constants: CUBES.buffer },
      begin: BigUint64Array.from(SQUARES.slice(0, 8)),
    },
  ],
]);

export const NAMES = [...FUNCTIONS.keys()];

// The digest of bytes, as bytes.
export function digest(name, bytes) {
  const { words, block, length, constants, begin } = FUNCTIONS.get(name);
  const state = begin.slice();
  const rest = bytes.length % block;
  const whole = bytes.slice(0, bytes.length - rest);
  system.compress(words, state.buffer, constants, whole.buffer);
  const isShort = rest + 1 + block / 8 <= block;
  const last = new Uint8Array(isShort ? block : 2 * block);
  last.set(bytes.subarray(bytes.length - rest));
  last[rest] = 0x80;
  new DataView(last.buffer).setBigUint64(last.length - 8, BigInt(bytes.length) * 8n);
  system.compress(words, state.buffer, constants, last.buffer);
  return written(state).slice(0, length);
}

// Words, the highest byte of each first.
function written(words) {
  const bytes = new Uint8Array(words.buffer);
  const size = words.BYTES_PER_ELEMENT;
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  return bytes;
}

export const blockOf = name => FUNCTIONS.get(name).block;

export function hmac(name, key, bytes) {
  const { block } = FUNCTIONS.get(name);
  const padded = new Uint8Array(block);
  padded.set(key.length > block ? digest(name, key) : key);
  const inner = digest(name, joined([padded.map(byte => byte ^ 0x36), bytes]));
  return digest(name, joined([padded.map(byte => byte ^ 0x5c), inner]));
}
