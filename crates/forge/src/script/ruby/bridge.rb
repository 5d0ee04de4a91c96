# frozen_string_literal: true

module Dayfly
  # The host refused, or what was asked of it failed. `kind` is the interface's word for it.
  class Error < StandardError
    attr_reader :kind

    def initialize(message, kind)
      super(message)
      @kind = kind
    end
  end

  # Calls what the host grants, by the component model's canonical ABI: arguments are laid out in memory as
  # the table of interfaces says, and results read from there.
  module Bridge
    INTERFACES = "/dayfly/interfaces.json"

    # Reading from standard input at an offset reads memory; writing to standard error at one calls.
    MEMORY = IO.for_fd(0, "rb", autoclose: false)
    CALL = IO.for_fd(2, "wb", autoclose: false)

    NOT_YET = "while the app is loaded nothing is granted: call this where a request or an event is handled"

    # An error as its interface has it.
    class Failure < StandardError
      attr_reader :error

      def initialize(error)
        super("an error of an interface")
        @error = error
      end
    end

    class << self
      # Whether a request is handled.
      attr_accessor :open

      def use(interfaces)
        table, functions = interfaces
        @types = Types.new(table)
        @functions = functions.each_with_index.to_h { |(name, *more), number| [name, [number, *more]] }
        @loading = 0
        @window = [0, "".b]
      end

      # What a function of the host gives back, with the errors that apps are told.
      def call(name, *arguments)
        attempt(name, *arguments)
      rescue Failure => failure
        kind, text = words(failure.error)
        raise Error.new(text, kind), cause: nil
      end

      # The same; a `Failure` if it gives back an error.
      def attempt(name, *arguments)
        raise Error.new(NOT_YET, "not-yet") unless open

        number, size, parameters, result, offset = @functions.fetch(name)
        kept = []
        block = "\0".b * size
        parameters.zip(arguments) { |(type, at), value| @types.store(type, value, block, at, kept) }
        # A finaliser may call while the result of another call is read, which is kept then.
        before = @window
        block[0, 8] = [number, @loading].pack("L<L<")
        placed = Placed.new(block)
        CALL.pwrite([placed.address].pack("L<"), 0)
        @loading += 1
        begin
          block = placed.bytes
          first, last = block.unpack("L<L<")
          @window = [first, peek(first, last - first)]
          @types.load(result, block, offset)
        ensure
          @window = before
          @loading -= 1
        end
      end

      # What is in memory there, of what the last call gave back.
      def given(address, length)
        first, copy = @window
        at = address - first
        at.negative? || at + length > copy.bytesize ? peek(address, length) : copy.byteslice(at, length)
      end

      def peek(address, length) = length.zero? ? "".b : MEMORY.pread(length, address)

      # What an interface's error says: its kind, and a text.
      def words(error)
        kind, detail = error
        detail = text_of(detail)
        plain = (kind || "failed").tr("-", " ")
        return [kind, plain] if detail.empty?

        [kind, %w[other io].include?(kind) ? detail : "#{plain}: #{detail}"]
      end

      private

      def text_of(detail)
        case detail
        when Array then text_of(detail[1]).then { |text| text.empty? ? detail[0].tr("-", " ") : text }
        when Hash then detail["message"] || detail.values.grep(String).join(", ")
        else detail.to_s
        end
      end
    end

    # Bytes at an address that suits every type, as long as this lives.
    class Placed
      attr_reader :address

      def initialize(content)
        @size = content.bytesize
        @buffer = "\0".b * (@size + 16)
        @base = -Placed.address_of(@buffer) & 7
        @buffer[@base, @size] = content
        @address = Placed.address_of(@buffer) + @base
      end

      def bytes = @buffer.byteslice(@base, @size)

      def self.address_of(text) = [text].pack("P").unpack1("L<")
    end

    # What stores and loads values of each type, by the type's place in the table.
    class Types
      NUMBERS = {
        "u8" => "C", "u16" => "S<", "u32" => "L<", "u64" => "Q<", "s8" => "c", "s16" => "s<", "s32" => "l<",
        "s64" => "q<", "f32" => "e", "f64" => "E"
      }.freeze

      def initialize(table)
        @table = table
        @codecs = table.map { |kind, size, _, *more| NUMBERS.key?(kind) ? number(kind, size) : send(kind, size, *more) }
      end

      def store(type, value, memory, at, kept) = @codecs[type][0].call(value, memory, at, kept)
      def load(type, memory, at) = type.negative? ? nil : @codecs[type][1].call(memory, at)

      private

      def number(kind, size)
        form = NUMBERS.fetch(kind)
        range = range_of(kind, 8 * size)
        [
          lambda { |value, memory, at, _|
            # It would be another number.
            fits = range.nil? || !value.is_a?(Numeric) || range.cover?(value)
            raise RangeError, "#{value} is not in #{range}" unless fits

            memory[at, size] = [value].pack(form)
          },
          ->(memory, at) { memory.unpack1(form, offset: at) }
        ]
      end

      # What a type of whole numbers holds.
      def range_of(kind, bits)
        case kind[0]
        when "u" then 0..((1 << bits) - 1)
        when "s" then -(1 << (bits - 1))..((1 << (bits - 1)) - 1)
        end
      end

      def bool(_)
        [
          ->(value, memory, at, _) { memory.setbyte(at, value ? 1 : 0) },
          ->(memory, at) { memory.getbyte(at) != 0 }
        ]
      end

      def string(_)
        [
          lambda { |value, memory, at, kept|
            raise TypeError, "a text is wanted, not #{value.inspect}" unless value.is_a?(String) || value.is_a?(Symbol)

            text = value.to_s.encode(Encoding::UTF_8)
            raise ArgumentError, "a text is not valid: #{text.inspect}" unless text.valid_encoding?

            place(text, text.bytesize, memory, at, kept)
          },
          ->(memory, at) { Bridge.given(*memory.unpack("L<L<", offset: at)).force_encoding(Encoding::UTF_8) }
        ]
      end

      def list(_, item)
        kind, size = @table[item]
        return bytes if kind == "u8"

        [
          lambda { |values, memory, at, kept|
            items = "\0".b * (size * values.length)
            values.each_with_index { |value, number| store(item, value, items, size * number, kept) }
            place(items, values.length, memory, at, kept)
          },
          lambda { |memory, at|
            address, count = memory.unpack("L<L<", offset: at)
            items = Bridge.given(address, size * count)
            Array.new(count) { |number| load(item, items, size * number) }
          }
        ]
      end

      def bytes
        [
          ->(value, memory, at, kept) { place(value.b, value.bytesize, memory, at, kept) },
          ->(memory, at) { Bridge.given(*memory.unpack("L<L<", offset: at)) }
        ]
      end

      def record(_, fields)
        [
          lambda { |value, memory, at, kept|
            fields.each { |name, type, offset| store(type, value.fetch(name), memory, at + offset, kept) }
          },
          ->(memory, at) { fields.to_h { |name, type, offset| [name, load(type, memory, at + offset)] } }
        ]
      end

      def tuple(_, fields)
        [
          lambda { |values, memory, at, kept|
            fields.zip(values) { |(type, offset), value| store(type, value, memory, at + offset, kept) }
          },
          ->(memory, at) { fields.map { |type, offset| load(type, memory, at + offset) } }
        ]
      end

      def variant(_, tag, payload, cases)
        put, got = number("u#{8 * tag}", tag)
        numbers = cases.each_with_index.to_h { |(name, type), number| [name, [number, type]] }
        [
          lambda { |(name, value), memory, at, kept|
            number, type = numbers.fetch(name)
            put.call(number, memory, at, kept)
            store(type, value, memory, at + payload, kept) unless type.negative?
          },
          lambda { |memory, at|
            name, type = cases[got.call(memory, at)]
            [name, load(type, memory, at + payload)]
          }
        ]
      end

      def enum(_, tag, names)
        put, got = number("u#{8 * tag}", tag)
        [
          ->(value, memory, at, kept) { put.call(names.index(value), memory, at, kept) },
          ->(memory, at) { names[got.call(memory, at)] }
        ]
      end

      def option(_, payload, some)
        [
          lambda { |value, memory, at, kept|
            memory.setbyte(at, value.nil? ? 0 : 1)
            store(some, value, memory, at + payload, kept) unless value.nil?
          },
          ->(memory, at) { memory.getbyte(at).zero? ? nil : load(some, memory, at + payload) }
        ]
      end

      def result(_, payload, ok, err)
        is_text = !err.negative? && @table[err].first == "string"
        load = lambda { |memory, at|
          return load(ok, memory, at + payload) if memory.getbyte(at).zero?

          error = load(err, memory, at + payload)
          raise Failure.new(is_text ? ["other", error] : error)
        }
        [nil, load]
      end

      # Writes where bytes are, which stay there as long as `kept` does, and how many things they are.
      def place(content, count, memory, at, kept)
        kept << (placed = Placed.new(content))
        memory[at, 8] = [placed.address, count].pack("L<L<")
      end
    end

    # What the host holds for the app until it is closed.
    class Handle
      def initialize(resource, number)
        @resource = resource
        @number = number
      end

      # Gives a block the handle, and closes it afterwards.
      def self.lend(handle)
        return handle unless block_given?

        begin
          yield handle
        ensure
          handle.close
        end
      end

      def call(function, *arguments) = Bridge.call("#{@resource}.#{function}", number, *arguments)
      def attempt(function, *arguments) = Bridge.attempt("#{@resource}.#{function}", number, *arguments)
      def number = @number || raise(IOError, "it is closed")
      def closed? = @number.nil?

      # The number, which is another's from now on.
      def taken
        number.tap { @number = nil }
      end

      def close
        Bridge.call("#{@resource}.drop", taken) if @number
        nil
      end
    end
  end

  # Of arrays, texts and numbers alone.
  Bridge.use(eval(File.read(Bridge::INTERFACES)))
end
