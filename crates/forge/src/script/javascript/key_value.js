// Key-value stores, which `key_value_stores` grants.
import { Handle, call } from "./bridge.js";
import { contentOf } from "./values.js";

export function open(label = "default") {
  return new Store(new Handle("key-value.store", call("key-value.store.open", label)));
}

// Keys are texts, values bytes. A text that is set is stored as UTF-8.
class Store {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // A Uint8Array, null if there is no such key.
  get(key) {
    return this.#handle.call("get", key);
  }

  set(key, value) {
    this.#handle.call("set", key, contentOf(value));
  }

  delete(key) {
    this.#handle.call("delete", key);
  }

  exists(key) {
    return this.#handle.call("exists", key);
  }

  keys() {
    return this.#handle.call("get-keys");
  }

  close() {
    this.#handle.close();
  }
}
