// The cat of this browser: its own, for practice, or while the server cannot be reached. It is judged by the
// component that the server judges by; what it wants is drawn here, where the server asks Python.
import { instantiate } from "./rules.js";

// Browsers refuse other bytes than those that the page names.
async function component(integrity) {
  const answer = await fetch("rules.wasm", { integrity });
  if (!answer.ok) throw new Error(`rules.wasm: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

// The core module within a component (its section 1): what engines of browsers run.
export function moduleOf(bytes) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const section = bytes[at++];
    const length = number();
    if (section === 1) return bytes.subarray(at, at + length);
    at += length;
  }
  throw new Error("rules.wasm has no module");
}

async function rules(integrity) {
  const bytes = await component(integrity);
  const made = await instantiate(() => WebAssembly.compile(moduleOf(bytes)), {});
  return made.rules;
}

export class BrowserCat {
  static async make(integrity, clues) {
    return new BrowserCat(await rules(integrity), clues);
  }

  #rules;
  #clues;
  #cat = { wish: undefined, hunger: 3, refused: 0, streak: 0 };
  #score = { news: 0, points: 0, clicks: 0, treats: {}, friends: [] };

  constructor(rules, clues) {
    this.#rules = rules;
    this.#clues = clues;
    this.#score.treats = Object.fromEntries(Object.keys(clues).map((treat) => [treat, 0]));
    this.#wishAnew();
  }

  #wishAnew() {
    const others = Object.keys(this.#clues).filter((treat) => treat !== this.#cat.wish);
    this.#cat.wish = others[Math.floor(Math.random() * others.length)];
  }

  // As the server tells it.
  get state() {
    const { wish, ...seen } = this.#cat;
    return { ...seen, ...this.#score, treats: { ...this.#score.treats }, clue: this.#clues[wish] };
  }

  offer(treat) {
    const verdict = this.#rules.judge(this.#cat, treat);
    const { reply, taken, points, changesItsMind, hunger, refused, streak } = verdict;
    Object.assign(this.#cat, { hunger, refused, streak });
    this.#score.points += points;
    this.#score.clicks += 1;
    this.#score.news += 1;
    if (taken) this.#score.treats[treat] += 1;
    if (changesItsMind) this.#wishAnew();
    return { offered: treat, name: "", reply, taken, points, whim: null };
  }

  meal() {
    this.#cat.hunger = this.#rules.hungrier(this.#cat.hunger, 1);
    this.#score.news += 1;
  }
}
