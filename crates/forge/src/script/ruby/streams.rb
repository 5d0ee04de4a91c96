# frozen_string_literal: true

module Dayfly
  # Streams of the host's: what comes and goes piece by piece.
  module Streams
    PIECE_BYTES = 65_536

    class << self
      # The next piece, of so many bytes at most; `nil` at the end.
      def read(stream, size = PIECE_BYTES)
        while (piece = on(stream, "read", size))
          return piece unless piece.empty?

          wait(stream)
        end
      end

      # Writes a string, or what gives strings by `each`, to the stream of a number, as long as the other side
      # takes more, and closes it.
      def fill(number, content)
        stream = Bridge::Handle.new("streams.output-stream", number)
        pieces = content.is_a?(String) ? [content] : content
        pieces.each { |piece| break unless write(stream, piece.b) }
      ensure
        stream&.close
      end

      def wait(handle)
        pollable = Bridge::Handle.new("poll.pollable", handle.call("subscribe"))
        pollable.call("block")
      ensure
        pollable&.close
      end

      private

      # Whether the other side takes more.
      def write(stream, piece)
        until piece.empty?
          room = on(stream, "check-write")
          return false unless room
          next wait(stream) if room.zero?

          on(stream, "write", piece.byteslice(0, room))
          piece = piece.byteslice(room..) || ""
        end
        on(stream, "flush")
        true
      end

      # What a stream gives; `nil` if it is closed.
      def on(stream, function, *arguments)
        stream.attempt(function, *arguments)
      rescue Bridge::Failure => failure
        kind, number = failure.error
        return if kind == "closed"

        error = Bridge::Handle.new("error.error", number)
        code = Bridge.call("types.http-error-code", number)
        kind, text = code ? Bridge.words(code) : ["failed", error.call("to-debug-string").lines.first.to_s.chomp]
        error.close
        raise Error.new("the body failed: #{text}", kind), cause: nil
      end
    end
  end
end
