//! Limits: a guest that passes one is ended, and its neighbours go on.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Body, Pattern, Running};
use futures_util::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{dayfly, handwritten};

/// `rust-http` with limits.
async fn limited(limits: &str) -> (App, Running) {
    let app = App::granted("rust-http", &format!("limits = {{ {limits} }}"));
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

async fn cause(server: &Running, id: &str, cause: &str) {
    let line = server.stderr().containing(&format!("error_id={id}")).await;
    assert!(line.contains(cause), "no `{cause}` in {line}");
}

#[tokio::test]
async fn an_endless_loop_is_504_and_its_neighbours_answer() {
    let (_app, server) = limited("cpu = \"1s\"").await;
    let looping = join_all((0..4).map(|_| server.get("/spin")));
    let neighbours = async {
        for _ in 0..20 {
            let began = Instant::now();
            assert_eq!(server.text("/hello").await, "hello world");
            assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (answers, ()) = tokio::join!(looping, neighbours);
    for answer in answers {
        assert_eq!(answer.status, 504, "{}", answer.text());
        cause(&server, &answer.error_id(), "CPU time").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_endless_loop_on_wasi_0_3_is_504() {
    let app = App::granted("rust-p3-echo", "limits = { cpu = \"300ms\" }");
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/spin").await;
    assert_eq!(answer.status, 504);
    cause(&server, &answer.error_id(), "CPU time").await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn waiting_costs_no_cpu_time() {
    let (_app, server) = limited("cpu = \"100ms\"").await;
    assert_eq!(server.text("/sleep?ms=600").await, "slept\n");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_504() {
    let (_app, server) = limited("time = \"300ms\"").await;
    let began = Instant::now();
    let answer = server.get("/sleep?ms=20000").await;
    assert_eq!(answer.status, 504);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    cause(&server, &answer.error_id(), "within its time").await;
    assert_eq!(server.text("/sleep?ms=10").await, "slept\n");
    server.stop().await;
}

#[tokio::test]
async fn a_body_may_take_longer_than_its_pieces() {
    let (_app, server) = limited("time = \"1s\"").await;
    let text = server.text("/slow?chunks=6&ms=300").await;
    assert_eq!(text.lines().count(), 6, "{text}");
    server.stop().await;
}

#[tokio::test]
async fn memory_beyond_the_limit_is_500_and_logged_as_such() {
    let (_app, server) = limited("memory = \"32MiB\"").await;
    assert_eq!(server.text("/alloc?mb=16").await, format!("{}\n", 16 << 20));
    let answer = server.get("/alloc?mb=64").await;
    assert_eq!(answer.status, 500);
    cause(&server, &answer.error_id(), "more than its memory").await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn memory_is_bounded_by_default() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/alloc?mb=100").await, format!("{}\n", 100 << 20));
    assert_eq!(server.get("/alloc?mb=2000").await.status, 500);
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_its_limit_is_413() {
    let (_app, server) = limited("body = \"64KiB\"").await;
    assert_eq!(server.post("/sink", vec![b'x'; 64 << 10]).await.text(), "65536\n");
    let answer = server.post("/sink", vec![b'x'; (64 << 10) + 1]).await;
    assert_eq!(answer.status, 413);
    answer.error_id();
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_length_is_bounded_too() {
    for guest in ["rust-http", "rust-p3-echo"] {
        let app = App::granted(guest, "limits = { body = \"64KiB\" }");
        let server = dayfly().up(app.folder()).await;
        // The answer may come while the client still sends.
        let client = server.http2();
        let request = client.request(Method::POST, "/sink");
        let answer = client.send(request.body(Body::stream(Pattern::stream(4 << 20)))).await;
        assert_eq!(answer.status, 413, "{guest}: {}", answer.text());
        assert_eq!(server.text("/hello").await, "hello world");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_body_has_a_bound_by_default() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    for (length, status) in [(16_u64 << 30, "200"), ((16 << 30) + 1, "413")] {
        let mut stream = server.connect().await;
        let head = format!("POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{length}");
    }
    server.stop().await;
}

#[tokio::test]
async fn output_beyond_the_limit_breaks_off() {
    let (_app, server) = limited("output = \"1MiB\"").await;
    assert_eq!(server.get("/large?bytes=1048576").await.body.len(), 1 << 20);
    let request = server.request(Method::GET, "/large?bytes=4194304");
    let answer = server.try_send(request.body(Body::empty())).await;
    match answer {
        Ok(answer) => assert_eq!(answer.status, 500, "{} bytes", answer.body.len()),
        Err(broken) => assert!(broken.contains("broke off"), "{broken}"),
    }
    server.stderr().containing("bytes of output").await;
    server.stop().await;
}

/// Of ten requests at once where one may run and four may wait, the others are turned away.
async fn turned_away(server: &Running, status: u16) {
    let answers = join_all((0..10).map(|_| async {
        let client = server.another_client();
        client.get("/sleep?ms=700").await
    }));
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (5, 5), "{refused:?}");
    for answer in refused {
        assert_eq!(answer.status, status, "{}", answer.text());
        let wait: u32 = answer.header("retry-after").parse().expect("Retry-After in seconds");
        assert!(wait >= 1);
        answer.error_id();
    }
    assert_eq!(server.text("/hello").await, "hello world");
}

#[tokio::test]
async fn a_full_line_of_a_component_is_429_with_retry_after() {
    let (_app, server) = limited("concurrency = 1").await;
    turned_away(&server, 429).await;
    server.stop().await;
}

#[tokio::test]
async fn a_full_line_of_the_node_is_503_with_retry_after() {
    let app = App::of("rust-http");
    let server = dayfly().args(["up", "--max-instances", "1"]).arg(app.folder()).serve().await;
    turned_away(&server, 503).await;
    server.stop().await;
}

#[tokio::test]
async fn a_full_component_does_not_keep_another_from_answering() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"busy\"\n\
         [[trigger.http]]\nroute = \"/other\"\ncomponent = \"other\"\n\
         [component.busy]\nsource = \"guest:rust-http\"\nlimits = { concurrency = 1 }\n\
         [component.other]\nsource = \"guest:rust-hello\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    let busy = join_all((0..5).map(|_| server.get("/sleep?ms=400")));
    let other = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        assert_eq!(server.text("/other").await, "hello world");
        assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    };
    let (answers, ()) = tokio::join!(busy, other);
    assert!(answers.iter().all(|answer| answer.status == 200));
    server.stop().await;
}

#[tokio::test]
async fn too_many_instructions_are_504_and_counted_alike() {
    let (_app, server) = limited("instructions = 20000000").await;
    assert_eq!(server.text("/hello").await, "hello world");
    let answer = server.get("/spin").await;
    assert_eq!(answer.status, 504);
    cause(&server, &answer.error_id(), "more than its 20000000 instructions").await;
    assert_eq!(server.text("/hello").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn instructions_are_bounded_on_wasi_0_3() {
    let app = App::granted("rust-p3-echo", "limits = { instructions = 20000000 }");
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/hello").await, "hello world");
    let answer = server.get("/spin").await;
    assert_eq!(answer.status, 504);
    cause(&server, &answer.error_id(), "instructions").await;
    server.stop().await;
}

/// Calls itself so many times, with 64 bytes of stack or more each, and writes an answer.
fn deep(calls: u32) -> String {
    include_str!("deep.wat").replace("CALLS", &calls.to_string())
}

/// An app with a command that needs some 6 MiB of stack and one that needs some 100 KiB, and these
/// limits for the first.
fn needing_stack(limits: &str) -> App {
    let component = |name: &str, limits: &str| {
        format!(
            "[[trigger.http]]\nroute = \"/{name}\"\ncomponent = \"{name}\"\n\
             executor = {{ type = \"wagi\" }}\n\
             [component.{name}]\nsource = \"{name}.wat\"\nlimits = {{ {limits} }}\n"
        )
    };
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{}{}",
        component("deep", limits),
        component("shallow", "")
    ))
    .file("deep.wat", deep(100_000))
    .file("shallow.wat", deep(1600))
}

/// What each of them gets, with these flags.
async fn with_stack(app: &App, flags: &[&str]) -> [u16; 2] {
    let server = dayfly().arg("up").args(flags).arg(app.folder()).serve().await;
    let statuses = [server.get("/deep").await.status, server.get("/shallow").await.status];
    if statuses.contains(&500) {
        server.stderr().containing("call stack exhausted").await;
    }
    server.stop().await;
    statuses
}

#[tokio::test]
async fn a_manifest_asks_for_the_stack_that_its_component_needs() {
    assert_eq!(with_stack(&needing_stack(""), &[]).await, [500, 200]);
    let more = needing_stack("stack = \"32MiB\"");
    assert_eq!(with_stack(&more, &[]).await, [200, 200]);
    assert_eq!(with_stack(&more, &["--limit", "stack=64KiB"]).await, [500, 500]);
    assert_eq!(with_stack(&more, &["--stack", "64KiB"]).await, [500, 500]);
    assert_eq!(with_stack(&needing_stack(""), &["--limit", "stack=32MiB"]).await, [200, 200]);
}

#[tokio::test]
async fn a_command_has_the_stack_that_a_flag_says() {
    let app = needing_stack("");
    for (limit, status) in [("stack=1MiB", 134), ("stack=32MiB", 0)] {
        let run = dayfly().args(["run", "--limit", limit]).arg(app.path("deep.wat"));
        run.ends().await.with(status);
    }
}

#[tokio::test]
async fn a_flag_is_stronger_than_the_manifest() {
    let app = App::granted("rust-http", "limits = { memory = \"1GiB\" }");
    let server = dayfly().args(["up", "--limit", "memory=32MiB"]).arg(app.folder()).serve().await;
    assert_eq!(server.get("/alloc?mb=64").await.status, 500);
    server.stop().await;
    let ended = dayfly().args(["up", "--limit", "speed=9"]).arg(app.folder()).ends().await;
    assert!(ended.with(2).contains("there is no such limit; there are memory, tables"));
}

#[tokio::test]
async fn a_log_flood_is_bounded_in_an_instance_and_in_a_second() {
    let (_app, server) = limited("log = \"1KiB\", log_rate = \"8KiB\"").await;
    for _ in 0..20 {
        server.text("/log?lines=100&text=0123456789012345678901234567890123456789").await;
    }
    server.stderr().containing("log limit of this instance").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.text("/log?lines=1&text=last").await;
    server.stderr().containing("lines dropped").await;
    server.stderr().containing("last").await;
    let lines = server.stderr().all().iter().filter(|line| line.contains("0123456789")).count();
    assert!((20..400).contains(&lines), "{lines} lines were kept");
    server.stop().await;
}

#[tokio::test]
async fn flags_bound_the_clients() {
    let app = App::of("rust-hello");
    let flags = [
        "--max-header-size",
        "2KiB",
        "--max-headers",
        "8",
        "--max-uri-size",
        "100B",
        "--header-timeout",
        "300ms",
        "--idle-timeout",
        "600ms",
    ];
    let server = dayfly().arg("up").args(flags).arg(app.folder()).serve().await;
    let long = "x".repeat(4 << 10);
    assert_eq!(server.get_with("/", &[("x", &long)]).await.status, 431);
    let many: Vec<String> = (0..9).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(server.get_with("/", &many).await.status, 431);
    assert_eq!(server.get(&format!("/{}", &long[..100])).await.status, 414);
    assert_eq!(server.get(&format!("/{}", &long[..99])).await.status, 200);
    for begun in ["", "GET / HTTP/1.1\r\nhost: a"] {
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        // The end, with or without a word; a test that hangs here fails.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    server.stop().await;
    for (flag, value) in [("--max-uri-size", "0B"), ("--header-timeout", "10"), ("--stack", "1KiB")]
    {
        dayfly().args(["up", flag, value]).arg(app.folder()).ends().await.with(2);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn as_many_files_may_be_opened_as_connections_are_granted() {
    let app = App::of("rust-hello");
    let command = dayfly().args(["up", "--max-connections", "3000"]).arg(app.folder());
    let server = command.serve().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process().id()));
    let limits = limits.unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (soft, hard) = (numbers.next().unwrap(), numbers.next().unwrap());
    assert!(soft >= 4024.min(hard), "{line}");
    server.stop().await;
}

#[tokio::test]
async fn random_bytes_are_made_in_pieces_and_not_without_end() {
    let ask = |bytes: u32| format!("(call $random (i64.const {bytes}) (i32.const 1024))");
    // All of them have come: the last is not what it was but for one time in 65,536.
    let complete = ask(1 << 20)
        + "(if (i32.eq (i32.load16_u (i32.const 1056766)) (i32.const 0x6161)) (then unreachable))";
    let handlers = [("most", complete), ("more", ask((1 << 20) + 1)), ("stall", ask(64 << 20))];
    let handlers = handlers.each_ref().map(|(name, body)| (*name, body.as_str()));
    let app = handwritten::app(&handlers, "");
    let server = dayfly().up(app.folder()).await;
    let expected = [
        ("/most", "without a response"),
        ("/more", "1048577 random bytes at once"),
        ("/stall", "67108864 random bytes at once"),
    ];
    handwritten::all_fail(&server, &expected).await;
    server.stop().await;
}

/// Takes the host's memory by what requests and headers have in them, and traps if it got it.
#[tokio::test]
async fn what_requests_and_headers_hold_is_bounded() {
    // 9,000 sets of fields of 130 kB.
    let fields = "(loop $again
        (call $append (call $fields) (i32.const 65536) (i32.const 1) (i32.const 65536)
          (i32.const 130000) (i32.const 1024))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 9000))))
        unreachable";
    let setting = |function: &str, case: u32, at: u32, length: u32| {
        format!(
            "(loop $again
               (local.set $a (call $request (call $fields)))
               (if (i32.eqz (call {function} (local.get $a) (i32.const {case}) (i32.const {at})
                     (i32.const {length})))
                 (then unreachable))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 9))))"
        )
    };
    let method = setting("$set_method", 9, 65536, 3 << 20);
    let authority = setting("$set_authority", 1, 65536, 60 << 10);
    // Bodies that nobody sends, with 64 KiB each.
    let bodies = "(loop $again
        (call $body (call $response (call $fields)) (i32.const 1024))
        (local.set $a (i32.load (i32.const 1028)))
        (call $open (local.get $a) (i32.const 1024))
        (local.set $b (i32.load (i32.const 1028)))
        (call $permit (local.get $b) (i32.const 1024))
        (if (i64.gt_u (i64.load (i32.const 1032)) (i64.const 131072)) (then unreachable))
        (call $write (local.get $b) (i32.const 65536) (i32.const 65536) (i32.const 1024))
        (call $drop_stream (local.get $b))
        (call $drop_body (local.get $a))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
        unreachable";
    // What everybody does goes on.
    let usual = format!(
        "{} (call $append (call $fields) (i32.const 65536) (i32.const 1) (i32.const 65536)
           (i32.const 60000) (i32.const 1024))
         (if (i32.load8_u (i32.const 1024)) (then unreachable))",
        setting("$set_authority", 1, 16, 11).replace("i32.eqz", "i32.ne (i32.const 0)"),
    );
    let handlers = [
        ("fields", fields),
        ("method", method.as_str()),
        ("authority", authority.as_str()),
        ("bodies", bodies),
        ("usual", usual.as_str()),
    ];
    let app = handwritten::app(&handlers, "");
    let server = dayfly().up(app.folder()).await;
    for (path, line) in [
        ("/fields", "total size of fields exceeds limit"),
        ("/method", "without a response"),
        ("/authority", "without a response"),
        ("/bodies", "requests and responses with a body"),
        ("/usual", "without a response"),
    ] {
        let id = server.get(path).await.error_id();
        cause(&server, &id, line).await;
    }
    server.stop().await;
}

/// Opens 100 files, of which it may hold 20, and keeps of each no more than a stream.
#[tokio::test]
async fn a_file_that_a_stream_keeps_open_counts() {
    let first = "(call $folders (i32.const 1024))
        (local.set $a (i32.load (i32.load (i32.const 1024))))";
    let open = "(call $open_at (local.get $a) (i32.const 0) (i32.const 8) (i32.const 4)
          (i32.const 0) (i32.const 1) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then unreachable))
        (local.set $b (i32.load (i32.const 1028)))";
    let stream = "(call $read_from (local.get $b) (i64.const 0) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then unreachable))";
    let drop = "(call $drop_file (local.get $b))";
    let times = |body: &str| {
        format!(
            "(loop $again {body}
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))"
        )
    };
    let kept = first.to_owned() + &times(&[open, stream, drop].concat());
    // What is read ahead is the host's memory: the streams of one file have a bound as well.
    let streams = [first, open, &times(stream)].concat();
    let dropped = first.to_owned() + &times(&[open, drop].concat());
    let handlers = [("kept", kept), ("streams", streams), ("dropped", dropped)];
    let handlers = handlers.each_ref().map(|(name, body)| (*name, body.as_str()));
    let app = handwritten::app(&handlers, "limits = { files = 20 }\nfiles = [\"file\"]")
        .file("file", "contents");
    let server = dayfly().up(app.folder()).await;
    for (path, line) in
        [("/kept", "unreachable"), ("/streams", "unreachable"), ("/dropped", "without a response")]
    {
        let id = server.get(path).await.error_id();
        cause(&server, &id, line).await;
    }
    server.stop().await;
}
