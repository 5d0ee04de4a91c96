//! A started `dayfly up`.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;

use crate::client::Client;
use crate::dayfly::Ended;
use crate::lines::Lines;
use crate::process::Process;

/// How long it may take until a server serves: a large guest may have to be compiled first.
const START: Duration = Duration::from_secs(400);

/// How long a server may take to end once it was told to, beside its grace.
const END: Duration = Duration::from_secs(60);

/// A started server, which is also a client of itself (HTTP/1.1). Killed when dropped.
pub struct Running {
    child: Child,
    process: Process,
    stdout: Lines,
    stderr: Lines,
    state: TempDir,
    client: Client,
}

impl Deref for Running {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Running {
    pub(crate) fn new(
        child: Child,
        process: Process,
        stdout: Lines,
        stderr: Lines,
        state: TempDir,
    ) -> Self {
        Self { child, process, stdout, stderr, state, client: Client::http1("") }
    }

    /// Waits until it prints its first route.
    ///
    /// # Panics
    /// If it ends before.
    pub async fn ready(mut self) -> Self {
        let route = timeout(START, self.stdout.wait_for(|line| line.contains("://")));
        let route = match route.await {
            Ok(Some(route)) => route,
            Ok(None) => panic!("it ended before it served:\n{}", self.stderr.text()),
            Err(_) => panic!("it does not serve in time:\n{}", self.stderr.text()),
        };
        let authority = route.find("://").map_or(0, |at| at + 3);
        let end = route[authority..].find('/').map_or(route.len(), |at| authority + at);
        self.client = Client::http1(&route[..end]);
        self
    }

    /// A client of it that speaks HTTP/2.
    pub fn http2(&self) -> Client {
        Client::http2(self.base())
    }

    /// A client of it that shares no connection with others.
    pub fn another_client(&self) -> Client {
        Client::http1(self.base())
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        self.base().split_once("://").map_or("", |(_, authority)| authority)
    }

    /// A bare connection.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.authority()).await.expect("the server accepts")
    }

    /// The process.
    pub fn process(&self) -> Process {
        self.process
    }

    /// The lines on its standard output.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// The lines on its standard error.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// A path in its state folder.
    pub fn state(&self, path: &str) -> PathBuf {
        self.state.path().join(path)
    }

    /// Ends it by SIGINT, which must succeed, and gives back what it printed.
    ///
    /// # Panics
    /// If it does not end with success.
    pub async fn stop(self) -> Ended {
        self.process.interrupt();
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "it ended otherwise: {ended:#?}");
        ended
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not come in time.
    pub async fn ended(mut self) -> Ended {
        let status = timeout(END, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("no end in time:\n{}", self.stderr.text()));
        let status = status.expect("the child is ours");
        self.stdout.ended().await;
        self.stderr.ended().await;
        Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}
