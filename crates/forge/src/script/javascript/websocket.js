// The app's WebSockets, which a route with `websocket`, or `websockets`, grants. A connection goes by the id that
// events about it have as their subject.
import { call } from "./bridge.js";
import { contentOf } from "./values.js";

const caseOf = message => (typeof message === "string" ? ["text", message] : ["binary", contentOf(message)]);

// Sends a text, or bytes, to one connection.
export function send(connection, message) {
  call("connections.send", connection, caseOf(message));
}

// Sends to all connections that joined a topic; how many that are.
export function publish(topic, message) {
  return call("connections.publish", topic, caseOf(message));
}

export function join(connection, topic) {
  call("connections.join", connection, topic);
}

export function leave(connection, topic) {
  call("connections.leave", connection, topic);
}

export function close(connection, code = 1000, reason = "") {
  call("connections.close", connection, code, reason);
}
