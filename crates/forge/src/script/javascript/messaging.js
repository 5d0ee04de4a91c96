// Messages to the app's own queues and to servers, which `messaging` grants.
import { Handle, call } from "./bridge.js";
import { contentOf } from "./values.js";

// A client; the app's own queues are behind `default`.
export function open(client = "default") {
  return new Client(new Handle("types.client", call("types.client.connect", client)));
}

class Client {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  // Sends a text or bytes; `metadata` is an object of texts.
  send(topic, data, { contentType, metadata } = {}) {
    const message = new Handle("types.message", call("types.message.new", contentOf(data)));
    try {
      if (contentType !== undefined) message.call("set-content-type", contentType);
      if (metadata) message.call("set-metadata", Object.entries(metadata).map(([key, value]) => [key, `${value}`]));
      call("producer.send", this.#handle.number, topic, message.taken());
    } finally {
      message.close();
    }
  }

  close() {
    this.#handle.close();
  }
}
