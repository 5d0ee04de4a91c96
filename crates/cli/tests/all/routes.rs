//! Routes by Spin's rules: most specific first, private ones, static responses, well-known paths.

use dayfly_testing::App;

use crate::dayfly;

/// Each route leads to a static response with its own text, so that the router alone is seen.
fn app(routes: &[&str]) -> App {
    let triggers: String = routes
        .iter()
        .map(|route| {
            format!(
                "[[trigger.http]]\nroute = {route:?}\nstatic_response = {{ body = {route:?} }}\n"
            )
        })
        .collect();
    App::spin(&format!(
        "spin_manifest_version = 2\n[application]\nname = \"routes\"\nversion = \"1.2.3\"\n{triggers}"
    ))
}

#[tokio::test]
async fn the_most_specific_route_answers() {
    let app = app(&["/...", "/users/...", "/users/:id", "/users/me", "/users/:id/edit", "/"]);
    let server = dayfly().up(app.folder()).await;
    for (path, route) in [
        ("/", "/"),
        ("/other", "/..."),
        ("/other/deep", "/..."),
        ("/users", "/users/..."),
        ("/users/me", "/users/me"),
        ("/users/7", "/users/:id"),
        ("/users/7/edit", "/users/:id/edit"),
        ("/users/7/other", "/users/..."),
        ("/Users/me", "/..."),
    ] {
        assert_eq!(server.text(path).await, route, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_path_is_404_with_an_error_id() {
    let app = app(&["/known"]);
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/unknown").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.error_id().len(), 10);
    server.stop().await;
}

#[tokio::test]
async fn a_static_response_has_status_headers_and_body() {
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n[[trigger.http]]\nroute = \"/x\"\n\
         static_response = { status_code = 418, headers = { X-One = \"1\" }, body = \"short\" }\n",
    );
    let server = dayfly().up(app.folder()).await;
    let answer = server.get("/x").await;
    assert_eq!((answer.status, answer.header("x-one"), &*answer.text()), (418, "1", "short"));
    assert_eq!(answer.header("content-length"), "5");
    server.stop().await;
}

#[tokio::test]
async fn a_private_route_answers_nobody() {
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = { private = true }\ncomponent = \"inner\"\n\
         [[trigger.http]]\nroute = \"/outer\"\ncomponent = \"outer\"\n\
         [component.inner]\nsource = \"guest:rust-hello\"\n\
         [component.outer]\nsource = \"guest:rust-hello\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/outer").await, "hello world");
    assert_eq!(server.get("/inner").await.status, 404);
    assert_eq!(server.get("/").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn the_base_path_stands_before_every_route() {
    let app = App::spin(
        "spin_manifest_version = 2\n[application]\nname = \"test\"\n\
         [application.trigger.http]\nbase = \"/base\"\n\
         [[trigger.http]]\nroute = \"/x\"\nstatic_response = { body = \"found\" }\n",
    );
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/base/x").await, "found");
    assert_eq!(server.get("/x").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn well_known_paths_tell_health_and_the_app() {
    let app = app(&["/..."]);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.text("/.well-known/dayfly/health").await, "OK");
    assert_eq!(server.text("/.well-known/spin/health").await, "OK");
    let info = server.text("/.well-known/spin/info").await;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!((&info["name"], &info["version"]), (&"routes".into(), &"1.2.3".into()));
    server.stop().await;
}

#[tokio::test]
async fn every_route_is_printed_with_its_url_once_it_answers() {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/a/:b\"\ncomponent = \"guest\"\n\
         [[trigger.http]]\nroute = \"/s\"\nstatic_response = { body = \"x\" }\n\
         [component.guest]\nsource = \"guest:rust-hello\"\n",
    );
    let server = dayfly().up(app.folder()).await;
    let base = server.base().to_owned();
    let printed = server.stop().await.stdout;
    assert_eq!(printed, format!("{base}/a/:b  guest\n{base}/s  (static response)"));
}
