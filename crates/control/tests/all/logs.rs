//! Logs, by the API: what is there, and what comes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dayfly_api::{
    AppId, Client, Code, LogEvent, LogLevel, LogLine, LogQuery, LogStream, Notice, Scope,
};
use dayfly_store::AppLog;
use http::Method;

use crate::{PATIENCE, Platform, app, tenant};

fn line(component: &str, text: &str) -> LogLine {
    LogLine {
        at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        component: component.to_owned(),
        release: "0123456789ab".to_owned(),
        request: Some("00000000ab".to_owned()),
        stream: LogStream::Logging,
        level: Some(LogLevel::Info),
        context: None,
        text: text.to_owned(),
    }
}

/// The log of app `shop`, which is made, as the node writes it.
fn log(platform: &Platform) -> AppLog {
    platform.operator().make_app(&app("shop")).unwrap();
    AppLog::new(&platform.store().app_folder(&app("shop")).unwrap())
}

/// Follows on a thread of its own until it ends.
fn follow(client: Client, app: AppId, query: LogQuery) -> mpsc::Receiver<LogEvent> {
    let (sender, events) = mpsc::channel();
    thread::spawn(move || {
        let told = client.follow_logs(&app, &query, |event| sender.send(event).is_ok());
        // Nobody may listen any more.
        let _ = told;
    });
    events
}

const SOON: Duration = Duration::from_secs(20);

fn text(events: &mpsc::Receiver<LogEvent>) -> String {
    match events.recv_timeout(SOON).expect("an event") {
        LogEvent::Line(line) => line.text,
        LogEvent::Notice(notice) => format!("{:?}", notice.notice),
    }
}

#[test]
fn the_last_lines_are_told() {
    let platform = Platform::new();
    let log = log(&platform);
    let client = platform.client(&platform.token("acme", Scope::Read));
    let ask = |query: LogQuery| client.logs(&app("shop"), &query).unwrap();
    assert!(ask(LogQuery::default()).is_empty());
    for number in 0..150 {
        log.append(&line(if number % 3 == 0 { "api" } else { "web" }, &format!("n{number}")))
            .unwrap();
    }
    let texts = |query| ask(query).into_iter().map(|line| line.text).collect::<Vec<_>>();
    assert_eq!(texts(LogQuery::default()).len(), 100);
    let api = LogQuery { component: Some("api".to_owned()), limit: Some(2), ..Default::default() };
    assert_eq!(texts(api), ["n144", "n147"]);
    let search = LogQuery { search: Some("N149".to_owned()), ..Default::default() };
    assert_eq!(texts(search), ["n149"]);
    let level = LogQuery { level: Some(LogLevel::Warn), ..Default::default() };
    assert!(texts(level).is_empty());
    let since =
        LogQuery { since: Some("2999-01-01T00:00:00+02:00".to_owned()), ..Default::default() };
    assert!(texts(since).is_empty());
    let bearer = format!("Bearer {}", platform.operator);
    for odd in [
        "limit=1001",
        "since=now",
        "level=loud",
        "stream=x",
        &format!("search={}", "x".repeat(257)),
    ] {
        let path = format!("/v1/tenants/acme/apps/shop/logs?{odd}");
        let answer = platform.ask(Method::GET, &path, &[("authorization", &bearer)], Bytes::new());
        assert_eq!(answer.status, 400, "{odd}");
    }
    let none = client.logs(&app("none"), &LogQuery::default()).unwrap_err();
    assert_eq!(none.code(), Some(Code::NotFound));
}

#[test]
fn lines_are_told_as_they_come_until_the_token_is_revoked() {
    let platform = Platform::new();
    let log = log(&platform);
    log.append(&line("api", "before")).unwrap();
    let token = platform.token("acme", Scope::Read);
    let query = LogQuery { component: Some("api".to_owned()), ..LogQuery::default() };
    let events = follow(platform.client(&token), app("shop"), query);
    assert_eq!(text(&events), "before");
    let mut best = Duration::MAX;
    for number in 0..5 {
        log.append(&line("web", "not this one")).unwrap();
        let since = Instant::now();
        log.append(&line("api", &format!("n{number}"))).unwrap();
        assert_eq!(text(&events), format!("n{number}"));
        best = best.min(since.elapsed());
    }
    assert!(best < Duration::from_secs(1), "{best:?}");
    let id = platform.client(&token).whoami().unwrap().token.id;
    let since = Instant::now();
    platform.operator().remove_token(Some(&tenant("acme")), &id).unwrap();
    assert_eq!(text(&events), format!("{:?}", Notice::Unauthenticated));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(events.recv_timeout(SOON).is_err(), "nothing comes behind it");
}

#[test]
fn who_follows_an_app_that_goes_is_told_and_so_is_one_too_many() {
    let platform = Platform::new();
    let log = log(&platform);
    log.append(&line("api", "before")).unwrap();
    let client = || platform.client(&platform.operator);
    let all: Vec<_> = (0..8).map(|_| follow(client(), app("shop"), LogQuery::default())).collect();
    assert!(all.iter().all(|events| text(events) == "before"));
    let refused = client().follow_logs(&app("shop"), &LogQuery::default(), |_| true).unwrap_err();
    assert_eq!(refused.code(), Some(Code::RateLimited));
    platform.operator().remove_app(&app("shop")).unwrap();
    assert!(all.iter().all(|events| text(events) == format!("{:?}", Notice::Gone)));
    // Their places are free again.
    let again = AppLog::new(&{
        platform.operator().make_app(&app("shop")).unwrap();
        platform.store().app_folder(&app("shop")).unwrap()
    });
    again.append(&line("api", "anew")).unwrap();
    assert_eq!(text(&follow(client(), app("shop"), LogQuery::default())), "anew");
}

/// Asks to follow by a connection that nobody reads yet.
fn silent(platform: &Platform, component: &str) -> TcpStream {
    let mut stream = TcpStream::connect(platform.address).unwrap();
    let head = format!(
        "GET /v1/tenants/acme/apps/shop/logs?follow=true&limit=0{component} HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer {}\r\n\r\n",
        platform.operator
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// One that has nothing to take, if there is a place for it.
fn patient(platform: &Platform) -> Option<TcpStream> {
    let mut stream = silent(platform, "&component=none");
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    (&status == b"HTTP/1.1 200").then_some(stream)
}

#[test]
fn whoever_takes_too_little_is_told_and_let_go() {
    let platform = Platform::new();
    let log = log(&platform);
    log.append(&line("api", "before")).unwrap();
    let (mut told, mut cut) = (silent(&platform, ""), silent(&platform, ""));
    thread::sleep(Duration::from_millis(500));
    let mut patients: Vec<_> = (0..6).map(|_| patient(&platform).unwrap()).collect();
    assert!(patient(&platform).is_none(), "there are eight places");
    // More than the sockets hold.
    let text = "x".repeat(16 << 10);
    for _ in 0..1500 {
        log.append(&line("api", &text)).unwrap();
    }
    // Both are let go when there are places for two others.
    let since = Instant::now();
    while patients.len() < 8 {
        assert!(since.elapsed() < SOON, "they keep their places");
        patients.extend(patient(&platform));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(since.elapsed() > PATIENCE / 2, "{:?}", since.elapsed());
    told.set_read_timeout(Some(SOON)).unwrap();
    let mut read = String::new();
    let mut piece = vec![0; 1 << 20];
    while !read.ends_with("0\r\n\r\n") {
        let count = told.read(&mut piece).unwrap();
        assert!(count > 0, "it was cut");
        read.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert!(read.contains(r#"{"notice":"slow""#), "it is not told");
    // One that reads nothing even then is cut off.
    thread::sleep(PATIENCE * 2);
    cut.set_read_timeout(Some(SOON)).unwrap();
    let mut whole = Vec::new();
    // What the sockets hold is read; then there is an end, in whichever form.
    let _ = cut.read_to_end(&mut whole);
    assert!(!String::from_utf8_lossy(&whole).contains("notice"), "it went on");
}
