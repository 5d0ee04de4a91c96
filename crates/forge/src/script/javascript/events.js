// `EventTarget` and what aborts.
import { performance } from "./clock.js";
import { setTimeout } from "./timers.js";

export class Event {
  #stopped = false;

  constructor(type, { cancelable = false } = {}) {
    this.type = String(type);
    this.cancelable = Boolean(cancelable);
    this.defaultPrevented = false;
    this.target = null;
    this.timeStamp = performance.now();
  }

  preventDefault() {
    if (this.cancelable) this.defaultPrevented = true;
  }

  stopImmediatePropagation() {
    this.#stopped = true;
  }

  stopPropagation() {}

  get currentTarget() {
    return this.target;
  }

  static stopped(event) {
    return event.#stopped;
  }
}

export class CustomEvent extends Event {
  constructor(type, init = {}) {
    super(type, init);
    this.detail = init.detail ?? null;
  }
}

export class EventTarget {
  #listeners = new Map();

  addEventListener(type, callback, options) {
    if (!callback) return;
    const { once = false, signal } = typeof options === "object" && options ? options : {};
    if (signal?.aborted) return;
    const listeners = this.#listeners.get(type) ?? [];
    if (listeners.some(listener => listener.callback === callback)) return;
    listeners.push({ callback, once });
    this.#listeners.set(type, listeners);
    signal?.addEventListener("abort", () => this.removeEventListener(type, callback));
  }

  removeEventListener(type, callback) {
    const listeners = this.#listeners.get(type) ?? [];
    this.#listeners.set(
      type,
      listeners.filter(listener => listener.callback !== callback),
    );
  }

  dispatchEvent(event) {
    event.target = this;
    this[`on${event.type}`]?.call(this, event);
    for (const { callback, once } of this.#listeners.get(event.type) ?? []) {
      if (Event.stopped(event)) break;
      if (once) this.removeEventListener(event.type, callback);
      if (typeof callback === "function") callback.call(this, event);
      else callback.handleEvent(event);
    }
    return !event.defaultPrevented;
  }
}

let abort;

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;
  onabort = null;

  static {
    abort = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason ?? new DOMException("the operation was aborted", "AbortError");
      signal.dispatchEvent(new Event("abort"));
    };
  }

  static abort(reason) {
    const signal = new AbortSignal();
    abort(signal, reason);
    return signal;
  }

  static timeout(milliseconds) {
    const signal = new AbortSignal();
    const late = () => abort(signal, new DOMException("the time is over", "TimeoutError"));
    setTimeout(late, milliseconds);
    return signal;
  }

  static any(signals) {
    const any = new AbortSignal();
    for (const signal of signals) {
      if (signal.aborted) abort(any, signal.reason);
      else signal.addEventListener("abort", () => abort(any, signal.reason));
    }
    return any;
  }

  get aborted() {
    return this.#aborted;
  }

  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
}

export class AbortController {
  signal = new AbortSignal();

  abort(reason) {
    abort(this.signal, reason);
  }
}
