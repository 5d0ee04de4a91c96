// SQLite databases, which `sqlite_databases` grants.
import { Handle, call } from "./bridge.js";
import { caseOf, objectsOf } from "./values.js";

const NAMES = { null: "null", boolean: "integer", integer: "integer", real: "real", text: "text", bytes: "blob" };

export function open(label = "default") {
  return new Connection(new Handle("sqlite.connection", call("sqlite.connection.open", label)));
}

class Connection {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // The rows, each an object by column.
  execute(sql, params = []) {
    const { columns, rows } = this.#handle.call("execute", sql, params.map(value => caseOf(value, NAMES)));
    return objectsOf(columns, rows.map(row => row.values));
  }

  get lastInsertRowid() {
    return this.#handle.call("last-insert-rowid");
  }

  // How many rows the last statement changed.
  get changes() {
    return this.#handle.call("changes");
  }

  close() {
    this.#handle.close();
  }
}
