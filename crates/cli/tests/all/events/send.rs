//! `dayfly send`: events for triggers of an app that runs.

use dayfly_testing::{App, Certificate, Ended, Running};
use serde_json::Value;

use super::{app, until};
use crate::dayfly;

async fn send(server: &Running, words: &[&str]) -> Ended {
    dayfly().arg("send").args(words).arg("--state-dir").arg(server.state("")).ends().await
}

#[tokio::test]
async fn an_event_goes_its_triggers_whole_way() {
    let app = app(
        "[[trigger.queue]]\nid = \"mail\"\nqueue = \"in\"\ncomponent = \"rust-events\"\noutput = \"queue:out\"\n\
         retry = { attempts = 2, delay = \"10ms\" }\n\
         [[trigger.cron]]\nid = \"yearly\"\ncron_expression = \"0 0 1 1 *\"\ncomponent = \"rust-command\"\n\
         [[trigger.redis]]\nid = \"lost\"\naddress = \"redis://127.0.0.1:1\"\nqueue = \"jobs\"\ncomponent = \"rust-events\"\n\
         [[trigger.nats]]\nid = \"subject\"\naddress = \"nats://127.0.0.1:1\"\nsubject = \"news\"\ncomponent = \"rust-events\"\n\
         [[trigger.nats]]\nid = \"kept\"\naddress = \"nats://127.0.0.1:1\"\nstream = \"JOBS\"\nsubject = \"jobs\"\ncomponent = \"rust-events\"\n\
         [[trigger.mqtt]]\nid = \"topic\"\naddress = \"mqtt://127.0.0.1:1\"\ntopic = \"a/b\"\ncomponent = \"rust-events\"\n",
        &["rust-events", "rust-command"],
    );
    let server = dayfly().up(app.folder()).await;
    let facts = send(&server, &["mail", "facts"]).await.with_stdout(0);
    assert_eq!(facts, "dayfly.queue.message|/queues/in|in|");
    let words = ["mail", "facts", "--type", "a", "--subject", "b", "--content-type", "c/d"];
    assert_eq!(send(&server, &words).await.with_stdout(0), "a|/queues/in|b|c/d");
    // Even if the server that its events come from is not there.
    for (trigger, expected) in [
        ("lost", "dayfly.redis.queue|/redis/127.0.0.1:1|jobs|"),
        ("subject", "dayfly.nats.message|/nats/127.0.0.1:1|news|"),
        ("kept", "dayfly.nats.stream|/nats/127.0.0.1:1|jobs|"),
        ("topic", "dayfly.mqtt.message|/mqtt/127.0.0.1:1|a/b|"),
    ] {
        assert_eq!(send(&server, &[trigger, "facts"]).await.with_stdout(0), expected);
    }
    // By the component, with what its trigger says and an attribute.
    let shown = send(&server, &["rust-command", "env", "--attribute", "customer=7"]).await;
    let shown = shown.with_stdout(0);
    for line in ["CE_TYPE=dayfly.cron", "CE_SUBJECT=yearly", "CE_CUSTOMER=7"] {
        assert!(shown.lines().any(|it| it == line), "no {line} in {shown}");
    }
    let out = dayfly().args(["queue", "show", "out", "--json", "--state-dir"]);
    let out = out.arg(server.state("")).ends().await.with_stdout(0);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&out).unwrap().len(), 2, "{out}");
    // What fails is told, and is a dead letter.
    let said = send(&server, &["mail", "fail"]).await.with(1);
    assert!(said.contains("418") && said.contains("tried 2 times"), "{said}");
    let told: Value =
        serde_json::from_str(&send(&server, &["mail", "trap", "--json"]).await.with_stdout(1))
            .unwrap();
    assert_eq!(told["outcome"], "given up");
    let told: Value =
        serde_json::from_str(&send(&server, &["mail", "hi", "--json"]).await.with_stdout(0))
            .unwrap();
    assert_eq!((&told["outcome"], &told["data"]), (&"handled".into(), &"hi".into()));
    let listed = dayfly().args(["dead-letters", "list"]).arg("--state-dir").arg(server.state(""));
    assert_eq!(listed.ends().await.with_stdout(0).lines().count(), 2);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error() {
    let app = app(
        "[[trigger.queue]]\nid = \"mail\"\nqueue = \"in\"\ncomponent = \"rust-events\"\n\
         [[trigger.queue]]\nid = \"post\"\nqueue = \"other\"\ncomponent = \"rust-events\"\n",
        &["rust-events"],
    );
    let nowhere = dayfly().args(["send", "mail", "x", "--from"]).arg(app.folder()).ends().await;
    assert!(nowhere.with(1).contains("no app with this state folder runs"));
    let server = dayfly().up(app.folder()).await;
    let said = send(&server, &["male", "x"]).await.with(1);
    assert!(said.contains("no trigger has the id `male`"), "{said}");
    assert!(said.contains("`mail` (queue in) wakes `rust-events`"), "{said}");
    let said = send(&server, &["rust-events", "x"]).await.with(1);
    assert!(said.contains("several triggers: `mail`, `post`"), "{said}");
    let large = app.file("large", vec![b'x'; (16 << 20) + 1]);
    let large = format!("@{}", large.path("large").display());
    assert!(send(&server, &["mail", &large]).await.with(1).contains("may have 16 MiB"));
    assert!(send(&server, &["mail", "@nowhere"]).await.with(1).contains("`nowhere`"));
    let said = send(&server, &["mail", "sleep 3000", "--timeout", "500ms"]).await.with(1);
    assert!(said.contains("was not handled within 500ms"), "{said}");
    server.stop().await;
    let said = dayfly().args(["send", "mail", "x", "--attribute", "A-b=1"]).ends().await.with(2);
    assert!(said.contains("lower-case letters"), "{said}");
    for content_type in ["a/b\r\nx-one: 1", "a/größer"] {
        let said = dayfly().args(["send", "mail", "x", "--content-type", content_type]);
        let said = said.ends().await.with(2);
        assert!(said.contains("one line of ASCII"), "{said}");
    }
}

/// An app whose components are woken by requests and by its start.
fn of_routes() -> App {
    let route = |id: &str, route: &str, rest: &str| {
        format!("[[trigger.http]]\nid = \"{id}\"\nroute = \"{route}\"\n{rest}\n")
    };
    let handler = "component = \"handler\"";
    let routes = [
        route("greet", "/hello/...", handler),
        route("user", "/users/:id", handler),
        route("chat", "/chat", "component = \"chat\"\nwebsocket = true"),
        route("fixed", "/fixed", "static_response = { body = \"as it is\" }"),
    ];
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{}\
         [[trigger.command]]\nid = \"job\"\ncomponent = \"command\"\n\
         [component.command]\nsource = \"guest:rust-command\"\n\
         [component.chat]\nsource = \"guest:rust-websocket\"\n\
         [component.handler]\nsource = \"guest:rust-events\"\n",
        routes.concat()
    ))
}

#[tokio::test]
async fn an_event_for_a_route_is_a_request() {
    let app = of_routes();
    let server = dayfly().up(app.folder()).await;
    assert_eq!(send(&server, &["greet", "facts"]).await.with_stdout(0), "dayfly.test|/send||");
    let words = ["greet", "facts", "--type", "a", "--subject", "b", "--content-type", "c/d"];
    assert_eq!(send(&server, &words).await.with_stdout(0), "a|/send|b|c/d");
    let words = ["greet", "facts", "--plain", "--content-type", "c/d"];
    assert_eq!(send(&server, &words).await.with_stdout(0), "|||c/d");
    assert_eq!(send(&server, &["fixed"]).await.with_stdout(0), "as it is");
    // A route of many paths is told one of them.
    let said = send(&server, &["user", "x"]).await.with(1);
    assert!(said.contains("the route `/users/:id` covers many paths") && said.contains("--path"));
    assert_eq!(send(&server, &["user", "x", "--path", "users/7"]).await.with_stdout(0), "x");
    let said = send(&server, &["greet", "fail"]).await.with(1);
    assert!(said.contains("/hello answered with status 418"), "{said}");
    let told = send(&server, &["user", "x", "--path", "/nowhere", "--json"]).await.with_stdout(1);
    assert!(told.contains("answered with status 404"), "{told}");
    let said = send(&server, &["user", "x", "--path", "/users/a b"]).await.with(1);
    assert!(said.contains("/users/a b` is no URL"), "{said}");
    let said = send(&server, &["greet", "sleep 3000", "--timeout", "500ms"]).await.with(1);
    assert!(said.contains("did not answer within 500ms"), "{said}");
    let state = server.state("");
    server.stop().await;
    let late = dayfly().args(["send", "greet", "--state-dir"]).arg(state);
    assert!(late.ends().await.with(1).contains("no app with this state folder runs"));
}

#[tokio::test]
async fn a_second_process_is_found_when_the_first_ends() {
    let app = of_routes();
    let state = tempfile::tempdir().unwrap();
    let up = || dayfly().args(["up", "--state-dir"]).arg(state.path()).arg(app.folder()).serve();
    let (first, second) = (up().await, up().await);
    let send = async || {
        dayfly().args(["send", "greet", "hi", "--state-dir"]).arg(state.path()).ends().await
    };
    assert_eq!(send().await.with_stdout(0), "hi");
    first.stop().await;
    until("the second", async || (send().await.code == Some(0)).then_some(())).await;
    second.stop().await;
}

#[tokio::test]
async fn a_route_is_asked_where_no_authorities_are() {
    let (app, certificate) = (of_routes(), Certificate::new());
    let send = async |server: &Running| {
        let send = dayfly().args(["send", "greet", "hi", "--state-dir"]).arg(server.state(""));
        send.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null").ends().await
    };
    let server = dayfly().up(app.folder()).await;
    assert_eq!(send(&server).await.with_stdout(0), "hi");
    server.stop().await;
    let command = dayfly().args(["up", "--tls-cert"]).arg(certificate.chain());
    let command = command.arg("--tls-key").arg(certificate.key()).arg(app.folder());
    let server = command.serve().await;
    let said = send(&server).await.with(1);
    assert!(said.contains("no certificate authorities can be trusted"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn what_takes_no_events_says_what_it_does() {
    let app = of_routes();
    let server = dayfly().up(app.folder()).await;
    let said = send(&server, &["job", "x"]).await.with(1);
    assert!(said.contains("`job` is a command, which runs once when the app starts"), "{said}");
    let said = send(&server, &["chat", "x"]).await.with(1);
    assert!(said.contains(&format!("connect a client to `ws://{}/chat`", server.authority())));
    let said = send(&server, &["handler", "x"]).await.with(1);
    assert!(said.contains("several triggers: `greet`, `user`"), "{said}");
    let said = send(&server, &["greed", "x"]).await.with(1);
    assert!(said.contains("`greet` (route /hello/...) wakes `handler`"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_route_is_asked_by_tls() {
    let (app, certificate) = (of_routes(), Certificate::new());
    let command = dayfly().args(["up", "--tls-cert"]).arg(certificate.chain());
    let command = command.arg("--tls-key").arg(certificate.key()).arg(app.folder());
    let server = command.serve().await;
    let sent = dayfly().args(["send", "greet", "hi", "--state-dir"]).arg(server.state(""));
    assert_eq!(
        sent.env("SSL_CERT_FILE", certificate.authority()).ends().await.with_stdout(0),
        "hi"
    );
    server.stop().await;
}
