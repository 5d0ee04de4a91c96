//! Imports that nobody granted: a guest that merely has them starts, and one that uses them is
//! refused with the interface's own error.

use dayfly_testing::App;

use crate::{dayfly, handwritten};

#[tokio::test]
async fn a_python_guest_that_imports_all_of_spin_starts_and_is_refused() {
    for guest in ["python-spin-3", "python-spin-5"] {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        assert_eq!(server.text("/hello").await, "hello world", "{guest}");
        // The guest does not catch the error, so it becomes a 500 of its own.
        let answer = server.get("/variable?name=anything").await;
        assert_eq!(answer.status, 500, "{guest}: {}", answer.text());
        assert_eq!(server.text("/hello").await, "hello world", "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_guest_does_not_fill_the_log_with_what_it_is_refused() {
    let times = |body: &str| {
        format!(
            "(loop $again {body}
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 500))))"
        )
    };
    let send = "(local.set $a (call $request (call $fields)))
        (drop (call $set_authority (local.get $a) (i32.const 1) (i32.const 16) (i32.const 11)))
        (drop (call $set_path (local.get $a) (i32.const 1) (i32.const 0) (i32.const 1)))
        (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 1024))";
    // Without authority and path: wasmtime-wasi-http warns of it.
    let odd = "(call $send (call $request (call $fields)) (i32.const 0) (i32.const 0)
        (i32.const 1024))";
    let handlers = [
        ("imports", times("(drop (call $refused))")),
        ("outbound", times(send) + "(call $sleep (i64.const 100000000))"),
        ("odd", times(odd)),
    ];
    let handlers = handlers.each_ref().map(|(name, body)| (*name, body.as_str()));
    let app = handwritten::app(&handlers, "limits = { outbound = 250 }");
    let server = dayfly().up(app.folder()).await;
    let expected = [
        ("/imports", "refused: not served"),
        ("/outbound", "`limits.outbound`"),
        ("/odd", "without a response"),
    ];
    handwritten::all_fail(&server, &expected).await;
    let log = server.stderr().all();
    assert!(log.iter().any(|line| line.contains("does not grant this destination")), "{log:#?}");
    assert!(log.len() < 30, "{} lines, the first of them {:#?}", log.len(), &log[..30]);
    server.stop().await;
}
