require "uri"

run ->(env) {
  name = URI.decode_www_form(env["QUERY_STRING"]).to_h.fetch("name", "world")
  [200, { "content-type" => "text/plain; charset=utf-8" }, ["hello #{name}\n"]]
}
