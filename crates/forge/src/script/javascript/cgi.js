// The request that CGI's variables describe, and the one that stands for an event.
import * as std from "qjs:std";
import * as system from "./system.js";
import { ARRIVED, Request } from "./http.js";

// RFC 3875's variables, and the host's own that are of the same kind.
const OF_REQUEST = new Set(
  ("AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE HTTPS PATH_INFO PATH_TRANSLATED" +
    " QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_USER REQUEST_METHOD SCRIPT_NAME" +
    " SERVER_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE").split(" "),
);

// The environment of the request: few of its variables are ever asked for.
export class Variables {
  // `NAME=VALUE`, a NUL before and after each.
  #text = `\0${system.environment()}`;

  get(name) {
    const at = this.#text.indexOf(`\0${name}=`);
    if (at < 0) return undefined;
    const begin = at + name.length + 2;
    return this.#text.slice(begin, this.#text.indexOf("\0", begin));
  }

  *[Symbol.iterator]() {
    for (const line of this.#text.split("\0")) {
      const at = line.indexOf("=");
      if (at > 0) yield [line.slice(0, at), line.slice(at + 1)];
    }
  }
}

// The app's variables become those of the process, which it has read before the freeze.
export function renewEnvironment(variables, isEvent) {
  const isOfRequest = name =>
    OF_REQUEST.has(name) || name.startsWith("HTTP_") || (isEvent && name.startsWith("CE_"));
  for (const [name, value] of variables) if (!isOfRequest(name)) std.setenv(name, value);
}

export function requestOf(variables, isEvent) {
  const method = isEvent ? "POST" : variables.get("REQUEST_METHOD");
  const hasBody = method !== "GET" && method !== "HEAD";
  const arrived = {
    method,
    url: () => (isEvent ? "http://localhost/" : urlOf(variables)),
    headers: () => headersOf(variables),
    body: hasBody ? { input: true } : null,
  };
  return new Request(null, { [ARRIVED]: arrived });
}

function urlOf(variables) {
  const whole = variables.get("X_FULL_URL");
  if (whole) return whole;
  const scheme = variables.get("HTTPS") === "on" ? "https" : "http";
  const host = variables.get("HTTP_HOST") ?? variables.get("SERVER_NAME") ?? "localhost";
  const at = (variables.get("SCRIPT_NAME") ?? "").replace(/\/$/, "");
  const query = variables.get("QUERY_STRING");
  const path = at + (variables.get("PATH_INFO") ?? "") || "/";
  return `${scheme}://${host}${path}${query ? `?${query}` : ""}`;
}

// Headers, and an event's attributes as CloudEvents' HTTP binding has them.
function* headersOf(variables) {
  for (const [name, value] of variables) {
    if (name.startsWith("HTTP_")) yield [dashed(name.slice(5)), value];
    else if (name.startsWith("CE_")) yield [dashed(name), value];
    else if ((name === "CONTENT_TYPE" || name === "CONTENT_LENGTH") && value) {
      yield [dashed(name), value];
    }
  }
}

function dashed(name) {
  return name.toLowerCase().replaceAll("_", "-");
}
