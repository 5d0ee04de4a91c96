require "erb"
require "json"
require "time"
require "uri"

PAGE = ERB.new("<ul><% items.each do |item| %><li><%= ERB::Util.h(item[:name]) %></li><% end %></ul>")
ITEMS = Array.new(20) { |i| { name: "item <#{i}>", price: i * 1.5 } }

run ->(env) {
  items = ITEMS.first(10)
  body = { html: PAGE.result(binding), items:, at: Time.now.iso8601, path: URI(env["PATH_INFO"]).path }
  [200, { "content-type" => "application/json" }, [JSON.generate(body)]]
}
