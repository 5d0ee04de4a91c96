//! A stranger does what the README says, and has a cloud with an app in it.

use dayfly_testing::{run, workspace};

use super::{Platform, anywhere};
use crate::dayfly;
use crate::examples::{sessions, shell};

const HEADING: &str = "\n## A cloud of your own\n";

#[tokio::test]
async fn three_lines_of_the_readme_are_a_cloud_with_an_app_in_it() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let (_, section) = readme.split_once(HEADING).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines: Vec<_> = sessions(section).into_iter().map(|(command, _)| command).collect();
    let [serve, login, deploy] = &*lines else { panic!("{lines:?}") };
    assert_eq!(serve, "dayfly serve &");
    let home = tempfile::tempdir().unwrap();
    let stranger = dayfly().env("HOME", home.path()).env_remove("XDG_DATA_HOME");
    let platform = Platform::serve(anywhere(stranger.env_remove("DAYFLY_STATE_DIR"))).await;
    for line in [login, deploy] {
        let mut shell = shell(&line.replace("http://127.0.0.1:3001", &platform.admin));
        shell.current_dir(workspace()).env("HOME", home.path());
        let said = run(shell.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME")).await;
        eprintln!("{said}");
    }
    assert_eq!(platform.get("hello.localhost", "/").await.text(), "hello, world\n");
    platform.stop().await;
}
