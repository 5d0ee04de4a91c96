# frozen_string_literal: true

module Dayfly
  # Messages to the app's own queues and to servers, which `messaging` grants.
  module Messaging
    # A client, which a block is given and that is closed behind it. The app's own queues are behind `default`.
    def self.open(client = "default", &) = Bridge::Handle.lend(Client.new(client), &)

    class Client < Bridge::Handle
      def initialize(name) = super("types.client", Bridge.call("types.client.connect", name))

      # Sends a string; `metadata` is a hash of texts.
      def send(topic, data, content_type: nil, metadata: nil)
        message = Bridge::Handle.new("types.message", Bridge.call("types.message.new", data.to_s))
        message.call("set-content-type", content_type) if content_type
        message.call("set-metadata", metadata.map { |key, value| [key.to_s, value.to_s] }) if metadata
        Bridge.call("producer.send", number, topic, message.taken)
      ensure
        message&.close
      end
    end
  end

  # The app's WebSockets, which a route with `websocket`, or `websockets`, grants. A connection goes by the id
  # that events about it have as their subject.
  module WebSocket
    class << self
      # Sends to one connection: a text, or bytes if it is a binary string.
      def send(connection, message) = Bridge.call("connections.send", connection, case_of(message))

      # Sends to all connections that joined a topic; how many that are.
      def publish(topic, message) = Bridge.call("connections.publish", topic, case_of(message))
      def join(connection, topic) = Bridge.call("connections.join", connection, topic)
      def leave(connection, topic) = Bridge.call("connections.leave", connection, topic)
      def close(connection, code = 1000, reason = "") = Bridge.call("connections.close", connection, code, reason)

      private

      def case_of(message) = [message.encoding == Encoding::BINARY ? "binary" : "text", message]
    end
  end

  # Brokers of MQTT, which `allowed_outbound_hosts` grants.
  module MQTT
    QUALITIES = %w[at-most-once at-least-once exactly-once].freeze

    # A connection to a broker, `mqtt://host:port`; `keep_alive` in seconds.
    def self.open(address, username: "", password: "", keep_alive: 30, &)
      Bridge::Handle.lend(Connection.new(address, username, password, keep_alive), &)
    end

    class Connection < Bridge::Handle
      def initialize(*login) = super("mqtt.connection", Bridge.call("mqtt.connection.open", *login))

      # Publishes a string, with quality of service 0, 1 or 2.
      def publish(topic, payload, qos: 1)
        raise ArgumentError, "a quality of service is 0, 1 or 2, not #{qos.inspect}" unless [0, 1, 2].include?(qos)

        call("publish", topic, payload.to_s, QUALITIES[qos])
      end
    end
  end

  # Language models, which `ai_models` grants.
  module LLM
    DEFAULTS = {
      "max-tokens" => 100, "repeat-penalty" => 1.1, "repeat-penalty-last-n-token-count" => 64,
      "temperature" => 0.8, "top-k" => 40, "top-p" => 0.9
    }.freeze

    # What a model said, and of how many tokens the prompt and the answer are.
    Answer = Struct.new(:text, :prompt_tokens, :generated_tokens)

    class << self
      # What a model says to a prompt. The options are `max_tokens`, `temperature`, `top_p`, `top_k`,
      # `repeat_penalty` and `repeat_penalty_last_n_token_count`; without any, the server decides.
      def infer(model, prompt, **options)
        told = Bridge.call("llm.infer", model, prompt, options.empty? ? nil : params(options))
        Answer.new(told["text"], *told["usage"].values_at("prompt-token-count", "generated-token-count"))
      end

      # What texts mean to a model: an array of numbers each.
      def embed(model, texts) = Bridge.call("llm.generate-embeddings", model, texts)["embeddings"]

      private

      def params(options)
        given = options.transform_keys { |name| name.to_s.tr("_", "-") }
        unknown = (given.keys - DEFAULTS.keys).first
        raise ArgumentError, "a model has no option `#{unknown.tr("-", "_")}`" if unknown

        DEFAULTS.merge(given)
      end
    end
  end
end
