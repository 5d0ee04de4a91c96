import { loadFile } from "qjs:std";

// Read once, as the app is loaded.
const page = loadFile("/app/page.html");

export default {
  async fetch(request) {
    switch (request.headers.get("ce-type")) {
      case "dayfly.websocket.message":
        return new Response(await request.text());
      case "dayfly.websocket.open":
      case "dayfly.websocket.close":
        return new Response(null, { status: 204 });
      default:
        return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
    }
  },
};
