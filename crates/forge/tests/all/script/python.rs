//! Python's handlers, by WSGI and by ASGI.

use dayfly_forge::script::Language::Python;

use super::running::{App, python_packages};

fn app(text: &str) -> App {
    App::new(Python, &[("app.py", text)])
}

const FAILED: (&[&str], &str) =
    (&["Status: 500", "Content-Type: text/plain"], "Internal Server Error\n");

#[test]
fn a_request_is_answered_by_wsgi() {
    let app = app(r#"
def app(environ, start_response):
    names = "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING HTTP_X_ONE wsgi.url_scheme"
    text = " ".join(environ[name] for name in names.split())
    start_response("201 Created", [("content-type", "text/plain"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
    return [text.encode(), b" ", environ["wsgi.input"].read()]
"#);
    let more = [("HTTP_X_ONE", "eins"), ("HTTPS", "on")];
    let answer = app.request("POST", "/a/b?c=d", &more, "Grüße");
    let (head, body) = answer.parts();
    let expected =
        ["Status: 201 Created", "content-type: text/plain", "set-cookie: a=1", "set-cookie: b=2"];
    assert_eq!(head, expected, "{answer:?}");
    assert_eq!(body, "POST  /a/b c=d eins https Grüße");
    assert!(answer.succeeded);
    assert_eq!(answer.errors, "");
}

#[test]
fn a_request_is_answered_by_asgi() {
    let app = app(r#"
async def app(scope, receive, send):
    assert scope["type"] == "http", "this app knows no lifespan"
    body, message = b"", {"more_body": True}
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    parts = [scope["method"], scope["path"], scope["query_string"].decode(), scope["scheme"],
             dict(scope["headers"])[b"x-one"].decode(), body.decode()]
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-two", b"zwei")]})
    await send({"type": "http.response.body", "body": " ".join(parts).encode()})
"#);
    let more = [("HTTP_X_ONE", "eins"), ("HTTPS", "on"), ("X_RAW_PATH_INFO", "/a/%C3%BC")];
    let answer = app.request("POST", "/a/ü?c=d", &more, "Grüße");
    let (head, body) = answer.parts();
    assert_eq!(head, ["Status: 201", "x-two: zwei"], "{answer:?}");
    assert_eq!(body, "POST /a/ü c=d https eins Grüße");
    assert!(answer.succeeded);
    assert_eq!(answer.errors, "");
}

#[test]
fn wsgi_streams_both_ways() {
    let app = app(r#"
import sys

class Pieces:
    def __iter__(self):
        yield b"one "
        yield b"two "

    def close(self):
        print("closed", end="", file=sys.stderr)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/write":
        start_response("200 OK", [])(b"written ")
        return [b"and given"]
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/each":
        return Pieces()
    return (piece.upper() for piece in iter(lambda: environ["wsgi.input"].read(4), b""))
"#);
    let each = app.get("/each");
    assert_eq!((each.body(), &*each.errors), ("one two ", "closed"));
    assert_eq!(app.get("/write").body(), "written and given");
    assert_eq!(app.request("POST", "/", &[], "piece by piece").body(), "PIECE BY PIECE");
}

#[test]
fn asgi_streams_both_ways_and_keeps_what_its_startup_made() {
    let app = app(r#"
import asyncio

class App:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await asyncio.sleep(0.01)
            scope["state"]["made"] = b"at startup"
            await send({"type": "lifespan.startup.complete"})
            return await receive()
        await send({"type": "http.response.start", "status": 200})
        message = {"more_body": True}
        while message["more_body"]:
            message = await receive()
            await send({"type": "http.response.body", "body": message["body"].upper(), "more_body": True})
        slow, fast = asyncio.create_task(self.later(5)), asyncio.create_task(self.later(0.01))
        done, _ = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        assert done == {fast}
        made = await asyncio.to_thread(lambda: scope["state"]["made"])
        await send({"type": "http.response.body", "body": made})
        assert await receive() == {"type": "http.disconnect"}

    async def later(self, seconds):
        await asyncio.sleep(seconds)

app = App()
"#);
    let text = "long ".repeat(30_000);
    let answer = app.request("POST", "/", &[], &text);
    assert_eq!(answer.body(), text.to_uppercase() + "at startup", "{}", answer.errors);
    assert_eq!(answer.errors, "");
}

#[test]
fn what_is_raised_is_told_to_the_log_alone() {
    let answer =
        app("def inner():\n  raise ValueError('kaputt')\n\ndef app(environ, start):\n  inner()")
            .get("/");
    let (head, body) = answer.parts();
    assert_eq!((&*head, body), FAILED);
    // The file is not there to show lines of.
    let trace = "Traceback (most recent call last):\n  \
        File \"/app/app.py\", line 5, in app\n  \
        File \"/app/app.py\", line 2, in inner\nValueError: kaputt\n";
    assert_eq!(answer.errors, trace);
    let answer = app("async def app(scope, receive, send):\n  raise ValueError('kaputt')").get("/");
    assert_eq!(answer.parts().1, FAILED.1);
    let trace = "Traceback (most recent call last):\n  \
        File \"/app/app.py\", line 2, in app\nValueError: kaputt\n";
    assert_eq!(answer.errors, trace);
    let answer = app("import sys\ndef app(environ, start):\n  sys.exit(3)").get("/");
    assert_eq!((answer.parts().1, answer.errors.contains("SystemExit: 3")), (FAILED.1, true));
}

#[test]
fn an_answer_that_is_none_ends_in_an_error() {
    let failure = |text| {
        let answer = app(text).get("/");
        assert_eq!(answer.parts().1, FAILED.1);
        answer.errors
    };
    let errors = failure("def app(environ, start):\n  return [b'']");
    assert_eq!(errors, "RuntimeError: the app gave no answer\n");
    let errors =
        failure("def app(environ, start):\n  start('200 OK', [('a', 'b\\nc: d')])\n  return []");
    assert!(
        errors.ends_with("ValueError: a header has a line break: b'a: b\\nc: d'\n"),
        "{errors}"
    );
    let errors = failure("async def app(scope, receive, send):\n  pass");
    assert_eq!(errors, "RuntimeError: the app returned before its answer was complete\n");
    let errors = failure(
        "import asyncio\nasync def app(scope, receive, send):\n  \
         assert scope['type'] == 'http'\n  await asyncio.Event().wait()",
    );
    assert_eq!(errors, "RuntimeError: the app waits for something that never comes\n");
}

#[test]
fn a_script_that_cannot_be_loaded_says_why() {
    let error = app("def f():\n  missing\nf()").error();
    let trace = "Traceback (most recent call last):\n  File \"/app/app.py\", line 3, in <module>\n";
    assert!(error.starts_with(trace), "{error}");
    assert!(error.ends_with("NameError: name 'missing' is not defined\n"), "{error}");
    let error = app("def app(").error();
    assert!(error.starts_with("  File \"/app/app.py\", line 1\n"), "{error}");
    assert!(error.ends_with("SyntaxError: '(' was never closed\n"), "{error}");
    let error = app("import no_such_library").error();
    assert!(error.contains("ModuleNotFoundError: No module named 'no_such_library'"), "{error}");
    let error = app("a = 1").error();
    assert!(error.contains("`/app/app.py` has no app"), "{error}");
    let error = app("exit(3)").error();
    assert!(error.contains("SystemExit: 3"), "{error}");
    let startup = "async def app(scope, receive, send):\n  \
         await send({'type': 'lifespan.startup.failed', 'message': 'no database'})";
    assert_eq!(app(startup).error(), "RuntimeError: no database\n");
}

#[test]
fn an_event_comes_as_a_request() {
    let app = app(r#"
def app(environ, start_response):
    start_response(environ.get("HTTP_CE_STATUS", "200 OK"), [])
    return [environ["HTTP_CE_TYPE"].encode(), b" ", environ["wsgi.input"].read()]
"#);
    let event = [("CE_ID", "1"), ("CE_TYPE", "dayfly.queue.message"), ("CONTENT_LENGTH", "4")];
    let answer = app.event(&event, "data");
    assert!(answer.succeeded, "{answer:?}");
    assert_eq!(answer.output, "dayfly.queue.message data");
    let refused = [&event[..], &[("CE_STATUS", "503 Not Now")]].concat();
    assert!(!app.event(&refused, "data").succeeded);
}

/// What an app of these lines answers to `more`, twice: one line a value.
fn twice(text: &str, more: [&[(&str, &str)]; 2]) -> [Vec<String>; 2] {
    let app = app(text);
    more.map(|more| {
        let answer = app.request("GET", "/", more, "");
        assert_eq!(answer.errors, "");
        answer.body().lines().map(str::to_owned).collect()
    })
}

#[test]
fn what_was_random_before_the_freeze_differs() {
    let [one, two] = twice(
        r#"
import os, random, secrets, tempfile, uuid

def values():
    yield random.random()
    yield random.getrandbits(64)
    yield random.sample(range(10 ** 9), 3)
    yield random.SystemRandom().random()
    yield secrets.token_hex(8)
    yield os.urandom(8)
    yield uuid.uuid1()
    yield uuid.uuid4()
    yield uuid.getnode()
    yield tempfile.mktemp(dir="/")

before = list(values())

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{value}\n".encode() for value in values()]
"#,
        [&[], &[]],
    );
    assert_eq!(one.len(), 10);
    assert!(one.iter().zip(&two).all(|(one, two)| one != two), "{one:?} {two:?}");
}

#[test]
fn the_clocks_go_on_and_the_environment_is_the_requests() {
    let [one, two] = twice(
        r#"
import os, time
from datetime import datetime

os.environ["KEPT"] = "kept"
before = time.time()

def app(environ, start_response):
    start_response("200 OK", [])
    clocks = time.time() - before, datetime.now().timestamp() - before, time.monotonic()
    variables = [os.environ.get(name) for name in ("GREETING", "NAME", "KEPT", "HTTP_HOST")]
    return [f"{value}\n".encode() for value in (*clocks, *variables, os.getenv("NAME"))]
"#,
        [&[("GREETING", "hello"), ("NAME", "Jürgen")], &[("GREETING", "bonjour")]],
    );
    assert_eq!(one[3..], ["hello", "Jürgen", "kept", "None", "Jürgen"]);
    assert_eq!(two[3..], ["bonjour", "None", "kept", "None", "None"]);
    for clock in 0..2 {
        let [one, two] = [&one, &two].map(|values| values[clock].parse::<f64>().unwrap());
        assert!(0.0 < one && one < two, "{one} {two}");
    }
}

#[test]
fn endless_recursion_is_an_exception() {
    let app = app(r#"
import copy, json, pickle, re
from functools import reduce

def nested():
    return reduce(lambda inner, _: [inner], range(10_000), [])

class Endless:
    def __getattr__(self, name): return getattr(self, name)
    def __str__(self): return str(self)
    def __iter__(self): return iter(list(self))
    def __add__(self, other): return self + other

def call(): call()
def mapped(item): return list(map(mapped, [item]))
def sort(item): return sorted([3, 2, 1], key=sort)
def sub(match): return re.sub("a", sub, "aaa")
def evaluate(): return eval("evaluate()")
def hook(value): return json.loads('{"a": 1}', object_hook=hook)

CASES = {
    "json.loads": lambda: json.loads("[" * 100_000),
    "json.dumps": lambda: json.dumps(nested()),
    "repr": lambda: repr(nested()),
    "equal": lambda: nested() == nested(),
    "pickle": lambda: pickle.dumps(nested()),
    "copy": lambda: copy.deepcopy(nested()),
    "regex": lambda: re.compile("(" * 10_000),
    "call": call, "sort": lambda: sort(1), "sub": lambda: sub(None), "eval": evaluate,
    "hook": lambda: hook(None), "getattr": lambda: Endless().x, "str": lambda: str(Endless()),
    "iter": lambda: list(Endless()), "add": lambda: Endless() + 1,
    "map": lambda: mapped(1),
}

def app(environ, start_response):
    start_response("200 OK", [])
    try:
        CASES[environ["QUERY_STRING"]]()
    except RecursionError:
        return [json.dumps([[repr([[]])]]).encode()]
    return [b"nothing was raised"]
"#);
    for case in
        "json.loads json.dumps repr equal pickle copy regex call sort sub eval hook getattr \
                 str iter add map"
            .split_whitespace()
    {
        let answer = app.get(&format!("/?{case}"));
        assert_eq!(answer.body(), r#"[["[[]]"]]"#, "{case}: {}", answer.errors);
    }
}

const TEMPLATE: &str = "<h1>{{ title }}</h1>{% for item in items %}<p>{{ item }}</p>{% endfor %}";

#[test]
fn bottle_is_served_from_a_frozen_image() {
    let app = app(r#"
from bottle import SimpleTemplate, default_app, request, route, template

page = SimpleTemplate("<h1>{{title}}</h1>")

@route("/hello/<name>")
def index(name):
    return template("<b>Hello {{name}}</b>!", name=name)

@route("/page")
def show():
    return page.render(title="<&>")

@route("/json", method="POST")
def answer():
    return {"got": request.json["a"]}

app = default_app()
"#)
    .with_folder("vendor", &python_packages(&["bottle==0.13.4"]));
    assert_eq!(app.get("/hello/World").body(), "<b>Hello World</b>!");
    assert_eq!(app.get("/page").body(), "<h1>&lt;&amp;&gt;</h1>");
    let json = [("CONTENT_TYPE", "application/json")];
    assert_eq!(app.request("POST", "/json", &json, r#"{"a":[1]}"#).body(), r#"{"got": [1]}"#);
    assert!(app.get("/nothing").parts().0[0].starts_with("Status: 404"));
}

#[test]
fn flask_with_templates_is_served_from_a_frozen_image() {
    let text = r#"
from flask import Flask, jsonify, render_template, request

app = Flask(__name__)
app.jinja_env.get_template("page.html")

@app.route("/")
def hello_world():
    return "<p>Hello, World!</p>"

@app.route("/page")
def page():
    return render_template("page.html", title="<&>", items=[1, 2])

@app.post("/json")
def answer():
    return jsonify(got=request.get_json()["a"])

@app.route("/error")
def error():
    raise ValueError("kaputt")
"#;
    let app = App::new(Python, &[("app.py", text), ("templates/page.html", TEMPLATE)])
        .with_folder("site-packages", &python_packages(&["flask==3.1.3", "jinja2==3.1.6"]));
    let answer = app.get("/");
    assert_eq!(answer.body(), "<p>Hello, World!</p>", "{}", answer.errors);
    assert_eq!(app.get("/page").body(), "<h1>&lt;&amp;&gt;</h1><p>1</p><p>2</p>");
    let json = [("CONTENT_TYPE", "application/json")];
    assert_eq!(app.request("POST", "/json", &json, r#"{"a":[1]}"#).body(), "{\"got\":[1]}\n");
    let answer = app.get("/error");
    assert!(answer.parts().0[0].starts_with("Status: 500"), "{answer:?}");
    assert!(answer.errors.contains("ValueError: kaputt"), "{answer:?}");
}
