//! The supervisor: it holds what is listened on, starts the processes of a platform, starts one again that
//! dies, replaces them by new ones, and ends them.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::signal::unix::{Signal as Signaled, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::handing::Giver;
use super::notify::Notify;
use super::own::{Board, Keepers, Launcher, Running, Times};
use super::sockets::Sockets;

/// The wait before a process that died is started again; it doubles up to the second.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A process that has run this long was no failed start.
const SOUND: Duration = Duration::from_secs(30);

/// Starts processes of a platform with the same flags, and keeps open where they listen.
pub(crate) struct Supervisor {
    launcher: Arc<Launcher>,
    sockets: Sockets,
    /// How many tenants may have a process of their own.
    own_processes: u32,
    notify: Notify,
}

/// A process, and how it is spoken to.
struct Spoken {
    running: Running,
    giver: Arc<Giver>,
}

/// The processes, and when each is started again.
struct Processes {
    running: [Option<Spoken>; 2],
    watches: [Watch; 2],
    /// Those of tenants.
    keepers: Keepers,
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
    /// The node says something.
    Said(String),
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
    /// A supervisor that starts this program with the arguments that this process was called with.
    ///
    /// # Errors
    /// If the program cannot be found.
    pub(crate) fn new(sockets: Sockets, times: Times, own_processes: u32) -> Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let arguments = std::env::args_os().skip(1).collect();
        let launcher = Arc::new(Launcher { program, arguments, times });
        // Connected before anything is given up.
        Ok(Self { launcher, sockets, own_processes, notify: Notify::of_env() })
    }

    /// What it starts: this program, and whatever comes in its place.
    pub(crate) fn starts(&self) -> Vec<PathBuf> {
        self.launcher.program.parent().map(ToOwned::to_owned).into_iter().collect()
    }

    /// Runs the platform until it is told to end; `told` gets what its processes say when all of them
    /// are ready.
    ///
    /// # Errors
    /// If one cannot be started the first time.
    pub(crate) async fn run(self, told: impl FnOnce(&[String])) -> Result<()> {
        let notify = &self.notify;
        let mut signals = Signals::new().context("failed to listen to signals")?;
        let begun = tokio::select! {
            () = signals.end() => return Ok(()),
            begun = self.begin() => begun?,
        };
        let (mut processes, said) = begun;
        told(&said);
        notify.ready();
        tokio::select! {
            () = self.supervise(&mut processes, &mut signals, notify) => {}
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
                Event::Said(line) => processes.keepers.obey(&line),
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
        let most = usize::try_from(self.own_processes).unwrap_or(usize::MAX);
        let mut keepers = Keepers::new(&self.launcher, most);
        let mut node = self.start(Role::Node, &[], keepers.board()).await?;
        let (mut said, orders) = urls(std::mem::take(&mut node.running.said));
        orders.iter().for_each(|line| keepers.obey(line));
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
            keepers,
            reached,
            leaving: JoinSet::new(),
        };
        let board = processes.keepers.board().clone();
        match self.start(Role::Control, &processes.reached, &board).await {
            Ok(mut control) => {
                said.append(&mut control.running.said);
                processes.running[Role::Control as usize] = Some(control);
                Ok((processes, said))
            }
            Err(error) => {
                self.end(processes).await;
                Err(error)
            }
        }
    }

    async fn start(&self, role: Role, more: &[OsString], board: &Board) -> Result<Spoken> {
        let name = role.as_str();
        let (giver, input) = Giver::new()?;
        let (running, giver) = (self.launcher.start(name, more, input, |_| true)?, Arc::new(giver));
        let sockets = match role {
            Role::Node => self.sockets.of_node().and_then(|sockets| {
                board.introduce(&giver)?;
                Ok(sockets)
            }),
            Role::Control => self.sockets.of_control(),
        };
        let given = sockets.and_then(|sockets| giver.give(&sockets));
        given.with_context(|| format!("failed to give the {name} process sockets"))?;
        Ok(Spoken { running: running.until_ready(name).await?, giver })
    }

    /// Starts a process again that has died.
    async fn again(&self, role: Role, processes: &mut Processes) {
        let board = processes.keepers.board().clone();
        let started = self.start(role, processes.flags(role), &board).await;
        let watch = &mut processes.watches[role as usize];
        match started {
            Ok(started) => {
                watch.alive();
                // Where it has died already, that is what is heard of next.
                let _ = started.giver.begin();
                processes.take(role, started);
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
        let board = processes.keepers.board().clone();
        for role in Role::ALL {
            match self.start(role, processes.flags(role), &board).await {
                Ok(started) => {
                    processes.watches[role as usize].alive();
                    let former = processes.running[role as usize].take();
                    if let Some(former) = former {
                        self.part(role, former, &mut processes.leaving).await;
                    }
                    let _ = started.giver.begin();
                    processes.take(role, started);
                    tracing::info!(role = role.as_str(), "a process was replaced");
                }
                Err(error) => {
                    let role = role.as_str();
                    tracing::error!(role, "a process is not replaced, and goes on: {error:#}");
                }
            }
        }
        // Of a program that does not start the former processes go on, each by itself.
        processes.keepers.replace();
    }

    /// Has a process end what it does, while another one accepts at the same sockets. Returns once it
    /// takes no more events.
    async fn part(&self, role: Role, mut former: Spoken, leaving: &mut JoinSet<()>) {
        match role {
            Role::Node => {
                let _ = former.giver.leave();
                former.running.until_left().await;
            }
            Role::Control => former.running.terminate(),
        }
        let grace = self.launcher.times.grace;
        leaving.spawn(async move { former.running.ended_after(grace).await });
    }

    /// Tells all to end, and ends those that do not.
    async fn end(&self, processes: Processes) {
        let Processes { running: [node, control], mut leaving, keepers, .. } = processes;
        let grace = self.launcher.times.grace;
        if let Some(Spoken { mut running, .. }) = control {
            running.terminate();
            leaving.spawn(async move { running.ended_after(grace).await });
        }
        let tenants = async {
            let Some(Spoken { mut running, .. }) = node else { return keepers.end().await };
            running.terminate();
            // Its last requests may yet come to them, and what they used goes by it.
            running.until_drained().await;
            tokio::join!(running.ended_after(grace), keepers.end());
        };
        tokio::join!(leaving.join_all(), tenants);
    }
}

impl Processes {
    /// What happens to them next.
    async fn next(&mut self) -> Event {
        let Self { running: [node, control], watches: [of_node, of_control], leaving, .. } = self;
        let giver = node.as_ref().map(|spoken| spoken.giver.clone());
        let (mut lines, mut node) = match node {
            Some(Spoken { running, .. }) => (Some(&mut running.rest), Some(&mut running.child)),
            None => (None, None),
        };
        let mut control = control.as_mut().map(|spoken| &mut spoken.running.child);
        loop {
            return tokio::select! {
                // What it said before it ended comes first.
                biased;
                Some(line) = said(&mut lines) => Event::Said(line),
                status = ended(&mut node) => Event::Died(Role::Node, status),
                status = ended(&mut control) => Event::Died(Role::Control, status),
                () = unheard(giver.as_deref()) => {
                    tracing::error!("the node does not listen to its supervisor, and is ended");
                    // That it died is what is heard of next.
                    let _ = node.as_mut().map(|child| child.start_kill());
                    continue;
                }
                () = of_node.due() => Event::Due(Role::Node),
                () = of_control.due() => Event::Due(Role::Control),
                Some(_) = leaving.join_next() => continue,
            };
        }
    }

    /// Has a process that was started take its place.
    fn take(&mut self, role: Role, mut started: Spoken) {
        let said = std::mem::take(&mut started.running.said);
        self.running[role as usize] = Some(started);
        if role == Role::Node {
            urls(said).1.iter().for_each(|line| self.keepers.obey(line));
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

/// The URLs that a node has said, and what it has said of tenants' processes.
fn urls(said: Vec<String>) -> (Vec<String>, Vec<String>) {
    said.into_iter().partition(|line| line.contains(':'))
}

/// Waits for the next line of a process; for ever, if there is none.
async fn said(lines: &mut Option<&mut Lines<BufReader<ChildStdout>>>) -> Option<String> {
    let line = match lines {
        Some(lines) => lines.next_line().await,
        None => Ok(None),
    };
    match line {
        Ok(Some(line)) => Some(line),
        // It has ended, which is heard of otherwise.
        _ => std::future::pending().await,
    }
}

/// Waits until a process does not listen; for ever, if there is none.
async fn unheard(giver: Option<&Giver>) {
    match giver {
        Some(giver) => giver.unheard().await,
        None => std::future::pending().await,
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
async fn ended(child: &mut Option<&mut Child>) -> Option<ExitStatus> {
    match child {
        Some(child) => child.wait().await.ok(),
        None => std::future::pending().await,
    }
}

/// When a process is started again.
pub(super) struct Watch {
    started: Instant,
    pause: Duration,
    due: Option<Instant>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), pause: PAUSE, due: None }
    }

    pub(super) fn alive(&mut self) {
        (self.started, self.due) = (Instant::now(), None);
    }

    /// Notes that it is not there; how long it is waited for.
    pub(super) fn dead(&mut self) -> Duration {
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
