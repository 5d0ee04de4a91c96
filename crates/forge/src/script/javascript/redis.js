// Redis servers, which `allowed_outbound_hosts` grants.
import { Handle, call } from "./bridge.js";
import { contentOf } from "./values.js";

// A connection to a server, `redis://host:port`.
export function open(address) {
  return new Connection(new Handle("redis.connection", call("redis.connection.open", address)));
}

// Keys are texts, values bytes. A text that is given for a value is sent as UTF-8.
class Connection {
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

  incr(key) {
    return this.#handle.call("incr", key);
  }

  // How many of them there were.
  delete(...keys) {
    return this.#handle.call("del", keys);
  }

  sadd(key, ...members) {
    return this.#handle.call("sadd", key, members);
  }

  srem(key, ...members) {
    return this.#handle.call("srem", key, members);
  }

  smembers(key) {
    return this.#handle.call("smembers", key);
  }

  publish(channel, payload) {
    this.#handle.call("publish", channel, contentOf(payload));
  }

  // What any other command answers: a list of numbers, bytes, texts (a status) and nulls.
  execute(command, ...values) {
    const given = values.map(value =>
      Number.isSafeInteger(value) || typeof value === "bigint" ? ["int64", value] : ["binary", contentOf(value)],
    );
    return this.#handle.call("execute", command, given).map(([, value]) => value ?? null);
  }

  close() {
    this.#handle.close();
  }
}
