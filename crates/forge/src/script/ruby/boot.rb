# frozen_string_literal: true

# Loads the app once, before the instance is frozen, and handles one request in each thawed one.
module Dayfly
  CONFIGURATION = "/dayfly/dayfly.json"
  ROOT = "/app"

  class << self
    # What `run` was given at the top level of a script.
    attr_accessor :app
  end

  # Makes of CGI's variables what Rack asks for.
  module Environment
    # Variables that Rack knows by another name, or that are not the client's.
    WITHHELD = ["PATH_TRANSLATED", "AUTH_TYPE", "REMOTE_USER", "REMOTE_HOST", "HTTPS"].freeze

    def self.of_request(variables)
      env = variables.reject { |name, value| WITHHELD.include?(name) && value.empty? }
      env["rack.url_scheme"] = env.delete("HTTPS") == "on" ? "https" : "http"
      %w[CONTENT_TYPE CONTENT_LENGTH].each { |name| env.delete(name) if env[name].to_s.empty? }
      env["SCRIPT_NAME"] = "" if env["SCRIPT_NAME"].nil? || env["SCRIPT_NAME"] == "/"
      env["PATH_INFO"] ||= ""
      env["PATH_INFO"] = "/" if env["PATH_INFO"].empty? && env["SCRIPT_NAME"].empty?
      env["QUERY_STRING"] ||= ""
      with_streams(env)
    end

    # An event, as CloudEvents' HTTP binding has it in its binary mode.
    def self.of_event(variables)
      env = {
        "REQUEST_METHOD" => "POST", "SCRIPT_NAME" => "", "PATH_INFO" => "/", "QUERY_STRING" => "",
        "SERVER_NAME" => "localhost", "SERVER_PORT" => "80", "SERVER_PROTOCOL" => "HTTP/1.1",
        "rack.url_scheme" => "http"
      }
      variables.each do |name, value|
        env[name.start_with?("CE_") ? "HTTP_#{name}" : name] = value
      end
      with_streams(env)
    end

    def self.with_streams(env)
      env["rack.input"] = Dayfly.rack_2? ? StringIO.new($stdin.read.to_s) : $stdin
      env["rack.errors"] = $stderr
      env
    end
  end

  # What a streaming body writes to: both ways of one connection.
  class Stream
    def read(...) = $stdin.read(...)
    def write(chunk) = $stdout.write(chunk)
    def flush = self
    def close_read = nil
    def close_write = @closed = true
    def close = @closed = true
    def closed? = @closed || false

    def <<(chunk)
      write(chunk)
      self
    end
  end

  # Writes one answer of a Rack app by CGI, or an event's, which is the body alone.
  class Answer
    # What a header's name is made of (RFC 9110, 5.1 and 5.6.2), and what would end its line.
    NAME = /\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\z/
    BREAK = /[\r\n\0]/n

    def initialize(is_event:)
      @is_event = is_event
      @begun = false
    end

    attr_reader :begun

    def send(status, headers, body)
      status = Integer(status)
      head = @is_event ? +"" : head(status, headers)
      write_body(head, body)
      !@is_event || (200..299).cover?(status)
    ensure
      body.close if body.respond_to?(:close)
    end

    private

    def head(status, headers)
      head = +"Status: #{status}\n"
      headers.each do |name, values|
        next if name.start_with?("rack.")

        # Rack 3 has arrays, Rack 2 lines.
        values = Dayfly.rack_2? ? values.to_s.split("\n") : [values] unless values.is_a?(Array)
        values.each { |value| head << line(name, value.to_s) }
      end
      head << "\n"
    end

    # Who gets to say what a value is must not get to say what other headers there are.
    def line(name, value)
      raise ArgumentError, "#{name.inspect} is no header name" unless NAME.match?(name)
      raise ArgumentError, "the header `#{name}` is not one line; several are an array" if BREAK.match?(value.b)

      "#{name}: #{value}\n"
    end

    # What comes piece by piece is sent piece by piece.
    def write_body(head, body)
      if body.respond_to?(:to_ary)
        write(body.to_ary.inject(head.b) { |written, chunk| written << chunk.b })
      elsif body.respond_to?(:each)
        write(head)
        body.each { |chunk| write(chunk) }
      else
        write(head)
        body.call(Stream.new)
      end
    end

    def write(text)
      return if text.empty?

      @begun = true
      $stdout.write(text)
    end
  end

  # Handles the one request of a thawed instance. 0 says that it went well.
  module Handler
    def self.call
      Dayfly.thaw
      is_event = ENV.key?("CE_ID") && !ENV.key?("REQUEST_METHOD")
      answer = Answer.new(is_event:)
      env = is_event ? Environment.of_event(ENV.to_h) : Environment.of_request(ENV.to_h)
      answer.send(*Dayfly.app.call(env)) ? 0 : 1
    rescue Exception => error # A script's `exit` ends a request like any other error.
      $stderr.write(Dayfly.told(error))
      return 1 if is_event || answer.nil? || answer.begun

      $stdout.write("Status: 500\nContent-Type: text/plain\n\nInternal Server Error\n")
      0
    end
  end

  # What a thawed instance must not share with the others.
  def self.thaw
    Bridge.open = true
    Random.srand
  end

  # An error as Ruby tells it, without what is ours of its backtrace.
  def self.told(error)
    trace = error.backtrace&.reject { |line| line.start_with?("/dayfly/", "eval:") }
    error.set_backtrace(trace) if trace
    error.full_message(highlight: false, order: :top)
  end

  def self.initialize!
    [$stdin, $stdout, $stderr].each(&:binmode)
    $stdout.sync = $stderr.sync = true
    extend_load_path
    entry = configured_entry
    $PROGRAM_NAME = entry
    Dir.chdir(ROOT)
    self.app = entry.end_with?(".ru") ? rackup(entry) : script(entry)
    require "stringio" if rack_2?
    load_what_is_autoloaded
    GC.start
  end

  # Loads what constants of the app and its gems would load when they are first used: at a request their
  # files are not there. What cannot be loaded is left alone.
  def self.load_what_is_autoloaded
    known = {}
    loop do
      new = ObjectSpace.each_object(Module).reject { |it| known.key?(it) }
      return if new.empty?

      new.each do |owner|
        known[owner] = true
        owner.constants(false).each do |name|
          path = owner.autoload?(name, false)
          owner.const_get(name, false) if path && !path.to_s.empty?
        rescue ScriptError, StandardError
          nil
        end
      rescue StandardError
        nil
      end
    end
  end

  # JSON of which every other character is what it is; the library would be in every image.
  def self.configured_entry
    entry = File.read(CONFIGURATION)[/"entry":"((?:[^"\\]|\\.)*)"/, 1]
    entry.gsub(/\\(.)/) { Regexp.last_match(1) }
  end

  # Gems that `bundle install` was told to put beside the app, of whichever version Ruby was there: what a
  # standalone bundle has to set itself up looks for this one's alone.
  def self.extend_load_path
    $LOAD_PATH.unshift("#{ROOT}/lib") if File.directory?("#{ROOT}/lib")
    bundles = Dir["#{ROOT}/{vendor/,}bundle/ruby/*/{bundler/,}gems/*/lib"]
    $LOAD_PATH.unshift(*(bundles + Dir["#{ROOT}/vendor/gems/*/lib"]).sort)
  end

  def self.rackup(entry)
    builder
    script = "Rack::Builder.new do\n#{File.read(entry)[/.*?(?=^__END__$|\z)/m]}\nend.to_app"
    eval(script, TOPLEVEL_BINDING, entry, 0)
  end

  # Rack 2 reads a body from its begin again, which Rack 3 does not ask for.
  def self.rack_2?
    defined?(Rack::RELEASE) && Rack::RELEASE.start_with?("2.")
  end

  # The app's own Rack, or what of it a `config.ru` needs.
  def self.builder
    require "rack/builder"
  rescue LoadError => error
    raise unless error.path == "rack/builder"

    load "/dayfly/rack.rb"
  end

  # A script gives its app to `run`, defines `call(env)`, or ends with what can be called.
  def self.script(entry)
    last = eval(File.read(entry), TOPLEVEL_BINDING, entry, 1)
    return app if app

    main = TOPLEVEL_BINDING.receiver
    return main.method(:call) if main.respond_to?(:call, true)
    return last if last.respond_to?(:call)
    return Sinatra::Application if defined?(Sinatra::Application)

    raise "`#{entry}` has no app: give one to `run`, or define `call(env)` (Rack)"
  end
end

%w[bridge capabilities streams http blobs messages].each { |name| load "/dayfly/#{name}.rb" }
# So `require "dayfly"` finds that it is loaded.
$LOADED_FEATURES << "dayfly.rb"

# At the top level of a script.
def self.run(app)
  Dayfly.app = app
end
