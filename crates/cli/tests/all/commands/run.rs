//! `dayfly run`: arguments, streams, grants, limits, and the guest's own status.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{Written, complained, copies, guest, printed};

#[tokio::test]
async fn all_words_after_the_file_are_the_guests() {
    let path = guest("rust-command");
    let words = |words: &[&'static str]| {
        let line: Vec<String> =
            ["run", &path].into_iter().chain(words.iter().copied()).map(str::to_owned).collect();
        async move { printed(&line.iter().map(String::as_str).collect::<Vec<_>>(), 0).await }
    };
    assert_eq!(words(&[]).await, "hello world\n");
    assert_eq!(words(&["args", "--dir", "x"]).await, "args\n--dir\nx\n");
    assert_eq!(words(&["--", "args", "--", "-h"]).await, "args\n--\n-h\n");
}

#[tokio::test]
async fn the_first_argument_is_the_files_name() {
    let cgi = ["run", "--env", "GATEWAY_INTERFACE=CGI/1.1", &guest("rust-command"), "a"];
    let out = printed(&cgi, 0).await;
    assert!(out.contains("arg 0 rust-command.wasm\narg 1 a\n"), "{out}");
}

#[test]
fn streams_are_the_processs_own() {
    copies(&["run", &guest("rust-command"), "cat"]);
}

/// A command that waits for input, having passed a line on; and its input.
fn waiting(flags: &[&str]) -> (Child, ChildStdin) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dayfly"))
        .arg("run")
        .args(flags)
        .args([&guest("rust-command"), "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x\n").unwrap();
    let stdout = child.stdout.as_mut().unwrap();
    std::io::Read::read_exact(stdout, &mut [0; 2]).unwrap();
    (child, stdin)
}

#[test]
fn an_interrupt_ends_it_though_it_waits_for_input() {
    let (mut child, _stdin) = waiting(&[]);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), None, "a signal ends it");
}

/// The modes of seccomp of a process's threads.
#[cfg(target_os = "linux")]
fn filters(process: u32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mode = |thread: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("Seccomp:")).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    threads.map(mode).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_gives_up_what_its_guest_needs_none_of() {
    for (when, mode) in [("on", "2"), ("off", "0")] {
        let (mut child, stdin) = waiting(&["--harden", when]);
        let filters = filters(child.id());
        assert!(filters.iter().all(|filter| filter == mode), "{when}: {filters:?}");
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn the_status_is_the_guests() {
    let path = guest("rust-command");
    for (asked, status) in [("0", 0), ("1", 1), ("7", 7), ("255", 255), ("300", 300 - 256)] {
        complained(&["run", &path, "exit", asked], status).await;
    }
    let complaint = complained(&["run", &path, "trap"], 134).await;
    assert!(complaint.contains("this command panics when asked to"), "{complaint}");
    assert!(complaint.contains("error: the guest trapped"), "{complaint}");
}

#[tokio::test]
async fn a_command_of_wasi_03_runs() {
    let command = Written::new("command.wat", include_str!("command-p3.wat"));
    complained(&["run", &command.path()], 9).await;
}

#[tokio::test]
async fn nothing_is_granted_but_what_a_flag_grants() {
    let path = guest("rust-command");
    assert_eq!(printed(&["run", &path, "env"], 0).await, "");
    assert_eq!(printed(&["run", "-e", "A=b", &path, "env"], 0).await, "A=b\n");
    let folder = Written::new("note.txt", "a note");
    let host = folder.folder.path().display().to_string();
    complained(&["run", &path, "cat", "/data/note.txt"], 1).await;
    let (read, write) = (format!("{host}::/data"), format!("{host}::/out"));
    assert_eq!(
        printed(&["run", "--dir", &read, &path, "cat", "/data/note.txt"], 0).await,
        "a note"
    );
    assert_eq!(printed(&["run", "--dir", &host, &path, "cat", &folder.path()], 0).await, "a note");
    complained(&["run", "--dir", &read, &path, "cat", "/data/../../etc/passwd"], 1).await;
    complained(&["run", "--dir", &read, &path, "write", "/data/new", "x"], 1).await;
    printed(&["run", "--dir-rw", &write, &path, "write", "/out/new", "x"], 0).await;
    assert_eq!(std::fs::read_to_string(folder.folder.path().join("new")).unwrap(), "x");
}

#[tokio::test]
async fn limits_end_it_with_134() {
    let path = guest("rust-command");
    let complaint = complained(&["run", "--limit", "cpu=50ms", &path, "spin"], 134).await;
    assert!(complaint.contains("CPU time of 50ms"), "{complaint}");
    let complaint = complained(&["run", "--limit", "time=50ms", &path, "spin"], 134).await;
    assert!(complaint.contains("within its time of 50ms"), "{complaint}");
    let complaint = complained(&["run", "--limit", "memory=64KiB", &path], 134).await;
    assert!(complaint.contains("more than its memory of 64.0 KiB"), "{complaint}");
}

#[tokio::test]
async fn what_is_no_command_is_refused_with_advice() {
    let complaint = complained(&["run", &guest("rust-hello")], 1).await;
    assert!(complaint.contains("the component is no command"), "{complaint}");
    assert!(complaint.contains("`dayfly up` serves HTTP handlers"), "{complaint}");
    let complaint = complained(&["run", "no-such.wasm"], 1).await;
    assert!(complaint.contains("`no-such.wasm` does not exist"), "{complaint}");
    let complaint = complained(&["run", "."], 1).await;
    assert!(complaint.contains("is an app"), "{complaint}");
}

#[tokio::test]
async fn flags_that_mean_nothing_are_a_misuse() {
    for flags in [
        ["--dir", "::/data"],
        ["--env", "NAME"],
        ["--allow", "example.com"],
        ["--allow", "https://{{ host }}"],
        ["--limit", "memory=64"],
        ["--limit", "cpu=soon"],
        ["--engine", "warp"],
    ] {
        let complaint = complained(&["run", flags[0], flags[1], "command.wasm"], 2).await;
        assert!(complaint.contains("invalid value"), "{complaint}");
    }
}
