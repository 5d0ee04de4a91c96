# frozen_string_literal: true

# The page, with the score as it is now, and all that the page loads. Everything was read, and the page's
# template compiled, before this script was frozen: at a request there are no files.

require "digest"
require "erb"
require "json"

require "dayfly"

STATE = "http://judge.spin.internal/state"

# What the cat is offered. The clues are of the cat that browsers play with alone.
MENU = [
  { id: "sardine", name: "Sardine", clue: "Something silver, from a tin." },
  { id: "cream", name: "Cream", clue: "Something white, in a saucer." },
  { id: "chicken", name: "Chicken", clue: "Something warm, with a bone in it." },
  { id: "shrimp", name: "Shrimp", clue: "Something pink that curls up." },
].freeze

TYPES = {
  ".css" => "text/css; charset=utf-8",
  ".js" => "text/javascript; charset=utf-8",
  ".svg" => "image/svg+xml",
  ".wasm" => "application/wasm",
}.freeze

# Nothing but our own, and no script that stands in the page.
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; " \
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

# A file as it is served.
Asset = Struct.new(:type, :bytes, :digest) do
  def self.read(path)
    bytes = File.binread(path)
    new(TYPES.fetch(File.extname(path)), bytes, Digest::SHA256.digest(bytes))
  end

  def etag = "\"#{digest.unpack1("H*")[0, 32]}\""

  def headers
    { "content-type" => type, "etag" => etag, "cache-control" => "no-cache", "x-content-type-options" => "nosniff" }
  end
end

ASSETS = Dir.children(__dir__).select { |name| TYPES.key?(File.extname(name)) }
  .to_h { |name| ["/#{name}", Asset.read(File.join(__dir__, name))] }.freeze

# Renders the page of a cat.
class Page
  ART = Dir.glob("art/*.svg", base: __dir__)
    .to_h { |path| [File.basename(path, ".svg"), File.read(File.join(__dir__, path), encoding: "UTF-8")] }.freeze

  def initialize(cat) = @cat = cat

  template = File.read(File.join(__dir__, "page.erb"), encoding: "UTF-8")
  ERB.new(template, trim_mode: "<>").def_method(self, "render")

  private

  attr_reader :cat

  def h(text) = ERB::Util.html_escape(text)

  def art(name) = ART.fetch(name)

  # As browsers check it: they load no other bytes.
  def digest(name) = "sha256-#{[ASSETS.fetch("/#{name}").digest].pack("m0")}"

  def hexadecimal(name) = ASSETS.fetch("/#{name}").digest.unpack1("H*")
end

def page
  answer = Dayfly::HTTP.request("GET", STATE)
  return busy unless answer.status == 200

  headers = {
    "content-type" => "text/html; charset=utf-8",
    "cache-control" => "no-store",
    "content-security-policy" => POLICY,
    "referrer-policy" => "no-referrer",
    "x-content-type-options" => "nosniff",
  }
  [200, headers, [Page.new(JSON.parse(answer.body)).render]]
end

def busy = [503, { "content-type" => "text/plain", "retry-after" => "1" }, ["The cat is busy: try again.\n"]]

def asset(asset, env)
  return [304, { "etag" => asset.etag }, []] if env["HTTP_IF_NONE_MATCH"] == asset.etag

  [200, asset.headers, [asset.bytes]]
end

run lambda { |env|
  path = env["PATH_INFO"]
  if !%w[GET HEAD].include?(env["REQUEST_METHOD"])
    [405, { "content-type" => "text/plain", "allow" => "GET, HEAD" }, ["Only to look at.\n"]]
  elsif ["", "/"].include?(path)
    page
  elsif (found = ASSETS[path])
    asset(found, env)
  else
    [404, { "content-type" => "text/plain" }, ["There is no such page.\n"]]
  end
}
