// `URL` and `URLSearchParams`.
import * as address from "./address.js";
import { hostOf } from "./host.js";
import { URLSearchParams, attach } from "./params.js";

const ORIGINS = new Set(["http", "https", "ws", "wss", "ftp"]);

function recordOf(input, base) {
  const found = base === undefined ? null : address.parse(String(base));
  return base !== undefined && !found ? null : address.parse(String(input), found);
}

export class URL {
  #url;
  #params = null;

  constructor(input, base) {
    this.#url = recordOf(input, base);
    if (!this.#url) throw new TypeError(`\`${input}\` is no URL`);
  }

  static canParse(input, base) {
    return recordOf(input, base) !== null;
  }

  static parse(input, base) {
    return URL.canParse(input, base) ? new URL(input, base) : null;
  }

  get href() {
    return address.write(this.#url);
  }

  set href(value) {
    const url = recordOf(value);
    if (!url) throw new TypeError(`\`${value}\` is no URL`);
    this.#url = url;
    this.#renewParams();
  }

  get origin() {
    const url = this.#url;
    if (ORIGINS.has(url.scheme)) return `${url.scheme}://${address.authorityOf(url)}`;
    const inner = url.scheme === "blob" ? URL.parse(address.pathOf(url)) : null;
    return inner && /^https?:$/.test(inner.protocol) ? inner.origin : "null";
  }

  get protocol() {
    return `${this.#url.scheme}:`;
  }

  set protocol(value) {
    const url = this.#url;
    const scheme = /^[a-z][a-z0-9+.-]*(?=:|$)/i.exec(address.withoutBreaks(`${value}`))?.[0].toLowerCase();
    if (scheme === undefined) return;
    const changed = { ...url, scheme };
    if (address.isSpecial(changed) !== address.isSpecial(url)) return;
    if (scheme === "file" && (url.username || url.password || url.port !== null)) return;
    if (url.scheme === "file" && url.host === "") return;
    url.scheme = scheme;
    if (url.port !== null) address.setPort(url, String(url.port));
  }

  // Whether there can be a user, a password, a port.
  get #hasAuthority() {
    return Boolean(this.#url.host) && this.#url.scheme !== "file";
  }

  get username() {
    return this.#url.username;
  }

  set username(value) {
    if (this.#hasAuthority) this.#url.username = address.encodeUser(String(value).toWellFormed());
  }

  get password() {
    return this.#url.password;
  }

  set password(value) {
    if (this.#hasAuthority) this.#url.password = address.encodeUser(String(value).toWellFormed());
  }

  get host() {
    return this.#url.host === null ? "" : address.authorityOf(this.#url);
  }

  set host(value) {
    this.#setHost(value, true);
  }

  get hostname() {
    return this.#url.host ?? "";
  }

  set hostname(value) {
    this.#setHost(value, false);
  }

  #setHost(value, takesPort) {
    const url = this.#url;
    if (address.isOpaque(url)) return;
    const text = address.withoutBreaks(String(value).toWellFormed());
    const name = text.split(address.isSpecial(url) ? /[/\\?#]/ : /[/?#]/, 1)[0];
    if (url.scheme === "file") {
      address.setFileHost(url, name);
      return;
    }
    const [host, digits] = address.hostAndPort(name);
    if (host === "") {
      const isBare = !url.username && !url.password && url.port === null;
      if (!address.isSpecial(url) && isBare && digits === null) url.host = "";
      return;
    }
    if (digits !== null && !takesPort) return;
    const read = hostOf(host, address.isSpecial(url));
    if (read === null) return;
    url.host = read;
    const port = /^[0-9]*/.exec(digits ?? "")[0];
    if (port) address.setPort(url, port);
  }

  get port() {
    return this.#url.port === null ? "" : String(this.#url.port);
  }

  set port(value) {
    if (!this.#hasAuthority) return;
    const text = address.withoutBreaks(String(value));
    const digits = /^[0-9]*/.exec(text)[0];
    if (digits || text === "") address.setPort(this.#url, digits);
  }

  get pathname() {
    return address.pathOf(this.#url);
  }

  set pathname(value) {
    const url = this.#url;
    if (address.isOpaque(url)) return;
    url.path = [];
    address.readPathStart(url, address.withoutBreaks(String(value).toWellFormed()));
    if (url.host === null && url.path.length === 0) url.path = [""];
  }

  get search() {
    return this.#url.query ? `?${this.#url.query}` : "";
  }

  set search(value) {
    const text = String(value).toWellFormed();
    const query = address.withoutBreaks(text).replace(/^\?/, "");
    this.#url.query = text === "" ? null : address.encodeQuery(this.#url, query);
    this.#renewParams();
  }

  // They and the address change each other.
  get searchParams() {
    if (!this.#params) {
      this.#params = new URLSearchParams();
      this.#renewParams();
    }
    return this.#params;
  }

  #renewParams() {
    if (!this.#params) return;
    attach(this.#params, this.#url.query ?? "", text => {
      this.#url.query = text === "" ? null : text;
    });
  }

  get hash() {
    return this.#url.fragment ? `#${this.#url.fragment}` : "";
  }

  set hash(value) {
    const text = String(value).toWellFormed();
    const fragment = address.withoutBreaks(text).replace(/^#/, "");
    this.#url.fragment = text === "" ? null : address.encodeFragment(fragment);
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }

  get [Symbol.toStringTag]() {
    return "URL";
  }
}

export { URLSearchParams };
