//! Events go on while releases follow one another: none is lost, and none comes twice.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_capabilities::queue::{Content, New};
use dayfly_testing::{App, Redis};

use super::{Served, key};
use crate::events::{Client, heard, until};

/// A handler of events with these triggers, which answers what it got.
fn handler(triggers: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n{triggers}\n\
         [component.rust-events]\nsource = \"guest:rust-events\"\n\
         [component.rust-command]\nsource = \"guest:rust-command\"\n\
         [component.rust-cron]\nsource = \"guest:rust-cron\"\n"
    ))
}

/// Each of these messages came once.
fn once(came: Vec<String>, count: usize) {
    let mut times = BTreeMap::new();
    came.into_iter().for_each(|message| *times.entry(message).or_insert(0) += 1);
    for number in 0..count {
        assert_eq!(times.remove(&number.to_string()), Some(1), "message {number}");
    }
    assert!(times.is_empty(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_messages_are_handled_once() {
    const MESSAGES: usize = 1000;
    let redis = Redis::start().await;
    let mut client = Client::of(&redis).await;
    let served = Served::start();
    // Every third release listens in another way, so that what listens is another.
    let release = |number: usize| {
        let concurrency = if number % 3 == 2 { 3 } else { 7 };
        handler(&format!(
            "[[trigger.redis]]\nid = \"jobs\"\naddress = \"{0}\"\nqueue = \"jobs\"\n\
             component = \"rust-events\"\noutput = \"redis://done?as=queue\"\n\
             concurrency = {concurrency}\n\
             [[trigger.redis]]\nid = \"news\"\naddress = \"{0}\"\nchannel = \"news\"\n\
             component = \"rust-events\"\noutput = \"redis://heard?as=queue\"\n",
            redis.url()
        ))
    };
    served.put("a", "0", &release(0)).await;
    until("a listener", async || {
        let heard: i64 = client.ask(&["PUBLISH", "news", "first"]).await;
        (heard > 0).then_some(())
    })
    .await;
    let mut sender = Client::of(&redis).await;
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let number = number.to_string();
            let _: i64 = sender.ask(&["LPUSH", "jobs", &number]).await;
            // What listens to a channel is the same all the time.
            let heard: i64 = sender.ask(&["PUBLISH", "news", &number]).await;
            assert_eq!(heard, 1, "one listens");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let mut number = 0;
    while !sending.is_finished() {
        number += 1;
        served.put("a", &number.to_string(), &release(number)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sending.await.unwrap();
    assert!(number > 10, "{number} releases");
    once(client.wait_for("done", MESSAGES).await, MESSAGES);
    let mut heard = client.wait_for("heard", MESSAGES + 1).await;
    let first = heard.iter().position(|it| it == "first").expect("the first was heard");
    heard.remove(first);
    once(heard, MESSAGES);
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_queues_are_handled_once() {
    const MESSAGES: usize = 500;
    let served = Served::start();
    let release = |number: usize| {
        let concurrency = if number % 2 == 1 { 3 } else { 7 };
        handler(&format!(
            "[[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"rust-events\"\n\
             output = \"queue:out\"\nconcurrency = {concurrency}\n"
        ))
    };
    served.put("a", "0", &release(0)).await;
    let queues = served.plane.backends(&key("a")).unwrap().queues.clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let content = Content { data: number.to_string().into(), ..Content::default() };
            let new = New { queue: "in".to_owned(), delay: Duration::ZERO, priority: 0, content };
            queues.put(vec![new]).await.unwrap();
        }
    });
    let mut number = 0;
    while !sending.is_finished() || number < 10 {
        number += 1;
        served.put("a", &number.to_string(), &release(number)).await;
    }
    sending.await.unwrap();
    once(heard(&served.state("a"), MESSAGES).await, MESSAGES);
    // Who leaves lets others have them.
    assert!(served.remove("a").await);
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_the_first_releases() {
    let served = Served::start();
    let release = |component: &str| {
        handler(&format!(
            "[[trigger.queue]]\nid = \"in\"\nqueue = \"in\"\ncomponent = \"{component}\"\n\
             output = \"queue:out\"\n"
        ))
    };
    let (small, large) = (release("rust-events"), release("rust-command"));
    served.put("a", "small", &small).await;
    let queues = served.plane.backends(&key("a")).unwrap().queues.clone();
    let put = async |text: &'static str| {
        let content = Content { data: text.into(), ..Content::default() };
        let new = New { queue: "in".to_owned(), delay: Duration::ZERO, priority: 0, content };
        queues.put(vec![new]).await.unwrap();
    };
    put("a").await;
    heard(&served.state("a"), 1).await;
    served.try_put("a", &[("small", 50, None), ("large", 50, Some(&large))]).await.unwrap();
    put("b").await;
    heard(&served.state("a"), 2).await;
    served.try_put("a", &[("large", 100, None)]).await.unwrap();
    put("c").await;
    let mut out = heard(&served.state("a"), 3).await;
    out.sort();
    assert_eq!(out, ["C", "a", "b"]);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_goes_on() {
    let served = Served::start();
    let release = |number: usize| {
        handler(&format!(
            "[[trigger.cron]]\nid = \"tick\"\ncron_expression = \"* * * * * *\"\n\
             component = \"rust-cron\"\nretry = {{ attempts = {} }}\n",
            1 + number % 2
        ))
    };
    served.put("a", "0", &release(0)).await;
    let path = served.state("a").join("logs/rust-cron_stdout.txt");
    let began = std::time::Instant::now();
    let mut number = 0;
    while began.elapsed() < Duration::from_secs(6) {
        number += 1;
        // Twice with the same schedule, then with what has to begin anew.
        served.put("a", &number.to_string(), &release(number / 3)).await;
        tokio::time::sleep(Duration::from_millis(130)).await;
    }
    served.remove("a").await;
    served.drained().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let due: Vec<u64> =
        text.lines().map(|line| line.strip_prefix("due ").unwrap().parse().unwrap()).collect();
    assert!((5..=7).contains(&due.len()), "{due:?}");
    assert!(due.windows(2).all(|two| two[1] == two[0] + 1), "each second once: {due:?}");
    assert_eq!(served.stop().await, 0);
}
