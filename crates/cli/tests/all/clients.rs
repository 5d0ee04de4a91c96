//! Programs that others wrote talk to it: curl, h2load, wrk, a browser.

use dayfly_testing::{App, Running, browser, program, run};

use crate::dayfly;

async fn hello() -> (App, Running) {
    let app = App::of("rust-hello");
    let server = dayfly().up(app.folder()).await;
    (app, server)
}

#[tokio::test]
async fn curl_by_http_2_with_prior_knowledge() {
    let (_app, server) = hello().await;
    let mut curl = program("curl");
    curl.args(["-sS", "--http2-prior-knowledge", "-w", "\n%{http_version}"]).arg(server.base());
    assert_eq!(run(&mut curl).await, "hello world\n2");
    server.stop().await;
}

#[tokio::test]
async fn curl_sends_and_gets_a_large_file() {
    let app = App::of("rust-http").file("large", vec![7; 20 << 20]);
    let server = dayfly().up(app.folder()).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut curl = program("curl");
        curl.args(["-sS", version, "--data-binary"]);
        curl.arg(format!("@{}", app.path("large").display()));
        curl.arg("-o").arg(app.path("back")).arg(format!("{}/echo", server.base()));
        run(&mut curl).await;
        let back = std::fs::read(app.path("back")).unwrap();
        assert!(back == std::fs::read(app.path("large")).unwrap(), "{} bytes", back.len());
    }
    server.stop().await;
}

#[tokio::test]
async fn h2load_without_an_error() {
    let (_app, server) = hello().await;
    let mut h2load = program("h2load");
    h2load.args(["-n", "3000", "-c", "8", "-m", "8"]).arg(format!("{}/", server.base()));
    let report = run(&mut h2load).await;
    assert!(report.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    assert!(report.contains("3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{report}");
    server.stop().await;
}

#[tokio::test]
async fn wrk_without_an_error() {
    let (_app, server) = hello().await;
    let mut wrk = program("wrk");
    wrk.args(["-t", "1", "-c", "16", "-d", "2s"]).arg(format!("{}/", server.base()));
    let report = run(&mut wrk).await;
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    assert!(report.contains("requests in"), "{report}");
    server.stop().await;
}

const PAGE: &str = "<!doctype html><title>t</title><p id=greeting>waiting</p>\
    <script>fetch('/count').then(answer => answer.text()).then(text => {\
    document.getElementById('greeting').textContent = 'instance number ' + text; })</script>";

#[tokio::test]
async fn a_browser_shows_a_page_that_asks_a_guest() {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/\"\n\
         static_response = {{ headers = {{ content-type = \"text/html\" }}, body = {PAGE:?} }}\n\
         [[trigger.http]]\nroute = \"/count\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest:rust-http\"\n"
    ));
    let server = dayfly().up(app.folder()).await;
    let page = browser::page(&format!("{}/", server.base())).await;
    assert!(page.contains("instance number 1"), "{page}");
    server.stop().await;
}
