//! The examples run as they stand, and answer what their READMEs say.

use std::iter;
use std::path::{Path, PathBuf};

use dayfly_testing::{Running, program, run, workspace};
use tokio::process::Command;

use crate::dayfly;

/// The folders of the examples that curl can ask; others have tests of their own.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(workspace().join("examples")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let others = ["chat", "topology", "whiskers"];
    folders.filter(|path| others.iter().all(|other| !path.ends_with(other))).collect()
}

/// The commands of a README's blocks (`$ curl …`) and the lines that they print, which stand in the
/// same block, or in the next one if that has no command.
pub(crate) fn sessions(readme: &str) -> Vec<(String, Vec<String>)> {
    let mut sessions: Vec<(String, Vec<String>)> = Vec::new();
    for block in readme.split("```").skip(1).step_by(2) {
        for line in block.lines().skip(1) {
            if let Some(command) = line.strip_prefix("$ ") {
                sessions.push((command.to_owned(), Vec::new()));
            } else if let Some((_, printed)) = sessions.last_mut() {
                printed.push(line.to_owned());
            }
        }
    }
    sessions
}

/// A command of a README's, for which `dayfly` is the binary under test.
pub(crate) fn shell(command: &str) -> Command {
    let own = Path::new(env!("CARGO_BIN_EXE_dayfly")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(iter::once(own).chain(std::env::split_paths(&path))).unwrap();
    let mut shell = program("sh");
    shell.env("PATH", &path).arg("-c").arg(command);
    shell
}

/// Runs the commands of a README beside an app that runs: they print what it says.
pub(crate) async fn answers(server: &Running, folder: &Path) {
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let sessions = sessions(&readme);
    assert!(!sessions.is_empty(), "{} shows no command", folder.display());
    // No progress, which a terminal shows and a pipe does too.
    let quiet = tempfile::tempdir().unwrap();
    std::fs::write(quiet.path().join(".curlrc"), "silent\nshow-error\n").unwrap();
    for (command, mut printed) in sessions {
        let command = command.replace("http://127.0.0.1:3000", server.base());
        let mut shell = shell(&command);
        shell.env("CURL_HOME", quiet.path()).env("DAYFLY_STATE_DIR", server.state(""));
        let found = run(&mut shell).await;
        let mut found: Vec<&str> = found.lines().collect();
        // The order of a command's variables is not promised.
        found.sort_unstable();
        printed.sort_unstable();
        assert_eq!(found, printed, "{command}");
    }
}

#[tokio::test]
async fn every_example_answers_what_its_readme_says() {
    program("curl");
    let examples = examples();
    assert!(!examples.is_empty());
    for folder in examples {
        let server = dayfly().up(&folder).await;
        answers(&server, &folder).await;
        server.stop().await;
    }
}
