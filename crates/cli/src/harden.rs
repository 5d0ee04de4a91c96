//! What is around the sandbox: should a guest ever break out of it, the process that it finds
//! itself in may do nothing but serve. No new privileges, no capabilities, Landlock over files and TCP, seccomp
//! over system calls; each is irrevocable, and inherited by every thread that is started later.
//!
//! What needs more (a build command, a subprocess) belongs into other commands. Of a platform the processes
//! that start others are left that, and nothing else beside what those need.

#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod seccomp;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

/// Whether the process gives up what serving does not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Harden {
    /// As far as the kernel allows
    Auto,
    /// All of it, or not at all: the command fails where the kernel lacks something (Linux 6.12 has
    /// it all)
    On,
    /// Not at all
    Off,
}

/// What serving needs, beyond what is open already.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Files and folders to read.
    pub(crate) read: Vec<PathBuf>,
    /// Folders whose files are read by who knows their names; they are not listed.
    pub(crate) files: Vec<PathBuf>,
    /// Folders to read and write.
    pub(crate) write: Vec<PathBuf>,
    /// Folders to remove sockets from.
    pub(crate) unlink: Vec<PathBuf>,
    /// Whether guests may reach other hosts.
    pub(crate) outbound: bool,
    /// TCP ports that the process itself connects to, whatever guests may.
    pub(crate) connect: Vec<u16>,
    /// Whether it is a tenant's own process, which has its user in common with the whole platform: it makes
    /// no symbolic links, changes no rights of files, and signals nobody else.
    pub(crate) is_tenants: bool,
    /// Whether it reads what it likes, and is bound in what it changes and starts alone: those that it starts
    /// give up the rest.
    pub(crate) reads_all: bool,
    /// Programs that it starts, or folders of such. They have no more rights than it has itself, so what they
    /// need is among the rest.
    pub(crate) start: Vec<PathBuf>,
}

impl Needs {
    /// Names each file and folder once.
    pub(crate) fn tidy(&mut self) {
        for list in [&mut self.read, &mut self.files, &mut self.write, &mut self.unlink] {
            list.sort_unstable();
            list.dedup();
        }
    }
}

/// What is in force, a name each, and what is not, with the reason.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    pub(crate) layers: Vec<String>,
    pub(crate) missing: Vec<String>,
}

impl Harden {
    /// Gives up everything but `needs`, for this thread and all that it starts, and says what came
    /// of it in the log.
    ///
    /// # Errors
    /// With [`Harden::On`], if a part of it could not be had.
    pub(crate) fn apply(self, needs: &Needs) -> Result<()> {
        if self == Self::Off {
            return Ok(());
        }
        let in_force = restrict(needs);
        self.judge(&in_force)?;
        let layers = in_force.layers.join(", ");
        if in_force.missing.is_empty() {
            tracing::info!(target: "dayfly::harden", "hardened: {layers}");
        } else {
            let layers = if layers.is_empty() { "nothing" } else { &layers };
            let missing = in_force.missing.join("; ");
            tracing::warn!(target: "dayfly::harden", "hardened by {layers}; not in force: {missing}");
        }
        Ok(())
    }

    /// The same, and says nothing where a part of it could not be had and nobody insists.
    ///
    /// # Errors
    /// As [`Harden::apply`].
    pub(crate) fn apply_quietly(self, needs: &Needs) -> Result<()> {
        if self == Self::Off { Ok(()) } else { self.judge(&restrict(needs)) }
    }

    /// Whether what is in force is enough.
    fn judge(self, in_force: &InForce) -> Result<()> {
        if self == Self::On && !in_force.missing.is_empty() {
            let missing = in_force.missing.join("; ");
            let error = anyhow::anyhow!("this system cannot harden the process fully: {missing}");
            return Err(crate::report::hint(error, Some("`--harden auto` takes what there is")));
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn restrict(needs: &Needs) -> InForce {
    let mut in_force = InForce::default();
    in_force.landlock(landlock::restrict(needs, landlock::RIGHTS));
    // Before the filter, which refuses to change them.
    in_force.capabilities(capabilities::restrict(needs));
    in_force.note("seccomp", seccomp::restrict(seccomp::Purpose::of(needs)));
    // Both ask for it first, because the kernel has neither without it.
    in_force.note("no new privileges", no_new_privileges());
    in_force
}

/// Whether no program that is started could have more rights than this process.
#[cfg(target_os = "linux")]
fn no_new_privileges() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    anyhow::ensure!(status.contains("\nNoNewPrivs:\t1\n"), "the kernel did not take it");
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn restrict(_: &Needs) -> InForce {
    let missing = vec!["this system has neither Landlock nor seccomp".to_owned()];
    InForce { layers: Vec::new(), missing }
}

impl InForce {
    /// Notes how far Landlock goes: what it lacks is missing, though the rest is in force.
    #[cfg(target_os = "linux")]
    fn landlock(&mut self, done: Result<landlock::Extent>) {
        match done {
            Ok(landlock::Extent { version, lacks }) => {
                self.layers.push(format!("Landlock ({version})"));
                self.missing.extend(lacks.map(|lacks| format!("Landlock over {lacks}")));
            }
            Err(error) => self.missing.push(format!("Landlock ({error:#})")),
        }
    }

    /// Notes whether all capabilities are given up, or for which path one is kept.
    #[cfg(target_os = "linux")]
    fn capabilities(&mut self, done: Result<Option<PathBuf>>) {
        const NAME: &str = "no capabilities";
        match done {
            Ok(Some(path)) => {
                self.layers.push(format!("{NAME} but CAP_DAC_OVERRIDE"));
                let path = path.display();
                self.missing.push(format!("{NAME} (`{path}` is open to another user only)"));
            }
            done => self.note(NAME, done.map(drop)),
        }
    }

    #[cfg(target_os = "linux")]
    fn note(&mut self, name: &str, done: Result<()>) {
        match done {
            Ok(()) => self.layers.push(name.to_owned()),
            Err(error) => self.missing.push(format!("{name} ({error:#})")),
        }
    }
}

/// What this system offers, and what it lacks, as [`Harden::apply`] would find; nothing is given up.
#[cfg(target_os = "linux")]
pub(crate) fn offered() -> InForce {
    let mut offered = InForce::default();
    offered.note("no new privileges", Ok(()));
    offered.landlock(landlock::offered());
    offered.capabilities(Ok(None));
    offered.note("seccomp", seccomp::offered());
    offered
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn offered() -> InForce {
    restrict(&Needs::default())
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
