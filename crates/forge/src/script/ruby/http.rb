# frozen_string_literal: true

module Dayfly
  # Requests to other servers, which `allowed_outbound_hosts` grants.
  module HTTP
    METHODS = %w[GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH].freeze
    URL = %r{\A(?<scheme>[a-z][a-z0-9+.-]*)://(?<authority>[^/?#@]+)(?<path>[^#]*)}i

    # Sends a request and waits for the head of its answer.
    #
    # `headers` is a hash, or pairs; `body` a string, or gives strings by `each`, which are sent piece by piece;
    # `timeout` how many seconds connecting, the answer's head, and each piece of its body may take. A redirect
    # is an answer like any other.
    def self.request(method, url, headers: {}, body: nil, timeout: nil)
      raise RangeError, "a timeout is not negative: #{timeout}" if timeout&.negative?

      message = outgoing(method.to_s.upcase, url, pairs(headers, body))
      sent = Bridge::Handle.new("types.outgoing-body", message.call("body"))
      options = timeout && options(timeout)
      future = begin
        Bridge.call("outgoing-handler.handle", message.taken, options&.taken)
      rescue Error
        sent.close
        raise
      end
      future = Bridge::Handle.new("types.future-incoming-response", future)
      deliver(sent, body)
      Streams.wait(future)
      Response.new(future.call("get"))
    ensure
      future.close if future.is_a?(Bridge::Handle)
    end

    # `status`, a number, and `headers`: a hash of texts by names in lower case; what came several times is
    # joined by a comma, but several cookies (`set-cookie`) are an array, as in an answer of Rack. The body is
    # read as it comes: by `each`, by `read`, or all of it as `body`.
    class Response
      include Enumerable

      attr_reader :status, :headers

      def initialize(number)
        response = Bridge::Handle.new("types.incoming-response", number)
        @status = response.call("status")
        fields = Bridge::Handle.new("types.fields", response.call("headers"))
        @headers = joined(fields.call("entries"))
        fields.close
        @incoming = Bridge::Handle.new("types.incoming-body", response.call("consume"))
        response.close
        @stream = Bridge::Handle.new("streams.input-stream", @incoming.call("stream"))
      end

      # The next piece of the body, of so many bytes at most; `nil` at its end.
      def read(size = Streams::PIECE_BYTES)
        return if @stream.closed?

        Streams.read(@stream, size) || close
      end

      def each
        while (piece = read)
          yield piece
        end
      end

      # All of it, in UTF-8 if that is what it is.
      def body
        @body ||= to_a.join.b.then do |bytes|
          text = bytes.dup.force_encoding(Encoding::UTF_8)
          text.valid_encoding? ? text : bytes
        end
      end

      def close
        @stream.close
        @incoming.close
      end

      private

      def joined(entries)
        entries.each_with_object({}) do |(name, value), headers|
          name = name.downcase
          value = value.force_encoding(Encoding::UTF_8)
          known = headers[name]
          headers[name] =
            if known.nil? then value
            elsif name == "set-cookie" then [*known, value]
            else "#{known}, #{value}"
            end
        end
      end
    end

    class << self
      private

      def outgoing(method, url, headers)
        scheme, authority, path = parts(url)
        fields = Bridge.call("types.fields.from-list", headers)
        message = Bridge::Handle.new("types.outgoing-request", Bridge.call("types.outgoing-request.new", fields))
        {
          "method" => METHODS.include?(method) ? [method.downcase] : ["other", method],
          "scheme" => %w[http https].include?(scheme) ? [scheme.upcase] : ["other", scheme],
          "authority" => authority, "path-with-query" => path
        }.each do |part, value|
          message.call("set-#{part}", value)
        rescue Error
          raise ArgumentError, "a request cannot have the #{part} #{value.inspect}", cause: nil
        end
        message
      end

      def parts(url)
        found = URL.match(url.to_s)
        unless found
          raise ArgumentError, "`#{url}` is no URL that can be asked for: it is `http[s]://HOST[:PORT]/PATH`"
        end

        path = found[:path]
        [found[:scheme].downcase, found[:authority], path.start_with?("/") ? path : "/#{path}"]
      end

      def pairs(headers, body)
        pairs = headers.flat_map { |name, values| Array(values).map { |value| [name.to_s, value.to_s] } }
        told = pairs.any? { |name, _| %w[content-length transfer-encoding].include?(name.downcase) }
        pairs << ["content-length", body.bytesize.to_s] if body.is_a?(String) && !told
        pairs
      end

      def options(seconds)
        options = Bridge::Handle.new("types.request-options", Bridge.call("types.request-options.new"))
        %w[connect first-byte between-bytes].each do |part|
          options.call("set-#{part}-timeout", (seconds * 1_000_000_000).to_i)
        end
        options
      end

      def deliver(sent, body)
        Streams.fill(sent.call("write"), body) if body
        Bridge.call("types.outgoing-body.finish", sent.taken, nil)
      ensure
        sent.close
      end
    end
  end
end
