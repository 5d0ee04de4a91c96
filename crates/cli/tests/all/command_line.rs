//! The command line of `up`: usage, ports, flags over environment.

use dayfly_testing::App;

use crate::dayfly;

#[tokio::test]
async fn a_misuse_ends_with_2() {
    for arguments in [
        &["up", "--no-such-flag"][..],
        &["no-such-command"],
        &[],
        &["up", "--listen", "nowhere"],
        &["up", "--engine", "warp"],
        &["up", "--variable", "no-value"],
        &["up", "--tls-cert", "only.pem"],
    ] {
        let stderr = dayfly().args(arguments).ends().await.with(2);
        assert!(stderr.contains("Usage") || stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn help_goes_to_standard_output_with_an_example() {
    let ended = dayfly().args(["up", "--help"]).ends().await;
    assert!(ended.stdout.contains("Example"), "{}", ended.stdout);
    assert!(ended.stdout.contains("dayfly up "), "{}", ended.stdout);
    assert_eq!(ended.with(0), "");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let app = App::of("rust-hello");
    let server = dayfly().up(app.folder()).await;
    let second = dayfly().args(["up", "--listen", server.authority()]).arg(app.folder());
    let stderr = second.ends().await.with(1);
    assert!(stderr.contains(server.authority()), "{stderr}");
    assert!(stderr.contains("in use"), "{stderr}");
    assert_eq!(server.text("/").await, "hello world");
    server.stop().await;
}

#[tokio::test]
async fn a_flag_is_stronger_than_the_environment() {
    let app = App::of("rust-hello");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("in-vain.sock");
    let server = dayfly()
        .env("DAYFLY_LISTEN", format!("unix:{}", socket.display()))
        .args(["up", "--listen", "127.0.0.1:0"])
        .arg(app.folder())
        .serve()
        .await;
    assert!(server.base().starts_with("http://127.0.0.1:"), "{}", server.base());
    assert!(!socket.exists());
    server.stop().await;
}

#[tokio::test]
async fn several_addresses_are_listened_on() {
    let app = App::of("rust-hello");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let server = dayfly()
        .args(["up", "--listen", "127.0.0.1:0", "--listen", "localhost:0", "--listen"])
        .arg(format!("unix:{}", socket.display()))
        .arg(app.folder())
        .serve()
        .await;
    assert_eq!(server.text("/").await, "hello world");
    let printed = server.stdout().containing("unix").await;
    assert!(printed.contains("app.sock"), "{printed}");
    let mut curl = dayfly_testing::program("curl");
    curl.args(["-sS", "--unix-socket"]).arg(&socket).arg("http://localhost/");
    assert_eq!(dayfly_testing::run(&mut curl).await, "hello world");
    server.stop().await;
    assert!(!socket.exists(), "the socket's file is left behind");
}

#[tokio::test]
async fn state_lies_beside_the_manifest_unless_told_otherwise() {
    let app = App::of("rust-http");
    let server = dayfly().env_remove("DAYFLY_STATE_DIR").up(app.folder()).await;
    server.text("/log").await;
    server.stop().await;
    assert_eq!(app.text(".dayfly/logs/guest_stdout.txt"), "stdout line 1\n");
}

#[tokio::test]
async fn quiet_prints_nothing() {
    let app = App::of("rust-hello");
    let port = free_port();
    let server = dayfly()
        .args(["up", "--quiet", "--listen", &format!("127.0.0.1:{port}")])
        .arg(app.folder())
        .spawn();
    let client = dayfly_testing::Client::http1(&format!("http://127.0.0.1:{port}"));
    let mut attempts = 0;
    while client
        .try_send(client.request(http::Method::GET, "/").body(dayfly_testing::Body::empty()))
        .await
        .is_err()
    {
        attempts += 1;
        assert!(attempts < 600, "it never answers");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let ended = server.stop().await;
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("Loading"), "{}", ended.stderr);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
