//! The supervisor: it starts the processes of a platform, starts one again that dies, and ends them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::READY;

/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(120);

/// The wait before a process that died is started again; it doubles up to the second.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A process that has run this long was no failed start.
const SOUND: Duration = Duration::from_secs(30);

/// Starts processes of a platform with the same flags.
pub(crate) struct Supervisor {
    pub(crate) program: PathBuf,
    /// What this process was called with.
    pub(crate) arguments: Vec<OsString>,
    /// How long processes may take to end, once they were told to.
    pub(crate) grace: Duration,
}

/// A process, and what it has said.
struct Running {
    child: Child,
    said: Vec<String>,
    _rest: Lines<BufReader<ChildStdout>>,
}

/// All processes, when they are ready.
struct Begun {
    running: [Option<Running>; 2],
    said: Vec<String>,
    /// The flags that tell the control plane how the node is reached.
    reached: Vec<OsString>,
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Node,
    Control,
}

impl Role {
    const ALL: [Self; 2] = [Self::Node, Self::Control];

    fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Control => "control",
        }
    }
}

impl Supervisor {
    /// Runs the platform until it is told to end; `told` gets what its processes say when all of them
    /// are ready.
    ///
    /// # Errors
    /// If one cannot be started the first time.
    pub(crate) async fn run(self, told: impl FnOnce(&[String])) -> Result<()> {
        let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [terminate, interrupt] = &mut ends;
        let (terminate, interrupt) = match (terminate, interrupt) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            _ => return Err(anyhow!("failed to listen to signals")),
        };
        let begun = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            begun = self.begin() => begun?,
        };
        told(&begun.said);
        let Begun { mut running, reached, .. } = begun;
        let mut watches = Role::ALL.map(|_| Watch::new());
        loop {
            let [node, control] = &mut running;
            let due = tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                status = ended(node) => {
                    self.died(Role::Node, status, node, &mut watches[0]);
                    continue;
                }
                status = ended(control) => {
                    self.died(Role::Control, status, control, &mut watches[1]);
                    continue;
                }
                () = watches[0].due() => Role::Node,
                () = watches[1].due() => Role::Control,
            };
            let [node_watch, control_watch] = &mut watches;
            let more: &[OsString] = match due {
                Role::Node => &[],
                Role::Control => &reached,
            };
            let (running, watch) = match due {
                Role::Node => (node, node_watch),
                Role::Control => (control, control_watch),
            };
            // It may take minutes; one that is not ready yet ends with this.
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = self.again(due, more, running, watch) => {}
            }
        }
        self.end(&mut running).await;
        Ok(())
    }

    /// Starts all of them the first time.
    async fn begin(&self) -> Result<Begun> {
        let node = self.start(Role::Node, &[]).await?;
        let mut said = node.said.clone();
        // Apps are told where they are reached, by which the node has found out.
        let reached: Vec<OsString> = match said.first() {
            Some(url) => vec!["--reached-by".into(), url.into()],
            None => Vec::new(),
        };
        match self.start(Role::Control, &reached).await {
            Ok(mut control) => {
                said.append(&mut control.said);
                Ok(Begun { running: [Some(node), Some(control)], said, reached })
            }
            Err(error) => {
                self.end(&mut [Some(node), None]).await;
                Err(error)
            }
        }
    }

    async fn start(&self, role: Role, more: &[OsString]) -> Result<Running> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(["--role", role.as_str()])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start the {} process", role.as_str()))?;
        let out = child.stdout.take().context("a pipe")?;
        let mut lines = BufReader::new(out).lines();
        let mut said = Vec::new();
        let is_ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line == READY {
                    return true;
                }
                said.push(line);
            }
            false
        };
        match timeout(START, is_ready).await {
            Ok(true) => Ok(Running { child, said, _rest: lines }),
            Ok(false) => Err(anyhow!("the {} process ended before it was ready", role.as_str())),
            Err(_) => Err(anyhow!("the {} process was not ready in time", role.as_str())),
        }
    }

    fn died(
        &self,
        role: Role,
        status: Option<ExitStatus>,
        running: &mut Option<Running>,
        watch: &mut Watch,
    ) {
        *running = None;
        let status = status.map(|status| status.to_string()).unwrap_or_default();
        let pause = watch.dead();
        tracing::error!(
            role = role.as_str(),
            status,
            ?pause,
            "a process died, and is started again"
        );
    }

    async fn again(
        &self,
        role: Role,
        more: &[OsString],
        running: &mut Option<Running>,
        watch: &mut Watch,
    ) {
        match self.start(role, more).await {
            Ok(started) => {
                watch.alive();
                *running = Some(started);
                tracing::info!(role = role.as_str(), "a process was started again");
            }
            Err(error) => {
                watch.dead();
                tracing::error!(role = role.as_str(), "{error:#}");
            }
        }
    }

    /// Tells all to end, and ends those that do not.
    async fn end(&self, running: &mut [Option<Running>; 2]) {
        for it in running.iter().flatten() {
            let id = it.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            if let Some(id) = id {
                let _ = kill_process(id, Signal::TERM);
            }
        }
        let until = Instant::now() + self.grace + Duration::from_secs(5);
        for it in running.iter_mut().flatten() {
            let left = until.saturating_duration_since(Instant::now());
            if timeout(left, it.child.wait()).await.is_err() {
                let _ = it.child.kill().await;
            }
        }
    }
}

/// Waits for a process to end; for ever, if there is none.
async fn ended(running: &mut Option<Running>) -> Option<ExitStatus> {
    match running {
        Some(running) => running.child.wait().await.ok(),
        None => std::future::pending().await,
    }
}

/// When a process is started again.
struct Watch {
    started: Instant,
    pause: Duration,
    due: Option<Instant>,
}

impl Watch {
    fn new() -> Self {
        Self { started: Instant::now(), pause: PAUSE, due: None }
    }

    fn alive(&mut self) {
        (self.started, self.due) = (Instant::now(), None);
    }

    /// Notes that it is not there; how long it is waited for.
    fn dead(&mut self) -> Duration {
        if self.due.is_none() && self.started.elapsed() > SOUND {
            self.pause = PAUSE;
        }
        let pause = self.pause;
        self.due = Some(Instant::now() + pause);
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    async fn due(&self) {
        match self.due {
            Some(due) => sleep(due.saturating_duration_since(Instant::now())).await,
            None => std::future::pending().await,
        }
    }
}
