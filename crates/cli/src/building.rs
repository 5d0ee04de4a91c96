//! Runs the build commands of components, side by side. What each says is kept apart, and shown if one
//! fails.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dayfly_model::{App, Component, ComponentId};

/// How much of what a build says is kept, from its end, in bytes.
const OUTPUT_BYTES: usize = 256 << 10;

/// How often is looked whether a build is to be given up.
const LOOK: Duration = Duration::from_millis(20);

/// How long after the end of a command its last words are waited for: something that it left behind may
/// hold its output for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The build of a component, or of several that have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) components: Vec<ComponentId>,
    commands: Vec<String>,
    folder: PathBuf,
}

/// A build that went well, and how long it took.
pub(crate) struct Built {
    pub(crate) components: String,
    pub(crate) took: Duration,
}

/// A build that failed.
#[derive(Debug)]
pub(crate) struct NotBuilt {
    pub(crate) components: String,
    /// The command that failed, and how.
    pub(crate) reason: String,
    /// What it said.
    pub(crate) output: String,
}

/// The folder that a component's build commands run in.
pub(crate) fn folder(app: &App, component: &Component) -> PathBuf {
    let workdir = component.build.as_ref().and_then(|build| build.workdir.as_ref());
    workdir.map_or_else(|| app.root.clone(), |workdir| app.root.join(workdir))
}

/// The builds of these components, each once.
pub(crate) fn builds(app: &App, components: &BTreeSet<ComponentId>) -> Vec<Build> {
    let mut builds: Vec<Build> = Vec::new();
    for component in components.iter().filter_map(|id| app.components.get(id)) {
        let commands = component.build.as_ref().map_or(&[][..], |build| &build.commands);
        if commands.is_empty() {
            continue;
        }
        let folder = folder(app, component);
        let same = |build: &&mut Build| build.folder == folder && build.commands == commands;
        match builds.iter_mut().find(same) {
            Some(build) => build.components.push(component.id.clone()),
            None => builds.push(Build {
                components: vec![component.id.clone()],
                commands: commands.to_vec(),
                folder,
            }),
        }
    }
    builds
}

impl Build {
    /// The components, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.components.iter().map(|id| id.0.as_str()).collect();
        names.join(", ")
    }
}

/// Runs builds, as many at a time as there are cores, and tells of each that went well as it does.
/// Whatever still runs when `given_up` says so is ended.
///
/// # Errors
/// All that failed.
pub(crate) fn run(
    builds: &[Build],
    given_up: impl Fn() -> bool + Sync,
    built: impl Fn(Built) + Sync,
) -> Result<(), Vec<NotBuilt>> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from).min(builds.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(build) = builds.get(next.fetch_add(1, Relaxed)) {
                    let began = Instant::now();
                    match build.run(&given_up) {
                        Ok(()) => {
                            built(Built { components: build.names(), took: began.elapsed() });
                        }
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

impl Build {
    fn run(&self, given_up: &impl Fn() -> bool) -> Result<(), NotBuilt> {
        for command in &self.commands {
            let failed = |reason: String, output: String| NotBuilt {
                components: self.names(),
                reason: format!("`{command}` {reason}"),
                output,
            };
            let (status, output) = self
                .run_one(command, given_up)
                .map_err(|error| failed(format!("cannot be run: {error}"), String::new()))?;
            if !status.success() {
                return Err(failed(ended(status), output));
            }
        }
        Ok(())
    }

    fn run_one(
        &self,
        command: &str,
        given_up: &impl Fn() -> bool,
    ) -> std::io::Result<(ExitStatus, String)> {
        // Both streams as one, so that they stay in their order.
        let (mut reader, writer) = std::io::pipe()?;
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(&self.folder).stdin(Stdio::null());
        shell.stdout(writer.try_clone()?).stderr(writer);
        // What it starts ends with it.
        let mut child = shell.process_group(0).spawn()?;
        drop(shell);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (told, said) = channel::<()>();
        let kept = tail.clone();
        thread::spawn(move || {
            keep_tail(&mut reader, &kept);
            drop(told);
        });
        let status = loop {
            let is_said = said.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected);
            if is_said {
                break child.wait()?;
            }
            if given_up() {
                end(&mut child);
            }
            if let Some(status) = child.try_wait()? {
                let _ = said.recv_timeout(LAST_WORDS);
                break status;
            }
        };
        let tail: Vec<u8> =
            tail.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        Ok((status, String::from_utf8_lossy(&tail).into_owned()))
    }
}

/// Reads to the end, and keeps the last that was read.
fn keep_tail(reader: &mut impl Read, tail: &Mutex<VecDeque<u8>>) {
    let mut space = [0; 8 << 10];
    while let Ok(length @ 1..) = reader.read(&mut space) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&space[..length]);
        let more = tail.len().saturating_sub(OUTPUT_BYTES);
        tail.drain(..more);
    }
}

/// Ends a command and all that it started.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// What failed, with what it said, for people.
pub(crate) fn text(failed: &[NotBuilt]) -> String {
    let mut text = String::new();
    for NotBuilt { components, reason, output } in failed {
        let _ = writeln!(text, "{components}: {reason}");
        for line in output.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(folder: &std::path::Path, commands: &[&str]) -> Build {
        let commands = commands.iter().map(|&command| command.to_owned()).collect();
        let components = vec![ComponentId("a".to_owned())];
        Build { components, commands, folder: folder.to_owned() }
    }

    #[test]
    fn commands_run_in_turn_until_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let commands = ["echo one > out; echo said; echo told >&2", "exit 3", "touch never"];
        let failed = run(&[build(folder.path(), &commands)], || false, |_| {}).unwrap_err();
        assert_eq!(text(&failed), "a: `exit 3` ended with status 3\n");
        assert!(folder.path().join("out").exists() && !folder.path().join("never").exists());
        let commands = ["echo said; echo told >&2; exit 1"];
        let failed = run(&[build(folder.path(), &commands)], || false, |_| {}).unwrap_err();
        assert!(text(&failed).ends_with("status 1\n  said\n  told\n"), "{failed:?}");
    }

    #[test]
    fn what_is_given_up_ends_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let commands = ["sleep 60 & sleep 60"];
        let failed = run(&[build(folder.path(), &commands)], || true, |_| {}).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(failed[0].reason.ends_with("signal 9"), "{failed:?}");
    }

    #[test]
    fn what_is_left_behind_keeps_nobody_and_too_much_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let commands = ["sleep 20 & head -c 400000 /dev/zero | tr '\\0' x; echo end; exit 1"];
        let failed = run(&[build(folder.path(), &commands)], || false, |_| {}).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(15));
        assert_eq!(failed[0].output.len(), OUTPUT_BYTES);
        assert!(failed[0].output.ends_with("xend\n"));
    }
}
