//! What the node lets a tenant take, all its apps together: each quota's answer names it, and changing it
//! needs nothing to be started again.

use std::time::{Duration, Instant};

use dayfly_testing::{Answer, App, Client, Upstream};
use futures_util::future::join_all;

use super::Platform;
use crate::dayfly;

/// One guest on every path of an app, with further lines of its component.
pub(super) fn app(name: &str, guest: &str, lines: &str) -> App {
    App::new(&format!(
        "dayfly = 1\n[application]\nname = \"{name}\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n{lines}\n"
    ))
    .file("guest.wasm", dayfly_testing::Guest::bytes(guest))
}

impl Platform {
    /// A tenant `acme` with these quotas and an app `test`.
    pub(super) async fn with_acme(
        dayfly: dayfly_testing::Dayfly,
        quotas: &[&str],
        app: &App,
    ) -> Self {
        let platform = Self::start_with(dayfly).await;
        platform.done(&["tenants", "make", "acme"]).await;
        platform.change(quotas).await;
        platform.deploy(app, &["--tenant", "acme"]).await.with(0);
        platform
    }

    pub(super) async fn change(&self, quotas: &[&str]) {
        let flags = quotas.iter().flat_map(|quota| ["--quota", quota]);
        self.done(&["tenants", "change", "acme"].into_iter().chain(flags).collect::<Vec<_>>())
            .await;
    }

    /// What tenant `acme`'s app answers.
    pub(super) async fn acme(&self, path: &str) -> Answer {
        self.get("test.acme.localhost", path).await
    }

    pub(super) async fn post_to_acme(&self, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
        self.apps.post_with(path, &[("host", "test.acme.localhost")], body).await
    }

    /// Waits until tenant `acme`'s app answers so.
    pub(super) async fn until(&self, path: &str, status: u16) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.acme(path).await;
            if answer.status == status {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{path}: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn is_over(answer: &Answer, quota: &str) {
    let text = answer.text();
    assert!(answer.status == 429 && text.contains(&format!("`{quota}`")), "{text}");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0, "{text}");
    answer.error_id();
}

#[tokio::test]
async fn requests_beyond_a_rate_are_told_so_and_a_change_holds_at_once() {
    let guest = app("test", "rust-http", "");
    let quotas = ["requests_per_second=5"];
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listening = dayfly().env("DAYFLY_METRICS_LISTEN", free.to_string());
    let platform = Platform::with_acme(listening, &quotas, &guest).await;
    platform.deploy(&guest, &[]).await.with(0);
    let answers = join_all((0..40).map(|_| platform.acme("/hello"))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert!((4..=10).contains(&served.len()), "{}", served.len());
    refused.iter().for_each(|answer| is_over(answer, "requests_per_second"));
    platform.server.stderr().containing("quota=\"requests_per_second\"").await;
    let metrics = Client::http1(&format!("http://{free}")).text("/metrics").await;
    let mut counted =
        metrics.lines().filter(|line| line.starts_with("dayfly_quota_refusals_total"));
    let counted = counted.next().expect("refusals are counted");
    assert!(
        counted.contains("\"acme\"") && counted.contains("\"requests_per_second\""),
        "{counted}"
    );
    let number: f64 = counted.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(number >= refused.len() as f64, "{counted}");
    // What is no component's answer counts, too, and another tenant is not concerned.
    is_over(&platform.acme("/.well-known/dayfly/health").await, "requests_per_second");
    for answer in join_all((0..40).map(|_| platform.get("test.localhost", "/hello"))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    platform.change(&["requests_per_second=100000"]).await;
    // A second's worth is there when the first second is over.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for answer in join_all((0..40).map(|_| platform.acme("/hello"))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    platform.stop().await;
}

#[tokio::test]
async fn instances_of_all_apps_of_a_tenant_share_its_concurrency() {
    let guest = app("test", "rust-http", "");
    let platform = Platform::with_acme(dayfly(), &["concurrency=2"], &guest).await;
    let more = app("more", "rust-http", "");
    platform.deploy(&more, &["--tenant", "acme"]).await.with(0);
    platform.deploy(&guest, &[]).await.with(0);
    platform.until("/hello", 200).await;
    // Two run, and four times as many wait.
    let asking = (0..15).map(|number| {
        let host = ["test.acme.localhost", "more.acme.localhost"][number % 2];
        platform.get(host, "/sleep?ms=1200")
    });
    let other = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        assert_eq!(platform.get("test.localhost", "/hello").await.status, 200);
        began.elapsed()
    };
    let (answers, other) = tokio::join!(join_all(asking), other);
    assert!(other < Duration::from_secs(1), "{other:?}");
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert_eq!((served.len(), refused.len()), (10, 5));
    refused.iter().for_each(|answer| is_over(answer, "concurrency"));
    platform.change(&["concurrency=20"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    for answer in join_all((0..15).map(|_| platform.acme("/sleep?ms=1200"))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "all at once: {:?}", began.elapsed());
    platform.stop().await;
}

#[tokio::test]
async fn cpu_time_of_a_month_is_used_up_once_whoever_is_killed() {
    let guest = app("test", "rust-http", "");
    let platform = Platform::with_acme(dayfly(), &["cpu_month_seconds=1"], &guest).await;
    assert_eq!(platform.acme("/hello").await.status, 200);
    // It ends with the month's time, long before its own.
    let spinning = platform.acme("/spin").await;
    is_over(&spinning, "cpu_month_seconds");
    let answer = platform.acme("/hello").await;
    is_over(&answer, "cpu_month_seconds");
    let now = chrono::Utc::now();
    let next = chrono::Datelike::with_day(&now.date_naive(), 1).unwrap();
    let next = next.checked_add_months(chrono::Months::new(1)).unwrap();
    assert!(answer.text().contains(&format!("renews on {next} (UTC)")), "{}", answer.text());
    let wait: i64 = answer.header("retry-after").parse().unwrap();
    let until = next.and_hms_opt(0, 0, 0).unwrap().and_utc() - now;
    assert!((until.num_seconds() - wait).abs() < 60, "{wait}");
    // What is kept is on the disk a moment later.
    tokio::time::sleep(Duration::from_secs(3)).await;
    platform.server.process().kill();
    let again = dayfly().arg("serve").arg("--state-dir").arg(platform.server.state("."));
    let again = again.args(["--admin-listen", "127.0.0.1:0"]).serve().await;
    let line = again.stdout().containing("Apps").await;
    let apps = Client::http1(line.split_whitespace().last().unwrap());
    let answer = apps.get_with("/hello", &[("host", "test.acme.localhost")]).await;
    is_over(&answer, "cpu_month_seconds");
    again.stop().await;
}

#[tokio::test]
async fn outbound_requests_beyond_a_rate_fail_as_their_interface_has_it() {
    let upstream = Upstream::start().await;
    let lines = format!("allowed_outbound_hosts = [{:?}]", upstream.url());
    let guest = app("test", "rust-http", &lines);
    let dayfly = dayfly().env("DAYFLY_ALLOW_PRIVATE_NETWORKS", "true");
    let platform = Platform::with_acme(dayfly, &["outbound_per_second=3"], &guest).await;
    let path = format!("/fetch?url={}/", upstream.url());
    platform.until("/hello", 200).await;
    let answers = join_all((0..20).map(|_| platform.acme(&path))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert!((3..=8).contains(&served.len()), "{}", served.len());
    for answer in refused {
        assert!(answer.text().contains("ConnectionLimitReached"), "{}", answer.text());
    }
    platform.server.stderr().containing("quota=\"outbound_per_second\"").await;
    platform.change(&["outbound_per_second=1000"]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for answer in join_all((0..20).map(|_| platform.acme(&path))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    platform.stop().await;
}

/// All that the log of app `test` of tenant `acme` has, without what each line has beside its text.
async fn logs(platform: &Platform) -> String {
    let words = ["logs", "test", "--tenant", "acme", "-n", "1000", "--json"];
    let lines = platform.done(&words).await;
    let text =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].clone();
    lines.lines().map(|line| format!("{}\n", text(line).as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_day_s_log_ends_with_one_line_that_says_so() {
    let guest = app("test", "rust-http", "");
    let platform = Platform::with_acme(dayfly(), &["log_day_bytes=2000"], &guest).await;
    for _ in 0..3 {
        assert_eq!(platform.acme("/log?lines=50").await.status, 200);
    }
    // What the host says of its requests is on the same account.
    assert_eq!(platform.acme("/panic").await.status, 500);
    let text = logs(&platform).await;
    assert!(text.len() < 2200 && !text.contains("handler failed"), "{text}");
    assert_eq!(text.matches("quota `log_day_bytes` is used up").count(), 1, "{text}");
    platform.server.stderr().containing("quota=\"log_day_bytes\"").await;
    platform.change(&["log_day_bytes=1MiB"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(platform.acme("/log?text=more").await.status, 200);
    assert!(logs(&platform).await.contains("stdout more 1"));
    platform.stop().await;
}

#[tokio::test]
async fn what_apps_keep_is_bounded_however_they_keep_it() {
    let lines = "key_value_stores = [\"default\"]\nsqlite_databases = [\"default\"]";
    let guest = app("test", "rust-spin-3", lines);
    let platform = Platform::with_acme(dayfly(), &["state_bytes=4MiB"], &guest).await;
    let files = "files = [{ source = \"data\", destination = \"/data\", writable = true }]";
    let files = app("files", "rust-http", files).file("data/a.txt", "a");
    platform.deploy(&files, &["--tenant", "acme"]).await.with(0);
    let write = |path: &'static str, bytes: usize| {
        let host = [("host", "files.acme.localhost")];
        let platform = &platform;
        async move { platform.apps.post_with(path, &host, vec![b'x'; bytes]).await }
    };
    let answer = platform.post_to_acme("/sqlite/default", "CREATE TABLE t (a)").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(write("/write?path=/data/b", 100 << 10).await.status, 200);
    let mut stored = 0;
    let refused = loop {
        let path = format!("/kv/set?key=k{stored}");
        let answer = platform.post_to_acme(&path, vec![b'x'; 256 << 10]).await;
        if answer.status != 200 {
            break answer.text();
        }
        stored += 1;
        assert!(stored < 100, "nothing is refused");
    };
    assert!(refused.contains("`state_bytes`"), "{refused}");
    assert!((4..=16).contains(&stored), "{stored}");
    platform.server.stderr().containing("quota=\"state_bytes\"").await;
    // Whatever else would grow does not, once it is known how much there is.
    let full = write("/write?path=/data/c", 4 << 20).await.text();
    // As it is opened, or as it is written.
    assert!(full.contains("Quota exceeded") || full.contains("o space left"), "{full}");
    let fill = "INSERT INTO t SELECT zeroblob(1000000)\n".repeat(8);
    let said = platform.post_to_acme("/sqlite/default", fill).await.text();
    assert!(said.to_lowercase().contains("full"), "{said}");
    // It is shown to whoever asks, with the rest.
    let began = Instant::now();
    loop {
        let used = platform.json(&["tenants", "show", "acme"]).await["used"].clone();
        if used["state_bytes"].as_u64().unwrap() > 3 << 20 {
            assert!(used["cpu_month_seconds"].as_f64().unwrap() > 0.0, "{used}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{used}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    platform.change(&["state_bytes=1GiB"]).await;
    let began = Instant::now();
    while write("/write?path=/data/c", 4 << 20).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "no room though there is");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let more = platform.post_to_acme("/kv/set?key=more", vec![b'x'; 256 << 10]).await;
    assert_eq!(more.status, 200, "{}", more.text());
    platform.stop().await;
}

#[tokio::test]
async fn events_beyond_a_rate_wait_and_none_is_lost() {
    const MESSAGES: usize = 8;
    let guest = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/jobs\"\nqueue = \"in\"\n\
         [[trigger.queue]]\nqueue = \"in\"\ncomponent = \"guest\"\noutput = \"queue:out\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n",
    )
    .file("guest.wasm", dayfly_testing::Guest::bytes("rust-command"));
    let platform = Platform::with_acme(dayfly(), &["requests_per_second=4"], &guest).await;
    let began = Instant::now();
    let mut put = 0;
    while put < MESSAGES {
        match platform.post_to_acme("/jobs", format!("word {put}")).await.status {
            200..300 => put += 1,
            429 => tokio::time::sleep(Duration::from_millis(50)).await,
            status => panic!("{status}"),
        }
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    let only = |folder: std::path::PathBuf| {
        std::fs::read_dir(folder).unwrap().last().unwrap().unwrap().path()
    };
    let state = only(only(platform.server.state("apps")));
    let mut heard = crate::events::heard(&state, MESSAGES).await;
    heard.sort();
    let all: Vec<_> = (0..MESSAGES).map(|number| format!("WORD {number}")).collect();
    assert_eq!(heard, all);
    // Each was taken in twice, and four of those at once.
    let least = Duration::from_secs_f64((2 * MESSAGES - 4) as f64 / 4.0);
    assert!(began.elapsed() > least.mul_f64(0.9), "{:?}", began.elapsed());
    platform.stop().await;
}
