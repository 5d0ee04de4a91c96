# frozen_string_literal: true

module Dayfly
  # The app's variables, which `variables` grants.
  module Variables
    # The variable's value, a text.
    def self.get(name) = Bridge.call("variables.get", name)
  end

  # Key-value stores, which `key_value_stores` grants.
  module KeyValue
    # A store, which a block is given and that is closed behind it.
    def self.open(label = "default", &) = Bridge::Handle.lend(Store.new(label), &)

    # Keys are texts, values bytes.
    class Store < Bridge::Handle
      def initialize(label) = super("key-value.store", Bridge.call("key-value.store.open", label))

      # The value, `nil` if there is none.
      def get(key) = call("get", key)
      def set(key, value) = call("set", key, value)
      def delete(key) = call("delete", key)
      def exists(key) = call("exists", key)
      alias exists? exists
      def keys = call("get-keys")
    end
  end

  # Redis servers, which `allowed_outbound_hosts` grants.
  module Redis
    # A connection to a server, `redis://host:port`.
    def self.open(address, &) = Bridge::Handle.lend(Connection.new(address), &)

    # Keys are texts, values bytes.
    class Connection < Bridge::Handle
      def initialize(address) = super("redis.connection", Bridge.call("redis.connection.open", address))

      # The value, `nil` if there is none.
      def get(key) = call("get", key)
      def set(key, value) = call("set", key, value)
      def incr(key) = call("incr", key)

      # How many of them there were.
      def delete(*keys) = call("del", keys)
      def sadd(key, *members) = call("sadd", key, members)
      def srem(key, *members) = call("srem", key, members)
      def smembers(key) = call("smembers", key)
      def publish(channel, payload) = call("publish", channel, payload)

      # What any other command answers: a list of numbers, bytes, texts (a status) and `nil`.
      def execute(command, *arguments)
        given = arguments.map { |value| value.is_a?(Integer) ? ["int64", value] : ["binary", value.to_s] }
        call("execute", command, given).map(&:last)
      end
    end
  end

  # SQLite databases, which `sqlite_databases` grants.
  module SQLite
    CASES = {
      NilClass => "null", TrueClass => "integer", FalseClass => "integer", Integer => "integer", Float => "real"
    }.freeze

    def self.open(label = "default", &) = Bridge::Handle.lend(Connection.new(label), &)

    class Connection < Bridge::Handle
      def initialize(label) = super("sqlite.connection", Bridge.call("sqlite.connection.open", label))

      # The rows, each a hash by column.
      def execute(sql, params = [])
        found = call("execute", sql, params.map { |value| parameter(value) })
        found["rows"].map { |row| found["columns"].zip(row["values"].map(&:last)).to_h }
      end

      def last_insert_rowid = call("last-insert-rowid")

      # How many rows the last statement changed.
      def changes = call("changes")

      private

      def parameter(value)
        known = CASES[value.class]
        return [known, { true => 1, false => 0 }.fetch(value, value)] if known

        [value.to_s.encoding == Encoding::BINARY ? "blob" : "text", value.to_s]
      end
    end
  end

  # PostgreSQL, which `allowed_outbound_hosts` grants.
  module Postgres
    CASES = {
      NilClass => "db-null", TrueClass => "boolean", FalseClass => "boolean", Integer => "int64",
      Float => "floating64"
    }.freeze

    # A connection to a database, `postgres://user:password@host/name`.
    def self.open(address, &) = Bridge::Handle.lend(Connection.new("postgres.connection", address), &)

    class Connection < Bridge::Handle
      def initialize(resource, address) = super(resource, Bridge.call("#{resource}.open", address))

      # The rows, each a hash by column.
      def query(sql, params = [])
        found = call("query", sql, params.map { |value| parameter(value) })
        columns = found["columns"].map { |column| column["name"] }
        found["rows"].map { |row| columns.zip(row.map(&:last)).to_h }
      end

      # Runs a statement that gives no rows. How many rows it changed, where the server says so.
      def execute(sql, params = []) = call("execute", sql, params.map { |value| parameter(value) })

      private

      def parameter(value)
        known = CASES[value.class]
        return [known, value] if known

        [value.to_s.encoding == Encoding::BINARY ? "binary" : "str", value.to_s]
      end
    end
  end

  # MySQL and MariaDB, which `allowed_outbound_hosts` grants.
  module MySQL
    # A connection to a database, `mysql://user:password@host/name`.
    def self.open(address, &) = Bridge::Handle.lend(Postgres::Connection.new("mysql.connection", address), &)
  end
end
