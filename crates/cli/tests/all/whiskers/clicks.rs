//! The score: each click counts once, whatever becomes of the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dayfly_testing::{Client, Running};
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{JSON, TREATS, body, offer, ring, up, up_with};
use crate::websocket;

const CLICKS: usize = 1000;

/// How many click at once.
const HANDS: usize = 8;

/// Clicks that are clicked by several hands, and what was answered to each.
struct Clicking {
    next: AtomicUsize,
    answered: AtomicUsize,
    half: Notify,
    /// How often an answer did not come.
    lost: AtomicUsize,
}

impl Clicking {
    /// Clicks until there is nothing left. A click that gets no answer is clicked again, with the same id.
    async fn hand(self: Arc<Self>, servers: watch::Receiver<String>) -> BTreeMap<String, Value> {
        let mut answers = BTreeMap::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= CLICKS {
                return answers;
            }
            let id = format!("thousand-{number:04}");
            let body = body(&id, TREATS[number % 4], &format!("hand {}", number % 7));
            let answer = loop {
                let client = Client::http1(&servers.borrow().clone());
                let request =
                    client.request(http::Method::POST, "/clicks").header(JSON[0].0, JSON[0].1);
                match client.try_send(request.body(dayfly_testing::Body::full(body.clone()))).await
                {
                    Ok(answer) if answer.status == 200 => break answer,
                    Ok(answer) => assert!(answer.status >= 500, "{}", answer.text()),
                    Err(_) => {}
                }
                self.lost.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
            };
            answers.insert(id, serde_json::from_slice(&answer.body).unwrap());
            if self.answered.fetch_add(1, Ordering::Relaxed) + 1 == CLICKS / 2 {
                self.half.notify_one();
            }
        }
    }
}

#[tokio::test]
async fn no_click_that_was_answered_is_lost_when_it_is_killed() {
    let state = tempfile::tempdir().unwrap();
    let server = up_with(state.path()).await;
    let (sender, servers) = watch::channel(server.base().to_owned());
    let clicking = Arc::new(Clicking {
        next: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        half: Notify::new(),
        lost: AtomicUsize::new(0),
    });
    let begin = Instant::now();
    let hands: Vec<_> =
        (0..HANDS).map(|_| tokio::spawn(Arc::clone(&clicking).hand(servers.clone()))).collect();
    clicking.half.notified().await;
    server.process().kill();
    assert_eq!(server.ended().await.code, None);
    let server = up_with(state.path()).await;
    sender.send(server.base().to_owned()).unwrap();
    let mut answers = BTreeMap::new();
    for hand in hands {
        answers.extend(hand.await.unwrap());
    }
    println!(
        "{CLICKS} clicks in {:?}, {} without an answer",
        begin.elapsed(),
        clicking.lost.load(Ordering::Relaxed)
    );
    // Whoever connects now hears of all of them.
    let mut page = websocket::Client::connect(&server, "/tally").await;
    while hear(&mut page).await["cat"]["clicks"] != CLICKS {}
    server.stop().await;
    assert!(clicking.lost.load(Ordering::Relaxed) > 0, "the kill was not noticed");
    are_counted(&answers, state.path());
}

/// Each answered click is in the database once, as it was answered, and nothing else is.
fn are_counted(answers: &BTreeMap<String, Value>, state: &Path) {
    let database = Connection::open(state.join("sqlite/default.db")).unwrap();
    let mut kept = database.prepare("SELECT id, told FROM clicks").unwrap();
    let kept: BTreeMap<String, Value> = kept
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .unwrap()
        .map(|row| row.map(|(id, told)| (id, serde_json::from_str(&told).unwrap())).unwrap())
        .collect();
    let answered: BTreeMap<String, Value> =
        answers.iter().map(|(id, answer)| (id.clone(), answer["told"].clone())).collect();
    assert_eq!(kept.len(), CLICKS);
    assert_eq!(kept, answered);
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let points: i64 = answered.values().map(|told| told["points"].as_i64().unwrap()).sum();
    let taken = answered.values().filter(|told| told["taken"] == true).count() as i64;
    assert!(points > 0);
    assert_eq!(number("SELECT points FROM cat"), points);
    assert_eq!(number("SELECT sum(points) FROM friends"), points);
    assert_eq!(number("SELECT sum(taken) FROM treats"), taken);
    assert_eq!(number("SELECT clicks FROM cat"), CLICKS as i64);
}

/// The state that a page hears next.
async fn hear(page: &mut websocket::Client) -> Value {
    serde_json::from_str(&page.text().await).unwrap()
}

#[tokio::test]
async fn a_click_that_comes_again_is_answered_alike_and_counts_once() {
    let server = up().await;
    let body = body("again-and-again", "cream", "Ada");
    let answer = async || -> Value {
        let answer = server.post_with("/clicks", &JSON, body.clone()).await;
        serde_json::from_slice(&answer.body).unwrap()
    };
    let first = answer().await;
    assert_eq!(first["again"], false);
    let (second, third) = tokio::join!(answer(), answer());
    for again in [second, third] {
        assert_eq!((&again["again"], &again["told"]), (&true.into(), &first["told"]));
        assert_eq!(again["cat"]["clicks"], 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn all_pages_hear_what_happens_and_the_bell_makes_it_hungry() {
    let server = up().await;
    let mut pages = [
        websocket::Client::connect(&server, "/tally").await,
        websocket::Client::connect(&server, "/tally").await,
    ];
    for page in &mut pages {
        let told = hear(page).await;
        assert_eq!((&told["cat"]["clicks"], &told["news"]), (&0.into(), &Value::Array(vec![])));
    }
    let answer = offer(&server, "cream", "Ada").await;
    let mut hunger = 0;
    for page in &mut pages {
        let mut told = hear(page).await;
        // The bell may ring by itself meanwhile.
        while told["news"] == Value::Array(vec![]) {
            told = hear(page).await;
        }
        assert_eq!((&told["news"][0], &told["cat"]["clicks"]), (&answer["told"], &1.into()));
        hunger = told["cat"]["hunger"].as_u64().unwrap();
    }
    ring(&server).await;
    for page in &mut pages {
        assert!(hear(page).await["cat"]["hunger"].as_u64().unwrap() > hunger);
    }
    server.stop().await;
}

#[tokio::test]
async fn its_wishes_can_be_found_out_and_change() {
    let server: Running = up().await;
    let (mut clues, mut points) = (Vec::new(), 0);
    for number in 0..60 {
        if number % 6 == 0 {
            ring(&server).await;
        }
        let answer = offer(&server, TREATS[number % 4], "").await;
        points += answer["told"]["points"].as_u64().unwrap();
        assert_eq!(answer["cat"]["points"], points);
        // Nobody has a name, so nobody is thanked.
        assert_eq!(answer["cat"]["friends"], Value::Array(vec![]));
        clues.push(answer["cat"]["clue"].as_str().unwrap().to_owned());
    }
    clues.sort();
    clues.dedup();
    assert!(clues.len() > 5 && points > 10, "{points} points, {clues:?}");
    server.stop().await;
}
