// What values of JavaScript's are to the host.
import * as system from "./system.js";

// Bytes; those of a text in UTF-8.
export function contentOf(value) {
  if (typeof value === "string") return system.encode(value);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return value;
  throw new TypeError("a text or bytes are wanted");
}

// The case that a parameter of a statement is, by the names of its interface.
export function caseOf(value, names) {
  if (value === null || value === undefined) return [names.null];
  if (typeof value === "boolean") return [names.boolean, names.boolean === names.integer ? Number(value) : value];
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return [names.integer, value];
  if (typeof value === "number") return [names.real, value];
  if (typeof value === "string") return [names.text, value];
  return [names.bytes, contentOf(value)];
}

// Rows as objects by column.
export function objectsOf(columns, rows) {
  return rows.map(row => Object.fromEntries(columns.map((column, at) => [column, row[at][1] ?? null])));
}
