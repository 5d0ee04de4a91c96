require "json"
require "dayfly"

run ->(env) {
  event, path = env.values_at("HTTP_CE_TYPE", "PATH_INFO")
  [200, { "content-type" => "text/plain" }, [event ? handle(event, path, env) : kept(path.delete_prefix("/"))]]
}

def kept(key) = Dayfly::KeyValue.open.get(key).to_s

def handle(event, path, env)
  data, subject = env["rack.input"].read, env["HTTP_CE_SUBJECT"]
  return answer(event, subject, data).to_s if event.start_with?("dayfly.websocket.")
  raise "on purpose" if data == "fail"

  told = [subject, data, env["CONTENT_TYPE"], env["REQUEST_METHOD"], path]
  Dayfly::KeyValue.open.set(event, JSON.generate(told))
  data.upcase
end

def answer(event, connection, data)
  case event
  when "dayfly.websocket.open" then return Dayfly::WebSocket.join(connection, "lobby")
  when "dayfly.websocket.close" then return Dayfly::KeyValue.open.set("closed", connection)
  end
  word, rest = data.force_encoding(Encoding::UTF_8).split(" ", 2)
  case word
  when "say" then return "to #{Dayfly::WebSocket.publish("lobby", rest)}"
  when "bytes" then Dayfly::WebSocket.send(connection, "\x00\xff".b)
  when "leave" then Dayfly::WebSocket.leave(connection, "lobby")
  when "close" then Dayfly::WebSocket.close(connection, 4001, "bye")
  end
  "heard #{word}"
end
