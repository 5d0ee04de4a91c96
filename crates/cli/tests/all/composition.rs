//! Components composed with others: what they call works, and what a part may do is what its table
//! lets it inherit.

use dayfly_testing::{Answer, App, Guest, Running, Upstream};

use crate::dayfly;

/// What the handler may do, and its parts if they inherit it.
fn grants(upstream: &Upstream) -> String {
    format!(
        "allowed_outbound_hosts = [\"{}\", \"tcp://127.0.0.1:{}\"]\n\
         key_value_stores = [\"default\"]\n\
         files = [{{ source = \"assets\", destination = \"/\" }}]\n\
         environment = {{ SECRET = \"of-the-handler\" }}\n\
         variables = {{ colour = \"green\" }}\n",
        upstream.url(),
        upstream.port()
    )
}

/// `guest` on every path, with these further lines in its table.
fn app(guest: &str, lines: &str) -> App {
    App::granted(guest, lines).file("assets/file.txt", "contents")
}

fn library() -> String {
    format!("path = {:?}", Guest::path("rust-library"))
}

async fn get(server: &Running, path: &str) -> Result<String, String> {
    let answer = server.get(path).await;
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer.text()) }
}

/// The values of a header, in order.
fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

#[tokio::test]
async fn a_handler_calls_its_dependencies() {
    let library = library();
    for dependencies in [
        // A whole package and a plain name.
        format!("\"dayfly:parts\" = {{ {library} }}\nshout = {{ {library} }}\n"),
        format!("\"dayfly:parts@1.2.0\" = {{ {library} }}\nshout = {{ {library} }}\n"),
        // An interface each, with and without a version.
        format!(
            "\"dayfly:parts/greeter@1.2.0\" = {{ {library} }}\n\
             \"dayfly:parts/stamp\" = {{ {library} }}\n\
             shout = {{ {library}, export = \"shout\" }}\n"
        ),
    ] {
        let app = app("rust-composed", &format!("[component.guest.dependencies]\n{dependencies}"));
        let server = dayfly().up(app.folder()).await;
        assert_eq!(get(&server, "/greet?you").await.unwrap(), "hello you");
        assert_eq!(get(&server, "/shout?loud").await.unwrap(), "LOUD");
        let answer = server.get("/stamp").await;
        assert_eq!(answer.header("x-stamped"), "by the library", "{}", answer.text());
        server.stop().await;
    }
}

#[tokio::test]
async fn an_export_of_another_name_satisfies_an_import() {
    let library = library();
    let app = app(
        "rust-composed",
        &format!(
            "[component.guest.dependencies]\n\
             \"dayfly:parts/greeter\" = {{ {library}, export = \"polite\" }}\n"
        ),
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/greet?you").await.unwrap(), "good day to you, you");
    server.stop().await;
}

#[tokio::test]
async fn a_component_of_the_app_is_a_dependency() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-composed\"\n\
         [component.guest.dependencies]\n\
         \"dayfly:parts\" = { component = \"library\", environment = { OWN = \"2\" } }\n\
         [component.library]\nsource = \"guest:rust-library\"\n\
         environment = { OWN = \"1\", MORE = \"3\" }\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/greet?you").await.unwrap(), "hello you");
    assert_eq!(get(&server, "/attempt/vars").await.unwrap(), "MORE=3 OWN=2");
    server.stop().await;
}

/// Attempts, what comes of them where they are allowed, and the errors where they are not.
fn attempts(upstream: &Upstream) -> [(String, &'static str, &'static str, &'static str); 9] {
    let address = format!("127.0.0.1:{}", upstream.port());
    [
        ("env?SECRET".to_owned(), "environment", "of-the-handler", "NotPresent"),
        ("vars".to_owned(), "environment", "SECRET=of-the-handler", ""),
        ("read?/file.txt".to_owned(), "files", "contents", "Capabilities insufficient"),
        ("list?/".to_owned(), "files", "file.txt", "Capabilities insufficient"),
        (
            format!("fetch?{}/", upstream.url()),
            "allowed_outbound_hosts",
            "status 200",
            "HttpRequestDenied",
        ),
        (format!("connect?{address}"), "allowed_outbound_hosts", "connected", "access-denied"),
        ("resolve?127.0.0.1".to_owned(), "allowed_outbound_hosts", "1 addresses", "access-denied"),
        ("key-value?default".to_owned(), "key_value_stores", "value", "AccessDenied"),
        ("variable?colour".to_owned(), "variables", "green", "not granted"),
    ]
}

/// What the library may do with these lines in its table.
async fn may(lines: &str, granted: impl Fn(&str) -> bool) {
    let upstream = Upstream::start().await;
    let (library, grants) = (library(), grants(&upstream));
    let app = app(
        "rust-composed",
        &format!(
            "{grants}[component.guest.dependencies]\n\
             \"dayfly:parts/probe\" = {{ {library} {lines} }}\n"
        ),
    );
    let server = dayfly().up(app.folder()).await;
    for (attempt, key, allowed, refused) in attempts(&upstream) {
        let own = get(&server, &format!("/own/{attempt}")).await;
        assert_eq!(own.as_deref(), Ok(allowed), "the handler itself: {attempt}");
        let part = get(&server, &format!("/attempt/{attempt}")).await;
        if granted(key) {
            assert_eq!(part.as_deref(), Ok(allowed), "{lines}: {attempt}");
        } else if !refused.is_empty() {
            let text = part.expect_err(&attempt);
            assert!(text.contains(refused), "{lines}: {attempt}: no {refused} in {text}");
        } else if attempt == "vars" {
            assert_eq!(part.as_deref(), Ok(""), "{lines}");
        }
    }
    let everybody = get(&server, "/attempt/everybody").await;
    assert_eq!(everybody.as_deref(), Ok("random 8, clock true"));
    let log = std::fs::read_to_string(server.state("logs/guest_stdout.txt")).unwrap();
    assert!(log.contains("a line on standard output"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_dependency_has_nothing_by_default() {
    may("", |_| false).await;
    may(", inherit_configuration = false", |_| false).await;
}

#[tokio::test]
async fn a_dependency_has_what_it_inherits() {
    may(", inherit_configuration = true", |_| true).await;
}

#[tokio::test]
async fn and_nothing_beyond_the_keys_that_it_inherits() {
    for key in ["environment", "files", "allowed_outbound_hosts", "key_value_stores", "variables"] {
        may(&format!(", inherit_configuration = [\"{key}\"]"), |other| other == key).await;
    }
}

#[tokio::test]
async fn all_dependencies_inherit_if_the_component_says_so() {
    let library = library();
    let app = app(
        "rust-composed",
        &format!(
            "environment = {{ SECRET = \"1\" }}\ndependencies_inherit_configuration = true\n\
             [component.guest.dependencies]\n\"dayfly:parts\" = {{ {library} }}\n"
        ),
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/attempt/env?SECRET").await.unwrap(), "1");
    server.stop().await;
}

#[tokio::test]
async fn a_dependency_has_an_environment_of_its_own() {
    for (inherit, variables) in
        [("", "OWN=1"), (", inherit_configuration = [\"environment\"]", "ALL=2 OWN=1")]
    {
        let library = library();
        let app = app(
            "rust-composed",
            &format!(
                "environment = {{ ALL = \"2\", OWN = \"hidden\" }}\n[component.guest.dependencies]\n\
                 \"dayfly:parts\" = {{ {library}, environment = {{ OWN = \"1\" }}{inherit} }}\n"
            ),
        );
        let server = dayfly().up(app.folder()).await;
        assert_eq!(get(&server, "/attempt/vars").await.unwrap(), variables);
        assert_eq!(get(&server, "/own/vars").await.unwrap(), "ALL=2 OWN=hidden");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_handler_of_wasi_0_3_has_dependencies_of_0_2() {
    let upstream = Upstream::start().await;
    let (library, grants) = (library(), grants(&upstream));
    let app = app(
        "rust-composed-p3",
        &format!("{grants}[component.guest.dependencies]\n\"dayfly:parts\" = {{ {library} }}\n"),
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/greet?you").await.unwrap(), "hello you");
    for (attempt, _, _, refused) in attempts(&upstream) {
        if !refused.is_empty() {
            let text = get(&server, &format!("/attempt/{attempt}")).await.expect_err(&attempt);
            assert!(text.contains(refused), "{attempt}: no {refused} in {text}");
        }
    }
    server.stop().await;
}

/// An app whose route has middleware, with these lines for it and for the handler.
fn guarded(handler: &str, middleware: &str, grants: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         dependencies.middleware = [{middleware}]\n\
         [[trigger.http]]\nroute = \"/open/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:{handler}\"\n{grants}"
    ))
}

#[tokio::test]
async fn middleware_stands_before_a_route_outermost_first() {
    let middleware = format!("path = {:?}", Guest::path("rust-middleware"));
    let app = guarded(
        "rust-p3-echo",
        &format!(
            "{{ {middleware}, environment = {{ NAME = \"outer\" }} }}, \
             {{ {middleware}, environment = {{ NAME = \"inner\" }} }}"
        ),
        "",
    );
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/headers").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let passed: Vec<_> = answer
        .text()
        .lines()
        .filter_map(|l| l.strip_prefix("x-passed: ").map(str::to_owned))
        .collect();
    assert_eq!(passed, ["outer", "inner"]);
    assert_eq!(all(&answer, "x-returned"), ["inner", "outer"]);
    let answer = server.get("/stop").await;
    assert_eq!((answer.status, answer.text().as_str()), (418, "stopped by outer"));
    // Another route of the same component has none.
    let answer = server.get("/open/headers").await;
    assert_eq!(all(&answer, "x-returned"), [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn middleware_has_what_it_inherits_of_the_handler() {
    let upstream = Upstream::start().await;
    for (inherit, status, variable) in [
        ("", 502, "environment variable not found"),
        (
            ", inherit_configuration = [\"allowed_outbound_hosts\"]",
            200,
            "environment variable not found",
        ),
        (", inherit_configuration = true", 200, "of-the-handler"),
    ] {
        let app = guarded(
            "rust-p3-echo",
            &format!("{{ path = {:?}{inherit} }}", Guest::path("rust-middleware")),
            &format!(
                "allowed_outbound_hosts = [\"{}\"]\nenvironment = {{ SECRET = \"of-the-handler\" }}\n",
                upstream.url()
            ),
        );
        let server = dayfly().up(app.folder()).await;
        let answer = server.get(&format!("/middleware/fetch?{}/", upstream.url())).await;
        assert_eq!(answer.status, status, "{inherit}: {}", answer.text());
        if status != 200 {
            assert!(answer.text().contains("HttpRequestDenied"), "{}", answer.text());
        }
        assert_eq!(server.get("/middleware/env?SECRET").await.text(), variable, "{inherit}");
        server.stop().await;
    }
}

#[tokio::test]
async fn middleware_of_wasi_0_2_passes_requests_on_or_answers_itself() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         components.middleware = [\"gate\"]\n\
         [component.guest]\nsource = \"guest:rust-http\"\n\
         [component.gate]\nsource = \"guest:rust-gate\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/hello").await.unwrap(), "hello world");
    let answer = server.get("/secret").await;
    assert_eq!((answer.status, answer.text().as_str()), (403, "the gate is shut"));
    assert_eq!(server.get("/secret?password").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn middleware_and_dependencies_go_together() {
    let library = library();
    let app = guarded(
        "rust-composed-p3",
        &format!("{{ path = {:?} }}", Guest::path("rust-middleware")),
        &format!("[component.guest.dependencies]\n\"dayfly:parts\" = {{ {library} }}\n"),
    );
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/greet?you").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello you"));
    assert_eq!(all(&answer, "x-returned"), ["unnamed"]);
    server.stop().await;
}

#[tokio::test]
async fn middleware_for_another_wasi_is_told_before_anything_is_served() {
    let app =
        guarded("rust-http", &format!("{{ path = {:?} }}", Guest::path("rust-middleware")), "");
    let ended = dayfly().up_ends(app.folder()).await;
    let said = ended.with(1);
    assert!(said.contains("passes requests on as `wasi:http/handler@0.3.0`"), "{said}");
    assert!(said.contains("but the component takes `wasi:http/incoming-handler@0.2"), "{said}");
}

#[tokio::test]
async fn a_new_file_of_a_dependency_is_another_component() {
    let app =
        app("rust-composed", "[component.guest.dependencies]\nshout = { path = \"part.wasm\" }\n");
    let app = app.file("part.wasm", std::fs::read(Guest::path("rust-hello")).unwrap());
    let ended = dayfly().up_ends(app.folder()).await;
    let said = ended.with(1);
    assert!(said.contains("dependency `shout` does not export `shout`"), "{said}");
    let app = app.file("part.wasm", std::fs::read(Guest::path("rust-library")).unwrap());
    let server = dayfly().up(app.folder()).await;
    assert_eq!(get(&server, "/shout?loud").await.unwrap(), "LOUD");
    server.stop().await;
}

#[tokio::test]
async fn check_says_what_a_part_does_not_inherit() {
    let library = library();
    let app = app(
        "rust-composed",
        &format!(
            "allowed_outbound_hosts = [\"https://example.com\"]\n[component.guest.dependencies]\n\
             \"dayfly:parts\" = {{ {library} }}\nshout = {{ component = \"other\" }}\n\
             [component.other]\nsource = {:?}\n",
            Guest::path("rust-library")
        ),
    );
    let ended = dayfly().arg("check").arg(app.folder()).ends().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = |name: &str| {
        let line = ended.stdout.lines().find(|line| line.contains(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", ended.stdout)).trim().to_owned()
    };
    let own = line("  wasi:http/outgoing-handler@");
    assert!(own.ends_with("granted by `allowed_outbound_hosts`"), "{own}");
    let denied = line("denied-wasi:http/outgoing-handler@");
    assert!(denied.ends_with("denied: `allowed_outbound_hosts` is not inherited"), "{denied}");
    let denied = line("denied-wasi:cli/environment@");
    assert!(denied.ends_with("denied: `environment` is not inherited"), "{denied}");
    assert!(!ended.stderr.contains("no trigger wakes"), "{}", ended.stderr);
}

/// A part whose `shout` never returns.
const ENDLESS: &str = r#"
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "shout") (param i32 i32) (result i32) (loop $again (br $again)) unreachable))
  (core instance $i (instantiate $m))
  (func $shout (param "text" string) (result string)
    (canon lift (core func $i "shout")
      (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "shout" (func $shout)))"#;

#[tokio::test]
async fn what_a_part_computes_is_its_handlers_cpu_time() {
    let lines = format!(
        "limits = {{ cpu = \"300ms\" }}\n[component.guest.dependencies]\n\
         \"dayfly:parts\" = {{ {} }}\nshout = {{ path = \"endless.wat\" }}\n",
        library()
    );
    let app = app("rust-composed", &lines).file("endless.wat", ENDLESS);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/shout?loud").await.status, 504);
    server.stderr().containing("more than its CPU time of 300ms").await;
    assert_eq!(get(&server, "/greet?you").await.unwrap(), "hello you");
    server.stop().await;
}
