import { keyValue, websocket } from "dayfly";

export default {
  async fetch(request) {
    const event = request.headers.get("ce-type");
    const path = new URL(request.url).pathname;
    if (event === null) return new Response(keyValue.open().get(path.slice(1)) ?? "");
    const [data, subject] = [await request.text(), request.headers.get("ce-subject")];
    if (event.startsWith("dayfly.websocket.")) return new Response(answer(event, subject, data));
    if (data === "fail") throw new Error("on purpose");
    const told = [subject, data, request.headers.get("content-type"), request.method, path];
    keyValue.open().set(event, JSON.stringify(told));
    return new Response(data.toUpperCase());
  },
};

function answer(event, connection, data) {
  if (event === "dayfly.websocket.open") {
    websocket.join(connection, "lobby");
    return "";
  }
  if (event === "dayfly.websocket.close") {
    keyValue.open().set("closed", connection);
    return "";
  }
  const [word, ...rest] = data.split(" ");
  if (word === "say") return `to ${websocket.publish("lobby", rest.join(" "))}`;
  if (word === "bytes") websocket.send(connection, new Uint8Array([0, 255]));
  if (word === "leave") websocket.leave(connection, "lobby");
  if (word === "close") websocket.close(connection, 4001, "bye");
  return `heard ${word}`;
}
