// `crypto`: random bytes, digests and HMAC, as the Web Cryptography API has them.
import * as system from "./system.js";
import { NAMES, blockOf, digest, hmac } from "./digest.js";
import { bytesOf } from "./text.js";

const MOST_RANDOM_BYTES = 65536;
const WHOLE_NUMBERS = [
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
  ...[BigInt64Array, BigUint64Array],
];

const refusal = (name, message) => new DOMException(message, name);

// The generator gives the same bytes wherever the app is loaded; a secret made of them is none.
function fillRandom(bytes) {
  if (!system.isThawed()) {
    throw refusal(
      "OperationError",
      "random bytes are asked for while the app is loaded, and would be the same in every instance: ask in a request",
    );
  }
  system.fillRandom(bytes);
}

function getRandomValues(array) {
  if (!WHOLE_NUMBERS.some(kind => array instanceof kind)) {
    throw refusal("TypeMismatchError", "random values are put into an array of whole numbers");
  }
  if (array.byteLength > MOST_RANDOM_BYTES) {
    throw refusal("QuotaExceededError", `at most ${MOST_RANDOM_BYTES} random bytes come at once`);
  }
  fillRandom(bytesOf(array));
  return array;
}

function randomUUID() {
  const bytes = new Uint8Array(16);
  fillRandom(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function hashOf(given) {
  const name = String(given?.name ?? given).toUpperCase();
  if (!NAMES.includes(name)) throw refusal("NotSupportedError", `the digest \`${name}\` is not known`);
  return name;
}

function expectHmac(algorithm) {
  const name = String(algorithm?.name ?? algorithm);
  if (name.toUpperCase() !== "HMAC") {
    throw refusal("NotSupportedError", `\`${name}\` is not supported: keys are of HMAC`);
  }
}

let secretOf;

class CryptoKey {
  #secret;

  static {
    secretOf = key => key.#secret;
  }

  constructor(secret, hash, extractable, usages) {
    this.#secret = secret;
    const known = ["sign", "verify"].filter(usage => usages.includes(usage));
    if (known.length === 0 || known.length !== new Set(usages).size) {
      throw refusal("SyntaxError", "a key of HMAC is to sign, to verify, or both");
    }
    const algorithm = { name: "HMAC", hash: { name: hash }, length: secret.length * 8 };
    const properties = { type: "secret", extractable: Boolean(extractable), algorithm, usages: known };
    for (const [name, value] of Object.entries(properties)) {
      Object.defineProperty(this, name, { value, enumerable: true });
    }
  }

  get [Symbol.toStringTag]() {
    return "CryptoKey";
  }
}

const JWK_NAMES = { "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };

function secretOfJwk(jwk, hash) {
  const isFit = jwk?.kty === "oct" && (jwk.alg === undefined || jwk.alg === JWK_NAMES[hash]);
  if (!isFit) throw refusal("DataError", `the key is none of HMAC with ${hash}`);
  return Uint8Array.fromBase64(jwk.k, { alphabet: "base64url" });
}

function signed(algorithm, key, data, usage) {
  expectHmac(algorithm);
  if (!key.usages.includes(usage)) throw refusal("InvalidAccessError", `the key is not to ${usage}`);
  return hmac(key.algorithm.hash.name, secretOf(key), bytesOf(data));
}

class SubtleCrypto {
  async digest(algorithm, data) {
    return digest(hashOf(algorithm), bytesOf(data)).buffer;
  }

  async importKey(format, data, algorithm, extractable, usages) {
    expectHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    if (format !== "raw" && format !== "jwk") {
      throw refusal("NotSupportedError", `keys of HMAC are \`raw\` or \`jwk\`, not \`${format}\``);
    }
    const secret = format === "raw" ? bytesOf(data).slice() : secretOfJwk(data, hash);
    if (secret.length === 0) throw refusal("DataError", "the key is empty");
    return new CryptoKey(secret, hash, extractable, usages);
  }

  async exportKey(format, key) {
    if (!key.extractable) throw refusal("InvalidAccessError", "the key is not to be exported");
    const secret = secretOf(key);
    if (format === "raw") return secret.slice().buffer;
    if (format !== "jwk") throw refusal("NotSupportedError", `there is no format \`${format}\``);
    const { usages, algorithm } = key;
    const k = secret.toBase64({ alphabet: "base64url", omitPadding: true });
    return { kty: "oct", k, alg: JWK_NAMES[algorithm.hash.name], key_ops: [...usages], ext: true };
  }

  async generateKey(algorithm, extractable, usages) {
    expectHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    const bits = algorithm.length ?? blockOf(hash) * 8;
    if (!(bits > 0 && bits % 8 === 0)) throw refusal("OperationError", "a key has whole bytes");
    const secret = new Uint8Array(bits / 8);
    fillRandom(secret);
    return new CryptoKey(secret, hash, extractable, usages);
  }

  async sign(algorithm, key, data) {
    return signed(algorithm, key, data, "sign").buffer;
  }

  // Looks at every byte, so that the time tells nothing.
  async verify(algorithm, key, signature, data) {
    const expected = signed(algorithm, key, data, "verify");
    const given = bytesOf(signature);
    if (given.length !== expected.length) return false;
    return expected.reduce((difference, byte, at) => difference | (byte ^ given[at]), 0) === 0;
  }

  get [Symbol.toStringTag]() {
    return "SubtleCrypto";
  }
}

class Crypto {
  subtle = new SubtleCrypto();
  getRandomValues = getRandomValues;
  randomUUID = randomUUID;

  get [Symbol.toStringTag]() {
    return "Crypto";
  }
}

export const crypto = new Crypto();
export { Crypto, CryptoKey, SubtleCrypto };
