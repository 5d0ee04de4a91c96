//! `dayfly completions`: a script for each shell that knows every command.

use super::{complained, printed};

#[tokio::test]
async fn every_shell_learns_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell], 0).await;
        for command in ["up", "check", "run", "call", "compile", "doctor", "completions"] {
            assert!(script.contains(command), "{shell} does not know `{command}`");
        }
    }
    complained(&["completions", "cmd"], 2).await;
}
