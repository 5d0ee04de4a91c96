//! The supervisor: it holds what is listened on, starts the processes of a platform, starts one again that
//! dies, replaces them by new ones, and ends them.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{Signal as Signaled, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::READY;
use super::handing::{Giver, LEFT};
use super::notify::{Notify, OF_SYSTEMD};
use super::sockets::Sockets;

/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(120);

/// The wait before a process that died is started again; it doubles up to the second.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A process that has run this long was no failed start.
const SOUND: Duration = Duration::from_secs(30);

/// How long a process may take until it says that it takes no more events.
const LEFT_WITHIN: Duration = Duration::from_secs(5);

/// How much longer than its grace a process may take to end.
const SLACK: Duration = Duration::from_secs(10);

/// Starts processes of a platform with the same flags, and keeps open where they listen.
pub(crate) struct Supervisor {
    pub(crate) program: PathBuf,
    /// What this process was called with.
    pub(crate) arguments: Vec<OsString>,
    /// How long processes may take to end, once they were told to.
    pub(crate) grace: Duration,
    pub(crate) sockets: Sockets,
}

/// A process, and what it has said.
struct Running {
    child: Child,
    said: Vec<String>,
    rest: Lines<BufReader<ChildStdout>>,
    giver: Giver,
}

/// The processes, and when each is started again.
struct Processes {
    running: [Option<Running>; 2],
    watches: [Watch; 2],
    /// The flags that tell the control plane how the node is reached.
    reached: Vec<OsString>,
    /// Those that others have followed.
    leaving: JoinSet<()>,
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Node,
    Control,
}

/// What the supervisor does something about.
enum Event {
    /// The platform is to end.
    End,
    /// The processes are to be replaced by new ones.
    Replace,
    /// A process died.
    Died(Role, Option<ExitStatus>),
    /// A process is to be started again.
    Due(Role),
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
        let notify = Notify::of_env();
        let mut signals = Signals::new().context("failed to listen to signals")?;
        let begun = tokio::select! {
            () = signals.end() => return Ok(()),
            begun = self.begin() => begun?,
        };
        let (mut processes, said) = begun;
        told(&said);
        notify.ready();
        tokio::select! {
            () = self.supervise(&mut processes, &mut signals, &notify) => {}
            () = notify.keep_alive() => {}
        }
        notify.stopping();
        self.end(processes).await;
        Ok(())
    }

    /// Does what is to be done, until the end.
    async fn supervise(&self, processes: &mut Processes, signals: &mut Signals, notify: &Notify) {
        loop {
            let event = tokio::select! {
                event = signals.next() => event,
                event = processes.next() => event,
            };
            // Starting a process may take minutes; one that is not ready yet ends with this.
            match event {
                Event::End => return,
                Event::Died(role, status) => processes.died(role, status),
                Event::Due(role) => tokio::select! {
                    () = signals.end() => return,
                    () = self.again(role, processes) => {}
                },
                Event::Replace => {
                    notify.reloading();
                    tokio::select! {
                        () = signals.end() => return,
                        () = self.replace_all(processes) => {}
                    }
                    notify.ready();
                }
            }
        }
    }

    /// Starts all of them the first time; with what they say.
    async fn begin(&self) -> Result<(Processes, Vec<String>)> {
        let node = self.start(Role::Node, &[]).await?;
        let mut said = node.said.clone();
        // Apps are told where they are reached, by which the node has found out.
        let best = said.iter().find(|url| url.starts_with("https:")).or(said.first());
        let reached = match best {
            Some(url) => vec!["--reached-by".into(), url.into()],
            None => Vec::new(),
        };
        node.giver.begin()?;
        let mut processes = Processes {
            running: [Some(node), None],
            watches: Role::ALL.map(|_| Watch::new()),
            reached,
            leaving: JoinSet::new(),
        };
        match self.start(Role::Control, &processes.reached).await {
            Ok(mut control) => {
                said.append(&mut control.said);
                processes.running[Role::Control as usize] = Some(control);
                Ok((processes, said))
            }
            Err(error) => {
                self.end(processes).await;
                Err(error)
            }
        }
    }

    async fn start(&self, role: Role, more: &[OsString]) -> Result<Running> {
        let (giver, input) = Giver::new()?;
        let mut command = Command::new(&self.program);
        for name in OF_SYSTEMD {
            command.env_remove(name);
        }
        let mut child = command
            .args(&self.arguments)
            .args(["--role", role.as_str()])
            .args(more)
            .stdin(Stdio::from(input))
            .stdout(Stdio::piped())
            // What a terminal says, it says to this process alone, which tells them.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start the {} process", role.as_str()))?;
        // What stays open in the command would keep the process from hearing that this one has ended.
        drop(command);
        let sockets = match role {
            Role::Node => self.sockets.of_node(),
            Role::Control => self.sockets.of_control(),
        };
        let given = sockets.and_then(|sockets| giver.give(&sockets));
        given.with_context(|| format!("failed to give the {} process sockets", role.as_str()))?;
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
            Ok(true) => Ok(Running { child, said, rest: lines, giver }),
            Ok(false) => Err(anyhow!("the {} process ended before it was ready", role.as_str())),
            Err(_) => Err(anyhow!("the {} process was not ready in time", role.as_str())),
        }
    }

    /// Starts a process again that has died.
    async fn again(&self, role: Role, processes: &mut Processes) {
        let started = self.start(role, processes.flags(role)).await;
        let watch = &mut processes.watches[role as usize];
        match started {
            Ok(started) => {
                watch.alive();
                // Where it has died already, that is what is heard of next.
                let _ = started.giver.begin();
                processes.running[role as usize] = Some(started);
                tracing::info!(role = role.as_str(), "a process was started again");
            }
            Err(error) => {
                watch.dead();
                tracing::error!(role = role.as_str(), "{error:#}");
            }
        }
    }

    /// Starts the program as it is now, and has each new process follow the former one.
    async fn replace_all(&self, processes: &mut Processes) {
        for role in Role::ALL {
            match self.start(role, processes.flags(role)).await {
                Ok(started) => {
                    processes.watches[role as usize].alive();
                    let former = processes.running[role as usize].take();
                    if let Some(former) = former {
                        self.part(role, former, &mut processes.leaving).await;
                    }
                    let _ = started.giver.begin();
                    processes.running[role as usize] = Some(started);
                    tracing::info!(role = role.as_str(), "a process was replaced");
                }
                Err(error) => {
                    let role = role.as_str();
                    tracing::error!(role, "a process is not replaced, and goes on: {error:#}");
                }
            }
        }
    }

    /// Has a process end what it does, while another one accepts at the same sockets. Returns once it
    /// takes no more events.
    async fn part(&self, role: Role, mut former: Running, leaving: &mut JoinSet<()>) {
        match role {
            Role::Node => {
                let _ = former.giver.leave();
                let left = async {
                    while let Ok(Some(line)) = former.rest.next_line().await {
                        if line == LEFT {
                            break;
                        }
                    }
                };
                let _ = timeout(LEFT_WITHIN, left).await;
            }
            Role::Control => former.terminate(),
        }
        let patience = self.grace + SLACK;
        leaving.spawn(async move { former.ended_within(patience).await });
    }

    /// Tells all to end, and ends those that do not.
    async fn end(&self, processes: Processes) {
        let Processes { running, mut leaving, .. } = processes;
        let patience = self.grace + SLACK;
        for mut it in running.into_iter().flatten() {
            it.terminate();
            leaving.spawn(async move { it.ended_within(patience).await });
        }
        leaving.join_all().await;
    }
}

impl Processes {
    /// What happens to them next.
    async fn next(&mut self) -> Event {
        let Self { running: [node, control], watches: [of_node, of_control], leaving, .. } = self;
        loop {
            return tokio::select! {
                status = ended(node) => Event::Died(Role::Node, status),
                status = ended(control) => Event::Died(Role::Control, status),
                () = of_node.due() => Event::Due(Role::Node),
                () = of_control.due() => Event::Due(Role::Control),
                Some(_) = leaving.join_next() => continue,
            };
        }
    }

    fn flags(&self, role: Role) -> &[OsString] {
        match role {
            Role::Node => &[],
            Role::Control => &self.reached,
        }
    }

    fn died(&mut self, role: Role, status: Option<ExitStatus>) {
        self.running[role as usize] = None;
        let status = status.map(|status| status.to_string()).unwrap_or_default();
        let pause = self.watches[role as usize].dead();
        let role = role.as_str();
        tracing::error!(role, status, ?pause, "a process died, and is started again");
    }
}

impl Running {
    fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// Waits until it has ended, and ends it after a while.
    async fn ended_within(&mut self, patience: Duration) {
        if timeout(patience, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// What this process is told.
struct Signals {
    terminate: Signaled,
    interrupt: Signaled,
    hangup: Signaled,
    has_terminal: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: std::io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::End,
            _ = self.interrupt.recv() => Event::End,
            _ = self.hangup.recv() => match self.has_terminal {
                // It is gone, and who started this with it.
                true => Event::End,
                false => Event::Replace,
            },
        }
    }

    /// Waits until the platform is to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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
