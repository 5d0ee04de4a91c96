# frozen_string_literal: true

module Dayfly
  # Blobs, which `blob_containers` grants.
  module Blobs
    # Behind the last byte of any object.
    LAST = (1 << 64) - 1
    NAMES = 1000

    # A container, which is made if it is not there yet. A block is given it, and it is closed behind that.
    def self.open(container = "default", &) = Bridge::Handle.lend(Container.new(container), &)

    # Objects, each under a name: values are bytes.
    class Container < Bridge::Handle
      def initialize(name) = super("container.container", opened(name))

      # All of an object, `nil` if there is none.
      def get(name) = exists(name) ? read(name).to_a.join.b : nil

      # An object piece by piece, by `each`; the first and the last byte are of it.
      def read(name, first = 0, last = LAST)
        value = call("get-data", name, first, last)
        Pieces.new(Bridge.call("types.incoming-value.incoming-value-consume-async", value))
      end

      # `value` is a string, or gives strings by `each`. It takes its place when all of it is there.
      def set(name, value)
        new = Bridge::Handle.new("types.outgoing-value", Bridge.call("types.outgoing-value.new-outgoing-value"))
        call("write-data", name, new.number)
        Streams.fill(new.call("outgoing-value-write-body"), value)
        Bridge.call("types.outgoing-value.finish", new.taken)
        nil
      ensure
        new&.close
      end

      def delete(name) = call("delete-object", name)
      def exists(name) = call("has-object", name)
      alias exists? exists

      # How many bytes an object has.
      def size(name) = call("object-info", name)["size"]

      # The names of all objects.
      def keys
        listed = Bridge::Handle.new("container.stream-object-names", call("list-objects"))
        names = []
        loop do
          more, is_last = listed.call("read-stream-object-names", NAMES)
          names.concat(more)
          return names if is_last
        end
      ensure
        listed&.close
      end

      private

      def opened(name)
        return Bridge.call("blobstore.get-container", name) if Bridge.call("blobstore.container-exists", name)

        begin
          Bridge.call("blobstore.create-container", name)
        rescue Error
          # Another instance may have made it meanwhile.
          raise unless Bridge.call("blobstore.container-exists", name)

          Bridge.call("blobstore.get-container", name)
        end
      end
    end

    # What is read piece by piece, once; an answer of Rack may be one.
    class Pieces
      include Enumerable

      def initialize(number) = @stream = Bridge::Handle.new("streams.input-stream", number)

      def each
        while !@stream.closed? && (piece = Streams.read(@stream))
          yield piece
        end
      ensure
        close
      end

      def close = @stream.close
    end
  end
end
