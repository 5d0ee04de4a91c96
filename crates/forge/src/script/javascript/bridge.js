// Calls what the host grants, by the component model's canonical ABI: arguments are laid out in memory
// as the table of interfaces says, and results read from there.
import * as system from "./system.js";
import { bytesOf } from "./text.js";

const NOT_YET =
  "while the app is loaded nothing is granted: call this where a request or an event is handled";

// The host refused, or what was asked of it failed. `kind` is the interface's word for it.
export class DayflyError extends Error {
  name = "DayflyError";

  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

// An error as its interface has it.
export class Failure {
  constructor(error) {
    this.error = error;
  }
}

// What an interface's error says: its kind, and a text.
export function wordsOf(error) {
  const [kind, detail] = Array.isArray(error) ? error : [error];
  const [text, plain] = [textOf(detail), String(kind ?? "failed").replaceAll("-", " ")];
  if (!text) return [kind, plain];
  return [kind, kind === "other" || kind === "io" ? text : `${plain}: ${text}`];
}

function textOf(detail) {
  if (Array.isArray(detail)) return textOf(detail[1]) || detail[0].replaceAll("-", " ");
  if (typeof detail !== "object" || detail === null) return `${detail ?? ""}`;
  const isPlain = value => typeof value === "string" || typeof value === "number";
  return detail.message ?? Object.values(detail).filter(isPlain).join(", ");
}

// A number that is a whole one of JavaScript's, a BigInt otherwise.
const exact = value => (BigInt.asIntN(54, value) === value ? Number(value) : value);

// A type of whole numbers: who hands over one that does not fit is told, because it would be another number.
function whole(bits, isSigned) {
  const form = `${bits === 64 ? "Big" : ""}${isSigned ? "Int" : "Uint"}${bits}`;
  const [put, got] = [DataView.prototype[`set${form}`], DataView.prototype[`get${form}`]];
  const made = bits === 64 ? BigInt : Number;
  const least = made(isSigned ? -(2 ** (bits - 1)) : 0);
  const most = isSigned ? -least - made(1) : made(2n ** BigInt(bits) - 1n);
  return [
    (view, at, given) => {
      const value = made(given);
      const fits = value >= least && value <= most && (bits === 64 || Number.isInteger(value));
      if (!fits) throw new RangeError(`${given} is no whole number from ${least} to ${most}`);
      put.call(view, at, value, true);
    },
    bits === 64 ? (view, at) => exact(got.call(view, at, true)) : (view, at) => got.call(view, at, true),
  ];
}

const NUMBERS = {
  bool: [(view, at, value) => view.setUint8(at, value ? 1 : 0), (view, at) => view.getUint8(at) !== 0],
  u8: whole(8, false),
  s8: whole(8, true),
  u16: whole(16, false),
  s16: whole(16, true),
  u32: whole(32, false),
  s32: whole(32, true),
  u64: whole(64, false),
  s64: whole(64, true),
  f32: [(view, at, value) => view.setFloat32(at, value, true), (view, at) => view.getFloat32(at, true)],
  f64: [(view, at, value) => view.setFloat64(at, value, true), (view, at) => view.getFloat64(at, true)],
};

// By its kind: what stores a value, and what loads one.
const KINDS = {
  string: () => [
    (view, at, value, kept) => {
      if (typeof value !== "string") throw new TypeError("a text is wanted");
      place(view, at, system.encode(value), kept);
    },
    (view, at) => system.decode(peek(view, at, 1)),
  ],

  list(item) {
    const [kind, size] = table[item];
    if (kind === "u8") {
      return [(view, at, value, kept) => place(view, at, bytesOf(value), kept), (view, at) => peek(view, at, 1)];
    }
    return [
      (view, at, values, kept) => {
        const items = new DataView(new ArrayBuffer(size * values.length));
        values.forEach((value, number) => store(item, items, size * number, value, kept));
        place(view, at, new Uint8Array(items.buffer), kept);
        view.setUint32(at + 4, values.length, true);
      },
      (view, at) => {
        const items = viewOf(peek(view, at, size));
        return Array.from({ length: view.getUint32(at + 4, true) }, (_, number) => load(item, items, size * number));
      },
    ];
  },

  record: fields => [
    (view, at, value, kept) => {
      for (const [name, type, offset] of fields) store(type, view, at + offset, value[name], kept);
    },
    (view, at) => Object.fromEntries(fields.map(([name, type, offset]) => [name, load(type, view, at + offset)])),
  ],

  tuple: fields => [
    (view, at, values, kept) => {
      fields.forEach(([type, offset], number) => store(type, view, at + offset, values[number], kept));
    },
    (view, at) => fields.map(([type, offset]) => load(type, view, at + offset)),
  ],

  variant(tag, payload, cases) {
    const [put, got] = NUMBERS[`u${8 * tag}`];
    return [
      (view, at, [name, value], kept) => {
        const number = cases.findIndex(([known]) => known === name);
        put(view, at, number);
        if (cases[number][1] >= 0) store(cases[number][1], view, at + payload, value, kept);
      },
      (view, at) => {
        const [name, type] = cases[got(view, at)];
        return [name, load(type, view, at + payload)];
      },
    ];
  },

  enum(tag, names) {
    const [put, got] = NUMBERS[`u${8 * tag}`];
    return [(view, at, value) => put(view, at, names.indexOf(value)), (view, at) => names[got(view, at)]];
  },

  option: (payload, some) => [
    (view, at, value, kept) => {
      const given = value !== null && value !== undefined;
      view.setUint8(at, given ? 1 : 0);
      if (given) store(some, view, at + payload, value, kept);
    },
    (view, at) => (view.getUint8(at) ? load(some, view, at + payload) : null),
  ],

  result(payload, ok, err) {
    const isText = err >= 0 && table[err][0] === "string";
    return [
      null,
      (view, at) => {
        if (!view.getUint8(at)) return load(ok, view, at + payload);
        const error = load(err, view, at + payload);
        throw new Failure(isText ? ["other", error] : error);
      },
    ];
  },
};

let table = [];
let codecs = [];
const functions = new Map();

// Takes the table of interfaces.
export function use([types, named]) {
  table = types;
  codecs = types.map(([kind, , , ...more]) => NUMBERS[kind] ?? KINDS[kind](...more));
  named.forEach(([name, ...more], number) => functions.set(name, [number, ...more]));
}

const viewOf = bytes => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function store(type, view, at, value, kept) {
  codecs[type][0](view, at, value, kept);
}

function load(type, view, at) {
  return type < 0 ? undefined : codecs[type][1](view, at);
}

// Writes where bytes are, and how many, which stay there as long as `kept` does.
function place(view, at, bytes, kept) {
  kept.push(bytes);
  view.setUint32(at, bytes.length ? system.addressOf(bytes) : 8, true);
  view.setUint32(at + 4, bytes.length, true);
}

// What is where an address and a count of things of `size` bytes say.
function peek(view, at, size) {
  const length = view.getUint32(at + 4, true) * size;
  return length ? system.peek(view.getUint32(at, true), length) : new Uint8Array(0);
}

// What a function of the host gives back; throws a `Failure` if that is an error.
export function attempt(name, ...values) {
  if (!system.isThawed()) throw new DayflyError(NOT_YET, "not-yet");
  const [number, size, parameters, result, offset] = functions.get(name);
  const block = new DataView(new ArrayBuffer(size));
  const kept = [];
  parameters.forEach(([type, at], place) => store(type, block, at, values[place], kept));
  block.setUint32(0, number, true);
  system.call(block);
  return load(result, block, offset);
}

// The same, with the errors that apps are told.
export function call(name, ...values) {
  try {
    return attempt(name, ...values);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    const [kind, text] = wordsOf(failure.error);
    throw new DayflyError(text, kind);
  }
}

// What the host holds for the app until it is closed.
export class Handle {
  #resource;
  #number;

  constructor(resource, number) {
    this.#resource = resource;
    this.#number = number;
  }

  call(name, ...values) {
    return call(`${this.#resource}.${name}`, this.number, ...values);
  }

  attempt(name, ...values) {
    return attempt(`${this.#resource}.${name}`, this.number, ...values);
  }

  get number() {
    if (this.#number === null) throw new TypeError("it is closed");
    return this.#number;
  }

  // The number, which is another's from now on.
  taken() {
    const { number } = this;
    this.#number = null;
    return number;
  }

  close() {
    if (this.#number !== null) call(`${this.#resource}.drop`, this.taken());
  }
}
