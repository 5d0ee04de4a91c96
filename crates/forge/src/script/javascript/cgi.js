// The request that CGI's variables describe, and the one that stands for an event.
import * as system from "./system.js";
import { Request } from "./http.js";

export function environment() {
  const variables = new Map();
  for (const line of system.environment().split("\0")) {
    const at = line.indexOf("=");
    if (at > 0) variables.set(line.slice(0, at), line.slice(at + 1));
  }
  return variables;
}

export function requestOf(variables, isEvent) {
  const method = isEvent ? "POST" : variables.get("REQUEST_METHOD");
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(isEvent ? "http://localhost/" : urlOf(variables), {
    method,
    headers: headersOf(variables),
    body: hasBody ? system.INPUT : null,
  });
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
