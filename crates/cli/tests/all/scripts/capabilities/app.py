import json

import dayfly
from dayfly import blobs, http, key_value, llm, messaging, mqtt, mysql, postgres, redis, sqlite, variables


def app(environ, start_response):
    path, query = environ["PATH_INFO"].lstrip("/"), environ["QUERY_STRING"]
    start_response("200 OK", [("content-type", "text/plain")])
    try:
        answer = globals()[f"do_{path}"](query)
    except dayfly.Error as error:
        answer = {"kind": error.kind, "error": str(error)}
    return [json.dumps(answer).encode()]


def text(value):
    return None if value is None else value.decode()


def do_variables(name):
    return variables.get(name)


def do_key_value(label):
    with key_value.open(label) if label else key_value.open() as store:
        store.set("a", "one")
        store.set("b", bytes([0, 255]))
        found = [text(store.get("a")), list(store.get("b")), store.get("c")]
        found += [store.exists("a"), sorted(store.keys())]
        store.delete("a")
        return found + [store.exists("a")]


def do_empty_key(_):
    return key_value.open().set("", "x")


def do_sqlite(label):
    database = sqlite.open(label or "default")
    database.execute("CREATE TABLE t (a, b, c, d, e, f)")
    values = [7, 2.5, "text", b"\x00\x01", None, True]
    database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", values)
    told = [database.last_insert_rowid, database.changes]
    rows = database.execute("SELECT * FROM t WHERE a = ?", [7])
    rows[0]["d"] = list(rows[0]["d"])
    return told + rows


def do_sql(statement):
    return sqlite.open().execute(statement.replace("+", " "))


def do_many(_):
    database, total, length = sqlite.open(), 0, 0
    for count in (10, 20000, 300):
        rows = database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " SELECT i, printf('%0100d', i) AS t FROM n",
            [count],
        )
        total += sum(row["i"] for row in rows)
        length += sum(len(row["t"]) for row in rows)
        assert all(int(row["t"]) == row["i"] for row in rows)
    return [total, length]


def do_redis(address):
    server = redis.open(address)
    server.set("a", "one")
    found = [text(server.get("a")), server.get("none"), server.incr("n"), server.incr("n")]
    found += [server.sadd("s", "x", "y"), sorted(server.smembers("s")), server.srem("s", "x")]
    server.publish("channel", "message")
    found += server.execute("SET", "e", 5) + [text(value) for value in server.execute("GET", "e")]
    found += server.execute("GET", "none") + server.execute("DEL", "e")
    return found + [server.delete("a", "n")]


def do_redis_type(address):
    server = redis.open(address)
    server.set("a", "one")
    return server.incr("a")


def do_postgres(address):
    with postgres.open(address) as database:
        database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, c boolean, d float8)")
        told = database.execute("INSERT INTO t VALUES ($1, $2, $3, $4)", [7, "text", True, None])
        return [told, *database.query("SELECT * FROM t")]


def do_mysql(address):
    with mysql.open(address) as database:
        database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, d double)")
        database.execute("INSERT INTO t VALUES (?, ?, ?)", [7, "text", None])
        return database.query("SELECT * FROM t")


def do_database_error(address):
    return postgres.open(address).query("SELECT 1 FROM")


def do_http(url):
    answer = http.request("GET", url, headers={"x-one": "1"})
    lines = answer.text().split("\n")
    posted = http.request("POST", f"{url}/to?a=b", body="a body")
    streamed = http.request("PUT", url, body=(piece for piece in ["one ", b"two"]))
    return [
        *(answer.status, answer.headers["content-length"] == str(len(answer.body))),
        *(lines[0], "x-one: 1" in lines),
        *(posted.text().split("\n")[0], posted.text().split("\n")[-1]),
        streamed.text().split("\n")[-1],
    ]


def do_status(url):
    return [http.request("GET", url).status for _ in range(2)]


def do_blobs(container):
    with blobs.open(container) if container else blobs.open() as store:
        store.set("a", "one")
        store.set("b/c", bytes([0, 255]))
        found = [text(store.get("a")), list(store.get("b/c")), store.get("none"), store.exists("a")]
        found += [sorted(store.keys()), store.size("a")]
        store.set("large", (b"x" * 100000 for _ in range(3)))
        found += [store.size("large"), sum(len(piece) for piece in store.read("large"))]
        found += [b"".join(store.read("a", 1, 2)).decode()]
        store.delete("a")
        return found + [store.exists("a")]


def do_no_blob(_):
    return list(blobs.open().read("none"))


def do_messaging(topic):
    messages = messaging.open()
    messages.send(topic, "a text", content_type="text/x", metadata={"number": 7, "dayflydelay": "1h"})
    messages.send(topic, bytes([104, 105]), metadata={"dayflydelay": "1h"})
    messages.close()


def do_messaging_client(name):
    messaging.open(name)


def do_mqtt(address):
    with mqtt.open(address, keep_alive=10) as broker:
        for qos in range(3):
            broker.publish("home/door", f"open {qos}", qos=qos)
        broker.publish("home/door", b"closed")


def do_mqtt_login(address):
    mqtt.open(address, username="me", password="opensesame").publish("home/door", "in")


def do_llm(prompt):
    answer = llm.infer("test-model", prompt)
    llm.infer("test-model", prompt, max_tokens=7, temperature=0.5)
    return [answer.text, answer.prompt_tokens, answer.generated_tokens, llm.embed("test-model", ["a", "bcd"])]


def do_llm_model(model):
    return llm.infer(model, "hello").text


def do_file(path):
    with open(path) as file:
        return file.read()


def do_written(path):
    with open(path, "w") as file:
        file.write("written")
    return do_file(path)
