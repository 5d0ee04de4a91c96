//! Events wake scripts, as POSTs in CloudEvents' binary mode, and their answers go on.

use std::time::Duration;

use dayfly_testing::{App, Mosquitto, Redis, Running};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use super::with_interpreters;
use crate::dayfly;
use crate::websocket::Client;

/// The app of each language, all of which do the same.
const APPS: [(&str, &str); 4] = [
    ("app.py", include_str!("events/app.py")),
    ("app.rb", include_str!("events/app.rb")),
    ("app.js", include_str!("events/app.js")),
    ("app.psgi", include_str!("events/app.psgi")),
];

/// A script that these triggers wake, and a route.
fn woken(source: &str, script: &str, triggers: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"script\"\n{triggers}\n\
         [component.script]\nsource = \"{source}\"\nkey_value_stores = [\"default\"]\n"
    ))
    .file(source, script)
}

/// What the script kept under a key, once it has.
async fn kept(server: &Running, key: &str) -> String {
    let since = Instant::now();
    loop {
        let text = server.text(&format!("/{key}")).await;
        if !text.is_empty() {
            return text;
        }
        let stderr = server.stderr().text();
        assert!(since.elapsed() < Duration::from_secs(30), "{key} never came: {stderr}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the script was told of an event.
async fn told(server: &Running, event: &str) -> Value {
    serde_json::from_str(&kept(server, event).await).unwrap()
}

/// The data of a queue's messages.
async fn queued(server: &Running, queue: &str) -> Vec<Value> {
    let show = ["queue", "show", queue, "--json", "--state-dir"];
    let shown = dayfly().args(show).arg(server.state("")).ends().await.with_stdout(0);
    let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
    shown.into_iter().map(|message| message["data"].clone()).collect()
}

#[tokio::test]
async fn events_of_every_source_wake_every_language() {
    let (redis, broker) = (Redis::start().await, Mosquitto::start().await);
    let mut client = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    for (source, script) in APPS {
        let triggers = format!(
            "[[trigger.queue]]\nqueue = \"in\"\ncomponent = \"script\"\noutput = \"queue:out\"\n\
             retry = {{ attempts = 2, delay = \"10ms\" }}\n\
             [[trigger.redis]]\naddress = \"{}\"\nqueue = \"list\"\ncomponent = \"script\"\n\
             output = \"redis://{}/done?as=queue\"\n\
             [[trigger.mqtt]]\naddress = \"{}\"\ntopic = \"home/+\"\ncomponent = \"script\"\n\
             [[trigger.cron]]\nid = \"tick\"\ncron_expression = \"* * * * * *\"\n\
             component = \"script\"\n",
            redis.url(),
            redis.authority(),
            broker.url()
        );
        let app = woken(source, script, &triggers);
        broker.retain("home/door", "open").await;
        let server = with_interpreters().up(app.folder()).await;
        let put = |data: &'static str| {
            let send = ["queue", "send", "in", data, "--content-type", "text/x", "--state-dir"];
            dayfly().args(send).arg(server.state("")).ends()
        };
        put("a word").await.with(0);
        let expected = json!(["in", "a word", "text/x", "POST", "/"]);
        assert_eq!(told(&server, "dayfly.queue.message").await, expected, "{source}");
        redis::cmd("LPUSH").arg("list").arg("wörter").exec(&mut client).unwrap();
        let of_list = told(&server, "dayfly.redis.queue").await;
        assert_eq!((&of_list[0], &of_list[1]), (&json!("list"), &json!("wörter")), "{source}");
        let ticked = told(&server, "dayfly.cron").await;
        assert_eq!((&ticked[0], &ticked[1]), (&json!("tick"), &json!("")), "{source}");
        let published = told(&server, "dayfly.mqtt.message").await;
        assert_eq!((&published[0], &published[1]), (&json!("home/door"), &json!("open")));
        // What fails is tried again, and given up.
        put("fail").await.with(0);
        server.stderr().containing("an event was given up").await;
        assert!(server.stderr().text().contains("on purpose"), "{source}");
        assert_eq!(queued(&server, "out").await, ["A WORD"], "{source}");
        let done: Vec<u8> = redis::cmd("BRPOP")
            .arg("done")
            .arg(10)
            .query::<(String, Vec<u8>)>(&mut client)
            .unwrap()
            .1;
        assert!(done.starts_with(b"W"), "{source}: {done:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn websockets_wake_scripts_which_send_to_them() {
    for (source, script) in APPS {
        let chat =
            "[[trigger.http]]\nroute = \"/chat\"\ncomponent = \"script\"\nwebsocket = true\n";
        let app = woken(source, script, chat);
        let server = with_interpreters().up(app.folder()).await;
        let mut one = Client::connect(&server, "/chat").await;
        let mut other = Client::connect(&server, "/chat").await;
        one.send("say héllo").await;
        assert_eq!(other.text().await, "héllo", "{source}");
        // It is in the lobby, too, where it says that to both.
        assert_eq!([one.text().await, one.text().await], ["héllo", "to 2"], "{source}");
        other.send("leave").await;
        assert_eq!(other.text().await, "heard leave", "{source}");
        one.send("say again").await;
        assert_eq!([one.text().await, one.text().await], ["again", "to 1"], "{source}");
        other.send("bytes").await;
        assert_eq!(other.next().await, Some(Message::binary(vec![0, 255])), "{source}");
        assert_eq!(other.text().await, "heard bytes", "{source}");
        other.send("close").await;
        assert_eq!(other.code().await, 4001, "{source}");
        assert!(!kept(&server, "closed").await.is_empty(), "{source}");
        server.stop().await;
    }
}
