//! A fresh instance for each request, with WASI's clocks and randomness in it.

use dayfly_testing::App;

use crate::dayfly;

#[tokio::test]
async fn every_request_has_a_fresh_instance() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    for _ in 0..20 {
        assert_eq!(server.text("/count").await, "1");
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_at_the_same_time_share_no_instance() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let answers = (0..50).map(|_| server.text("/count"));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer, "1");
    }
    server.stop().await;
}

#[tokio::test]
async fn random_numbers_differ_from_instance_to_instance() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let one = server.text("/random?bytes=32").await;
    assert_eq!(one.len(), 64);
    assert_ne!(one, server.text("/random?bytes=32").await);
    let one = server.text("/insecure?bytes=32").await;
    assert_eq!(one.len(), 80);
    assert_ne!(one, server.text("/insecure?bytes=32").await);
    server.stop().await;
}

#[tokio::test]
async fn clocks_tell_the_time_and_go_forward() {
    let app = App::of("rust-http");
    let server = dayfly().up(app.folder()).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let text = server.text("/clock").await;
    let wall = text.lines().find_map(|line| line.strip_prefix("wall ")).unwrap();
    let seconds: f64 = wall.parse().unwrap();
    assert!((seconds - now.as_secs_f64()).abs() < 60.0, "{text}");

    let began = std::time::Instant::now();
    assert_eq!(server.text("/sleep?ms=300").await, "slept\n");
    assert!(began.elapsed().as_millis() >= 300);
    server.stop().await;
}
