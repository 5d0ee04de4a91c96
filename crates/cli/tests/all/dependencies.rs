//! What scripts depend on: packages of npm and types are bundled, requirements are installed.

use std::fs;

use dayfly_testing::App;

use crate::scripts::{app, text, with_interpreters};

const TYPESCRIPT: &str = r#"
import { greeting, type Name } from "./lib/greeting";
import data from "./data.json";

enum Mark { Calm = ".", Loud = "!" }

const name: Name = { name: data.name };
export default {
  fetch: (request: Request): Response => new Response(greeting(name) + Mark.Loud),
} satisfies { fetch(request: Request): Response };
"#;

fn typescript() -> App {
    app("app.ts")
        .file("app.ts", TYPESCRIPT)
        .file("data.json", r#"{ "name": "world" }"#)
        .file("lib/greeting.ts", GREETING)
}

const GREETING: &str = "export interface Name { name: string }\n\
     export const greeting = (it: Name): string => `hello ${it.name}`;\n";

#[tokio::test]
async fn typescript_is_served_and_followed() {
    let app = typescript();
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "hello world!");
    server.stop().await;
    let app = app.file("lib/greeting.ts", GREETING.replace("hello", "goodbye"));
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "goodbye world!");
    server.stop().await;
}

#[tokio::test]
async fn a_backtrace_has_the_places_of_the_sources() {
    let fails = "interface Kind { kind: string }\n\n\
         export const fail = (it: Kind): never => { throw new RangeError(it.kind) };\n";
    let script = "import { fail } from './lib/fail';\n\
         if (process.env.NODE_ENV !== 'production') fail({ kind: 'never' });\n\n\
         export default { fetch: () => fail({ kind: 'on purpose' }) };\n";
    let app = app("app.ts").file("app.ts", script).file("lib/fail.ts", fails);
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(server.get("/").await.status, 500);
    server.stderr().containing("RangeError: on purpose").await;
    server.stderr().containing("/app/lib/fail.ts:3").await;
    server.stderr().containing("/app/app.ts:4").await;
    server.stop().await;
    let app = app.file("app.ts", format!("{script}\nfail({{ kind: 'at once' }});\n"));
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(told.contains("at once") && told.contains("/app/app.ts:6"), "{told}");
}

#[tokio::test]
async fn packages_are_bundled_whatever_they_are_written_in() {
    let app = app("app.js")
        .file(
            "app.js",
            "import old from 'old'; import { esm } from 'esm'; import { kept } from './kept.cjs';\n\
             export default { fetch: () => Response.json({ old, esm, kept }) };\n",
        )
        .file("kept.cjs", "exports.kept = require('old') + 1;\n")
        .file("node_modules/old/package.json", r#"{ "main": "main" }"#)
        .file("node_modules/old/main.js", "module.exports = require('./other');\n")
        .file("node_modules/old/other.js", "module.exports = 41;\n")
        .file(
            "node_modules/esm/package.json",
            r#"{ "exports": { ".": { "require": "./none.cjs", "import": "./index.mjs" } } }"#,
        )
        .file("node_modules/esm/index.mjs", "export const esm = process.env.NODE_ENV;\n");
    let server = with_interpreters().up(app.folder()).await;
    let answer = text(&server, "/").await;
    assert_eq!(answer, r#"{"old":41,"esm":"production","kept":42}"#);
    server.stop().await;
}

#[tokio::test]
async fn a_script_finds_the_packages_of_its_project() {
    let app = app("src/app.js")
        .file(
            "src/app.js",
            "import { word } from 'words'; import '../data.json';\n\
             export default { fetch: () => new Response(word) };\n",
        )
        .file("package.json", r#"{ "dependencies": { "words": "1" } }"#)
        .file("data.json", "{}")
        .file("node_modules/words/index.js", "exports.word = 'one';\n");
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "one");
    server.stop().await;
    let app = app.file("node_modules/words/index.js", "exports.word = 'another';\n");
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "another");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_bundled_is_told_with_its_place() {
    for (script, problems) in [
        ("const a: number = ;\n", &["app.ts:1:18:", "Unexpected \";\""][..]),
        ("import './nothing';\n", &["app.ts:1:7:", "Could not resolve \"./nothing\""]),
        (
            "import fs from 'fs';\nfs.rmdir('/');\n",
            &["Could not resolve \"fs\"", "hint: there are no modules of Node"],
        ),
        ("import '../outside';\n", &["Could not resolve \"../outside\""]),
    ] {
        let app = app("app.ts").file("app.ts", script);
        let told = with_interpreters().up_ends(app.folder()).await.with(1);
        for problem in problems {
            assert!(told.contains(problem), "{script}: {told}");
        }
    }
}

const FLASK: &str = r#"
from flask import Flask, render_template_string

app = Flask(__name__)

@app.route("/")
def page():
    return render_template_string("<h1>{{ title }}</h1>", title="<&>")
"#;

#[tokio::test]
async fn requirements_are_installed_once() {
    let app = app("app.py").file("app.py", FLASK).file("requirements.txt", "flask==3.1.3\n");
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "<h1>&lt;&amp;&gt;</h1>");
    server.stop().await;
    // Nobody is asked again, also where the script has changed.
    let app = app.file("app.py", FLASK.replace("h1", "h2"));
    let server = with_interpreters().env("PATH", "/nowhere").up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "<h2>&lt;&amp;&gt;</h2>");
    server.stop().await;
    let app = app.file("requirements.txt", "flask==3.1.3\nbottle==0.13.4\n");
    let dayfly = with_interpreters().env("PATH", "/nowhere");
    let told = dayfly.up_ends(app.folder()).await.with(1);
    assert!(told.contains("requirements.txt") && told.contains("is not installed"), "{told}");
}

#[tokio::test]
async fn a_requirement_that_cannot_be_had_is_told() {
    let app = app("app.py").file("app.py", "").file("requirements.txt", "flask==0.0.0.1\n");
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(told.contains("flask==0.0.0.1") && told.contains("hint: only wheels"), "{told}");
}

#[tokio::test]
async fn native_code_of_a_requirement_is_told_where_it_is_missed() {
    let app = app("app.py")
        .file("app.py", "import markupsafe._speedups\n")
        .file("requirements.txt", "flask==3.1.3\n");
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(told.contains("No module named 'markupsafe._speedups'"), "{told}");
    assert!(told.contains("these packages have some: `markupsafe`"), "{told}");
    let app = app
        .file("vendor/lib-1.0.dist-info/WHEEL", "Root-Is-Purelib: false\n")
        .file("vendor/pure-1.0.dist-info/WHEEL", "Root-Is-Purelib: true\n");
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(told.contains("these packages have some: `lib`"), "{told}");
}

#[tokio::test]
async fn gems_that_are_not_beside_a_script_are_told_how_to_be_had() {
    let app = app("app.rb").file("app.rb", "run ->(env) { [200, {}, ['ruby']] }\n");
    // It may take longer to compile Ruby than a command may that is to end.
    let server = with_interpreters().up(app.folder()).await;
    assert_eq!(text(&server, "/").await, "ruby");
    server.stop().await;
    let app = app
        .file("app.rb", "require 'no_such_gem'\n")
        .file("Gemfile", "source 'https://gems.example'\ngem 'no_such_gem'\n");
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(told.contains("no_such_gem") && told.contains("vendor/bundle"), "{told}");
    fs::remove_file(app.path("Gemfile")).unwrap();
    let told = with_interpreters().up_ends(app.folder()).await.with(1);
    assert!(!told.contains("vendor/bundle"), "{told}");
}
