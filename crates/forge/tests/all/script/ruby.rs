//! Ruby's handlers, by Rack 3.

use dayfly_forge::script::Language::Ruby;

use super::running::App;

fn app(text: &str) -> App {
    App::new(Ruby, &[("app.rb", text)])
}

#[test]
fn a_request_is_answered() {
    let app = app(r#"
        run(lambda do |env|
          names = %w[REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING HTTP_X_ONE rack.url_scheme]
          body = env["rack.input"].read
          text = env.values_at(*names).join(" ")
          [201, { "content-type" => "text/plain", "set-cookie" => ["a=1", "b=2"] }, [text, " ", body]]
        end)
    "#);
    let more = [("HTTP_X_ONE", "eins"), ("HTTPS", "on")];
    let answer = app.request("POST", "/a/b?c=d", &more, "Grüße");
    let (head, body) = answer.parts();
    let expected =
        ["Status: 201", "content-type: text/plain", "set-cookie: a=1", "set-cookie: b=2"];
    assert_eq!(head, expected, "{answer:?}");
    assert_eq!(body, "POST  /a/b c=d eins https Grüße");
    assert!(answer.succeeded);
    assert_eq!(answer.errors, "");
}

#[test]
fn a_method_answers_or_what_the_script_ends_with() {
    assert_eq!(app("def call(env) = [200, {}, [env['PATH_INFO']]]").get("/x").body(), "/x");
    assert_eq!(app("proc { |env| [200, {}, ['last']] }").get("/").body(), "last");
}

#[test]
fn a_config_ru_is_read_without_rack() {
    let config = r#"
        require_relative "lib/hello"
        class Loud
          def initialize(app, mark:) = (@app, @mark = app, mark)
          def call(env)
            status, headers, body = @app.call(env)
            [status, headers, body.map { |chunk| chunk.upcase + @mark }]
          end
        end
        use Loud, mark: "!"
        map "/inner" do
          run ->(env) { [200, {}, [env.values_at('SCRIPT_NAME', 'PATH_INFO').join(' ')]] }
        end
        run Hello.new
    "#;
    let hello = "class Hello; def call(env) = [200, {}, ['hello']]; end";
    let app = App::new(Ruby, &[("config.ru", config), ("lib/hello.rb", hello)]);
    assert_eq!(app.get("/").body(), "HELLO!");
    assert_eq!(app.get("/inner/deep").body(), "/INNER /DEEP!");
}

#[test]
fn bodies_stream_both_ways() {
    let app = app(r#"
        class Pieces
          def each
            yield "one "
            yield "two "
          end

          def close = $stderr.print("closed")
        end
        def call(env)
          return [200, {}, Pieces.new] if env["PATH_INFO"] == "/each"

          body = proc do |stream|
            while (piece = stream.read(4))
              stream << piece.upcase
            end
          ensure
            stream.close
          end
          [200, {}, body]
        end
    "#);
    let each = app.get("/each");
    assert_eq!((each.body(), &*each.errors), ("one two ", "closed"));
    assert_eq!(app.request("POST", "/", &[], "piece by piece").body(), "PIECE BY PIECE");
}

#[test]
fn what_is_raised_is_told_to_the_log_alone() {
    let answer = app("def inner = raise('kaputt')\ndef call(env) = inner").get("/");
    let expected = (vec!["Status: 500", "Content-Type: text/plain"], "Internal Server Error\n");
    assert_eq!(answer.parts(), expected);
    let trace = "/app/app.rb:1:in 'Object#inner': kaputt (RuntimeError)\n\tfrom /app/app.rb:2:in 'Object#call'\n";
    assert_eq!(answer.errors, trace, "{}", answer.errors);
    assert!(app("def call(env) = exit(3)").get("/").errors.contains("SystemExit"));
}

#[test]
fn a_script_that_cannot_be_loaded_says_why() {
    let error = app("def f = missing\nf").error();
    assert!(error.starts_with("/app/app.rb:1:in 'Object#f': undefined local variable"), "{error}");
    let error = app("def call(env").error();
    assert!(error.contains("syntax error") && error.contains("/app/app.rb"), "{error}");
    let error = app("require 'no_such_library'").error();
    assert!(error.contains("cannot load such file -- no_such_library"), "{error}");
    let error = app("1").error();
    assert!(error.contains("`/app/app.rb` has no app"), "{error}");
    let error = app("exit 3").error();
    assert!(error.contains("SystemExit"), "{error}");
}

#[test]
fn an_event_comes_as_a_request() {
    let app = app("def call(env) = [200, {}, [env['HTTP_CE_TYPE'], ' ', env['rack.input'].read]]");
    let event = [("CE_ID", "1"), ("CE_TYPE", "dayfly.queue.message"), ("CONTENT_LENGTH", "4")];
    let answer = app.event(&event, "data");
    assert!(answer.succeeded, "{answer:?}");
    assert_eq!(answer.output, "dayfly.queue.message data");
    assert!(!self::app("def call(env) = [503, {}, []]").event(&event, "data").succeeded);
}

#[test]
fn numbers_differ_that_were_random_before_the_freeze() {
    let app = app(r#"
        require "securerandom"
        before = [rand, Random.rand, [*0..99].shuffle.first, SecureRandom.hex(4)]
        run ->(env) { [200, {}, [[rand, Random.rand, SecureRandom.hex(4)].join(" ")]] }
    "#);
    let [one, two] = [app.get("/"), app.get("/")];
    let pairs = one.body().split(' ').zip(two.body().split(' '));
    assert_eq!(pairs.clone().count(), 3);
    assert!(pairs.clone().all(|(one, two)| one != two), "{one:?} {two:?}");
}

#[test]
fn the_standard_library_is_there() {
    let app = app(r#"
        require "json"
        require "erb"
        require "time"
        require "digest"
        require "uri"
        run(proc do |env|
          query = URI.decode_www_form(env["QUERY_STRING"]).to_h
          page = ERB.new("<%= name %>").result_with_hash(name: query["name"])
          value = { page:, year: Time.now.year > 2000, digest: Digest::SHA256.hexdigest("")[0, 4] }
          [200, { "content-type" => "application/json" }, [JSON.generate(value)]]
        end)
    "#);
    let expected = r#"{"page":"A B","year":true,"digest":"e3b0"}"#;
    assert_eq!(app.get("/?name=A+B").body(), expected);
}

#[test]
fn recursion_without_end_is_an_error_of_the_script() {
    let app = app("def dive = dive
         def call(env)
           [200, {}, [dive]]
         rescue SystemStackError => error
           [200, {}, [error.message]]
         end");
    assert_eq!(app.get("/").body(), "stack level too deep");
}
