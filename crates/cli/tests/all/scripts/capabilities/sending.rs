//! What scripts send: messages, to queues and to brokers. And what they ask language models.

use dayfly_testing::{Models, Mosquitto, Running};
use serde_json::{Value, json};

use super::{APPS, error, granted, step};
use crate::dayfly;
use crate::scripts::with_interpreters;

/// The messages of a queue, with their attributes.
async fn queued(server: &Running, queue: &str) -> Vec<Value> {
    let show = ["queue", "show", queue, "--json", "--state-dir"];
    let shown = dayfly().args(show).arg(server.state("")).ends().await.with_stdout(0);
    serde_json::from_str(&shown).unwrap()
}

#[tokio::test]
async fn messages_to_the_apps_own_queues() {
    let grants = "messaging = [\"default\"]\n[[trigger.queue]]\nqueue = \"mail\"\n\
        component = \"idle\"\n\
        [component.idle]\nsource = \"guest:rust-command\"\n";
    for (source, script) in APPS {
        let app = granted(source, script, grants);
        let server = with_interpreters().up(app.folder()).await;
        assert_eq!(step(&server, "messaging?mail").await, Value::Null, "{source}");
        let sent = queued(&server, "mail").await;
        let of = |data: &str| {
            sent.iter().find(|it| it["data"] == data).unwrap_or_else(|| {
                panic!("{source}: no `{data}` in {sent:?}");
            })
        };
        let (first, second) = (of("a text"), of("hi"));
        assert_eq!(first["content_type"], "text/x", "{source}: {first}");
        assert_eq!(first["attributes"]["number"], "7", "{source}: {first}");
        assert_eq!(second["attributes"]["number"], Value::Null, "{source}: {second}");
        let told = step(&server, "messaging?other").await;
        let refused = "permission denied: the topic is not open to this client";
        assert_eq!(told, error("permission-denied", refused), "{source}");
        let told = step(&server, "messaging_client?orders").await;
        let refused = "permission denied: the client is not granted";
        assert_eq!(told, error("permission-denied", refused), "{source}");
        server.stop().await;
    }
}

#[tokio::test]
async fn messages_to_brokers() {
    let broker = Mosquitto::start().await;
    let private = Mosquitto::with_password("me", "opensesame").await;
    let grants = format!("allowed_outbound_hosts = [\"{}\", \"{}\"]", broker.url(), private.url());
    for (source, script) in APPS {
        let app = granted(source, script, &grants);
        let server = with_interpreters().up(app.folder()).await;
        let heard = broker.subscribe("home/#").await;
        let told = step(&server, &format!("mqtt?{}", broker.url())).await;
        assert_eq!(told, Value::Null, "{source}");
        for message in ["0 open 0", "1 open 1", "2 open 2", "1 closed"] {
            heard.message(&format!("home/door {message}")).await;
        }
        let heard = private.subscribe("home/#").await;
        step(&server, &format!("mqtt_login?{}", private.url())).await;
        heard.message("home/door 1 in").await;
        let told = step(&server, &format!("mqtt?{}", private.url())).await;
        assert_eq!(told["kind"], "connection-failed", "{source}: {told}");
        let told = step(&server, "mqtt?nothing").await;
        assert_eq!(told, error("invalid-address", "invalid address"), "{source}");
        server.stop().await;
    }
}

#[tokio::test]
async fn language_models_answer() {
    for (source, script) in APPS {
        let models = Models::start().await;
        let config = format!(
            "[llm_compute]\ntype = \"remote_http\"\nurl = \"{}\"\nauth_token = \"{}\"\n\
             api_type = \"open_ai\"\n",
            models.url(),
            Models::TOKEN
        );
        let app = granted(source, script, "ai_models = [\"test-model\"]").file("c.toml", config);
        let up = with_interpreters().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
        let server = up.arg(app.folder()).serve().await;
        let told = step(&server, "llm?hello").await;
        assert_eq!(told.as_array().unwrap()[..3], json!(["olleh", 3, 5]).as_array().unwrap()[..]);
        let vectors: Vec<Vec<f32>> = serde_json::from_value(told[3].clone()).unwrap();
        assert_eq!(vectors, [[1.0, 1.0, 0.5], [3.0, 1.0, 0.5]], "{source}");
        let asked = models.asked();
        assert_eq!(asked[0]["max_completion_tokens"], 100, "{source}: {asked:?}");
        assert!(asked[0]["temperature"].is_null(), "{source}: {asked:?}");
        assert_eq!(asked[1]["max_completion_tokens"], 7, "{source}: {asked:?}");
        assert_eq!(asked[1]["temperature"], 0.5, "{source}: {asked:?}");
        let told = step(&server, "llm_model?other").await;
        let refused = "invalid input: `ai_models` does not grant the model `other`";
        assert_eq!(told, error("invalid-input", refused), "{source}");
        server.stop().await;
    }
}

#[tokio::test]
async fn websockets_that_are_not_granted() {
    for (source, script) in [
        (
            "app.py",
            "import dayfly\nfrom dayfly import websocket\ndef app(environ, start_response):\n    \
            start_response('200 OK', [])\n    try: websocket.publish('news', 'x')\n    \
            except dayfly.Error as error: return [error.kind.encode()]\n",
        ),
        (
            "app.rb",
            "run ->(env) {\n  begin\n    Dayfly::WebSocket.publish('news', 'x')\n  \
            rescue Dayfly::Error => error\n    [200, {}, [error.kind]]\n  end\n}\n",
        ),
        (
            "app.js",
            "import { websocket } from 'dayfly';\nexport default { fetch() {\n  \
            try { websocket.publish('news', 'x'); } catch (error) { return new Response(error.kind); }\n} };\n",
        ),
        (
            "app.psgi",
            "use v5.42;\nuse Dayfly;\nsub {\n  try { Dayfly::WebSocket->publish('news', 'x') }\n  \
            catch ($error) { return [200, [], [$error->kind]] }\n};\n",
        ),
    ] {
        let app = granted(source, script, "");
        let server = with_interpreters().up(app.folder()).await;
        assert_eq!(server.text("/").await, "access-denied", "{source}");
        server.stop().await;
    }
}
