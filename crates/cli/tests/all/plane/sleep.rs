//! Releases that nobody has asked for sleep until somebody does, and no client sees that they did.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use dayfly_capabilities::Backends;
use dayfly_host::{BoxError, Part, Recipe, Release, Rollout};
use dayfly_testing::App;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;

use super::swap::begun;
use super::{Served, host, key, number, numbered, release};

/// Makes a release of an app whose folder lies here.
struct Again {
    app: PathBuf,
    state: PathBuf,
    /// How often it did, and how often it was given what stands behind another release.
    made: AtomicUsize,
    followed: AtomicUsize,
    takes: Duration,
}

impl Recipe for Again {
    fn make(&self, former: Option<&Backends>) -> Result<Release, BoxError> {
        self.made.fetch_add(1, SeqCst);
        self.followed.fetch_add(usize::from(former.is_some()), SeqCst);
        std::thread::sleep(self.takes);
        if !self.app.is_file() {
            return Err(format!("there is no {}", self.app.display()).into());
        }
        Ok(super::release_of(&self.app, &self.state, former))
    }
}

impl Again {
    fn made(&self) -> usize {
        self.made.load(SeqCst)
    }
}

/// Serves a release of an app that may sleep, and takes so long to be awake.
async fn lay(served: &Served, name: &str, id: &str, app: &App, takes_ms: u64) -> Arc<Again> {
    let (key, state) = (key(name), served.state(name));
    let again = Arc::new(Again {
        app: app.manifest().to_owned(),
        state: state.clone(),
        made: AtomicUsize::new(0),
        followed: AtomicUsize::new(0),
        takes: Duration::from_millis(takes_ms),
    });
    let release = Some(release(app, &state, served.plane.backends(&key).as_deref()));
    let recipe: Option<Arc<dyn Recipe>> = Some(again.clone());
    let part = Part { id: id.into(), percent: 100, release, health_path: None, recipe };
    let (hosts, releases) = (vec![host(name)], vec![part]);
    let rollout = Rollout { hosts, releases, preload: false, takes_events: true };
    let plane = served.plane.clone();
    tokio::task::spawn_blocking(move || plane.put(&key, rollout)).await.unwrap().unwrap();
    again
}

/// Whether a release of an app is awake.
fn is_awake(served: &Served, name: &str) -> bool {
    served.plane.backends(&key(name)).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_many_requests_wakes_a_release_and_all_are_answered() {
    let served = Served::start();
    let (first, other) = (numbered(1), numbered(2));
    let again = lay(&served, "a", "1", &first, 100).await;
    lay(&served, "b", "1", &other, 0).await;
    assert!(!is_awake(&served, "a") && again.made() == 0);
    let requests = (0..40).map(|_| served.text("a", "/env"));
    for text in join_all(requests).await {
        assert_eq!(number(&text), 1);
    }
    assert_eq!(again.made(), 1);
    assert!(is_awake(&served, "a") && !is_awake(&served, "b"));
    assert_eq!(number(&served.text("b", "/env").await), 2);
    assert_eq!((again.made(), served.plane.draining()), (1, 0));
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_being_woken_answers_though_another_one_follows() {
    let served = Served::start();
    let (one, two) = (numbered(1), numbered(2));
    let again = lay(&served, "a", "1", &one, 500).await;
    let asked = begun(&served, "a", "/slow?chunks=20&ms=50");
    let followed = async {
        while again.made() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lay(&served, "a", "2", &two, 0).await
    };
    let (body, next) = tokio::join!(asked, followed);
    assert_eq!(number(&served.text("a", "/env").await), 2);
    assert_eq!((again.made(), next.made()), (1, 1));
    // The app's queues and WebSockets are those of the release that still answers.
    assert_eq!((next.followed.load(SeqCst), served.plane.draining()), (1, 1));
    assert!(!body.collect().await.unwrap().to_bytes().is_empty());
    served.drained().await;
    assert_eq!(number(&served.text("a", "/env").await), 2);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_can_go_or_be_shared_while_its_release_sleeps() {
    let served = Served::start();
    let (one, two) = (numbered(1), numbered(2));
    let again = lay(&served, "a", "1", &one, 0).await;
    // The two take turns, for which both are awake.
    served.try_put("a", &[("1", 50, None), ("2", 50, Some(&two))]).await.unwrap();
    assert_eq!(again.made(), 1);
    let mut seen = [0; 3];
    for _ in 0..20 {
        seen[number(&served.text("a", "/env").await)] += 1;
    }
    assert!(seen[1] > 0 && seen[2] > 0, "{seen:?}");
    lay(&served, "b", "1", &one, 0).await;
    assert!(served.remove("b").await);
    served.drained().await;
    let answer = served.client().get_with("/env", &[("host", "b.test")]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_woken_says_so_and_is_tried_again_later() {
    let served = Served::start();
    let app = numbered(1);
    let again = lay(&served, "a", "1", &app, 0).await;
    std::fs::rename(app.manifest(), app.folder().join("away")).unwrap();
    for _ in 0..5 {
        let answer = served.client().get_with("/env", &[("host", "a.test")]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "10"));
        let text = answer.text();
        assert!(text.starts_with("the handler is not available (error "), "{text}");
    }
    assert_eq!(again.made(), 1, "once in ten seconds");
    // The next release is not held up by that.
    std::fs::rename(app.folder().join("away"), app.manifest()).unwrap();
    lay(&served, "a", "2", &numbered(2), 0).await;
    assert_eq!(served.client().get_with("/env", &[("host", "a.test")]).await.status, 503);
    assert_eq!(served.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_events_or_was_asked_for_stays_awake() {
    let served = Served::start();
    let timed = numbered(7);
    let cron = "\n[[trigger.cron]]\ncron_expression = \"0 0 1 1 *\"\ncomponent = \"guest\"\n";
    std::fs::write(timed.manifest(), timed.text("dayfly.toml") + cron).unwrap();
    let again = lay(&served, "timed", "1", &timed, 0).await;
    assert!(is_awake(&served, "timed") && again.made() == 0);
    let (one, two) = (numbered(1), numbered(2));
    lay(&served, "a", "1", &one, 0).await;
    assert_eq!(number(&served.text("a", "/env").await), 1);
    // As the command line does where something stands behind a release.
    let state = served.state("a");
    let former = served.plane.backends(&key("a"));
    let next = release(&two, &state, former.as_deref());
    let plane = served.plane.clone();
    let rollout = Rollout { hosts: vec![host("a")], ..Rollout::whole("2", next) };
    tokio::task::spawn_blocking(move || plane.put(&key("a"), rollout)).await.unwrap().unwrap();
    assert_eq!(number(&served.text("a", "/env").await), 2);
    served.drained().await;
    assert_eq!(served.stop().await, 0);
}
