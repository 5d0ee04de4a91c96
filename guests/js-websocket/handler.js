// A handler of WebSockets: everybody who connects is in the topic `all`, and hears what anybody says.

import { join, publish } from "dayfly:websocket/connections@0.1.0";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const connection = request.headers.get("ce-subject");
  switch (request.headers.get("ce-type")) {
    case "dayfly.websocket.open":
      join(connection, "all");
      return new Response(null, { status: 204 });
    case "dayfly.websocket.message": {
      const val = `${connection.slice(0, 4)}: ${await request.text()}`;
      try {
        return new Response(`heard by ${publish("all", { tag: "text", val })}`);
      } catch (error) {
        return new Response(JSON.stringify(error.payload), { status: 500 });
      }
    }
    default:
      return new Response(null, { status: 204 });
  }
}
