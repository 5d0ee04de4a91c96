// Brokers of MQTT, which `allowed_outbound_hosts` grants.
import { Handle, call } from "./bridge.js";
import { contentOf } from "./values.js";

const QUALITIES = ["at-most-once", "at-least-once", "exactly-once"];

// A connection to a broker, `mqtt://host:port`; `keepAlive` in seconds.
export function open(address, { username = "", password = "", keepAlive = 30 } = {}) {
  const number = call("mqtt.connection.open", address, username, password, keepAlive);
  return new Connection(new Handle("mqtt.connection", number));
}

class Connection {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // Publishes a text or bytes, with quality of service 0, 1 or 2.
  publish(topic, payload, { qos = 1 } = {}) {
    if (!(qos in QUALITIES)) throw new RangeError(`a quality of service is 0, 1 or 2, not ${qos}`);
    this.#handle.call("publish", topic, contentOf(payload), QUALITIES[qos]);
  }

  close() {
    this.#handle.close();
  }
}
