//! Handlers of WASI 0.2 written by hand: what compiled guests cannot be made to do, in a few lines
//! of WebAssembly's text.

use dayfly_testing::{App, Running};

/// Routes, each with the body of the function that handles it. The functions that it may call, and
/// what they take:
///
/// - `$fields`, a new set of fields
/// - `$append`: fields, name and its length, value and its length, where the result goes
/// - `$request`, a new request: fields
/// - `$set_method`, `$set_path`, `$set_authority`: request, case 9 of `method` or 1 of `option`,
///   text and its length; they give 0 if all went well
/// - `$send`: request, 0, 0, where the result goes
/// - `$response`, a new response: fields
/// - `$answer`: the `$out` of a handler of WASI 0.2, 0, response, and 0 six times
/// - `$body` of a response: it, where the result goes
/// - `$open`: body, where the result goes
/// - `$permit`: stream, where the result goes
/// - `$write`: stream, text and its length, where the result goes
/// - `$drop_body`, `$drop_stream`
/// - `$folders`: where the list goes, whose first word is the first folder's
/// - `$open_at`: folder, 0, path and its length, 0, 1 to read, where the result goes
/// - `$read_from`: file, offset, where the result goes
/// - `$drop_file`
/// - `$refused`, a function that nobody grants
/// - `$sleep`: nanoseconds
/// - `$random`: how many bytes, where the list goes (its bytes come to 8192)
/// - `$stdout`, `$stderr`: a stream
/// - `$write_all`, which waits for room: stream, text and its length (4096 at most), where the result goes
/// - `$socket`: 0, where the result goes
/// - `$recurse`: a number, never to return
///
/// A result's first byte is 0 if all went well. A handler gives no response: what it found out it
/// says by trapping, or not. Its memory has a `/` at 0, `file` at 8, `127.0.0.1:1` at 16, `Status: 200` and an
/// empty line at 64, `neighbour.spin.internal` at 96, and from 65,536 on nothing but the letter `a`. It has a
/// table, `$table`.
pub(crate) fn app(handlers: &[(&str, &str)], grants: &str) -> App {
    let mut manifest = "dayfly = 1\n[application]\nname = \"test\"\n".to_owned();
    for (name, _) in handlers {
        manifest += &format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{name}.wat\"\n{grants}\n"
        );
    }
    let app = App::new(&manifest);
    handlers
        .iter()
        .fold(app, |app, (name, body)| app.file(&format!("{name}.wat"), component(HTTP_02, body)))
}

/// A component with such a body, and what it exports: a core function of `$handler`, lifted. There are `handle`
/// (two numbers), `run` (none, gives 0, and does it only if something comes on standard input) and `call` (none); `text`, `number`, `resource` and `whole` take what
/// one text, one u64, one resource or Spin's request comes to, and give 2048, where their answer is.
pub(crate) fn component(export: &str, body: &str) -> String {
    COMPONENT.replace("EXPORT", export).replace("BODY", body)
}

/// Asks for each path: the handler fails, and the log has this about it.
pub(crate) async fn all_fail(server: &Running, expected: &[(&str, &str)]) {
    for (path, line) in expected {
        assert_eq!(server.get(path).await.status, 500, "{path}");
        server.stderr().containing(line).await;
    }
}

const COMPONENT: &str = include_str!("handwritten.wat");

/// A handler of `wasi:http/incoming-handler@0.2`.
pub(crate) const HTTP_02: &str = r#"
  (func $handle
    (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))
    (canon lift (core func $handler "handle")))
  (instance $incoming-handler
    (export "incoming-request" (type $incoming-request))
    (export "response-outparam" (type $response-outparam))
    (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $incoming-handler))"#;
