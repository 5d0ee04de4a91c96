//! Variables whose values a Vault has: asked for when the guest asks, kept for a while, and told to
//! nobody else.

use dayfly_testing::{App, Mood, Running, Upstream, Vault};

use crate::dayfly;

const TOKEN: &str = "hvs.4-token-for-nobody";
const SECRET: &str = "hunter2-is-the-value";

const VARIABLES: &str = "dayfly = 1\n[application]\nname = \"test\"\n\
    [variables]\nkey = { required = true, secret = true }\nname = { default = \"friend\" }\n\
    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
    [component.guest]\nsource = \"guest:NAME\"\n\
    variables = { greeting = \"hello {{ name }}\", token = \"<{{ key }}>\" }\n";

fn app_of(guest: &str, vault: &Vault, prefix: &str) -> App {
    App::new(&VARIABLES.replace("NAME", guest)).file(
        "c.toml",
        format!(
            "[[variables_provider]]\ntype = \"vault\"\nurl = \"{}\"\ntoken = \"{TOKEN}\"\n\
             mount = \"secret\"\n{prefix}",
            vault.url()
        ),
    )
}

async fn up(app: &App) -> Running {
    let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
    command.arg(app.folder()).serve().await
}

#[tokio::test]
async fn values_are_asked_for_when_the_guest_asks_and_kept() {
    let vault = Vault::start(TOKEN).await;
    vault.put("shop/prod/key", SECRET);
    let app = app_of("rust-http", &vault, "prefix = \"shop/prod\"\n");
    let server = up(&app).await;
    assert_eq!(vault.asked(), Vec::<String>::new(), "nobody needs anything yet");
    let expected = format!("<{SECRET}>");
    assert_eq!(server.text("/config/token").await, expected);
    assert_eq!(vault.asked(), ["/v1/secret/data/shop/prod/key"]);
    // The Vault has no `name`: the manifest's default holds.
    assert_eq!(server.text("/config/greeting").await, "hello friend");
    assert_eq!(vault.asked(), ["/v1/secret/data/shop/prod/name"]);
    vault.be(Mood::Sealed);
    for _ in 0..3 {
        assert_eq!(server.text("/config/token").await, expected);
        assert_eq!(server.text("/config/greeting").await, "hello friend");
    }
    assert_eq!(vault.asked(), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn guests_of_every_interface_read_them() {
    let vault = Vault::start(TOKEN).await;
    vault.put("key", SECRET);
    for (guest, path) in [
        ("rust-http", "/config/token"),
        ("rust-spin-3", "/variable/token"),
        ("rust-spin-5", "/variable?name=token"),
        ("rust-spin-7", "/variable/token"),
        ("rust-interfaces", "/config/token"),
    ] {
        let app = app_of(guest, &vault, "");
        let server = up(&app).await;
        assert_eq!(server.text(path).await, format!("<{SECRET}>"), "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_vault_that_gives_no_answer_is_an_error_of_the_interface_and_the_next_answer_counts() {
    let vault = Vault::start(TOKEN).await;
    vault.put("key", SECRET);
    for (guest, path, error) in [
        ("rust-http", "/config/token", "Upstream"),
        ("rust-spin-3", "/variable/token", "Provider"),
        ("rust-spin-7", "/variable/token", "Provider"),
        ("rust-interfaces", "/config/token", "Provider"),
    ] {
        vault.be(Mood::Sealed);
        let app = app_of(guest, &vault, "");
        let server = up(&app).await;
        let answer = server.get(path).await;
        assert_eq!(answer.status, 502, "{guest}");
        assert!(answer.text().contains(error), "{guest}: {}", answer.text());
        assert!(!answer.text().contains(&vault.url()), "{}", answer.text());
        server.stderr().containing("503").await;
        vault.be(Mood::Raving);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(server.get(path).await.status, 502, "{guest}");
        vault.be(Mood::Well);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(server.text(path).await, format!("<{SECRET}>"), "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn who_waits_for_a_silent_vault_keeps_nobody_waiting_and_ends_with_its_deadline() {
    let vault = Vault::start(TOKEN).await;
    vault.be(Mood::Silent);
    let app = app_of("rust-http", &vault, "");
    let command = dayfly().args(["up", "--threads", "1", "--limit", "time=1s"]);
    let server = command
        .arg("--runtime-config-file")
        .arg(app.path("c.toml"))
        .arg(app.folder())
        .serve()
        .await;
    let started = std::time::Instant::now();
    let (waits, other) = tokio::join!(server.get("/config/token"), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let asked = std::time::Instant::now();
        (server.text("/hello").await, asked.elapsed())
    });
    assert_eq!(waits.status, 504);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert_eq!(other.0, "hello world");
    assert!(other.1.as_millis() < 800, "{:?}", other.1);
    vault.be(Mood::Well);
    vault.put("key", SECRET);
    assert_eq!(server.text("/config/token").await, format!("<{SECRET}>"));
    server.stop().await;
}

#[tokio::test]
async fn a_granted_host_may_come_from_a_vault() {
    let (vault, upstream) = (Vault::start(TOKEN).await, Upstream::start().await);
    let manifest = "dayfly = 1\n[application]\nname = \"test\"\n\
        [variables]\nhost = { required = true, secret = true }\n\
        [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
        [component.guest]\nsource = \"guest:rust-http\"\n\
        allowed_outbound_hosts = [\"http://{{ host }}\"]\n";
    let config = format!(
        "[[variables_provider]]\ntype = \"open_bao\"\nurl = \"{}\"\ntoken = \"{TOKEN}\"\n\
         mount = \"secret\"\n",
        vault.url()
    );
    let app = App::new(manifest).file("c.toml", config);
    vault.put("host", format!("127.0.0.1:{}", upstream.port()));
    let server = up(&app).await;
    assert_eq!(vault.asked(), ["/v1/secret/data/host"]);
    assert_eq!(server.get(&format!("/fetch?url={}", upstream.url())).await.status, 200);
    server.stop().await;

    let ends = async || {
        let command = dayfly().arg("up").arg("--runtime-config-file").arg(app.path("c.toml"));
        command.arg(app.folder()).ends().await.with(1)
    };
    // What makes no host is not shown.
    vault.put("host", format!("{SECRET}/a"));
    let stderr = ends().await;
    assert!(stderr.contains("`http://{{ host }}`") && !stderr.contains(SECRET), "{stderr}");
    vault.be(Mood::Sealed);
    let stderr = ends().await;
    assert!(stderr.contains("`host`") && stderr.contains("503"), "{stderr}");
    assert!(!stderr.contains(TOKEN), "{stderr}");
}

#[tokio::test]
async fn nothing_that_is_printed_tells_a_secret() {
    let vault = Vault::start(TOKEN).await;
    vault.put("key", SECRET);
    let app = app_of("rust-http", &vault, "");
    let server = dayfly()
        .env("DAYFLY_LOG", "trace")
        .arg("up")
        .arg("--runtime-config-file")
        .arg(app.path("c.toml"))
        .arg(app.folder())
        .serve()
        .await;
    assert_eq!(server.text("/config/token").await, format!("<{SECRET}>"));
    vault.put("key", 4711);
    assert_eq!(server.text("/config/greeting").await, "hello friend");
    let printed = server.stderr().text();
    for secret in [SECRET, TOKEN] {
        assert!(!printed.contains(secret), "{printed}");
    }
    server.stop().await;
}
