//! Language models: as granted, answered by a server with OpenAI's interface or Spin's own.

use std::time::{Duration, Instant};

use dayfly_testing::{App, Models, Running};

use crate::dayfly;

const GRANTED: &str = "ai_models = [\"test-model\", \"other-model\"]";

/// The guests with `fermyon:spin/llm`: by Spin's SDKs, and without a version.
const GUESTS: [(&str, &str); 5] = [
    ("rust-spin-3", "/llm"),
    ("rust-spin-5", "/llm"),
    ("rust-spin-6", "/llm"),
    ("rust-spin-7", "/llm"),
    ("rust-interfaces", "/old-llm"),
];

/// A guest that may ask `models`, which are behind `url` with this token.
async fn started(guest: &str, lines: &str, url: &str, api: &str, token: &str) -> (App, Running) {
    let config = format!(
        "[llm_compute]\ntype = \"remote_http\"\nurl = {url:?}\nauth_token = {token:?}\n\
         api_type = {api:?}\n"
    );
    let app = App::granted(guest, lines).file("runtime-config.toml", config);
    let file = app.path("runtime-config.toml");
    let server = dayfly().arg("up").arg("--runtime-config-file").arg(file).arg(app.folder());
    let server = server.serve().await;
    (app, server)
}

#[tokio::test]
async fn a_model_answers_and_embeds() {
    for (guest, path) in GUESTS {
        for api in ["open_ai", "default"] {
            let models = Models::start().await;
            let (_app, server) = started(guest, GRANTED, &models.url(), api, Models::TOKEN).await;
            let answer = server.post(&format!("{path}/infer"), "hello").await;
            assert_eq!(answer.text(), "3 5 olleh", "{guest} {api}");
            let answer = server.post(&format!("{path}/embed"), "a bc\ndef").await;
            assert_eq!(answer.text(), "3 [[4.0, 2.0, 0.5], [3.0, 1.0, 0.5]]", "{guest} {api}");
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn parameters_reach_the_server() {
    let models = Models::start().await;
    let url = models.url();
    let (_app, server) = started("rust-spin-3", GRANTED, &url, "open_ai", Models::TOKEN).await;
    server.post("/llm/infer", "hello").await;
    server.post("/llm/infer?temperature=0.5", "hello").await;
    let answer = server.post("/llm/infer?temperature=NaN", "hello").await;
    assert!(answer.text().contains("no finite number"), "{}", answer.text());
    server.stop().await;
    let [plain, stated] = &models.asked()[..] else { panic!("{:?}", models.asked()) };
    assert_eq!(plain["max_completion_tokens"], 100);
    assert!(plain["temperature"].is_null());
    assert_eq!(stated["max_completion_tokens"], 7);
    assert_eq!(stated["temperature"], 0.5);
    assert!((stated["frequency_penalty"].as_f64().unwrap() - 0.1).abs() < 1e-6);
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    for (guest, path) in GUESTS {
        let models = Models::start().await;
        let (_app, server) = started(guest, "", &models.url(), "open_ai", Models::TOKEN).await;
        for operation in ["infer", "embed"] {
            let answer = server.post(&format!("{path}/{operation}"), "hello").await;
            assert!(answer.text().contains("`ai_models` does not grant"), "{}", answer.text());
        }
        server.stop().await;
        assert!(models.asked().is_empty());
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_by_every_interface() {
    let models = Models::start().await;
    for (guest, path) in GUESTS {
        let (_app, server) = started(guest, GRANTED, &models.url(), "open_ai", Models::TOKEN).await;
        let text = "x".repeat((4 << 20) + 1);
        let answer = server.post(&format!("{path}/infer"), text).await;
        assert!(answer.text().contains("bytes of text"), "{guest}: {}", answer.text());
        let answer = server.post(&format!("{path}/embed"), "x\n".repeat(2049)).await;
        assert!(answer.text().contains("texts"), "{guest}: {}", answer.text());
        server.stop().await;
    }
    assert!(models.asked().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_is_an_error_that_shows_no_token() {
    let models = Models::start().await;
    let url = models.url();
    let (_app, server) = started("rust-spin-3", GRANTED, &url, "open_ai", Models::TOKEN).await;
    for (path, prompt, error) in [
        ("/llm/infer?model=other-model", "hello", "ModelNotSupported"),
        ("/llm/embed?model=other-model", "hello", "ModelNotSupported"),
        ("/llm/infer", "", "the prompt is empty"),
        ("/llm/infer", "broken", "not what its interface says"),
    ] {
        let answer = server.post(path, prompt).await;
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains(error), "{path}: {}", answer.text());
    }
    server.stop().await;

    let wrong = "wrong-but-secret";
    let (_app, server) = started("rust-spin-3", GRANTED, &url, "open_ai", wrong).await;
    let answer = server.post("/llm/infer", "hello").await;
    assert!(answer.text().contains("the server answered 401"), "{}", answer.text());
    assert!(!answer.text().contains(wrong));
    let ended = server.stop().await;
    assert!(!ended.stderr.contains(wrong), "{}", ended.stderr);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_slow_holds_nobody_up() {
    let nobody = "http://127.0.0.1:1";
    let (_app, server) = started("rust-spin-3", GRANTED, nobody, "open_ai", Models::TOKEN).await;
    let answer = server.post("/llm/infer", "hello").await;
    assert!(answer.text().contains("is not reached"), "{}", answer.text());
    server.stop().await;

    let models = Models::start().await;
    let limits = format!("{GRANTED}\nlimits = {{ time = \"500ms\" }}");
    let url = models.url();
    let (_app, server) = started("rust-spin-3", &limits, &url, "open_ai", Models::TOKEN).await;
    let began = Instant::now();
    assert_eq!(server.post("/llm/infer", "slow").await.status, 504);
    assert!(began.elapsed() < Duration::from_secs(4));
    server.stop().await;

    let app = App::granted("rust-spin-3", GRANTED);
    let server = dayfly().up(app.folder()).await;
    let answer = server.post("/llm/infer", "hello").await;
    assert!(answer.text().contains("`llm_compute`"), "{}", answer.text());
    server.stop().await;
}
