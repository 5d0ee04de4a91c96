//! `dayfly send`: events for triggers of an app that runs.

use dayfly_testing::{Ended, Running};
use serde_json::Value;

use super::app;
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
         [[trigger.redis]]\nid = \"lost\"\naddress = \"redis://127.0.0.1:1\"\nqueue = \"jobs\"\ncomponent = \"rust-events\"\n",
        &["rust-events", "rust-command"],
    );
    let server = dayfly().up(app.folder()).await;
    let facts = send(&server, &["mail", "facts"]).await.with_stdout(0);
    assert_eq!(facts, "dayfly.queue.message|/queues/in|in|");
    let words = ["mail", "facts", "--type", "a", "--subject", "b", "--content-type", "c/d"];
    assert_eq!(send(&server, &words).await.with_stdout(0), "a|/queues/in|b|c/d");
    // Even if the server that its events come from is not there.
    let facts = send(&server, &["lost", "facts"]).await.with_stdout(0);
    assert_eq!(facts, "dayfly.redis.queue|/redis/127.0.0.1:1|jobs|");
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
    assert!(said.contains("no trigger of events has the id `male`"), "{said}");
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
}
