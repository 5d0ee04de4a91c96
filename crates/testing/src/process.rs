//! A process as the system sees it: signals, memory, CPU time.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running process, by its id.
#[derive(Clone, Copy)]
pub struct Process(Pid);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        Self(id.expect("an id of a process"))
    }

    /// The process of an id, which is ours.
    ///
    /// # Panics
    /// If it is no id.
    pub fn of(id: i32) -> Self {
        Self(Pid::from_raw(id).expect("an id of a process"))
    }

    /// Its id.
    pub fn id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Sends SIGTERM.
    pub fn terminate(self) {
        self.send(Signal::TERM);
    }

    /// Sends SIGINT.
    pub fn interrupt(self) {
        self.send(Signal::INT);
    }

    /// Sends SIGHUP.
    pub fn hang_up(self) {
        self.send(Signal::HUP);
    }

    /// Sends SIGKILL.
    pub fn kill(self) {
        self.send(Signal::KILL);
    }

    /// Sends SIGSTOP, and waits until it is heard: it is there, and does nothing any more.
    pub fn halt(self) {
        self.send(Signal::STOP);
        // One of its threads hears it first, which may have to wait for a processor.
        let is_halted = |thread: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
            Some(status.lines().any(|line| line.starts_with("State:\tT")))
        };
        let threads = || std::fs::read_dir(self.file("task")).expect("the process runs");
        while !threads().all(|thread| is_halted(thread).unwrap_or(true)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGCONT: it goes on that was halted.
    pub fn go_on(self) {
        self.send(Signal::CONT);
    }

    fn send(self, signal: Signal) {
        kill_process(self.0, signal).expect("the process runs and is ours");
    }

    /// Its memory in RAM, in bytes.
    pub fn resident_bytes(self) -> u64 {
        self.status("VmRSS:")
    }

    /// The part of it that is its own, and not a file's, in bytes.
    pub fn own_bytes(self) -> u64 {
        self.status("RssAnon:")
    }

    /// How often its threads have begun to wait.
    pub fn waits(self) -> u64 {
        let threads = std::fs::read_dir(self.file("task")).expect("the process runs");
        let status = threads.filter_map(|thread| {
            // It may have ended meanwhile.
            std::fs::read_to_string(thread.ok()?.path().join("status")).ok()
        });
        let count = |status: String| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        };
        status.filter_map(count).sum()
    }

    /// The most of it since the last [`Self::forget_peak`], in bytes.
    pub fn peak_resident_bytes(self) -> u64 {
        self.status("VmHWM:")
    }

    /// Starts measuring the peak anew.
    pub fn forget_peak(self) {
        // By proc(5), 5 resets the peak of the resident set.
        std::fs::write(self.file("clear_refs"), "5").expect("the process is ours");
    }

    /// The processes that it started and that run, by the words of their command lines.
    pub fn children(self) -> Vec<(Self, String)> {
        // Each is a child of the thread that started it.
        let threads = std::fs::read_dir(self.file("task")).into_iter().flatten().flatten();
        let ids = threads.filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok());
        let ids = ids.collect::<String>();
        let children = ids.split_whitespace().filter_map(|id| {
            let child = Self::new(id.parse().ok()?);
            // It may have ended meanwhile.
            let words = std::fs::read_to_string(child.file("cmdline")).ok()?;
            Some((child, words.replace('\0', " ")))
        });
        children.collect()
    }

    /// Sends SIGKILL to a process that may have ended by itself.
    pub fn kill_if_running(self) {
        let _ = kill_process(self.0, Signal::KILL);
    }

    fn status(self, field: &str) -> u64 {
        let status = std::fs::read_to_string(self.file("status")).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// The CPU time that it has used.
    pub fn cpu_time(self) -> Duration {
        let stat = std::fs::read_to_string(self.file("stat")).expect("the process runs");
        let (_, fields) = stat.rsplit_once(") ").expect("the name in parentheses");
        // By proc(5), fields 14 and 15 of all, in ticks of 10 ms.
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn file(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.id())
    }
}
