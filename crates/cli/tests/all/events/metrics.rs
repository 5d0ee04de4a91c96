//! What is counted of events and of the servers that they come from.

use dayfly_testing::{Client as Http, Redis};

use super::{Client, app, until};
use crate::dayfly;

#[tokio::test]
async fn events_and_lost_servers_are_counted() {
    let mut redis = Redis::start().await;
    let app = app(
        &format!(
            "[[trigger.redis]]\nid = \"jobs\"\naddress = \"{}\"\nqueue = \"jobs\"\n\
             component = \"rust-events\"\nretry = {{ attempts = 2, delay = \"10ms\" }}\n",
            redis.url()
        ),
        &["rust-events"],
    );
    let command = dayfly().args(["up", "--metrics-listen", "127.0.0.1:0"]).arg(app.folder());
    let server = command.serve().await;
    let line = server.stdout().containing("(metrics)").await;
    let metrics = Http::http1(line.split("/metrics").next().unwrap());
    let told = async |wanted: &[&str]| {
        until("the counts", async || {
            let text = metrics.get("/metrics").await.text();
            let is_told = |line: &&str| text.lines().any(|told| told == *line);
            wanted.iter().all(is_told).then_some(())
        })
        .await;
    };
    let mut client = Client::of(&redis).await;
    for message in ["one", "two", "fail"] {
        let _: i64 = client.ask(&["LPUSH", "jobs", message]).await;
    }
    told(&[
        "dayfly_events_total{trigger=\"jobs\",outcome=\"handled\"} 2",
        "dayfly_events_total{trigger=\"jobs\",outcome=\"dead\"} 1",
        "dayfly_events_total{trigger=\"jobs\",outcome=\"given_back\"} 0",
        "dayfly_events_failed_attempts_total{trigger=\"jobs\"} 2",
        "dayfly_events_under_way{trigger=\"jobs\"} 0",
        "dayfly_trigger_connected{trigger=\"jobs\"} 1",
    ])
    .await;
    let _: i64 = client.ask(&["LPUSH", "jobs", "sleep 2000"]).await;
    told(&["dayfly_events_under_way{trigger=\"jobs\"} 1"]).await;
    redis.kill().await;
    told(&["dayfly_trigger_connected{trigger=\"jobs\"} 0"]).await;
    redis.restart().await;
    told(&[
        "dayfly_trigger_connected{trigger=\"jobs\"} 1",
        "dayfly_events_total{trigger=\"jobs\",outcome=\"handled\"} 3",
        "dayfly_events_under_way{trigger=\"jobs\"} 0",
    ])
    .await;
    server.stop().await;
}
