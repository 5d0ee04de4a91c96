//! The examples of the pages on capabilities do what the pages say: each page's manifest, and its
//! code, which the guest `rust-pages` has word by word.

use dayfly_testing::{
    App, MariaDb, Models, Mosquitto, Nats, Page, Postgres, Redis, Running, S3, workspace,
};

use crate::dayfly;

const APPLICATION: &str = "dayfly = 1\n[application]\nname = \"test\"\n";
const TRIGGER: &str = "[[trigger.http]]\nroute = \"/...\"\ncomponent = ";

/// A page and what it shows.
struct Example {
    page: &'static str,
    manifest: String,
}

impl Example {
    /// The page's example, which is in the guest's source too.
    fn of(page: &'static str) -> Self {
        let text = Page::read(&format!("capabilities/{page}.md"));
        let source = workspace().join("guests/rust-pages/src/lib.rs");
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(text.example("rust", 0)), "{page}: the guest has other code");
        Self::with(page, text.example("toml", 0))
    }

    /// With another example as manifest.
    fn with(page: &'static str, manifest: &str) -> Self {
        let component = manifest.lines().find_map(|line| line.strip_prefix("[component."));
        let name = component.expect("a component").trim_end_matches(']');
        let source = format!("source = \"{name}.wasm\"");
        assert!(manifest.contains(&source), "{page}: no {source}");
        let manifest = manifest.replace(&source, "source = \"guest:rust-pages\"");
        // What a page leaves out, because every manifest has it.
        let mut whole = String::new();
        if !manifest.contains("[application]") {
            whole += APPLICATION;
        }
        if !manifest.contains("[[trigger.http]]") {
            whole += &format!("{TRIGGER}\"{name}\"\n");
        }
        Self { page, manifest: whole + &manifest }
    }

    fn replace(self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from), "{}: no {from}", self.page);
        Self { manifest: self.manifest.replace(from, to), ..self }
    }

    async fn up(&self, flags: &[&str]) -> (App, Running) {
        let app = App::new(&self.manifest);
        let server = dayfly().arg("up").arg(app.folder()).args(flags).serve().await;
        (app, server)
    }

    /// What the guest answers for this page, once and once more.
    async fn answers(&self, flags: &[&str], [first, second]: [&str; 2]) {
        let (_app, server) = self.up(flags).await;
        let path = format!("/{}", self.page);
        assert_eq!(server.text(&path).await, first, "{}", self.page);
        assert_eq!(server.text(&path).await, second, "{}", self.page);
        server.stop().await;
    }
}

#[tokio::test]
async fn key_value() {
    let manifest = Example::of("key-value").replace("[\"default\", \"cache\"]", "[\"default\"]");
    manifest.answers(&[], ["visit 1", "visit 2"]).await;
}

#[tokio::test]
async fn sqlite() {
    let page = Page::read("capabilities/sqlite.md");
    let create = page.example("sh", 0).strip_prefix("dayfly up --sqlite ").unwrap();
    let flags = ["--sqlite", create.trim_matches('"')];
    Example::of("sqlite").answers(&flags, ["Ada", "Ada, Ada"]).await;
}

#[tokio::test]
async fn variables() {
    let answer = "orders go to https://eu.api.example.com/v1";
    Example::of("variables").answers(&["--variable", "api_key=opensesame"], [answer; 2]).await;
}

#[tokio::test]
async fn http() {
    Example::of("http");
    let page = Page::read("capabilities/http.md");
    let example = Example::with("http", page.example("toml", 1))
        .replace("\"cart.wasm\"", "\"guest:rust-command\"")
        .replace("route = \"/shop/...\"", "route = \"/...\"");
    let (_app, server) = example.up(&[]).await;
    let answer = server.text("/http").await;
    assert!(answer.contains("\nPATH_INFO=/items\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn llm() {
    let models = Models::start().await;
    let page = Page::read("capabilities/llm.md");
    let config = page
        .example("toml", 1)
        .replace("http://127.0.0.1:11434", &models.url())
        .replace("\"…\"", &format!("\"{}\"", Models::TOKEN));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runtime-config.toml");
    std::fs::write(&file, config).unwrap();
    let flags = ["--runtime-config-file", file.to_str().unwrap()];
    let answer: String = "Why is the sky blue?".chars().rev().collect();
    Example::of("llm").answers(&flags, [answer.as_str(); 2]).await;
}

#[tokio::test]
async fn redis() {
    let redis = Redis::with_password("opensesame").await;
    let address = format!("cache=redis://:opensesame@{}", redis.authority());
    let example = Example::of("redis").replace("cache.example.com:6379", &redis.authority());
    example.answers(&["--variable", &address], ["visit 1", "visit 2"]).await;
}

#[tokio::test]
async fn mqtt() {
    let broker = Mosquitto::with_password("door", "opensesame").await;
    let subscriber = broker.subscribe("home/door").await;
    let authority = format!("127.0.0.1:{}", broker.port());
    let flags =
        ["--variable", &format!("broker=mqtt://{authority}"), "--variable", "password=opensesame"];
    let example = Example::of("mqtt").replace("broker.example.com:1883", &authority);
    example.answers(&flags, ["the door is open"; 2]).await;
    subscriber.message("home/door 1 open").await;
}

#[tokio::test]
async fn postgres() {
    let postgres = Postgres::start().await;
    postgres
        .query(
            "CREATE TABLE orders (customer TEXT, total INT);
             INSERT INTO orders VALUES ('Ada', 3), ('Ada', 4), ('Bob', 5)",
        )
        .await;
    let address = format!("database={}", postgres.url());
    let authority = format!("127.0.0.1:{}", postgres.port());
    let example = Example::of("postgres").replace("db.example.com:5432", &authority);
    example.answers(&["--variable", &address], ["Ada owes 7"; 2]).await;
}

#[tokio::test]
async fn mysql() {
    let mariadb = MariaDb::start().await;
    let grant = format!("allowed_outbound_hosts = [\"{}\"]", mariadb.grant());
    let app = App::granted("rust-spin-3", &grant);
    let server = dayfly().up(app.folder()).await;
    let script = format!(
        "open {}\nexecute CREATE TABLE stock (item VARCHAR(20), count INT)\n\
         execute INSERT INTO stock VALUES ('apples', 7)",
        mariadb.url()
    );
    assert_eq!(server.post("/db/mysql2", script).await.text(), "opened\n()\n()\n");
    server.stop().await;
    let address = format!("database={}", mariadb.url());
    let authority = format!("127.0.0.1:{}", mariadb.port());
    let example = Example::of("mysql").replace("db.example.com:3306", &authority);
    example.answers(&["--variable", &address], ["7 apples"; 2]).await;
}

/// No SDK has this interface: the guest is another.
fn drafts(page: &'static str) -> (Example, Page) {
    let text = Page::read(&format!("capabilities/{page}.md"));
    let example = Example::with(page, text.example("toml", 0));
    (example.replace("guest:rust-pages", "guest:rust-interfaces"), text)
}

#[tokio::test]
async fn blobstore() {
    let (example, page) = drafts("blobstore");
    let all = "/blobs/all?container=pictures";
    let (_app, server) = example.up(&[]).await;
    assert_eq!(server.text(all).await, crate::blobstore::ALL);
    server.stop().await;
    let s3 = S3::start(&["example-blobs"]).await;
    let config = page.example("toml", 1).replace("https://s3.example.com", &s3.url());
    let app = App::new(&example.manifest).file("c.toml", config);
    let command = dayfly().arg("up").arg(app.folder()).arg("--runtime-config-file");
    let command = command.arg(app.path("c.toml"));
    let command = command.env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY_ID);
    let server = command.env("AWS_SECRET_ACCESS_KEY", S3::SECRET_ACCESS_KEY).serve().await;
    assert_eq!(server.text(all).await, crate::blobstore::ALL);
    server.stop().await;
}

#[tokio::test]
async fn messaging() {
    let (example, page) = drafts("messaging");
    let nats = Nats::with_password("shop", "secret").await;
    let config = page.example("toml", 1).replace("nats.example.com:4222", &nats.authority());
    let app = App::new(&example.manifest).file("c.toml", config);
    let command = dayfly().arg("up").arg(app.folder()).arg("--runtime-config-file");
    let server = command.arg(app.path("c.toml")).serve().await;
    for topic in ["orders.new", "audit"] {
        assert_eq!(server.text(&format!("/messages/send?topic={topic}")).await, "sent");
    }
    assert_eq!(server.get("/messages/send?topic=audit.2").await.status, 502);
    server.stop().await;
}
