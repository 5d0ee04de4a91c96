//! What a public game is sent: clicks that are none, too many, too large, and names that are programs.

use dayfly_testing::Client;
use http::Method;
use serde_json::Value;

use super::{JSON, body, click, example, new_id, offer, up};
use crate::scripts::with_interpreters;
use crate::websocket;

async fn status(client: &Client, headers: &[(&str, &str)], body: &str) -> u16 {
    client.post_with("/clicks", headers, body.to_owned()).await.status
}

#[tokio::test]
async fn what_is_no_click_is_refused_and_counts_nothing() {
    let server = up().await;
    let long = "x".repeat(65);
    for no_click in [
        "",
        "no JSON",
        "[]",
        "{}",
        "{\"id\": 12345678, \"treat\": \"cream\"}",
        &body("short", "cream", ""),
        &body(&long, "cream", ""),
        &body("'; DROP TABLE cat; --", "cream", ""),
        &body(&new_id(), "dog food", ""),
        &body(&new_id(), "CREAM", ""),
        &body(&new_id(), "cream", &"n".repeat(21)),
        "{\"id\": \"click-x-y-z\", \"treat\": {\"a\": 1}}",
    ] {
        assert_eq!(status(&server, &JSON, no_click).await, 400, "{no_click}");
    }
    let good = body(&new_id(), "cream", "");
    // What a form of another site can send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(status(&server, &[("content-type", kind)], &good).await, 415, "{kind}");
    }
    let large = format!("{good}{}", " ".repeat(2000));
    assert_eq!(status(&server, &JSON, &large).await, 413);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = server.request(method, "/clicks").body(dayfly_testing::Body::empty());
        assert_eq!(server.send(request).await.status, 405);
    }
    // What is for the app's components alone has no route.
    for path in ["/state", "/meals", "/wish", "/clicks/", "/page.erb", "/app.rb", "/art/scene.svg"]
    {
        assert_eq!(server.get(path).await.status, 404, "{path}");
        assert!([404, 405].contains(&server.post(path, "").await.status), "{path}");
    }
    assert_eq!(offer(&server, "cream", "").await["cat"]["clicks"], 1);
    server.stop().await;
}

#[tokio::test]
async fn names_are_shown_as_texts_and_without_what_is_unseen() {
    let server = up().await;
    let names = [
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("</span><script>", "</span><script>"),
        ("\u{202e}evil\u{200b}\u{0007}", "evil"),
        ("Z\u{351}\u{352}a\u{353}lgo", "Zalgo"),
        ("' OR 1=1 --", "' OR 1=1 --"),
        ("日本の猫", "日本の猫"),
    ];
    for (name, shown) in names {
        let answer = offer(&server, "cream", name).await;
        assert_eq!(answer["told"]["name"], shown);
    }
    // Until one of them has points, and stands in the page.
    for number in 0.. {
        let answer = offer(&server, super::TREATS[number % 4], "</b><script>x()").await;
        if answer["cat"]["friends"].to_string().contains("x()") {
            break;
        }
        super::ring(&server).await;
        assert!(number < 60, "{answer}");
    }
    let answer = server.get("/").await;
    let page = answer.text();
    assert!(page.contains("&lt;/b&gt;&lt;script&gt;x()") && !page.contains("<script>x"), "{page}");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    server.stop().await;
}

#[tokio::test]
async fn who_clicks_faster_than_a_hand_is_told_to_wait() {
    let slow = with_interpreters().args(["up", "--variable", "clicks_per_second=1"]);
    let server = slow.arg(example()).serve().await;
    let clicks = (0..60).map(|_| async { click(&server, &new_id(), "cream", "").await });
    let answers = futures_util::future::join_all(clicks).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|answer| answer.header("retry-after") == "1"));
    let counted = answers.iter().filter(|answer| answer.status == 200).count();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let answer: Value = offer(&server, "cream", "").await;
    assert_eq!(answer["cat"]["clicks"], counted + 1);
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_talks_is_hung_up_on() {
    let server = up().await;
    let mut page = websocket::Client::connect(&server, "/tally").await;
    page.text().await;
    page.send("let me in").await;
    assert_eq!(page.code().await, 1011);
    let mut page = websocket::Client::connect(&server, "/tally").await;
    page.text().await;
    page.send("x".repeat(2000)).await;
    assert_eq!(page.code().await, 1009);
    server.stop().await;
}
