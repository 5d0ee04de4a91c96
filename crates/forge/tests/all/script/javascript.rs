//! JavaScript's handlers.

use dayfly_forge::script::Language::JavaScript;

use super::running::App;

fn app(text: &str) -> App {
    App::new(JavaScript, &[("app.js", text)])
}

#[test]
fn a_request_is_answered() {
    let app = app("export default {
           async fetch(request) {
             const { method, url, headers } = request;
             const body = await request.text();
             return new Response(`${method} ${url} ${headers.get('x-one')} ${body}`, {
               status: 201, headers: { 'x-two': 'zwei' },
             });
           },
         }");
    let more = [("HTTP_X_ONE", "eins"), ("CONTENT_TYPE", "text/plain")];
    let answer = app.request("POST", "/a/b?c=d", &more, "Grüße");
    let (head, body) = answer.parts();
    let expected = ["Status: 201", "content-type: text/plain;charset=UTF-8", "x-two: zwei"];
    assert_eq!(head, expected, "{answer:?}");
    assert_eq!(body, "POST http://example.test/a/b?c=d eins Grüße");
    assert!(answer.succeeded);
    assert_eq!(answer.errors, "");
}

#[test]
fn a_listener_answers() {
    let app = app("addEventListener('fetch', event => event.respondWith(new Response('heard')))");
    assert_eq!(app.get("/").body(), "heard");
}

#[test]
fn bodies_stream_both_ways() {
    let app = app("export default {
           fetch(request) {
             const shout = new TransformStream({
               transform(chunk, controller) {
                 controller.enqueue(new TextDecoder().decode(chunk).toUpperCase());
               },
               flush(controller) { controller.enqueue('!'); },
             });
             return new Response(request.body.pipeThrough(shout));
           },
         }");
    assert_eq!(app.request("POST", "/", &[], "shout").body(), "SHOUT!");
    let long = "long ".repeat(100_000);
    assert_eq!(app.request("POST", "/", &[], &long).body(), long.to_uppercase() + "!");
}

#[test]
fn what_is_thrown_is_told_to_the_log_alone() {
    let answer = app("function inner() { throw new Error('kaputt') }
         export default { fetch() { inner() } }")
    .get("/");
    assert_eq!(
        answer.parts(),
        (vec!["Status: 500", "Content-Type: text/plain"], "Internal Server Error\n")
    );
    let trace = "Error: kaputt\n    at inner (/app/app.js:1:";
    assert!(answer.errors.starts_with(trace), "{}", answer.errors);
}

#[test]
fn a_script_that_cannot_be_loaded_says_why() {
    let error = app("const a = 1;\nimport './missing.js'").error();
    assert!(error.contains("missing.js"), "{error}");
    let error = app("let a = ;").error();
    assert!(error.contains("SyntaxError") && error.contains("/app/app.js:1"), "{error}");
    let error = app("function f() { null.x }\nf()").error();
    assert!(error.contains("at f (/app/app.js:1"), "{error}");
    let error = app("export const a = 1").error();
    assert!(error.contains("the script handles nothing"), "{error}");
    let error = app("await new Promise(() => {})").error();
    assert!(error.contains("waits for something that never comes"), "{error}");
}

#[test]
fn an_answer_that_never_comes_ends_in_an_error() {
    let answer = app("export default { fetch: () => new Promise(() => {}) }").get("/");
    assert_eq!(answer.parts().0[0], "Status: 500");
    assert!(answer.errors.contains("waits for something that never comes"), "{}", answer.errors);
}

#[test]
fn an_event_comes_as_a_request() {
    let app = app("export default {
           async fetch(request) {
             const { method, headers } = request;
             return new Response(`${method} ${headers.get('ce-type')} ${await request.text()}`);
           },
         }");
    let event = [("CE_ID", "1"), ("CE_TYPE", "dayfly.queue.message"), ("CONTENT_LENGTH", "4")];
    let answer = app.event(&event, "data");
    assert!(answer.succeeded, "{answer:?}");
    assert_eq!(answer.output, "POST dayfly.queue.message data");
}

#[test]
fn an_event_that_is_refused_failed() {
    let app = app("export default { fetch: () => new Response('no', { status: 503 }) }");
    assert!(!app.event(&[("CE_ID", "1")], "").succeeded);
}

#[test]
fn numbers_differ_that_were_random_before_the_freeze() {
    let app = app("const before = Math.random();
         export default { fetch: () => new Response(`${before} ${Math.random()}`) }");
    let [one, two] = [app.get("/"), app.get("/")];
    let parts = |text: &str| {
        let (before, after) = text.split_once(' ').expect("two numbers");
        (before.parse::<f64>().unwrap(), after.parse::<f64>().unwrap())
    };
    let ((first, one), (second, two)) = (parts(one.body()), parts(two.body()));
    assert!((0.0..1.0).contains(&one) && (0.0..1.0).contains(&two));
    assert!(first == second && one != two, "{first} {second} {one} {two}");
}

#[test]
fn the_clocks_go_on_and_the_environment_is_the_requests() {
    let app = app("import * as std from 'qjs:std';
         std.setenv('KEPT', 'kept');
         const before = Date.now();
         export default {
           async fetch() {
             const std = await import('qjs:std');
             const names = ['GREETING', 'NAME', 'KEPT', 'HTTP_HOST'];
             const values = [Date.now() - before, performance.now(), ...names.map(std.getenv)];
             return new Response(values.join('\\n'));
           },
         }");
    let ask = |variables: &[(&str, &str)]| -> Vec<String> {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let answer = app.request("GET", "/", variables, "");
        answer.body().lines().map(str::to_owned).collect()
    };
    let one = ask(&[("GREETING", "hello"), ("NAME", "Jürgen")]);
    let two = ask(&[("GREETING", "bonjour")]);
    assert_eq!(one[2..], ["hello", "Jürgen", "kept"]);
    assert_eq!(two[2..], ["bonjour", "", "kept"]);
    let [first, second] = [&one, &two].map(|values| values[0].parse::<f64>().unwrap());
    assert!(0.0 < first && first < second, "{first} {second}");
    // That of each instance begins with it.
    assert!((0.0..1000.0).contains(&one[1].parse::<f64>().unwrap()), "{one:?}");
}

#[test]
fn a_module_that_is_imported_late_tells_the_requests_environment() {
    let app = app("export default {
           async fetch() {
             const { getenv } = await import('qjs:std');
             return new Response(`${getenv('GREETING')}`);
           },
         }");
    assert_eq!(app.request("GET", "/", &[("GREETING", "hello")], "").body(), "hello");
    assert_eq!(app.request("GET", "/", &[("GREETING", "bonjour")], "").body(), "bonjour");
}

#[test]
fn timers_run_in_their_order() {
    let app = app("const sleep = ms => new Promise(done => setTimeout(done, ms));
         export default {
           async fetch() {
             const order = [];
             setTimeout(() => order.push('c'), 200);
             const stopped = setTimeout(() => order.push('x'), 1);
             clearTimeout(stopped);
             queueMicrotask(() => order.push('a'));
             let ticks = 0;
             const every = setInterval(() => { if (++ticks === 2) { clearInterval(every); order.push('b'); } }, 2);
             await sleep(210);
             return new Response(order.join());
           },
         }");
    assert_eq!(app.get("/").body(), "a,b,c");
}
