import * as std from "qjs:std";
import { Error as Refused, blobs, http, keyValue, llm, messaging, mqtt, mysql } from "dayfly";
import { postgres, redis, sqlite, variables } from "dayfly";

export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    let answer;
    try {
      answer = await steps[pathname.slice(1)](search.slice(1));
    } catch (error) {
      if (error instanceof RangeError) return Response.json({ kind: "range" });
      const refused = error instanceof TypeError ? error.cause : error;
      if (!(refused instanceof Refused)) throw error;
      answer = { kind: refused.kind, error: refused.message };
    }
    return new Response(JSON.stringify(answer ?? null));
  },
};

const text = bytes => bytes && new TextDecoder().decode(bytes);

const steps = {
  variables: name => variables.get(name),

  key_value(label) {
    const store = label ? keyValue.open(label) : keyValue.open();
    store.set("a", "one");
    store.set("b", new Uint8Array([0, 255]));
    const found = [text(store.get("a")), [...store.get("b")], store.get("c"), store.exists("a"), store.keys().sort()];
    store.delete("a");
    found.push(store.exists("a"));
    store.close();
    return found;
  },

  empty_key: () => keyValue.open().set("", "x"),

  sqlite(label) {
    const database = sqlite.open(label || "default");
    database.execute("CREATE TABLE t (a, b, c, d, e, f)");
    const values = [7, 2.5, "text", new Uint8Array([0, 1]), null, true];
    database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", values);
    const told = [database.lastInsertRowid, database.changes];
    const rows = database.execute("SELECT * FROM t WHERE a = ?", [7]);
    rows[0].d = [...rows[0].d];
    return [...told, ...rows];
  },

  sql: statement => sqlite.open().execute(statement.replaceAll("+", " ")),

  numbers(numbers) {
    const database = sqlite.open();
    return numbers.split(",").map(number => `${database.execute("SELECT ? AS n", [BigInt(number)])[0].n}`);
  },

  many() {
    const database = sqlite.open();
    let [total, length] = [0, 0];
    for (const count of [10, 20000, 300]) {
      const rows = database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)" +
          " SELECT i, printf('%0100d', i) AS t FROM n",
        [count],
      );
      for (const { i, t } of rows) {
        total += i;
        length += t.length;
        if (Number(t) !== i) throw new Error("mixed up");
      }
    }
    return [total, length];
  },

  redis(address) {
    const server = redis.open(address);
    server.set("a", "one");
    const found = [text(server.get("a")), server.get("none"), server.incr("n"), server.incr("n")];
    found.push(server.sadd("s", "x", "y"), server.smembers("s").sort(), server.srem("s", "x"));
    server.publish("channel", "message");
    found.push(...server.execute("SET", "e", 5), ...server.execute("GET", "e").map(text));
    found.push(...server.execute("GET", "none"), ...server.execute("DEL", "e"));
    found.push(server.delete("a", "n"));
    server.close();
    return found;
  },

  redis_type(address) {
    const server = redis.open(address);
    server.set("a", "one");
    return server.incr("a");
  },

  postgres(address) {
    const database = postgres.open(address);
    database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, c boolean, d float8)");
    const told = database.execute("INSERT INTO t VALUES ($1, $2, $3, $4)", [7, "text", true, null]);
    return [told, ...database.query("SELECT * FROM t")];
  },

  mysql(address) {
    const database = mysql.open(address);
    database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, d double)");
    database.execute("INSERT INTO t VALUES (?, ?, ?)", [7, "text", null]);
    return database.query("SELECT * FROM t");
  },

  database_error: address => postgres.open(address).query("SELECT 1 FROM"),

  async http(url) {
    const answer = await http.request("GET", url, { headers: { "x-one": "1" } });
    const body = await answer.text();
    const lines = body.split("\n");
    const posted = await (await fetch(`${url}/to?a=b`, { method: "POST", body: "a body" })).text();
    const pieces = ReadableStream.from(["one ", new TextEncoder().encode("two")]);
    const streamed = await (await fetch(url, { method: "PUT", body: pieces, duplex: "half" })).text();
    return [
      ...[answer.status, answer.headers.get("content-length") === `${body.length}`],
      ...[lines[0], lines.includes("x-one: 1")],
      ...[posted.split("\n")[0], posted.split("\n").at(-1), streamed.split("\n").at(-1)],
    ];
  },

  status: async url => [(await fetch(url)).status, (await fetch(url)).status],

  async blobs(container) {
    const store = container ? blobs.open(container) : blobs.open();
    await store.set("a", "one");
    await store.set("b/c", new Uint8Array([0, 255]));
    const found = [text(store.get("a")), [...store.get("b/c")], store.get("none"), store.exists("a")];
    found.push(store.keys().sort(), store.size("a"));
    await store.set("large", ReadableStream.from(["x", "y", "z"].map(letter => letter.repeat(100000))));
    found.push(store.size("large"), (await new Response(store.read("large")).bytes()).length);
    found.push(await new Response(store.read("a", 1, 2)).text());
    store.delete("a");
    found.push(store.exists("a"));
    store.close();
    return found;
  },

  no_blob: () => [...blobs.open().read("none")],

  messaging(topic) {
    const messages = messaging.open();
    messages.send(topic, "a text", { contentType: "text/x", metadata: { number: 7, dayflydelay: "1h" } });
    messages.send(topic, new Uint8Array([104, 105]), { metadata: { dayflydelay: "1h" } });
    messages.close();
  },

  messaging_client: name => messaging.open(name),

  mqtt(address) {
    const broker = mqtt.open(address, { keepAlive: 10 });
    for (const qos of [0, 1, 2]) broker.publish("home/door", `open ${qos}`, { qos });
    broker.publish("home/door", new TextEncoder().encode("closed"));
    broker.close();
  },

  mqtt_login(address) {
    mqtt.open(address, { username: "me", password: "opensesame" }).publish("home/door", "in");
  },

  llm(prompt) {
    const answer = llm.infer("test-model", prompt);
    llm.infer("test-model", prompt, { maxTokens: 7, temperature: 0.5 });
    return [answer.text, answer.promptTokens, answer.generatedTokens, llm.embed("test-model", ["a", "bcd"])];
  },

  llm_model: model => llm.infer(model, "hello").text,

  file(path) {
    const content = std.loadFile(path);
    if (content === null) throw new Error("there is no such file");
    return content;
  },

  written(path) {
    const file = std.open(path, "w");
    file.puts("written");
    file.close();
    return steps.file(path);
  },
};
