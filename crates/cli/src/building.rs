//! Runs the commands that build components, as `[component.NAME.build]` of a manifest has them: those of
//! one component one after the other, those of several at the same time. What they write is kept apart.
//! What they make is not looked at here.

mod output;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dayfly_model::{App, Component, ComponentId};
use futures_util::stream::{self, StreamExt as _};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;

use output::Output;

/// How long what a command left behind may go on to write.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How variables begin that are secret, being the app's values or who deploys it: no command of a build
/// needs them.
const SECRETS: [&[u8]; 3] = [b"DAYFLY_VARIABLE_", b"SPIN_VARIABLE_", b"DAYFLY_TOKEN"];

/// How often is looked whether builds are to be given up.
const LOOK: Duration = Duration::from_millis(20);

/// The folder that a component's build commands run in.
pub(crate) fn folder(app: &App, component: &Component) -> PathBuf {
    let workdir = component.build.as_ref().and_then(|build| build.workdir.as_ref());
    workdir.map_or_else(|| app.root.clone(), |workdir| app.root.join(workdir))
}

/// The commands that build a component, or several that state the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    /// The components, in the order of their ids.
    pub(crate) components: Vec<ComponentId>,
    /// Shell commands, one after the other.
    pub(crate) commands: Vec<String>,
    /// The folder that they run in.
    pub(crate) folder: PathBuf,
}

/// What came of a [`Work`].
#[derive(Debug)]
pub(crate) struct Built {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// How long it took.
    pub(crate) took: Duration,
    /// What it wrote to standard output and error, in order, as text; of much, the end.
    pub(crate) output: String,
}

/// How commands ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of them well.
    Done,
    /// One of them failed, and the rest was not run.
    Failed {
        /// Which one.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// One of them could not be started.
    NotStarted {
        /// Which one.
        command: String,
        /// What the system said.
        error: io::Error,
    },
    /// There is no folder to run them in.
    NoFolder(PathBuf),
}

/// What happens, as it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word<'a> {
    /// The first command starts.
    Starts(&'a Work),
    /// A line was written.
    Says(&'a Work, &'a str),
    /// The commands ended.
    Ends(&'a Work, &'a Built),
}

impl Work {
    /// What there is to run for those components of an app that are `wanted`; commands that several of
    /// them state alike, once.
    pub(crate) fn of(app: &App, wanted: impl Fn(&ComponentId) -> bool) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for component in app.components.values().filter(|it| wanted(&it.id)) {
            let Some(build) = component.build.as_ref().filter(|it| !it.commands.is_empty()) else {
                continue;
            };
            let folder = folder(app, component);
            let same = |it: &&mut Self| it.commands == build.commands && it.folder == folder;
            match all.iter_mut().find(same) {
                Some(work) => work.components.push(component.id.clone()),
                None => all.push(Self {
                    components: vec![component.id.clone()],
                    commands: build.commands.clone(),
                    folder,
                }),
            }
        }
        all
    }

    /// The names of its components, for people.
    pub(crate) fn name(&self) -> String {
        let names: Vec<_> = self.components.iter().map(|it| it.0.as_str()).collect();
        names.join(", ")
    }
}

impl Built {
    /// Whether all went well.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed { command, status } => write!(f, "`{command}` failed: {status}"),
            Self::NotStarted { command, error } => {
                write!(f, "failed to start `{command}`: {error}")
            }
            Self::NoFolder(folder) => write!(f, "there is no folder `{}`", folder.display()),
        }
    }
}

/// Runs all `works`, at most `at_once` of them at a time, and gives what came of each, in their order.
/// One that fails keeps no other from its end. When this is dropped, what still runs is killed.
pub(crate) async fn run(works: &[Work], at_once: usize, tell: impl FnMut(Word<'_>)) -> Vec<Built> {
    let tell = &RefCell::new(tell);
    let built = works.iter().map(|work| async move {
        tell.borrow_mut()(Word::Starts(work));
        let built = work.run(|line| tell.borrow_mut()(Word::Says(work, line))).await;
        tell.borrow_mut()(Word::Ends(work, &built));
        built
    });
    stream::iter(built).buffered(at_once.max(1)).collect().await
}

/// The same from where nothing is asynchronous, as many at a time as there are cores, until `given_up`
/// says so: then what still runs is killed, and there is nothing.
///
/// # Errors
/// If the system denies what is needed to run anything.
pub(crate) fn run_until(
    works: &[Work],
    given_up: impl Fn() -> bool,
    tell: impl FnMut(Word<'_>),
) -> io::Result<Option<Vec<Built>>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let given_up = async {
        while !given_up() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        tokio::select! {
            built = run(works, cores, tell) => Some(built),
            () = given_up => None,
        }
    }))
}

/// What to say of those that failed, with what they wrote; nothing if all went well.
pub(crate) fn failures(works: &[Work], built: &[Built]) -> Option<String> {
    let failed = works.iter().zip(built).filter(|(_, built)| !built.is_done());
    let text = failed.map(|(work, built)| {
        let Built { outcome, output, .. } = built;
        format!("{}: {outcome}\n{output}", work.name())
    });
    let text: String = text.collect();
    (!text.is_empty()).then_some(text)
}

impl Work {
    async fn run(&self, mut says: impl FnMut(&str)) -> Built {
        let began = Instant::now();
        let mut output = Output::default();
        let outcome = self.run_all(&mut output, &mut says).await;
        Built { outcome, took: began.elapsed(), output: output.finish(says) }
    }

    async fn run_all(&self, output: &mut Output, says: &mut impl FnMut(&str)) -> Outcome {
        if !self.folder.is_dir() {
            return Outcome::NoFolder(self.folder.clone());
        }
        for command in &self.commands {
            match self.run_one(command, output, says).await {
                Ok(status) if status.success() => {}
                Ok(status) => return Outcome::Failed { command: command.clone(), status },
                Err(error) => return Outcome::NotStarted { command: command.clone(), error },
            }
        }
        Outcome::Done
    }

    async fn run_one(
        &self,
        command: &str,
        output: &mut Output,
        says: &mut impl FnMut(&str),
    ) -> io::Result<ExitStatus> {
        let (reads, writes) = io::pipe()?;
        let mut reads = Receiver::from_owned_fd(reads.into())?;
        let mut shell = shell(command);
        let mut child = shell
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(writes.try_clone()?)
            .stderr(writes)
            // With all that it starts, so that nothing of it is left when it is no longer wanted.
            .process_group(0)
            .spawn()?;
        // Its ends of the pipe: this process must have none, or the pipe would never end.
        drop(shell);
        let group = Group::of(child.id());
        let status = tokio::select! {
            // What is there to be read is read before the end is seen.
            biased;
            read = output.read(&mut reads, says) => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                let rest = output.read(&mut reads, says);
                // A process that it left behind may hold the pipe for ever.
                let _ = tokio::time::timeout(AFTERWARDS, rest).await;
                status?
            }
        };
        group.ended();
        Ok(status)
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    for (name, _) in std::env::vars_os() {
        if SECRETS.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
            shell.env_remove(name);
        }
    }
    shell
}

/// The processes of one command, which are killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self(leader.and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// The leader ended, and was reaped: its number may be another's soon.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests;
