//! The supervisor's part: it starts a process for each tenant that is to have one, starts one again that dies,
//! replaces it by a new one, and ends it. Each has a task of its own, so that none waits for another.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::channel::{Channel, Message};
use super::{COMES, FREE, LEFT, READY as IS_READY, WANTED};
use crate::serve::READY;
use crate::serve::handing::{DRAINED, Giver, LEFT as HAS_LEFT};
use crate::serve::notify::OF_SYSTEMD;
use crate::serve::supervisor::Watch;

/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(120);

/// How long a process may take until it says that it takes no more events.
const LEFT_WITHIN: Duration = Duration::from_secs(5);

/// How long processes of tenants take new requests while the platform ends, if there may be any.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// How much longer than its grace a process may take to end.
const SLACK: Duration = Duration::from_secs(10);

/// What of the environment a tenant's process gets: flags that it serves by or that go with such, how it
/// exports, and what it finds things by. Neither tokens nor where the platform's key is are among it, nor
/// anything else that the operator's programs are told.
const FLAGS: [&str; 40] = [
    "ACCESS_LOG",
    "ACME_DIRECTORY",
    "ALLOW_PRIVATE_NETWORKS",
    "BASE_DOMAIN",
    "BODY_TIMEOUT",
    "CACHE_DIR",
    "CACHE_SIZE",
    "CHECK",
    "CONNECTION_WINDOW",
    "ENGINE",
    "EVICT_AFTER",
    "GRACE",
    "HANDSHAKE_TIMEOUT",
    "HARDEN",
    "HEADER_TIMEOUT",
    "IDLE_TIMEOUT",
    "LOG",
    "LOG_FORMAT",
    "MAX_CONNECTIONS",
    "MAX_DESCRIPTORS",
    "MAX_HEADERS",
    "MAX_HEADER_SIZE",
    "MAX_INSTANCES",
    "MAX_LAG",
    "MAX_STREAMS",
    "MAX_STREAM_ERRORS",
    "MAX_STREAM_RESETS",
    "MAX_URI_SIZE",
    "MAX_WEBSOCKETS",
    "MEMORY_BUDGET",
    "MIN_RATE",
    "OWN_MEMORY_BUDGET",
    "OWN_PROCESSES",
    "STACK",
    "STATE_DIR",
    "STREAM_WINDOW",
    "THREADS",
    "TLS_CERT",
    "TLS_KEY",
    "WRITE_TIMEOUT",
];
const BEGINNINGS: [&str; 3] = ["OTEL_", "SSL_CERT_", "LC_"];
const OTHERS: [&str; 11] = [
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "NO_COLOR",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// Starts processes of a platform with the same flags.
pub(in crate::serve) struct Launcher {
    pub(in crate::serve) program: PathBuf,
    /// What this process was called with.
    pub(in crate::serve) arguments: Vec<OsString>,
    /// How long processes may take to end, once they were told to.
    pub(in crate::serve) grace: Duration,
}

/// A process, and what it has said.
pub(in crate::serve) struct Running {
    pub(in crate::serve) child: Child,
    pub(in crate::serve) said: Vec<String>,
    pub(in crate::serve) rest: Lines<BufReader<ChildStdout>>,
}

/// What nodes are told of tenants' processes: those that follow one another are told the same.
#[derive(Default)]
pub(in crate::serve) struct Board(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    nodes: Vec<Arc<Giver>>,
    /// The nodes' ends of the channels, by tenant: of the process that is being started, and of the one
    /// that is ready.
    coming: BTreeMap<u64, OwnedFd>,
    ready: BTreeMap<u64, OwnedFd>,
}

/// All tenants' processes.
pub(in crate::serve) struct Keepers {
    launcher: Arc<Launcher>,
    board: Arc<Board>,
    /// How many there may be.
    most: usize,
    all: BTreeMap<u64, Keeper>,
    /// Told when the process of a tenant takes no more events, that was kept before.
    former: BTreeMap<u64, oneshot::Receiver<()>>,
    tasks: JoinSet<()>,
}

/// One tenant's, as the others see it.
struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
    freed: oneshot::Receiver<()>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The node leads requests to the process that is ready, and takes none of its events.
    Led,
    /// Another process takes this one's place.
    Replace,
    /// The tenant is to have none any more.
    Leave,
    /// The platform ends.
    End,
}

/// What looks after one tenant's process.
struct Keeping {
    number: u64,
    /// What the tenant is called, for the log.
    name: String,
    launcher: Arc<Launcher>,
    board: Arc<Board>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Processes that others have followed.
    leaving: JoinSet<()>,
}

/// A process, and how it is spoken to.
struct Kept {
    running: Running,
    channel: Channel,
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
        self.until_said(HAS_LEFT, LEFT_WITHIN).await;
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

impl Board {
    /// Tells a node of all that there are, and of what becomes of them from now on.
    ///
    /// # Errors
    /// If it has ended.
    pub(in crate::serve) fn introduce(&self, node: &Arc<Giver>) -> std::io::Result<()> {
        let mut posted = self.posted();
        for (number, channel) in &posted.ready {
            node.tell(&format!("{COMES} {number}"), &[channel.as_fd()])?;
            node.tell(&format!("{IS_READY} {number}"), &[])?;
        }
        for (number, channel) in &posted.coming {
            node.tell(&format!("{COMES} {number}"), &[channel.as_fd()])?;
        }
        posted.nodes.push(node.clone());
        Ok(())
    }

    fn comes(&self, number: u64, channel: OwnedFd) {
        let mut posted = self.posted();
        posted.tell(&format!("{COMES} {number}"), Some(&channel));
        posted.coming.insert(number, channel);
    }

    fn is_ready(&self, number: u64) {
        let mut posted = self.posted();
        if let Some(channel) = posted.coming.remove(&number) {
            posted.ready.insert(number, channel);
        }
        posted.tell(&format!("{IS_READY} {number}"), None);
    }

    fn failed(&self, number: u64) {
        self.posted().coming.remove(&number);
    }

    fn frees(&self, number: u64) {
        let mut posted = self.posted();
        posted.coming.remove(&number);
        posted.ready.remove(&number);
        posted.tell(&format!("{FREE} {number}"), None);
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posted {
    /// Those that have ended are told nothing any more.
    fn tell(&mut self, word: &str, channel: Option<&OwnedFd>) {
        let channel: Vec<_> = channel.iter().map(|it| it.as_fd()).collect();
        self.nodes.retain(|node| node.tell(word, &channel).is_ok());
    }
}

impl Keepers {
    pub(in crate::serve) fn new(launcher: &Arc<Launcher>, most: usize) -> Self {
        Self {
            launcher: launcher.clone(),
            board: Arc::default(),
            most,
            all: BTreeMap::new(),
            former: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// What nodes are told.
    pub(in crate::serve) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Does what the node says.
    pub(in crate::serve) fn obey(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(WANTED) => {
                let named = words.filter_map(|word| word.split_once('='));
                let numbered =
                    named.filter_map(|(number, name)| Some((number.parse().ok()?, name)));
                self.want(&numbered.collect());
            }
            Some(LEFT) => words
                .filter_map(|number| number.parse().ok())
                .for_each(|number| self.order(number, Order::Led)),
            _ => {}
        }
    }

    fn want(&mut self, wanted: &BTreeMap<u64, &str>) {
        let gone: Vec<_> = self.all.keys().filter(|it| !wanted.contains_key(it)).copied().collect();
        for number in gone {
            self.order(number, Order::Leave);
            if let Some(keeper) = self.all.remove(&number) {
                self.former.insert(number, keeper.freed);
            }
        }
        for (number, name) in wanted.iter().take(self.most) {
            if !self.all.contains_key(number) {
                self.keep(*number, name);
            }
        }
        // What has ended is let go of.
        while self.tasks.try_join_next().is_some() {}
    }

    fn keep(&mut self, number: u64, name: &str) {
        let (orders, received) = mpsc::unbounded_channel();
        let (frees, freed) = oneshot::channel();
        let keeping = Keeping {
            number,
            name: name.to_owned(),
            launcher: self.launcher.clone(),
            board: self.board.clone(),
            orders: received,
            leaving: JoinSet::new(),
        };
        self.tasks.spawn(keeping.keep(self.former.remove(&number), frees));
        self.all.insert(number, Keeper { orders, freed });
    }

    /// Has each process followed by one of the program as it is now.
    pub(in crate::serve) fn replace(&self) {
        self.all.keys().for_each(|number| self.order(*number, Order::Replace));
    }

    fn order(&self, number: u64, order: Order) {
        if let Some(keeper) = self.all.get(&number) {
            // One that has ended does nothing any more.
            let _ = keeper.orders.send(order);
        }
    }

    /// Tells all to end, and waits for that.
    pub(in crate::serve) async fn end(mut self) {
        self.all.keys().for_each(|number| self.order(*number, Order::End));
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Keeping {
    async fn keep(mut self, former: Option<oneshot::Receiver<()>>, frees: oneshot::Sender<()>) {
        // One that was the tenant's before may still take events.
        if let Some(former) = former {
            let _ = former.await;
        }
        let mut kept = None;
        let order = self.serve(&mut kept).await;
        match (order, &mut kept) {
            (Order::End, Some(kept)) => kept.running.terminate(),
            (Order::End, None) => {}
            (_, Some(kept)) => {
                // Where it has ended already, there is nothing to wait for.
                let _ = kept.channel.send(&Message::Leave, None);
                kept.running.until_left().await;
                self.board.frees(self.number);
            }
            (_, None) => self.board.frees(self.number),
        }
        let _ = frees.send(());
        if let Some(mut kept) = kept {
            kept.running.ended_after(self.launcher.grace).await;
        }
        while self.leaving.join_next().await.is_some() {}
    }

    /// Keeps a process going until there is to be none; how that is to end. The process that is there then
    /// stays in `kept`.
    async fn serve(&mut self, kept: &mut Option<Kept>) -> Order {
        let mut watch = Watch::new();
        loop {
            let started = match self.start(kept, &mut watch).await {
                Ok(started) => started,
                Err(order) => return order,
            };
            if let Some(started) = started {
                if let Some(former) = kept.replace(started) {
                    self.part(former).await;
                }
                let begun = kept.as_ref().map(|kept| kept.channel.send(&Message::Begin, None));
                if let Some(Err(error)) = begun {
                    tracing::debug!(tenant = self.name, %error, "a tenant's process has ended");
                }
            }
            // Until another one is to be started.
            while let Some(Kept { running, .. }) = kept.as_mut() {
                tokio::select! {
                    ended = running.child.wait() => {
                        let status = ended.map(|status| status.to_string()).unwrap_or_default();
                        let pause = watch.dead();
                        tracing::error!(
                            tenant = self.name, status, ?pause,
                            "a tenant's process died, and is started again"
                        );
                        *kept = None;
                        if let Some(order) = self.pause(pause).await {
                            return order;
                        }
                    }
                    order = self.orders.recv() => match order.unwrap_or(Order::End) {
                        Order::Led => {}
                        Order::Replace => break,
                        order => return order,
                    },
                }
            }
        }
    }

    /// Starts a process, and waits until requests are led to it. Nothing, if it cannot be and there is one;
    /// otherwise it is tried again. An order, if there is to be none.
    async fn start(
        &mut self,
        kept: &mut Option<Kept>,
        watch: &mut Watch,
    ) -> Result<Option<Kept>, Order> {
        let (launcher, board, number) = (self.launcher.clone(), self.board.clone(), self.number);
        loop {
            let started = tokio::select! {
                started = begin(&launcher, &board, number) => started,
                order = self.last() => return Err(order),
            };
            let error = match started {
                Ok(mut started) => {
                    board.is_ready(number);
                    tokio::select! {
                        led = self.led() => {
                            watch.alive();
                            let Err(order) = led else {
                                tracing::info!(tenant = self.name, "a tenant's process serves");
                                return Ok(Some(started));
                            };
                            if let Some(former) = kept.replace(started) {
                                self.part(former).await;
                            }
                            return Err(order);
                        }
                        _ = started.running.child.wait() => {
                            // The node knows of no other one any more.
                            if let Some(former) = kept.take() {
                                self.part(former).await;
                            }
                            anyhow!("it ended as soon as it was ready")
                        }
                    }
                }
                Err(error) => {
                    board.failed(number);
                    error
                }
            };
            if kept.is_some() {
                let text = "a tenant's process is not replaced, and goes on";
                tracing::error!(tenant = self.name, "{text}: {error:#}");
                return Ok(None);
            }
            let pause = watch.dead();
            tracing::error!(
                tenant = self.name,
                ?pause,
                "a tenant's process does not start: {error:#}"
            );
            if let Some(order) = self.pause(pause).await {
                return Err(order);
            }
        }
    }

    /// Has a process end what it does, while another one has its requests. Returns once it takes no more
    /// events.
    async fn part(&mut self, mut former: Kept) {
        let _ = former.channel.send(&Message::Leave, None);
        former.running.until_left().await;
        let grace = self.launcher.grace;
        self.leaving.spawn(async move { former.running.ended_after(grace).await });
    }

    /// Waits until the node leads requests to the process that is ready.
    async fn led(&mut self) -> Result<(), Order> {
        loop {
            match self.orders.recv().await.unwrap_or(Order::End) {
                Order::Led => return Ok(()),
                Order::Replace => {}
                order => return Err(order),
            }
        }
    }

    /// Waits until there is to be no process.
    async fn last(&mut self) -> Order {
        loop {
            match self.orders.recv().await.unwrap_or(Order::End) {
                Order::Led | Order::Replace => {}
                order => return order,
            }
        }
    }

    /// Waits a while; an order, if there is to be no process before that is over.
    async fn pause(&mut self, pause: Duration) -> Option<Order> {
        tokio::select! {
            () = sleep(pause) => None,
            order = self.last() => Some(order),
        }
    }
}

/// Starts a tenant's process, and has the node answer it.
async fn begin(launcher: &Launcher, board: &Board, number: u64) -> Result<Kept> {
    let (channel, theirs) = Channel::new()?;
    let more = ["--tenant-number".into(), number.to_string().into()];
    let running = launcher.start(ROLE, &more, theirs, is_for_tenants)?;
    board.comes(number, channel.copy()?);
    let running = running.until_ready(ROLE).await?;
    Ok(Kept { running, channel })
}

/// What the role of a tenant's process is called.
const ROLE: &str = "own";

/// Whether a tenant's process gets a variable of the environment.
fn is_for_tenants(name: &str) -> bool {
    match name.strip_prefix("DAYFLY_") {
        Some(flag) => FLAGS.contains(&flag),
        None => OTHERS.contains(&name) || BEGINNINGS.iter().any(|begin| name.starts_with(begin)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    /// Flags of `dayfly serve` that do nothing for a tenant's process, or that it must not know.
    const NOT_FOR_TENANTS: [&str; 13] = [
        "ACME_CA",
        "ACME_CONTACT",
        "ADMIN_LISTEN",
        "LISTEN",
        "METRICS_LISTEN",
        "PUBLIC_URL",
        "SECRETS_KEY_COMMAND",
        "SECRETS_KEY_FILE",
        "TLS_LISTEN",
        "WORKERS",
        "WORKER_CPU",
        "WORKER_MEMORY",
        "WORKER_TIME",
    ];

    #[test]
    fn a_tenant_s_process_is_told_no_secret_of_the_operator_s() {
        for name in ["DAYFLY_MAX_INSTANCES", "OTEL_EXPORTER_OTLP_ENDPOINT", "HOME", "RUST_LOG"] {
            assert!(is_for_tenants(name), "{name}");
        }
        for name in [
            "DAYFLY_SECRETS_KEY_FILE",
            "DAYFLY_SECRETS_KEY_COMMAND",
            "DAYFLY_TOKEN",
            "DAYFLY_VARIABLE_PASSWORD",
            "DAYFLY_",
            "VAULT_TOKEN",
            "HOMES",
            "",
        ] {
            assert!(!is_for_tenants(name), "{name}");
        }
    }

    #[test]
    fn each_flag_is_for_a_tenant_s_process_or_not() {
        let all = crate::Cli::command();
        let serve = all.find_subcommand("serve").unwrap();
        let names = serve.get_arguments().filter_map(|flag| flag.get_env()?.to_str());
        let flags: BTreeSet<_> = names.filter_map(|name| name.strip_prefix("DAYFLY_")).collect();
        let decided: BTreeSet<_> = FLAGS.into_iter().chain(NOT_FOR_TENANTS).collect();
        assert_eq!(flags, decided);
        assert_eq!(decided.len(), FLAGS.len() + NOT_FOR_TENANTS.len());
    }
}
