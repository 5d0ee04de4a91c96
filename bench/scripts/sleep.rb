run ->(env) {
  sleep Float(env["QUERY_STRING"])
  [200, { "content-type" => "text/plain" }, ["awake\n"]]
}
