// Hosts, as the URL standard reads and writes them.

// What no host has, and what no domain has besides.
const NOT_IN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const NOT_IN_DOMAIN = /[\0-\x20#/:<>?@[\\\]^|%\x7f]/;

// A host as it is written, null if it is none. Domains are those of special schemes.
export function hostOf(text, isDomain) {
  if (text.startsWith("[")) {
    const address = text.endsWith("]") ? sixOf(text.slice(1, -1)) : null;
    return address && `[${written(address)}]`;
  }
  if (!isDomain) {
    if (NOT_IN_HOST.test(text)) return null;
    return text.replace(/[^!-~]/gu, character =>
      character < "\x80" ? hex(character) : encodeURIComponent(character),
    );
  }
  const domain = ascii(percentDecoded(text));
  if (domain === "" || domain === null || NOT_IN_DOMAIN.test(domain)) return null;
  return endsInNumber(domain) ? fourOf(domain) : domain;
}

const hex = character => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;

function percentDecoded(text) {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    // What is no UTF-8 is in no domain.
    return "%";
  }
}

// A domain in ASCII: UTS 46 without its tables, by what normalising and lower case come to.
function ascii(domain) {
  if (/^[\0-\x7f]*$/.test(domain)) return domain.toLowerCase();
  const mapped = domain
    .replace(/[\xad\u200b\u2060\ufeff\ufe00-\ufe0f]/g, "")
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll("\u3002", ".")
    .normalize("NFC");
  const labels = mapped.split(".").map(label => {
    return /^[\0-\x7f]*$/.test(label) ? label : `xn--${punycode([...label])}`;
  });
  return mapped.includes("\ufffd") ? null : labels.join(".");
}

const DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789";

// RFC 3492, with the numbers that it gives for domains.
function punycode(characters) {
  const points = characters.map(character => character.codePointAt(0));
  let text = characters.filter(character => character < "\x80").join("");
  let done = text.length;
  let [next, delta, bias, isFirst] = [128, 0, 72, true];
  if (done) text += "-";
  while (done < points.length) {
    const point = Math.min(...points.filter(point => point >= next));
    delta += (point - next) * (done + 1);
    next = point;
    for (const other of points) {
      if (other < point) delta += 1;
      if (other !== point) continue;
      text += digits(delta, bias);
      bias = adapted(delta, done + 1, isFirst);
      [delta, isFirst, done] = [0, false, done + 1];
    }
    [delta, next] = [delta + 1, next + 1];
  }
  return text;
}

function digits(delta, bias) {
  let text = "";
  for (let k = 36; ; k += 36) {
    const threshold = Math.min(26, Math.max(1, k - bias));
    if (delta < threshold) return text + DIGITS[delta];
    text += DIGITS[threshold + ((delta - threshold) % (36 - threshold))];
    delta = Math.floor((delta - threshold) / (36 - threshold));
  }
}

function adapted(delta, count, isFirst) {
  delta = Math.floor(delta / (isFirst ? 700 : 2));
  delta += Math.floor(delta / count);
  let k = 0;
  for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
  return k + Math.floor((36 * delta) / (delta + 38));
}

function endsInNumber(domain) {
  const parts = domain.split(".");
  if (parts.at(-1) === "" && parts.length > 1) parts.pop();
  return /^(?:[0-9]+|0x[0-9a-f]*)$/.test(parts.at(-1));
}

function numberOf(part) {
  if (/^0x[0-9a-f]*$/.test(part)) return part.length === 2 ? 0 : Number(part);
  if (/^0[0-7]*$/.test(part)) return part === "0" ? 0 : Number(`0o${part.slice(1)}`);
  return /^[1-9][0-9]*$/.test(part) ? Number(part) : NaN;
}

function fourOf(domain) {
  const parts = domain.split(".");
  if (parts.at(-1) === "" && parts.length > 1) parts.pop();
  const numbers = parts.map(numberOf);
  const last = numbers.pop();
  if (numbers.length > 3 || !numbers.every(number => number <= 255)) return null;
  if (!(last < 256 ** (4 - numbers.length))) return null;
  const address = numbers.reduce((sum, number, at) => sum + number * 256 ** (3 - at), last);
  return [24, 16, 8, 0].map(shift => Math.floor(address / 2 ** shift) % 256).join(".");
}

// The eight numbers of an address of IPv6, null if it is none.
function sixOf(text) {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const lists = halves.map((half, at) => piecesOf(half, at === halves.length - 1));
  if (lists.includes(null)) return null;
  const [before, after] = lists;
  if (!after) return before.length === 8 ? before : null;
  const missing = 8 - before.length - after.length;
  return missing >= 1 ? [...before, ...Array(missing).fill(0), ...after] : null;
}

function piecesOf(text, isLast) {
  if (text === "") return [];
  const parts = text.split(":");
  const dotted = isLast && parts.at(-1).includes(".") ? parts.pop() : null;
  if (!parts.every(part => /^[0-9a-f]{1,4}$/i.test(part))) return null;
  const pieces = parts.map(part => Number.parseInt(part, 16));
  if (dotted === null) return pieces;
  const bytes = dotted.split(".");
  if (bytes.length !== 4) return null;
  if (!bytes.every(byte => /^(?:0|[1-9][0-9]{0,2})$/.test(byte) && byte <= 255)) return null;
  return [...pieces, bytes[0] * 256 + Number(bytes[1]), bytes[2] * 256 + Number(bytes[3])];
}

// The longest run of zeros is left out, the first of several.
function written(pieces) {
  const texts = pieces.map(piece => piece.toString(16));
  let [begin, length] = [0, 1];
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (pieces[end] === 0) end += 1;
    if (end - at > length) [begin, length] = [at, end - at];
  }
  if (length === 1) return texts.join(":");
  return `${texts.slice(0, begin).join(":")}::${texts.slice(begin + length).join(":")}`;
}
