//! Processes of a platform: started, waited for, and ended.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::serve::READY;
use crate::serve::handing::{DRAINED, LEFT};
use crate::serve::notify::OF_SYSTEMD;

/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(120);

/// How long a process may take until it says that it takes no more events.
const LEFT_WITHIN: Duration = Duration::from_secs(5);

/// How long processes of tenants take new requests while the platform ends, if there may be any.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// How much longer than its grace a process may take to end.
const SLACK: Duration = Duration::from_secs(10);

/// Starts processes of a platform with the same flags.
pub(in crate::serve) struct Launcher {
    pub(in crate::serve) program: PathBuf,
    /// What this process was called with.
    pub(in crate::serve) arguments: Vec<OsString>,
    pub(in crate::serve) times: Times,
}

/// How long processes may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// To end, once they were told to.
    pub(crate) grace: Duration,
    /// Not to answer, those of tenants.
    pub(crate) hung: Duration,
}

/// A process, and what it has said.
pub(in crate::serve) struct Running {
    pub(in crate::serve) child: Child,
    pub(in crate::serve) said: Vec<String>,
    pub(in crate::serve) rest: Lines<BufReader<ChildStdout>>,
}

impl Launcher {
    /// Starts a process for this role.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(in crate::serve) fn start(
        &self,
        role: &str,
        more: &[OsString],
        input: OwnedFd,
        environment: impl Fn(&str) -> bool,
    ) -> Result<Running> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_str().unwrap_or_default();
            if OF_SYSTEMD.contains(&text) || !environment(text) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(&self.arguments)
            .args(["--role", role])
            .args(more)
            .stdin(Stdio::from(input))
            .stdout(Stdio::piped())
            // What a terminal says, it says to this process alone, which tells them.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start the {role} process"))?;
        // What stays open in the command would keep the process from hearing that this one has ended.
        drop(command);
        let out = child.stdout.take().context("a pipe")?;
        Ok(Running { child, said: Vec::new(), rest: BufReader::new(out).lines() })
    }
}

impl Running {
    /// Waits until it is ready, and keeps what it says before.
    ///
    /// # Errors
    /// If it ends, or is not in time.
    pub(in crate::serve) async fn until_ready(mut self, role: &str) -> Result<Self> {
        let is_ready = async {
            while let Ok(Some(line)) = self.rest.next_line().await {
                if line == READY {
                    return true;
                }
                self.said.push(line);
            }
            false
        };
        match timeout(START, is_ready).await {
            Ok(true) => Ok(self),
            Ok(false) => Err(anyhow!("the {role} process ended before it was ready")),
            Err(_) => Err(anyhow!("the {role} process was not ready in time")),
        }
    }

    /// Waits until it takes no more events, but not for long.
    pub(in crate::serve) async fn until_left(&mut self) {
        self.until_said(LEFT, LEFT_WITHIN).await;
    }

    /// Waits until it says something or ends, but no longer than that.
    async fn until_said(&mut self, word: &str, within: Duration) {
        let said = async {
            while let Ok(Some(line)) = self.rest.next_line().await {
                if line == word {
                    break;
                }
            }
        };
        let _ = timeout(within, said).await;
    }

    /// Waits until no request runs in it any more, but not for long: some end when those that they were
    /// passed on to are told to.
    pub(in crate::serve) async fn until_drained(&mut self) {
        self.until_said(DRAINED, DRAINED_WITHIN).await;
    }

    pub(in crate::serve) fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// Waits until it has ended, and ends it when its grace is long over.
    pub(in crate::serve) async fn ended_after(&mut self, grace: Duration) {
        if timeout(grace + SLACK, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
