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
///
/// A result's first byte is 0 if all went well. A handler gives no response: what it found out it
/// says by trapping, or not. Its memory has a `/` at 0, `file` at 8, `127.0.0.1:1` at 16, and from 65,536 on
/// nothing but the letter `a`.
pub(crate) fn app(handlers: &[(&str, &str)], grants: &str) -> App {
    let mut manifest = "dayfly = 1\n[application]\nname = \"test\"\n".to_owned();
    for (name, _) in handlers {
        manifest += &format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             [component.{name}]\nsource = \"{name}.wat\"\n{grants}\n"
        );
    }
    let app = App::new(&manifest);
    handlers.iter().fold(app, |app, (name, body)| {
        app.file(&format!("{name}.wat"), COMPONENT.replace("BODY", body))
    })
}

/// Asks for each path: the handler fails, and the log has this about it.
pub(crate) async fn all_fail(server: &Running, expected: &[(&str, &str)]) {
    for (path, line) in expected {
        assert_eq!(server.get(path).await.status, 500, "{path}");
        server.stderr().containing(line).await;
    }
}

const COMPONENT: &str = include_str!("handwritten.wat");
