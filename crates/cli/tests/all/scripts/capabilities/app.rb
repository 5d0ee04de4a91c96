require "json"
require "dayfly"

run ->(env) {
  begin
    answer = send("do_#{env["PATH_INFO"].delete_prefix("/")}", env["QUERY_STRING"])
  rescue Dayfly::Error => error
    answer = { kind: error.kind, error: error.message }
  rescue RangeError
    answer = { kind: "range" }
  end
  [200, { "content-type" => "text/plain" }, [JSON.generate(answer)]]
}

def do_variables(name) = Dayfly::Variables.get(name)

def do_key_value(label)
  Dayfly::KeyValue.open(*(label.empty? ? [] : [label])) do |store|
    store.set("a", "one")
    store.set("b", "\x00\xff".b)
    found = [store.get("a"), store.get("b").bytes, store.get("c"), store.exists("a"), store.keys.sort]
    store.delete("a")
    found << store.exists("a")
  end
end

def do_empty_key(_) = Dayfly::KeyValue.open.set("", "x")

def do_sqlite(label)
  database = Dayfly::SQLite.open(label.empty? ? "default" : label)
  database.execute("CREATE TABLE t (a, b, c, d, e, f)")
  database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", [7, 2.5, "text", "\x00\x01".b, nil, true])
  told = [database.last_insert_rowid, database.changes]
  rows = database.execute("SELECT * FROM t WHERE a = ?", [7])
  rows[0]["d"] = rows[0]["d"].bytes
  told + rows
end

def do_sql(statement) = Dayfly::SQLite.open.execute(statement.tr("+", " "))

def do_numbers(numbers)
  database = Dayfly::SQLite.open
  numbers.split(",").map { |number| database.execute("SELECT ? AS n", [Integer(number)])[0]["n"].to_s }
end

def do_timeout(seconds) = Dayfly::HTTP.request("GET", "http://127.0.0.1:1/", timeout: Integer(seconds))

def do_many(_)
  database = Dayfly::SQLite.open
  total = length = 0
  [10, 20_000, 300].each do |count|
    rows = database.execute(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)" \
      " SELECT i, printf('%0100d', i) AS t FROM n",
      [count]
    )
    total += rows.sum { |row| row["i"] }
    length += rows.sum { |row| row["t"].length }
    raise "mixed up" unless rows.all? { |row| row["t"].to_i(10) == row["i"] }
  end
  [total, length]
end

def do_redis(address)
  Dayfly::Redis.open(address) do |server|
    server.set("a", "one")
    found = [server.get("a"), server.get("none"), server.incr("n"), server.incr("n")]
    found += [server.sadd("s", "x", "y"), server.smembers("s").sort, server.srem("s", "x")]
    server.publish("channel", "message")
    found += server.execute("SET", "e", 5) + server.execute("GET", "e")
    found += server.execute("GET", "none") + server.execute("DEL", "e")
    found << server.delete("a", "n")
  end
end

def do_redis_type(address)
  server = Dayfly::Redis.open(address)
  server.set("a", "one")
  server.incr("a")
end

def do_postgres(address)
  Dayfly::Postgres.open(address) do |database|
    database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, c boolean, d float8)")
    told = database.execute("INSERT INTO t VALUES ($1, $2, $3, $4)", [7, "text", true, nil])
    [told, *database.query("SELECT * FROM t")]
  end
end

def do_mysql(address)
  Dayfly::MySQL.open(address) do |database|
    database.execute("CREATE TEMPORARY TABLE t (a bigint, b text, d double)")
    database.execute("INSERT INTO t VALUES (?, ?, ?)", [7, "text", nil])
    database.query("SELECT * FROM t")
  end
end

def do_database_error(address) = Dayfly::Postgres.open(address).query("SELECT 1 FROM")

def do_http(url)
  answer = Dayfly::HTTP.request("GET", url, headers: { "x-one" => "1" })
  lines = answer.body.split("\n")
  posted = Dayfly::HTTP.request("POST", "#{url}/to?a=b", body: "a body").body.split("\n")
  streamed = Dayfly::HTTP.request("PUT", url, body: ["one ", "two"].each).body.split("\n")
  [
    answer.status, answer.headers["content-length"] == answer.body.bytesize.to_s,
    lines.first, lines.include?("x-one: 1"), posted.first, posted.last, streamed.last
  ]
end

def do_status(url) = Array.new(2) { Dayfly::HTTP.request("GET", url).status }

def do_blobs(container)
  Dayfly::Blobs.open(*(container.empty? ? [] : [container])) do |store|
    store.set("a", "one")
    store.set("b/c", "\x00\xff".b)
    found = [store.get("a"), store.get("b/c").bytes, store.get("none"), store.exists("a"), store.keys.sort, store.size("a")]
    store.set("large", (1..3).lazy.map { "x" * 100_000 })
    found += [store.size("large"), store.read("large").sum(&:bytesize), store.read("a", 1, 2).to_a.join]
    store.delete("a")
    found << store.exists("a")
  end
end

def do_no_blob(_) = Dayfly::Blobs.open.read("none").to_a

def do_messaging(topic)
  Dayfly::Messaging.open do |messages|
    messages.send(topic, "a text", content_type: "text/x", metadata: { number: 7, dayflydelay: "1h" })
    messages.send(topic, "hi".b, metadata: { "dayflydelay" => "1h" })
  end
end

def do_messaging_client(name) = Dayfly::Messaging.open(name)

def do_mqtt(address)
  Dayfly::MQTT.open(address, keep_alive: 10) do |broker|
    3.times { |qos| broker.publish("home/door", "open #{qos}", qos:) }
    broker.publish("home/door", "closed".b)
  end
end

def do_mqtt_login(address)
  Dayfly::MQTT.open(address, username: "me", password: "opensesame").publish("home/door", "in")
end

def do_llm(prompt)
  answer = Dayfly::LLM.infer("test-model", prompt)
  Dayfly::LLM.infer("test-model", prompt, max_tokens: 7, temperature: 0.5)
  [answer.text, answer.prompt_tokens, answer.generated_tokens, Dayfly::LLM.embed("test-model", %w[a bcd])]
end

def do_llm_model(model) = Dayfly::LLM.infer(model, "hello").text
def do_file(path) = File.read(path)

def do_written(path)
  File.write(path, "written")
  do_file(path)
end
