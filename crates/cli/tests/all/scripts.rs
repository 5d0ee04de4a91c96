//! Source files as components: frozen, and thawed for each request.

mod capabilities;
mod events;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Dayfly, Running, workspace};
use http::Method;

use crate::dayfly;

const JAVASCRIPT: &str = r#"
let count = 0;
export default {
  async fetch(request) {
    count++;
    const path = new TextDecoder().decode(new TextEncoder().encode(request.url)).split("/").pop();
    if (path === "count") return new Response(`${count}`);
    if (path === "random") return new Response(`${Math.random()}`);
    if (path === "now") return new Response(`${Date.now()}`);
    if (path === "echo") return new Response(await request.text(), { status: 201 });
    if (path === "secret") return new Response(request.headers.get("authorization"));
    throw new TypeError("no such path");
  },
};
"#;

const RUBY: &str = r#"
require "json"
require "securerandom"
require_relative "lib/greeting"

$count = 0

run ->(env) {
  $count += 1
  body =
    case env["PATH_INFO"]
    when "/count" then $count.to_s
    when "/random" then rand.to_s
    when "/uuid" then SecureRandom.uuid
    when "/now" then (Time.now.to_f * 1000).to_i.to_s
    when "/echo" then env["rack.input"].read
    when "/secret" then env["HTTP_AUTHORIZATION"]
    when "/file" then File.read("/notes/note.txt")
    when "/greeting" then JSON.generate(greeting)
    else raise TypeError, "no such path"
    end
  [env["PATH_INFO"] == "/echo" ? 201 : 200, { "content-type" => "text/plain" }, [body]]
}
"#;

const PYTHON: &str = r#"
import json
import os
import random
import time
import uuid

from greeting import greeting

count = 0

def app(environ, start_response):
    global count
    count += 1
    path = environ["PATH_INFO"]
    start_response("201 Created" if path == "/echo" else "200 OK", [("content-type", "text/plain")])
    return [answer(path, environ).encode()]

def answer(path, environ):
    if path == "/count":
        return str(count)
    if path == "/random":
        return str(random.random())
    if path == "/uuid":
        return str(uuid.uuid4())
    if path == "/now":
        return str(int(time.time() * 1000))
    if path == "/echo":
        return environ["wsgi.input"].read().decode()
    if path == "/secret":
        return environ["HTTP_AUTHORIZATION"]
    if path == "/file":
        return open("/notes/note.txt").read()
    if path == "/greeting":
        return json.dumps(greeting())
    raise TypeError("no such path")
"#;

const PERL: &str = r#"
use strict;
use warnings;
use JSON::PP;
use Greeting;
use Time::HiRes ();

my $count = 0;

sub answer {
    my ($path, $env) = @_;
    return $count if $path eq '/count';
    return rand if $path eq '/random';
    return unpack 'H*', Dayfly::random_bytes(16) if $path eq '/uuid';
    return int(Time::HiRes::time() * 1000) if $path eq '/now';
    return $env->{HTTP_AUTHORIZATION} if $path eq '/secret';
    return JSON::PP->new->canonical->encode(Greeting::greeting()) if $path eq '/greeting';
    if ($path eq '/file') {
        open my $file, '<', '/notes/note.txt' or die "no note: $!";
        return readline $file;
    }
    if ($path eq '/echo') {
        local $/;
        return readline $env->{'psgi.input'};
    }
    die 'TypeError: no such path';
}

sub {
    my $env = shift;
    $count++;
    my $path = $env->{PATH_INFO};
    return [$path eq '/echo' ? 201 : 200, ['Content-Type' => 'text/plain'], [answer($path, $env)]];
};
"#;

fn javascript() -> App {
    app("app.js").file("app.js", JAVASCRIPT)
}

fn ruby() -> App {
    app("app.rb")
        .file("app.rb", RUBY)
        .file("lib/greeting.rb", "def greeting = { \"hello\" => \"world\" }\n")
        .file("notes/note.txt", "a note")
}

fn python() -> App {
    app("app.py")
        .file("app.py", PYTHON)
        .file("greeting.py", "def greeting(): return {\"hello\": \"world\"}\n")
        .file("notes/note.txt", "a note")
}

fn perl() -> App {
    app("app.psgi")
        .file("app.psgi", PERL)
        .file("lib/Greeting.pm", "package Greeting; sub greeting { { hello => 'world' } } 1;\n")
        .file("notes/note.txt", "a note")
}

/// An app of one script, which may read `/notes`.
pub(crate) fn app(source: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"script\"\n\
         [component.script]\nsource = \"{source}\"\n\
         files = [{{ source = \"notes\", destination = \"/notes\" }}]\n"
    ))
    .file("notes/other.txt", "")
}

/// Dayfly with the interpreters that the tests have fetched.
pub(crate) fn with_interpreters() -> Dayfly {
    dayfly().env("DAYFLY_SOURCE_CACHE_DIR", workspace().join("target/interpreters"))
}

pub(crate) async fn text(server: &Running, path: &str) -> String {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// What holds for every language.
async fn begins_anew_each_time(server: &Running) {
    for _ in 0..3 {
        assert_eq!(text(server, "/count").await, "1");
    }
    let mut random = BTreeSet::new();
    for _ in 0..20 {
        random.insert(text(server, "/random").await);
    }
    assert_eq!(random.len(), 20, "{random:?}");
    let now = || async { text(server, "/now").await.parse::<u64>().unwrap() };
    let first = now().await;
    // After the first of 2026, where the clock of initialisers has never been.
    assert!(first > 1_767_225_600_000, "{first}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(now().await >= first + 20);
    let body = "a body\n".repeat(10_000);
    let request = server.request(Method::POST, "/echo");
    let answer = server.send(request.body(Body::full(body.clone()))).await;
    assert_eq!((answer.status, answer.text()), (201, body));
    let request = server.request(Method::GET, "/secret").header("authorization", "Bearer abc");
    let answer = server.send(request.body(Body::full(""))).await;
    assert_eq!(answer.text(), "Bearer abc");
    let answer = server.get("/nothing").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("TypeError"), "{}", answer.text());
    server.stderr().containing("TypeError").await;
    server.stderr().containing("no such path").await;
}

#[tokio::test]
async fn javascript_begins_anew_each_time() {
    let app = javascript();
    let server = with_interpreters().up(app.folder()).await;
    begins_anew_each_time(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn ruby_begins_anew_each_time() {
    let app = ruby();
    let server = with_interpreters().env("IGNORED", "x").up(app.folder()).await;
    begins_anew_each_time(&server).await;
    assert_eq!(text(&server, "/greeting").await, "{\"hello\":\"world\"}");
    assert_eq!(text(&server, "/file").await, "a note");
    let uuids = [text(&server, "/uuid").await, text(&server, "/uuid").await];
    assert_ne!(uuids[0], uuids[1]);
    server.stop().await;
}

/// What is saved while somebody works on it begins where its interpreter was started.
#[tokio::test]
async fn what_is_saved_begins_anew_each_time() {
    let typescript =
        app("app.ts").file("app.ts", JAVASCRIPT.replace("let count", "let count: number"));
    let apps = [
        (javascript(), "app.js"),
        (typescript, "app.ts"),
        (ruby(), "app.rb"),
        (python(), "app.py"),
        (perl(), "app.psgi"),
    ];
    for (app, file) in apps {
        let text = app.text(file);
        let other = text.replace("/random", "/later").replace("\"random", "\"later");
        let server = with_interpreters().arg("watch").arg(app.folder()).serve().await;
        assert_eq!(server.get("/random").await.status, 200, "{file}");
        for (saved, status) in [(&other, 500), (&text, 200), (&other, 500), (&text, 200)] {
            fs::write(app.path(file), saved).unwrap();
            let since = Instant::now();
            while server.get("/random").await.status != status {
                assert!(since.elapsed() < Duration::from_secs(60), "{file}");
            }
        }
        begins_anew_each_time(&server).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_header_of_ruby_is_one_line() {
    let script = "run ->(env) {\n  value = env['QUERY_STRING'].gsub(/%(..)/) { $1.hex.chr }\n  \
        name = env['PATH_INFO'].delete_prefix('/').gsub('+', \"\\n\")\n  \
        [200, { name => value, 'x-many' => ['a', value] }, ['well']]\n}\n";
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n[[trigger.http]]\nroute = \"/...\"\n\
         component = \"script\"\n[component.script]\nsource = \"app.rb\"\n",
    )
    .file("app.rb", script);
    let server = with_interpreters().up(app.folder()).await;
    let answer = server.get("/x-one?two").await;
    let many: Vec<_> = answer.headers.get_all("x-many").iter().collect();
    assert_eq!((answer.status, &answer.headers["x-one"]), (200, &"two".parse().unwrap()));
    assert_eq!(many, ["a", "two"]);
    for (path, told) in [
        ("/x-one?two%0aset-cookie:a=b", "is not one line"),
        ("/x-one?two%0d", "is not one line"),
        ("/x+one?two", "is no header name"),
        ("/x:one?two", "is no header name"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 500, "{path}");
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
        assert!(server.stderr().text().contains(told), "{path}");
    }
    server.stop().await;
}

/// What a language with UUIDs is asked besides; `greeting` is what it makes of JSON.
async fn begins_anew_with_uuids(app: App, greeting: &str) {
    let server = with_interpreters().up(app.folder()).await;
    begins_anew_each_time(&server).await;
    assert_eq!(text(&server, "/greeting").await, greeting);
    assert_eq!(text(&server, "/file").await, "a note");
    let uuids = [text(&server, "/uuid").await, text(&server, "/uuid").await];
    assert_ne!(uuids[0], uuids[1]);
    server.stop().await;
}

#[tokio::test]
async fn python_begins_anew_each_time() {
    begins_anew_with_uuids(python(), "{\"hello\": \"world\"}").await;
}

#[tokio::test]
async fn perl_begins_anew_each_time() {
    begins_anew_with_uuids(perl(), "{\"hello\":\"world\"}").await;
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Scripts that keep what they see of the environment while they are loaded, and answer with that and with
/// what they see of it later.
const KEEPERS: [(&str, &str); 4] = [
    (
        "app.rb",
        "KEPT = ENV.to_h.inspect\nrun ->(env) { [200, {}, [KEPT, ' ', ENV['GREETING'].to_s]] }\n",
    ),
    (
        "app.py",
        "import os\nkept = repr(dict(os.environ))\ndef app(environ, start_response):\n    \
         start_response('200 OK', [])\n    return [f\"{kept} {os.environ['GREETING']}\".encode()]\n",
    ),
    (
        "app.js",
        "import * as std from 'qjs:std';\nconst kept = JSON.stringify(std.getenviron());\n\
         export default { fetch: () => new Response(`${kept} ${std.getenv('GREETING')}`) };\n",
    ),
    ("app.psgi", "my $kept = join ' ', %ENV;\nsub { [200, [], [$kept, ' ', $ENV{GREETING}]] };\n"),
];

#[tokio::test]
async fn what_is_there_at_build_time_is_not_in_the_image() {
    let secret = "vanishing-cream-4711";
    for (file, script) in KEEPERS {
        let cache = tempfile::tempdir().unwrap();
        let app = app(file).file(file, script);
        let server = with_interpreters()
            .env("DAYFLY_CACHE_DIR", cache.path())
            // The quickest, since all is compiled anew.
            .env("DAYFLY_ENGINE", "baseline")
            .env("DAYFLY_VARIABLE_SECRET", secret)
            .env("GREETING", secret)
            .args(["up", "--env", &format!("GREETING={secret}")])
            .arg(app.folder())
            .serve()
            .await;
        let told = text(&server, "/").await;
        assert!(told.ends_with(&format!(" {secret}")), "{file}: {told}");
        assert_eq!(told.matches(secret).count(), 1, "{file}: {told}");
        server.stop().await;
        let kept = files(cache.path());
        assert!(kept.len() >= 2, "{kept:?}");
        for kept in kept.iter().chain(&files(app.folder())) {
            let bytes = fs::read(kept).unwrap();
            let is_in = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_in, "{file}: {}", kept.display());
        }
    }
}

/// Scripts that open a file while they are loaded, and answer with what comes of reading from that later, and
/// with what a file holds that is opened then.
const OPENERS: [(&str, &str); 4] = [
    (
        "app.rb",
        "KEPT = File.open('/app/data.txt')\nrun ->(env) {\n  \
         kept = begin KEPT.read rescue 'lost' end\n  \
         [200, {}, [kept, ' ', File.read('/notes/note.txt')]]\n}\n",
    ),
    (
        "app.py",
        "file = open('/app/data.txt')\ndef kept():\n    try: return file.read()\n    \
         except OSError: return 'lost'\ndef app(environ, start_response):\n    \
         start_response('200 OK', [])\n    \
         return [f\"{kept()} {open('/notes/note.txt').read()}\".encode()]\n",
    ),
    (
        "app.js",
        "import * as std from 'qjs:std';\nconst file = std.open('/app/data.txt', 'r');\n\
         const kept = () => file.readAsString() || (file.error() ? 'lost' : 'empty');\n\
         export default { fetch: () => new Response(`${kept()} ${std.loadFile('/notes/note.txt')}`) };\n",
    ),
    (
        "app.psgi",
        "open(my $file, '<', '/app/data.txt') or die $!;\n\
         sub { my $kept = readline $file; open(my $note, '<', '/notes/note.txt') or die $!;\n\
         [200, [], [$kept // 'lost', ' ', readline $note]] };\n",
    ),
];

#[tokio::test]
async fn what_was_open_before_the_freeze_is_not_and_new_files_are() {
    for (file, script) in OPENERS {
        let app =
            app(file).file(file, script).file("data.txt", "data").file("notes/note.txt", "note");
        let server = with_interpreters().up(app.folder()).await;
        for _ in 0..2 {
            assert_eq!(text(&server, "/").await, "lost note", "{file}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_changed_file_is_loaded_at_the_next_start() {
    let app = javascript();
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/count").await, "1");
    server.stop().await;
    let app = app.file("app.js", JAVASCRIPT.replace("let count = 0", "let count = 41"));
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/count").await, "42");
    server.stop().await;
}

/// What the first answer of an empty cache is made by is compiled in full behind it, and that is what
/// every later app of the language shares.
#[tokio::test]
async fn the_next_app_of_a_language_compiles_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let up = async |app: &App| {
        with_interpreters()
            .env("DAYFLY_CACHE_DIR", cache.path())
            .env("DAYFLY_ENGINE", "auto")
            .env("DAYFLY_LOG", "info,dayfly_host=debug")
            .up(app.folder())
            .await
    };
    let app = javascript();
    let server = up(&app).await;
    assert_eq!(text(&server, "/count").await, "1");
    let told = server.stderr().containing("loaded component").await;
    assert!(told.contains("origin=Compiled"), "{told}");
    server.stderr().containing("compiled in full").await;
    server.stop().await;
    let app = app.file("app.js", JAVASCRIPT.replace("let count = 0", "let count = 41"));
    let server = up(&app).await;
    assert_eq!(text(&server, "/count").await, "42");
    let told = server.stderr().containing("loaded component").await;
    assert!(told.contains("origin=Cached"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_with_its_place() {
    for (file, script, problem) in [
        ("app.js", "export default {\n  fetch( {\n", "app.js"),
        ("app.js", "throw new RangeError('on purpose');", "RangeError: on purpose"),
        ("app.rb", "def broken(\n", "app.rb"),
        ("app.rb", "\n\nraise \"on purpose\"\n", "app.rb:3"),
        ("app.rb", "1 + 1\n", "app.rb"),
        ("app.py", "def broken(\n", "app.py"),
        ("app.py", "\n\nraise ValueError('on purpose')\n", "\"/app/app.py\", line 3"),
        ("app.pl", "sub broken {\n", "app.pl"),
        ("app.pl", "\n\ndie 'on purpose';\n", "on purpose at /app/app.pl line 3."),
    ] {
        let app = app(file).file(file, script);
        let told = with_interpreters().up_ends(app.folder()).await.with(1);
        assert!(told.contains(problem), "{script}: {told}");
    }
}

#[tokio::test]
async fn a_bare_script_is_an_app() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("hello.mjs");
    fs::write(&script, "export default { fetch: () => new Response(\"hello\") };").unwrap();
    let server = with_interpreters().up(&script).await;
    assert_eq!(text(&server, "/").await, "hello");
    server.stop().await;
}

#[tokio::test]
async fn a_missing_interpreter_is_told_how_to_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let app = javascript();
    let given = folder.path().join("none");
    let told = dayfly()
        .env("DAYFLY_SOURCE_CACHE_DIR", folder.path().join("sources"))
        .env("DAYFLY_INTERPRETERS", &given)
        .up_ends(app.folder())
        .await
        .with(1);
    assert!(told.contains("qjs-wasi-reactor.wasm") && told.contains("hint:"), "{told}");
}
