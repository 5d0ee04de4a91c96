// Addresses as the URL standard parses and writes them: a record with `scheme`, `username`,
// `password`, `host` (null where there is none), `port`, `path` (a list, or a text that is opaque),
// `query` and `fragment`. The standard's states are taken part by part here, as what ends each part
// is known before it is read.
import { hostOf } from "./host.js";

// The schemes that the standard calls special, with the ports that go without saying.
const PORTS = new Map([
  ["http", 80],
  ["https", 443],
  ["ws", 80],
  ["wss", 443],
  ["ftp", 21],
  ["file", null],
]);

const FRAGMENT = /[^!#-;=?-_a-~]/gu;
const QUERY = /[^!$-;=?-~]/gu;
const SPECIAL_QUERY = /[^!$-&(-;=?-~]/gu;
const PATH = /[^!$-;=@-\]_a-z|~]/gu;
const USER = /[^!$-.0-9A-Z_a-z~]/gu;
const CONTROL = /[^ -~]/gu;

// A drive of Windows, as the first segment of a file's path.
const DRIVE = /^[a-z][:|]$/i;
const DRIVE_FIRST = /^[a-z][:|](?:[/\\]|$)/i;

const hex = byte => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

// Writes what `set` matches as the percent-encoded bytes of its UTF-8.
export function percentEncode(text, set) {
  return text.replace(set, character =>
    character < "\x80" ? hex(character.charCodeAt(0)) : encodeURIComponent(character),
  );
}

export const isSpecial = url => PORTS.has(url.scheme);
export const isOpaque = url => typeof url.path === "string";

export const encodeUser = text => percentEncode(text, USER);
export const encodeFragment = text => percentEncode(text, FRAGMENT);
export const encodeQuery = (url, text) => percentEncode(text, isSpecial(url) ? SPECIAL_QUERY : QUERY);

// What the standard takes away before it looks.
export const withoutBreaks = text => text.replace(/[\t\n\r]/g, "");

// An address of the usual form, which is already as it is to be written; null for any other.
const USUAL =
  /^(https?):\/\/((?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*)(?::([1-9][0-9]{1,4}))?(\/[\w\-.~!$&'()*+,;=:@%/]*)(?:\?([\w\-.~!$&()*+,;=:@%/?]*))?$/;

function usual(text) {
  const found = USUAL.exec(text);
  if (!found) return null;
  const [, scheme, host, digits, path, query = null] = found;
  const port = digits === undefined ? null : Number(digits);
  if (port > 65535 || port === PORTS.get(scheme) || host.includes("xn--")) return null;
  if (path.includes("/.") || path.includes("/%2")) return null;
  const [username, password, fragment] = ["", "", null];
  return { scheme, username, password, host, port, path: path.slice(1).split("/"), query, fragment };
}

// An address as it is written, null if it is none.
export function hrefOf(text) {
  if (usual(text)) return text;
  const url = parse(text);
  return url && write(url);
}

// The record of an address, by the record of its base; null if it is none.
export function parse(given, base = null) {
  const plain = usual(given);
  if (plain) return plain;
  const text = withoutBreaks(given.toWellFormed().replace(/^[\0- ]+|[\0- ]+$/g, ""));
  const [whole, fragment] = cut(text, "#");
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(whole)?.[0];
  const url = blank(scheme?.toLowerCase() ?? base?.scheme);
  const [rest, query] = cut(scheme === undefined ? whole : whole.slice(scheme.length + 1), "?");
  url.query = query === null ? null : encodeQuery(url, query);
  url.fragment = fragment === null ? null : encodeFragment(fragment);
  if (scheme === undefined) {
    if (!base) return null;
    if (isOpaque(base)) return whole === "" && fragment !== null ? { ...base, fragment: url.fragment } : null;
  }
  const read = readerOf(url, rest, scheme, base);
  return read(url, rest, base) ? url : null;
}

const blank = scheme => ({
  ...{ scheme, username: "", password: "", host: null, port: null },
  ...{ path: [], query: null, fragment: null },
});

// What is before and after the first `mark`.
function cut(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function readerOf(url, rest, scheme, base) {
  if (url.scheme === "file") return readFile;
  const sameScheme = base && !isOpaque(base) && base.scheme === url.scheme;
  if (scheme === undefined || (isSpecial(url) && sameScheme)) return readRelative;
  if (isSpecial(url)) return readSpecial;
  if (rest.startsWith("//")) return (url, rest) => readAuthority(url, rest.slice(2));
  if (rest.startsWith("/")) return (url, rest) => readPath(url, rest.slice(1));
  return readOpaque;
}

function readOpaque(url, rest) {
  url.path = percentEncode(rest, CONTROL);
  if (url.query !== null || url.fragment !== null) url.path = url.path.replace(/ $/, "%20");
  return true;
}

function readSpecial(url, rest) {
  return readAuthority(url, rest.replace(/^[/\\]+/, ""));
}

// How many slashes begin a text, up to two.
function slashes(url, text) {
  return (isSpecial(url) ? /^[/\\]{0,2}/ : /^\/{0,2}/).exec(text)[0].length;
}

function readRelative(url, rest, base) {
  const begin = slashes(url, rest);
  if (begin === 2) return isSpecial(url) ? readSpecial(url, rest) : readAuthority(url, rest.slice(2));
  const { username, password, host, port } = base;
  Object.assign(url, { username, password, host, port });
  if (begin === 1) return readPath(url, rest.slice(1));
  url.path = [...base.path];
  if (rest === "") {
    url.query ??= base.query;
    return true;
  }
  shorten(url);
  return readPath(url, rest);
}

function readFile(url, rest, base) {
  const ofFile = base?.scheme === "file" ? base : null;
  url.host = "";
  const begin = slashes(url, rest);
  if (begin === 2) return readFileHost(url, rest.slice(2));
  if (ofFile) url.host = ofFile.host;
  if (begin === 1) {
    const first = ofFile?.path[0] ?? "";
    if (!DRIVE_FIRST.test(rest.slice(1)) && /^[a-z]:$/i.test(first)) url.path = [first];
    return readPath(url, rest.slice(1));
  }
  if (!ofFile) return readPath(url, rest);
  if (rest === "") {
    url.path = [...ofFile.path];
    url.query ??= ofFile.query;
    return true;
  }
  if (!DRIVE_FIRST.test(rest)) {
    url.path = [...ofFile.path];
    shorten(url);
  }
  return readPath(url, rest);
}

function readFileHost(url, rest) {
  const name = /^[^/\\]*/.exec(rest)[0];
  if (DRIVE.test(name)) return readPath(url, rest);
  return setFileHost(url, name) && readPathStart(url, rest.slice(name.length));
}

export function setFileHost(url, name) {
  const host = name === "" ? "" : hostOf(name, true);
  if (host === null) return false;
  url.host = host === "localhost" ? "" : host;
  return true;
}

function readAuthority(url, text) {
  const end = text.search(isSpecial(url) ? /[/\\]/ : /\//);
  const authority = end < 0 ? text : text.slice(0, end);
  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    const [username, password] = cut(authority.slice(0, at), ":");
    url.username = encodeUser(username);
    url.password = encodeUser(password ?? "");
  }
  const [name, digits] = hostAndPort(authority.slice(at + 1));
  if (name === "" && (isSpecial(url) || at >= 0 || digits !== null)) return false;
  if (digits !== null && (/[^0-9]/.test(digits) || !setPort(url, digits))) return false;
  url.host = name === "" ? "" : hostOf(name, isSpecial(url));
  return url.host !== null && readPathStart(url, end < 0 ? "" : text.slice(end));
}

// A host, and what follows its colon, if there is one.
export function hostAndPort(text) {
  const [, host, , digits = null] = /^((?:\[[^\]]*\]?|[^:[])*)(:(.*))?$/s.exec(text);
  return [host, digits];
}

export function setPort(url, digits) {
  const port = digits === "" ? null : Number(digits);
  if (port > 65535) return false;
  url.port = port === PORTS.get(url.scheme) ? null : port;
  return true;
}

// A path after a host, or after nothing.
export function readPathStart(url, text) {
  if (text === "" && !isSpecial(url)) return true;
  return readPath(url, slashes(url, text) ? text.slice(1) : text);
}

function shorten(url) {
  const isDrive = url.scheme === "file" && url.path.length === 1 && /^[a-z]:$/i.test(url.path[0]);
  if (!isDrive) url.path.pop();
}

export function readPath(url, text) {
  const segments = text.split(isSpecial(url) ? /[/\\]/ : "/");
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    const dots = segment.replace(/%2e/gi, ".");
    if (dots === "." || dots === "..") {
      if (dots === "..") shorten(url);
      if (isLast) url.path.push("");
      continue;
    }
    const isDrive = url.scheme === "file" && url.path.length === 0 && DRIVE.test(segment);
    url.path.push(isDrive ? `${segment[0]}:` : percentEncode(segment, PATH));
  }
  return true;
}

export function pathOf(url) {
  if (isOpaque(url)) return url.path;
  return url.path.length ? `/${url.path.join("/")}` : "";
}

export function authorityOf(url) {
  return url.port === null ? url.host : `${url.host}:${url.port}`;
}

export function write(url) {
  let text = `${url.scheme}:`;
  if (url.host !== null) {
    const password = url.password && `:${url.password}`;
    const user = url.username || password ? `${url.username}${password}@` : "";
    text += `//${user}${authorityOf(url)}`;
  } else if (!isOpaque(url) && url.path.length > 1 && url.path[0] === "") {
    // What follows would be taken for a host.
    text += "/.";
  }
  text += pathOf(url);
  if (url.query !== null) text += `?${url.query}`;
  return url.fragment === null ? text : `${text}#${url.fragment}`;
}
