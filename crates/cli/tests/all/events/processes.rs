//! Cycles through two processes of the same app. None of them hears what it sent itself alone, and all the
//! same they end, and the way is one trace.

use std::collections::HashMap;
use std::time::Duration;

use dayfly_testing::{App, Collector, Mosquitto, Redis, Running, Told};
use tokio::time::sleep;

use super::{Client, dead_letters, until};
use crate::dayfly;

/// How long nothing may happen after a cycle's end.
const REST: Duration = Duration::from_secs(1);

/// Both processes' triggers, `a` and `b`, which tell them apart in traces.
const BOTH: [&str; 2] = ["a", "b"];

/// An app with one trigger, of a kind and with these keys, whose handler answers with one sign to whatever it
/// hears, but for the one that is ignored.
fn app(id: &str, (kind, keys): (&str, &str), answer: &str, ignored: &str) -> App {
    let handler = include_str!("round.wat").replace("ANSWER", answer).replace("IGNORED", ignored);
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
         [[trigger.{kind}]]\nid = \"{id}\"\n{keys}\ncomponent = \"round\"\nretry = {{ attempts = 1 }}\n\
         [component.hello]\nsource = \"guest:rust-hello\"\n[component.round]\nsource = \"round.wat\"\n"
    ))
    .file("round.wat", handler)
}

async fn up(app: &App, collector: &Collector) -> Running {
    let command = dayfly().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    command.env("OTEL_BSP_SCHEDULE_DELAY", "200").up(app.folder()).await
}

/// Two processes of an app whose handlers answer one another and not themselves: what they hear is no more
/// with each step.
async fn two(trigger: (&str, &str), collector: &Collector) -> [(App, Running); 2] {
    let one = async |id: &'static str| {
        let app = app(id, trigger, id, id);
        let server = up(&app, collector).await;
        (app, server)
    };
    [one(BOTH[0]).await, one(BOTH[1]).await]
}

/// Waits until a process has given something up, because of a cycle.
async fn given_up(server: &Running) {
    let letters = dead_letters(server).await;
    let error = letters[0]["error"].as_str().unwrap();
    assert!(error.contains("the outputs are a cycle"), "{letters:?}");
}

/// Waits until one of both has, and what may be under way then is over.
async fn ended([a, b]: [&Running; 2]) {
    tokio::select! {
        () = given_up(a) => {}
        () = given_up(b) => {}
    }
    sleep(REST).await;
}

/// Waits for the spans of a way through both processes that has so many steps in one trace at least.
async fn one_trace(collector: &Collector, steps: usize) {
    let way = |told: &Told| {
        let mut ways: HashMap<Vec<u8>, [usize; 2]> = HashMap::new();
        for (at, id) in BOTH.iter().enumerate() {
            for span in told.spans_named(&format!("process {id}")) {
                ways.entry(span.trace_id.clone()).or_default()[at] += 1;
            }
        }
        ways.values().any(|[a, b]| *a > 1 && *b > 1 && a + b >= steps)
    };
    collector.until(way).await;
}

/// How often a server of Redis was told to do something.
async fn calls(client: &mut Client, command: &str) -> usize {
    let stats: String = client.ask(&["INFO", "commandstats"]).await;
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    let count = line.and_then(|line| line.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_cycle_through_a_list_ends_after_as_many_steps_as_in_one() {
    let (redis, collector) = (Redis::start().await, Collector::start().await);
    let keys = format!(
        "address = \"{}\"\nqueue = \"round\"\noutput = \"redis://round?as=queue\"",
        redis.url()
    );
    let apps = BOTH.map(|id| app(id, ("redis", &keys), "x", "-"));
    let servers = [up(&apps[0], &collector).await, up(&apps[1], &collector).await];
    let mut client = Client::of(&redis).await;
    // Each of them asks, so that the two take turns.
    until("both of them", async || {
        let stats: String = client.ask(&["INFO", "clients"]).await;
        stats.contains("blocked_clients:2").then_some(())
    })
    .await;
    let _: i64 = client.ask(&["LPUSH", "round", "x"]).await;
    one_trace(&collector, 17).await;
    ended(servers.each_ref()).await;
    // The first, and 16 answers.
    assert_eq!(calls(&mut client, "lpush").await, 17);
    // Each message has taken its note with it.
    assert_eq!(client.ask::<Vec<String>>(&["KEYS", "dayfly:*"]).await, [""; 0]);
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_cycle_through_a_channel_ends() {
    let (redis, collector) = (Redis::start().await, Collector::start().await);
    let keys =
        format!("address = \"{}\"\nchannel = \"round\"\noutput = \"redis://round\"", redis.url());
    let both = two(("redis", &keys), &collector).await;
    let mut client = Client::of(&redis).await;
    until("both of them", async || {
        let (_, count): (String, i64) = client.ask(&["PUBSUB", "NUMSUB", "round"]).await;
        (count == 2).then_some(())
    })
    .await;
    let _: i64 = client.ask(&["PUBLISH", "round", "x"]).await;
    ended(both.each_ref().map(|(_, server)| server)).await;
    one_trace(&collector, 14).await;
    // Two ways begin, of 16 messages each; one may read the other's note, and ends earlier or later.
    let published = calls(&mut client, "publish").await;
    assert!((17..=66).contains(&published), "{published}");
    for (_, server) in both {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_cycle_through_a_topic_ends() {
    let (broker, collector) = (Mosquitto::start().await, Collector::start().await);
    let keys = format!(
        "address = \"{}\"\ntopic = \"round\"\nqos = 1\noutput = \"mqtt:///round\"",
        broker.url()
    );
    // Those who come later hear it, too.
    broker.retain("round", "x").await;
    let listener = broker.subscribe("round").await;
    let both = two(("mqtt", &keys), &collector).await;
    ended(both.each_ref().map(|(_, server)| server)).await;
    one_trace(&collector, 14).await;
    // The first, and two ways of 16 messages each, if both hear all of it.
    let published = listener.messages().len();
    assert!((18..=33).contains(&published), "{published}");
    for (_, server) in both {
        server.stop().await;
    }
}

/// Who may not write notes sends all the same, and knows what it sent itself.
#[tokio::test]
async fn a_server_that_refuses_notes_is_served_without() {
    for (from, output) in
        [("queue = \"round\"", "redis://round?as=queue"), ("channel = \"round\"", "redis://round")]
    {
        let (redis, collector) = (Redis::start().await, Collector::start().await);
        let mut client = Client::of(&redis).await;
        let rights = ["ACL", "SETUSER", "app", "on", ">opensesame", "~round*", "&*", "+@all"];
        let _: String = client.ask(&rights).await;
        let address = redis.url().replace("redis://", "redis://app:opensesame@");
        let keys = format!("address = \"{address}\"\n{from}\noutput = \"{output}\"");
        let app = app("a", ("redis", &keys), "x", "-");
        let server = up(&app, &collector).await;
        match from.starts_with("queue") {
            true => _ = client.ask::<i64>(&["LPUSH", "round", "x"]).await,
            false => {
                until("a listener", async || {
                    let heard: i64 = client.ask(&["PUBLISH", "round", "x"]).await;
                    (heard == 1).then_some(())
                })
                .await;
            }
        }
        given_up(&server).await;
        let warning = "refuses the keys `dayfly:behind:*`";
        server.stderr().containing(warning).await;
        let ended = server.stop().await.with(0);
        assert_eq!(ended.matches(warning).count(), 1, "{ended}");
        assert!(!ended.contains("sesame"), "{ended}");
    }
}
