// PostgreSQL, which `allowed_outbound_hosts` grants.
import { Handle, call } from "./bridge.js";
import { caseOf, objectsOf } from "./values.js";

const NAMES = {
  ...{ null: "db-null", boolean: "boolean", integer: "int64", real: "floating64" },
  ...{ text: "str", bytes: "binary" },
};

// A connection to a database, `postgres://user:password@host/name`.
export function open(address) {
  return connect("postgres.connection", address);
}

export function connect(resource, address) {
  return new Connection(new Handle(resource, call(`${resource}.open`, address)));
}

class Connection {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // The rows, each an object by column.
  query(sql, params = []) {
    const { columns, rows } = this.#handle.call("query", sql, params.map(value => caseOf(value, NAMES)));
    return objectsOf(columns.map(column => column.name), rows);
  }

  // Runs a statement that gives no rows. How many rows it changed, where the server says so.
  execute(sql, params = []) {
    return this.#handle.call("execute", sql, params.map(value => caseOf(value, NAMES)));
  }

  close() {
    this.#handle.close();
  }
}
