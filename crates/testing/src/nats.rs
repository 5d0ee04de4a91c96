//! A NATS server, and those who listen to it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Certificate;
use crate::daemon::{Daemon, Recipe};
use crate::process::Process;

/// How long a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `nats-server` on a free port of this machine. It keeps nothing unless it has JetStream.
pub struct Nats(Daemon);

/// One who listens to a subject.
pub struct Listener(BufStream<TcpStream>);

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its subject.
    pub subject: String,
    /// Where replies to it go.
    pub reply: Option<String>,
    /// Its headers as they came, without the line that begins them.
    pub headers: String,
    /// Its data.
    pub data: Vec<u8>,
}

impl Nats {
    /// A server that asks for no password.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// A server with one user, who has a password and may not publish to the subject `closed`.
    pub async fn with_password(user: &str, password: &str) -> Self {
        Self::with(&format!(
            "authorization {{ users = [ {{ user: \"{user}\", password: \"{password}\", \
             permissions: {{ publish: {{ deny: \"closed\" }} }} }} ] }}\n"
        ))
        .await
    }

    /// A server that speaks TLS alone.
    pub async fn with_tls(certificate: &Certificate) -> Self {
        Self::with(&format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n",
            certificate.chain().display(),
            certificate.key().display()
        ))
        .await
    }

    /// A server that has JetStream, and takes messages of up to 32 MiB.
    pub async fn with_jetstream() -> Self {
        Self::with("max_payload: 33554432\njetstream { store_dir: \"FOLDER/jetstream\" }\n").await
    }

    async fn with(lines: &str) -> Self {
        let lines = lines.to_owned();
        let arguments = Box::new(move |port: u16, folder: &Path| {
            let file = folder.join("nats.conf");
            let lines = lines.replace("FOLDER", &folder.display().to_string());
            std::fs::write(&file, lines).expect("a file of ours");
            let port = port.to_string();
            let flags = ["--addr", "127.0.0.1", "--port", &port, "--config"];
            let flags = flags.into_iter().map(OsString::from);
            flags.chain([file.into_os_string()]).collect()
        });
        let ready = "Server is ready";
        Self(Daemon::start(Recipe { name: "nats-server".into(), ready, arguments }).await)
    }

    /// `HOST:PORT`, with an address as host.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.authority())
    }

    /// Listens to a subject.
    ///
    /// # Panics
    /// If the server does not let it.
    pub async fn listen(&self, subject: &str) -> Listener {
        let mut listener = self.client().await;
        listener.say(&format!("SUB {subject} 1\r\nPING\r\n")).await;
        assert_eq!(listener.line().await, "PONG");
        listener
    }

    async fn client(&self) -> Listener {
        let stream = TcpStream::connect(self.authority()).await.expect("a server that runs");
        let mut listener = Listener(BufStream::new(stream));
        let greeting = listener.line().await;
        assert!(greeting.starts_with("INFO "), "{greeting}");
        listener.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n").await;
        listener
    }

    /// Publishes a message with headers, a line each; the server has it when this returns.
    pub async fn publish(&self, subject: &str, headers: &[&str], data: &[u8]) {
        let mut client = self.client().await;
        client.publish(subject, None, headers, data).await;
        client.say("PING\r\n").await;
        assert_eq!(client.line().await, "PONG");
    }

    /// The answer to a request.
    ///
    /// # Panics
    /// If none comes.
    pub async fn ask(&self, subject: &str, data: &str) -> Heard {
        let mut client = self.listen("_INBOX.test").await;
        client.publish(subject, Some("_INBOX.test"), &[], data.as_bytes()).await;
        client.hear().await
    }

    /// What JetStream answers to a request.
    ///
    /// # Panics
    /// If it answers with an error.
    pub async fn jetstream(&self, what: &str, request: &Value) -> Value {
        let request = if request.is_null() { String::new() } else { request.to_string() };
        let heard = self.ask(&format!("$JS.API.{what}"), &request).await;
        let answer: Value = serde_json::from_slice(&heard.data).expect("JSON");
        assert!(answer.get("error").is_none(), "{what}: {answer}");
        answer
    }

    /// Makes a stream of a subject.
    pub async fn stream(&self, name: &str, subject: &str) {
        let stream =
            json!({ "name": name, "subjects": [subject], "storage": "file", "allow_direct": true });
        self.jetstream(&format!("STREAM.CREATE.{name}"), &stream).await;
    }

    /// What a message of a stream carries, by its number.
    ///
    /// # Panics
    /// If there is none.
    pub async fn message(&self, stream: &str, number: u64) -> String {
        let what = format!("$JS.API.DIRECT.GET.{stream}");
        let heard = self.ask(&what, &json!({ "seq": number }).to_string()).await;
        assert!(heard.headers.contains("Nats-Sequence"), "{heard:?}");
        String::from_utf8(heard.data).expect("text")
    }

    /// Adds messages to the stream that takes a subject; it has them when this returns.
    ///
    /// # Panics
    /// If none takes it.
    pub async fn add_all(&self, subject: &str, messages: impl IntoIterator<Item = String>) {
        let mut client = self.listen("_INBOX.test").await;
        let mut count = 0;
        for message in messages {
            client.publish(subject, Some("_INBOX.test"), &[], message.as_bytes()).await;
            count += 1;
        }
        for _ in 0..count {
            let heard = client.hear().await;
            let answer: Value = serde_json::from_slice(&heard.data).expect("JSON");
            assert!(answer["seq"].is_number(), "{answer}");
        }
    }

    /// Answers each message to a subject, so many times, with what it said; stopped when dropped
    /// is the task.
    pub async fn echo(&self, subject: &str, times: usize) -> JoinHandle<()> {
        let mut listener = self.listen(subject).await;
        tokio::spawn(async move {
            while let Some(heard) = listener.try_hear().await {
                let Some(reply) = heard.reply else { continue };
                for number in 1..=times {
                    let data = [&heard.data[..], format!(" {number}").as_bytes()].concat();
                    let head = "NATS/1.0\r\nContent-Type: text/x\r\nnumber: 7\r\n\r\n";
                    let line = format!(
                        "HPUB {reply} thanks.here {} {}\r\n{head}",
                        head.len(),
                        head.len() + data.len()
                    );
                    let text = [line.as_bytes(), &data, b"\r\n"].concat();
                    listener.0.write_all(&text).await.expect("a connection");
                }
                listener.0.flush().await.expect("a connection");
            }
        })
    }

    /// The process.
    pub fn process(&self) -> Process {
        self.0.process()
    }

    /// Ends it by SIGKILL.
    pub async fn kill(&mut self) {
        self.0.kill().await;
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.0.restart().await;
    }
}

impl Listener {
    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("a connection");
        self.0.flush().await.expect("a connection");
    }

    async fn publish(&mut self, subject: &str, reply: Option<&str>, headers: &[&str], data: &[u8]) {
        let reply = reply.unwrap_or_default();
        let line = if headers.is_empty() {
            format!("PUB {subject} {reply} {}\r\n", data.len())
        } else {
            let head = format!("NATS/1.0\r\n{}\r\n\r\n", headers.join("\r\n"));
            let all = head.len() + data.len();
            format!("HPUB {subject} {reply} {} {all}\r\n{head}", head.len())
        };
        self.0.write_all(&[line.as_bytes(), data, b"\r\n"].concat()).await.expect("a connection");
        self.0.flush().await.expect("a connection");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.0.read_line(&mut line)).await;
        read.expect("the server speaks in time").expect("a connection");
        line.trim_end().to_owned()
    }

    /// The next message.
    ///
    /// # Panics
    /// If none comes.
    pub async fn hear(&mut self) -> Heard {
        let heard = timeout(PATIENCE, self.try_hear()).await.expect("a message in time");
        heard.expect("a connection")
    }

    async fn try_hear(&mut self) -> Option<Heard> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (subject, reply, head, bytes) = match words.as_slice() {
                ["PING"] => {
                    self.say("PONG\r\n").await;
                    continue;
                }
                ["MSG", subject, _, bytes] => (subject, None, "0", bytes),
                ["MSG", subject, _, reply, bytes] => (subject, Some(reply), "0", bytes),
                ["HMSG", subject, _, head, bytes] => (subject, None, *head, bytes),
                ["HMSG", subject, _, reply, head, bytes] => (subject, Some(reply), *head, bytes),
                _ => continue,
            };
            let (head, bytes): (usize, usize) = (head.parse().ok()?, bytes.parse().ok()?);
            let mut whole = vec![0; bytes + 2];
            self.0.read_exact(&mut whole).await.ok()?;
            let headers = String::from_utf8_lossy(&whole[..head]);
            let headers = headers.trim_start_matches("NATS/1.0").trim().to_owned();
            return Some(Heard {
                subject: (*subject).to_owned(),
                reply: reply.map(|reply| (*reply).to_owned()),
                headers,
                data: whole[head..bytes].to_vec(),
            });
        }
    }
}
