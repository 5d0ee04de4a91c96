// Scripts, one call a line: a word, and what it is called with. Each call answers with one line.

/** What the calls answer; `user` has a method for each word. */
export function run(user, script) {
  const lines = script.split("\n").filter((line) => line !== "");
  return lines.map((line) => call(user, ...split(line, " ")) + "\n").join("");
}

function call(user, word, rest) {
  try {
    return show(user[word.replace(/-(.)/g, (_, letter) => letter.toUpperCase())](rest));
  } catch (error) {
    if (!error.payload) throw error;
    return describe(error.payload);
  }
}

/** What stands before and after the first separator. */
export function split(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

export function words(rest) {
  return rest === "" ? [] : rest.split(" ");
}

/** What a call gave back. */
export function show(value) {
  if (value === undefined || value === null) return "none";
  if (ArrayBuffer.isView(value)) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return value.map(show).join(" ");
  return String(value);
}

export function bytes(text) {
  return new TextEncoder().encode(text);
}

function describe(error) {
  if (typeof error === "string") return `error ${error}`;
  return `error ${error.tag}` + (error.val === undefined ? "" : ` ${error.val}`);
}

/** A statement, and its parameters after tabs: the type, a space, and the value. */
export function statement(rest) {
  const [sql, ...parameters] = rest.split("\t");
  return [sql, parameters.map(typed)];
}

function typed(text) {
  const [tag, value] = split(text, " ");
  switch (tag) {
    case "null":
    case "db-null":
      return { tag };
    case "boolean":
      return { tag, val: value === "true" };
    case "integer":
    case "int64":
    case "uint64":
      return { tag, val: BigInt(value) };
    case "blob":
    case "binary":
      return { tag, val: bytes(value) };
    case "str":
    case "text":
      return { tag, val: value };
    default:
      return { tag, val: Number(value) };
  }
}

/** A result in one line: the columns, then the values of each row with their types. */
export function table(columns, rows) {
  return `${columns.join("|")}: ${rows.map((row) => row.map(cell).join(", ")).join("; ")}`;
}

export function cell(value) {
  return value.tag + (value.val === undefined ? "" : ` ${show(value.val)}`);
}
