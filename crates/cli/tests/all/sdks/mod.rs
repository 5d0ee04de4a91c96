//! The same conversations by each SDK: every function of every interface that it has, with servers
//! of the real kind, and what it says where nothing is granted or a limit is passed.

mod conversations;

use conversations::javascript_can;
use dayfly_testing::{App, MariaDb, Models, Mosquitto, Postgres, Redis, Running};

use crate::dayfly;

/// The guests, and the interfaces that they use, each with the word of its path `/use/WORD`.
pub(crate) const SDKS: &[(&str, &[(&str, &str)])] = &[
    (
        "python-spin-3",
        &[
            ("key-value", "fermyon:spin/key-value@2.0.0"),
            ("wasi-key-value", "wasi:keyvalue/store@0.2.0-draft2"),
            ("sqlite", "fermyon:spin/sqlite@2.0.0"),
            ("sqlite-3", "spin:sqlite/sqlite@3.0.0"),
            ("postgres", "fermyon:spin/postgres@2.0.0"),
            ("postgres-3", "spin:postgres/postgres@3.0.0"),
            ("postgres-4", "spin:postgres/postgres@4.0.0"),
            ("mysql", "fermyon:spin/mysql@2.0.0"),
            ("redis", "fermyon:spin/redis@2.0.0"),
            ("mqtt", "fermyon:spin/mqtt@2.0.0"),
            ("variables", "fermyon:spin/variables@2.0.0"),
            ("wasi-config", "wasi:config/store@0.2.0-draft-2024-09-27"),
            ("llm", "fermyon:spin/llm@2.0.0"),
        ],
    ),
    (
        "python-spin-5",
        &[
            ("key-value", "spin:key-value/key-value@3.0.0"),
            ("wasi-key-value", "wasi:keyvalue/store@0.2.0-draft2"),
            ("sqlite", "spin:sqlite/sqlite@3.1.0"),
            ("sqlite-2", "fermyon:spin/sqlite@2.0.0"),
            ("sqlite-3", "spin:sqlite/sqlite@3.1.0"),
            ("postgres", "spin:postgres/postgres@4.2.0"),
            ("postgres-2", "fermyon:spin/postgres@2.0.0"),
            ("postgres-3", "spin:postgres/postgres@3.0.0"),
            ("postgres-4", "spin:postgres/postgres@4.2.0"),
            ("mysql", "spin:mysql/mysql@3.0.0"),
            ("mysql-2", "fermyon:spin/mysql@2.0.0"),
            ("redis", "spin:redis/redis@3.0.0"),
            ("mqtt", "spin:mqtt/mqtt@3.0.0"),
            ("variables", "spin:variables/variables@3.0.0"),
            ("wasi-config", "wasi:config/store@0.2.0-draft-2024-09-27"),
            ("llm", "fermyon:spin/llm@2.0.0"),
        ],
    ),
    (
        "js-spin",
        &[
            ("key-value", "fermyon:spin/key-value@2.0.0"),
            ("wasi-key-value", "wasi:keyvalue/store@0.2.0-draft2"),
            ("sqlite", "fermyon:spin/sqlite@2.0.0"),
            ("postgres", "fermyon:spin/postgres@2.0.0"),
            ("mysql", "fermyon:spin/mysql@2.0.0"),
            ("redis", "fermyon:spin/redis@2.0.0"),
            ("mqtt", "fermyon:spin/mqtt@2.0.0"),
            ("variables", "fermyon:spin/variables@2.0.0"),
            ("wasi-config", "wasi:config/store@0.2.0-draft-2024-09-27"),
            ("llm", "fermyon:spin/llm@2.0.0"),
        ],
    ),
];

#[tokio::test]
async fn javascript_by_the_packages_of_spinframework() {
    converse("js-spin").await;
}

#[tokio::test]
async fn python_by_sdk_3() {
    converse("python-spin-3").await;
}

#[tokio::test]
async fn python_by_sdk_5() {
    converse("python-spin-5").await;
}

/// Every conversation of a guest: granted, denied, and beyond limits.
async fn converse(guest: &str) {
    let (_, uses) = SDKS.iter().find(|(name, _)| *name == guest).expect("a guest of the table");
    let mut servers = Servers::start().await;
    let subscriber = servers.mosquitto.subscribe("home/#").await;
    let granted = servers.grants();
    let (_app, server) = servers.up(guest, &granted).await;
    for (word, interface) in *uses {
        let mut conversation = conversations::granted(word, interface);
        conversation.retain(|(call, _)| guest != "js-spin" || javascript_can(call));
        servers.talk(&server, word, interface, &conversation).await;
    }
    for quality in 0..3 {
        subscriber.message(&format!("home/door {quality} open")).await;
    }
    drop(subscriber);
    servers.fall_and_rise(&server, uses).await;
    server.stop().await;

    let limits = "limits = { outbound = 2, database = \"1MiB\", memory = \"512MiB\" }";
    let (_app, server) = servers.up(guest, &format!("{granted}{limits}\n")).await;
    for (word, interface) in *uses {
        let conversation = conversations::limited(kind(interface));
        servers.talk(&server, word, interface, conversation).await;
    }
    server.stop().await;

    let (_app, server) = servers.up(guest, "").await;
    for (word, interface) in *uses {
        let conversation = conversations::denied(kind(interface));
        servers.talk(&server, word, interface, conversation).await;
    }
    assert_eq!(server.post("/use/nothing", "").await.status, 404);
    let fetched = server.get("/fetch?url=http://127.0.0.1:9/").await;
    assert!(fetched.status >= 500, "{}: {}", fetched.status, fetched.text());
    server.stderr().containing("`allowed_outbound_hosts` does not grant this destination").await;
    server.stop().await;
}

/// What an interface is about: its name or, for those of WASI, the name of its package.
fn kind(interface: &str) -> &str {
    let (package, rest) = interface.split_once('/').expect("a package and an interface");
    match package.strip_prefix("wasi:") {
        Some(package) => package,
        None => rest.split('@').next().unwrap_or(rest),
    }
}

/// A server of each kind.
struct Servers {
    redis: Redis,
    mosquitto: Mosquitto,
    postgres: Postgres,
    mariadb: MariaDb,
    models: Models,
}

impl Servers {
    async fn start() -> Self {
        let (redis, mosquitto, postgres, mariadb, models) = tokio::join!(
            Redis::start(),
            Mosquitto::start(),
            Postgres::start(),
            MariaDb::start(),
            Models::start()
        );
        Self { redis, mosquitto, postgres, mariadb, models }
    }

    /// The lines of a component's table that grant everything.
    fn grants(&self) -> String {
        format!(
            "allowed_outbound_hosts = [{:?}, {:?}, {:?}, {:?}]\n\
             key_value_stores = [\"default\"]\nsqlite_databases = [\"default\"]\n\
             ai_models = [\"test-model\", \"other-model\"]\n\
             variables = {{ name = \"friend\", greeting = \"hello friend\" }}\n",
            self.redis.url(),
            self.mosquitto.url(),
            self.postgres.grant(),
            self.mariadb.grant(),
        )
    }

    /// A guest with these lines in its component's table.
    async fn up(&self, guest: &str, lines: &str) -> (App, Running) {
        let config = format!(
            "[llm_compute]\ntype = \"remote_http\"\nurl = {:?}\nauth_token = {:?}\n\
             api_type = \"open_ai\"\n",
            self.models.url(),
            Models::TOKEN
        );
        let app = App::granted(guest, lines).file("runtime-config.toml", config);
        let file = app.path("runtime-config.toml");
        let server = dayfly().arg("up").arg("--runtime-config-file").arg(file).arg(app.folder());
        (app, server.serve().await)
    }

    fn address(&self, kind: &str) -> String {
        match kind {
            "redis" => self.redis.url(),
            "mqtt" => self.mosquitto.url(),
            "postgres" => self.postgres.url(),
            "mysql" => self.mariadb.url(),
            _ => String::new(),
        }
    }

    /// Kills the servers that a guest has talked to, and starts them again.
    async fn fall_and_rise(&mut self, server: &Running, uses: &[(&str, &str)]) {
        self.redis.kill().await;
        self.mosquitto.kill().await;
        self.postgres.kill();
        self.mariadb.kill();
        for (word, interface) in uses {
            let conversation = conversations::without_server(kind(interface));
            self.talk(server, word, interface, conversation).await;
        }
        self.redis.restart().await;
        self.mosquitto.restart().await;
        self.postgres.restart().await;
        self.mariadb.restart().await;
        for (word, interface) in uses {
            let conversation = conversations::with_server_again(kind(interface));
            self.talk(server, word, interface, conversation).await;
        }
    }

    /// Has a guest make the calls of a conversation, and compares what it answers.
    async fn talk(
        &self,
        server: &Running,
        word: &str,
        interface: &str,
        conversation: &[(&str, &str)],
    ) {
        let address = self.address(kind(interface));
        let fill = |text: &str| {
            let text = text.replace("{address}", &address).replace("{long}", &"k".repeat(5000));
            text.replace("{huge}", &"x".repeat(5 << 20))
        };
        let script: Vec<String> = conversation.iter().map(|(call, _)| fill(call)).collect();
        let answer = server.post(&format!("/use/{word}"), script.join("\n")).await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{interface}: {text}");
        let answers: Vec<&str> = text.lines().collect();
        assert_eq!(answers.len(), conversation.len(), "{interface}: {text}");
        for (said, (call, expected)) in answers.iter().zip(conversation) {
            let fits = match expected.strip_suffix('…') {
                Some(start) => said.starts_with(start),
                None => said == expected,
            };
            assert!(fits, "{interface}, `{call}`: `{said}` where `{expected}` was expected");
        }
    }
}
