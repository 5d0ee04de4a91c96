//! An MQTT broker, and those who listen to it.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Child;

use crate::Certificate;
use crate::daemon::{Daemon, Recipe};
use crate::lines::Lines;
use crate::process::Process;
use crate::program::{program, run};
use crate::publisher;

/// A `mosquitto` on a free port of this machine.
pub struct Mosquitto {
    daemon: Daemon,
    login: Option<(String, String)>,
    authority: Option<PathBuf>,
    /// Of the passwords, which are read at each start.
    _folder: Option<TempDir>,
}

impl Mosquitto {
    /// A broker that asks for no password.
    pub async fn start() -> Self {
        Self::with("allow_anonymous true\n".to_owned(), None, None).await
    }

    /// A broker with one user, who has a password.
    pub async fn with_password(username: &str, password: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("passwords");
        run(program("mosquitto_passwd").args(["-b", "-c"]).arg(&file).args([username, password]))
            .await;
        let lines = format!("allow_anonymous false\npassword_file {}\n", file.display());
        let login = Some((username.to_owned(), password.to_owned()));
        Self { _folder: Some(folder), ..Self::with(lines, login, None).await }
    }

    /// A broker that speaks TLS alone and asks for no password.
    pub async fn with_tls(certificate: &Certificate) -> Self {
        let lines = format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\n",
            certificate.chain().display(),
            certificate.key().display()
        );
        Self::with(lines, None, Some(certificate.authority())).await
    }

    /// A broker that writes what it keeps to the disk after each change, and asks for no password.
    pub async fn that_saves() -> Self {
        let lines = "allow_anonymous true\npersistence true\nautosave_on_changes true\nautosave_interval 1\n";
        Self::with(lines.to_owned(), None, None).await
    }

    async fn with(
        lines: String,
        login: Option<(String, String)>,
        authority: Option<PathBuf>,
    ) -> Self {
        let arguments = Box::new(move |port: u16, folder: &std::path::Path| {
            let file = folder.join("mosquitto.conf");
            // As root it would become another user, who cannot read the folder.
            let text =
                format!("user root\nmax_queued_messages 0\nlistener {port} 127.0.0.1\n{lines}");
            std::fs::write(&file, text).expect("a new file");
            vec!["-c".into(), file.into()]
        });
        let recipe = Recipe { name: "mosquitto".into(), ready: " running", arguments };
        Self { daemon: Daemon::start(recipe).await, login, authority, _folder: None }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// Its URL in the clear, with an address as host.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port())
    }

    /// The process.
    pub fn process(&self) -> Process {
        self.daemon.process()
    }

    /// Ends it by SIGKILL.
    pub async fn kill(&mut self) {
        self.daemon.kill().await;
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.daemon.restart().await;
    }

    /// Publishes a message, which is retained for those who listen later.
    pub async fn retain(&self, topic: &str, text: &str) {
        run(self.publisher(topic, 1).args(["-r", "-m", text])).await;
    }

    /// Publishes a message of a quality of service.
    pub async fn publish(&self, topic: &str, text: &str, qos: u8) {
        run(self.publisher(topic, qos).args(["-m", text])).await;
    }

    /// Publishes a message by version 5, with a media type and a user's properties.
    pub async fn publish_with(
        &self,
        topic: &str,
        text: &str,
        (content_type, properties): (&str, &[(&str, &str)]),
    ) {
        let mut command = self.publisher(topic, 1);
        command.args(["-V", "mqttv5", "-m", text]);
        command.args(["-D", "publish", "content-type", content_type]);
        for (name, value) in properties {
            command.args(["-D", "publish", "user-property", name, value]);
        }
        run(&mut command).await;
    }

    /// Publishes several messages with quality of service 1.
    ///
    /// # Panics
    /// If the broker does not take them.
    pub async fn publish_all(&self, topic: &str, messages: &[String]) {
        let mut file = tempfile::tempfile().expect("a temporary file");
        std::io::Write::write_all(&mut file, messages.join("\n").as_bytes()).expect("a new file");
        std::io::Seek::rewind(&mut file).expect("a file");
        run(self.publisher(topic, 1).arg("-l").stdin(file)).await;
    }

    /// Publishes several messages of a quality of service above 0, and again what the broker has not
    /// acknowledged before it was killed.
    ///
    /// # Panics
    /// If the broker does not take them in time.
    pub fn publish_surely(
        &self,
        topic: &str,
        messages: Vec<String>,
        qos: u8,
    ) -> impl Future<Output = ()> + use<> {
        publisher::publish(self.port(), topic.to_owned(), messages, qos)
    }

    /// What the broker has kept of a topic for a client that is away but for a second each time this is
    /// asked. It keeps it from the first time on.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn kept_for(&self, client: &str, topic: &str) -> Vec<String> {
        let mut command = program("mosquitto_sub");
        command.args(["-c", "-i", client, "-q", "1", "-t", topic, "-W", "1", "-h", "127.0.0.1"]);
        let output = command.args(["-p", &self.port().to_string()]).output().await;
        let output = output.expect("an installed program starts");
        // The time is over.
        assert_eq!(output.status.code(), Some(27), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    /// Publishes a message of many bytes with quality of service 1.
    ///
    /// # Panics
    /// If the broker does not take it.
    pub async fn publish_file(&self, topic: &str, data: &[u8]) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), data).expect("a new file");
        run(self.publisher(topic, 1).arg("-f").arg(file.path())).await;
    }

    fn publisher(&self, topic: &str, qos: u8) -> tokio::process::Command {
        let mut command = program("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port().to_string(), "-t", topic]);
        command.args(["-q", &qos.to_string()]);
        if let Some((username, password)) = &self.login {
            command.args(["-u", username, "-P", password]);
        }
        command
    }

    /// Listens to a topic with quality of service 2.
    ///
    /// # Panics
    /// If the broker does not let it.
    pub async fn subscribe(&self, topic: &str) -> Subscriber {
        program("mosquitto_sub");
        // By itself it writes to a pipe once it has much to say.
        let mut command = program("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-d", "-q", "2", "-h", "localhost"]);
        command.args(["-F", "message %t %q %p", "-t", topic]);
        command.args(["-p", &self.port().to_string()]);
        if let Some((username, password)) = &self.login {
            command.args(["-u", username, "-P", password]);
        }
        if let Some(authority) = &self.authority {
            command.arg("--cafile").arg(authority);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("an installed program starts");
        let lines = Lines::collect(child.stdout.take().expect("a pipe"));
        lines.containing("SUBACK").await;
        Subscriber { _child: child, lines }
    }
}

/// Who listens to a topic; stopped when dropped.
pub struct Subscriber {
    _child: Child,
    lines: Lines,
}

impl Subscriber {
    /// Waits for a message `TOPIC QOS PAYLOAD`, which must come soon.
    ///
    /// # Panics
    /// If it does not.
    pub async fn message(&self, message: &str) {
        let line = format!("message {message}");
        self.lines.find(&format!("`{line}`"), |found| found == line).await;
    }

    /// All messages so far, each `TOPIC QOS PAYLOAD`.
    pub fn messages(&self) -> Vec<String> {
        let lines = self.lines.all();
        lines.iter().filter_map(|line| line.strip_prefix("message ")).map(str::to_owned).collect()
    }
}
