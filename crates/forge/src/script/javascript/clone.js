// `structuredClone`, as the HTML standard has it.
import { Blob } from "./blob.js";

const ERRORS = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
// What neither has a state that can be copied, nor is plain.
const UNCLONEABLE = [Promise, WeakMap, WeakRef, WeakSet];

function refuse(what) {
  throw new DOMException(`${what} cannot be cloned`, "DataCloneError");
}

export function structuredClone(value, { transfer = [] } = {}) {
  const seen = new Map();
  for (const buffer of transfer) {
    if (!(buffer instanceof ArrayBuffer) || buffer.detached || seen.has(buffer)) {
      refuse("what is given as `transfer`");
    }
    seen.set(buffer, null);
  }
  for (const buffer of transfer) seen.set(buffer, buffer.transfer());
  return copied(value, seen);
}

function copied(value, seen) {
  if (typeof value === "symbol" || typeof value === "function") refuse(`a ${typeof value}`);
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const [copy, fill] = emptied(value, seen);
  seen.set(value, copy);
  fill?.();
  return copy;
}

// A copy without what is in it, and what puts that there.
function emptied(value, seen) {
  switch (Object.prototype.toString.call(value).slice(8, -1)) {
    case "Boolean":
    case "Number":
    case "String":
    case "BigInt":
      return [Object(value.valueOf())];
    case "Date":
      return [new Date(value.getTime())];
    case "RegExp":
      return [new RegExp(value.source, value.flags)];
    case "ArrayBuffer":
      return [value.slice(0)];
    case "Map": {
      const copy = new Map();
      const items = [...value];
      return [copy, () => items.forEach(([key, item]) => copy.set(copied(key, seen), copied(item, seen)))];
    }
    case "Set": {
      const copy = new Set();
      const items = [...value];
      return [copy, () => items.forEach(item => copy.add(copied(item, seen)))];
    }
    case "Error":
      return emptiedError(value, seen);
    case "Array": {
      const copy = new Array(value.length);
      return [copy, () => fillIn(copy, value, seen)];
    }
  }
  if (ArrayBuffer.isView(value)) {
    const length = value instanceof DataView ? value.byteLength : value.length;
    return [new value.constructor(copied(value.buffer, seen), value.byteOffset, length)];
  }
  if (value instanceof Blob) return [value];
  const isPlain = !(Symbol.toStringTag in value) && !UNCLONEABLE.some(kind => value instanceof kind);
  if (!isPlain) refuse(`a ${value.constructor?.name ?? "host object"}`);
  const copy = {};
  return [copy, () => fillIn(copy, value, seen)];
}

function emptiedError(value, seen) {
  const kind = ERRORS.find(kind => kind.name === value.name) ?? Error;
  const error = new kind(value.message);
  Object.defineProperty(error, "stack", { value: value.stack, writable: true, configurable: true });
  return [error, () => "cause" in value && (error.cause = copied(value.cause, seen))];
}

function fillIn(copy, value, seen) {
  for (const key of Object.keys(value)) {
    const item = copied(value[key], seen);
    Object.defineProperty(copy, key, { value: item, writable: true, enumerable: true, configurable: true });
  }
}
