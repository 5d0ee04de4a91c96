// `/use/INTERFACE`: runs the script in the body by that interface, in all the functions that it has.
// The methods below are the scripts' words.

import * as llm from "@spinframework/spin-llm";
import * as mysql from "@spinframework/spin-mysql";
import { Store } from "fermyon:spin/key-value@2.0.0";
import { Connection as Mqtt } from "fermyon:spin/mqtt@2.0.0";
import { Connection as Postgres } from "fermyon:spin/postgres@2.0.0";
import { Connection as Redis } from "fermyon:spin/redis@2.0.0";
import { Connection as Sqlite } from "fermyon:spin/sqlite@2.0.0";
import * as variables from "fermyon:spin/variables@2.0.0";
import * as config from "wasi:config/store@0.2.0-draft-2024-09-27";
import * as atomics from "wasi:keyvalue/atomics@0.2.0-draft2";
import * as batch from "wasi:keyvalue/batch@0.2.0-draft2";
import * as wasiStore from "wasi:keyvalue/store@0.2.0-draft2";

import { bytes, cell, show, split, statement, table, words } from "./script.js";

/** What stores of both interfaces have. */
class Values {
  get(key) {
    return this.store.get(key);
  }
  set(rest) {
    const [key, value] = split(rest, " ");
    this.store.set(key, bytes(value));
  }
  delete(key) {
    this.store.delete(key);
  }
  exists(key) {
    return this.store.exists(key);
  }
}

class KeyValue extends Values {
  open(name) {
    this.store = Store.open(name);
  }
  openDefault() {
    this.store = Store.open("default");
  }
  getKeys() {
    return this.store.getKeys().sort();
  }
}

class WasiKeyValue extends Values {
  open(name) {
    this.store = wasiStore.open(name);
  }
  listKeys() {
    const page = this.store.listKeys();
    return [...page.keys.sort(), `then ${show(page.cursor)}`];
  }
  getMany(rest) {
    return batch.getMany(this.store, words(rest)).map(([key, value]) => `${key}=${show(value)}`);
  }
  setMany(rest) {
    const pairs = words(rest).map((pair) => split(pair, "="));
    batch.setMany(this.store, pairs.map(([key, value]) => [key, bytes(value)]));
  }
  deleteMany(rest) {
    batch.deleteMany(this.store, words(rest));
  }
  increment(rest) {
    const [key, delta] = words(rest);
    return atomics.increment(this.store, key, BigInt(delta));
  }
  watch(key) {
    this.key = key;
    this.cas = atomics.Cas.new(this.store, key);
    return this.cas.current();
  }
  /**
   * A swap that came too late gives back what to try the next one with. The bindings of
   * componentize-js 0.19 trap if it is handed over in its turn, so a new one is made.
   */
  swap(value) {
    try {
      atomics.swap(this.cas, bytes(value));
    } catch (error) {
      if (error.payload?.tag !== "cas-failed") throw error;
      const found = show(error.payload.val.current());
      this.cas = atomics.Cas.new(this.store, this.key);
      return `lost to ${found}`;
    }
  }
}

class Database {
  open(address) {
    this.connection = Postgres.open(address);
  }
  query(rest) {
    const result = this.connection.query(...statement(rest));
    return table(result.columns.map((column) => column.name), result.rows);
  }
  execute(rest) {
    return this.connection.execute(...statement(rest));
  }
}

/** The package makes an object of each row, whose values are JavaScript's. */
class MysqlDatabase extends Database {
  open(address) {
    this.connection = mysql.open(address);
  }
  query(rest) {
    const { columns, rows } = this.connection.query(...statement(rest));
    const names = columns.map((column) => column.name);
    const typed = (row) =>
      columns.map(({ name, dataType }) =>
        row[name] === null ? { tag: "db-null" } : { tag: kindOf(dataType), val: row[name] },
      );
    return table(names, rows.map(typed));
  }
}

/** What a column of a type that the interface does not know comes as. */
function kindOf(dataType) {
  return dataType === "other" ? "str" : dataType;
}

class SqliteDatabase {
  open(name) {
    this.connection = Sqlite.open(name);
  }
  openDefault() {
    this.open("default");
  }
  execute(rest) {
    const result = this.connection.execute(...statement(rest));
    return table(result.columns, result.rows.map((row) => row.values));
  }
}

class RedisServer {
  open(address) {
    this.connection = Redis.open(address);
  }
  get(key) {
    return this.connection.get(key);
  }
  set(rest) {
    const [key, value] = split(rest, " ");
    this.connection.set(key, bytes(value));
  }
  incr(key) {
    return this.connection.incr(key);
  }
  delete(rest) {
    return this.connection.del(words(rest));
  }
  sadd(rest) {
    const [key, ...values] = words(rest);
    return this.connection.sadd(key, values);
  }
  smembers(key) {
    return this.connection.smembers(key).sort();
  }
  srem(rest) {
    const [key, ...values] = words(rest);
    return this.connection.srem(key, values);
  }
  publish(rest) {
    const [channel, payload] = split(rest, " ");
    this.connection.publish(channel, bytes(payload));
  }
  execute(rest) {
    const [command, ...parts] = words(rest);
    return this.connection.execute(command, parts.map(argument)).map(cell);
  }
}

/** A word of a command; numbers go as numbers. */
function argument(text) {
  const isNumber = /^-?[0-9]+$/.test(text);
  return isNumber ? { tag: "int64", val: BigInt(text) } : { tag: "binary", val: bytes(text) };
}

const QUALITIES = ["at-most-once", "at-least-once", "exactly-once"];

class MqttBroker {
  open(rest) {
    const [address, username = "", password = ""] = rest.split(" ");
    this.connection = Mqtt.open(address, username, password, 30n);
  }
  publish(rest) {
    const [quality, topic, payload] = rest.split(" ");
    this.connection.publish(topic, bytes(payload), QUALITIES[quality]);
  }
}

class Llm {
  infer(rest) {
    return completion(llm.infer(...split(rest, " ")));
  }
  inferWithOptions(rest) {
    return completion(llm.infer(...split(rest, " "), { maxTokens: 7, temperature: 0.5 }));
  }
  generateEmbeddings(rest) {
    const [model, ...texts] = words(rest);
    const { usage, embeddings } = llm.generateEmbeddings(model, texts);
    const rows = embeddings.map((row) => `[${Array.from(row, decimal).join(", ")}]`);
    return `${usage.promptTokenCount} [${rows.join(", ")}]`;
  }
}

function decimal(number) {
  return Number.isInteger(number) ? number.toFixed(1) : String(number);
}

function completion({ text, usage }) {
  return `${usage.promptTokenCount} ${usage.generatedTokenCount} ${text}`;
}

const getAll = () => config.getAll().map(([name, value]) => `${name}=${value}`).sort();

export const INTERFACES = {
  "key-value": () => new KeyValue(),
  "wasi-key-value": () => new WasiKeyValue(),
  sqlite: () => new SqliteDatabase(),
  postgres: () => new Database(),
  mysql: () => new MysqlDatabase(),
  redis: () => new RedisServer(),
  mqtt: () => new MqttBroker(),
  variables: () => ({ get: variables.get }),
  "wasi-config": () => ({ get: config.get, getAll }),
  llm: () => new Llm(),
};
