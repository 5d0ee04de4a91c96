# frozen_string_literal: true

module Rack
  # What a `config.ru` is written in, for apps that bring no Rack of their own.
  class Builder
    def initialize(&block)
      @middleware = []
      @mapped = {}
      instance_eval(&block) if block
    end

    def use(middleware, ...)
      made = ->(app) { middleware.new(app, ...) }
      @middleware << made
    end

    def run(app = nil, &block)
      @app = app || block
    end

    def map(path, &block)
      @mapped[path.chomp("/")] = Builder.new(&block).to_app
    end

    def freeze_app = nil
    def warmup(&) = nil

    def to_app
      app = @mapped.empty? ? @app : Map.new(@mapped, @app)
      raise "missing `run` or `map` in `config.ru`" unless app

      @middleware.reverse.inject(app) { |inner, made| made.call(inner) }
    end

    def call(env) = to_app.call(env)
  end

  # Apps by the path that they are mounted at; the longest wins.
  class Map
    def initialize(mapped, otherwise)
      @mapped = mapped.sort_by { |path, _| -path.length }
      @otherwise = otherwise
    end

    def call(env)
      path = env["PATH_INFO"]
      at, app = @mapped.find { |at, _| path == at || path.start_with?("#{at}/") }
      return app.call(env.merge("SCRIPT_NAME" => env["SCRIPT_NAME"] + at, "PATH_INFO" => path[at.length..])) if app
      return @otherwise.call(env) if @otherwise

      [404, { "content-type" => "text/plain" }, ["Not Found: #{path}\n"]]
    end
  end
end
