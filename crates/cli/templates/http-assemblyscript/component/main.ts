// First of all: under the standard adapter, `process.env` traps in a program that has written nothing.
process.stdout.write("Content-Type: text/plain; charset=utf-8\n\n");

let name = "world";
const pairs = process.env.has("QUERY_STRING") ? process.env.get("QUERY_STRING").split("&") : [];
for (let i = 0; i < pairs.length; i++) {
  if (pairs[i].startsWith("name=")) name = pairs[i].substring(5);
}
process.stdout.write(`hello ${name}\n`);
