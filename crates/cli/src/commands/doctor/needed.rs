//! The programs that an app's build commands begin with.

use std::collections::BTreeSet;

use dayfly_model::App;

use super::tool::RUST_TARGET;

/// What a shell does by itself.
const BUILTINS: [&str; 12] =
    ["cd", "export", "set", "if", "then", "else", "fi", "echo", "test", "[", "true", "exec"];

/// The programs that the build commands of all components need, by their names.
pub(super) fn of_app(app: &App) -> BTreeSet<String> {
    let builds = app.components.values().filter_map(|component| component.build.as_ref());
    builds.flat_map(|build| &build.commands).flat_map(|command| of_command(command)).collect()
}

/// The programs that a command line of a shell needs. What it runs by a path is its own.
fn of_command(command: &str) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    for simple in command.split(['&', '|', ';', '\n', '(', ')']) {
        let mut words = simple.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let is_assignment = |word: &&str| {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|it| it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        };
        let Some(program) = words.by_ref().find(|word| !is_assignment(word)) else { continue };
        let is_own = program.contains(['/', '$', '`']) || BUILTINS.contains(&program);
        if is_own || program.starts_with(['{', '}', '#', '<', '>']) {
            continue;
        }
        needed.insert(program.to_owned());
        if program == "cargo" && simple.contains(RUST_TARGET) {
            needed.insert(RUST_TARGET.to_owned());
        }
        // It comes with the other.
        if matches!(program, "npm" | "npx") {
            needed.insert("node".to_owned());
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_the_first_words_of_simple_commands() {
        let needed = |command: &str| of_command(command).into_iter().collect::<Vec<_>>().join(" ");
        for (command, programs) in [
            ("cargo build --target wasm32-wasip2 --release", "cargo wasm32-wasip2"),
            ("cargo build --target=wasm32-wasip1", "cargo"),
            ("GOOS=wasip1 GOARCH=wasm go build -ldflags='-s -w' -o handler.wasm .", "go"),
            ("cd web && npm install && npm run build", "node npm"),
            ("[ node_modules -nt package.json ] || npm install", "node npm"),
            ("make; (tinygo build) | tee log", "make tee tinygo"),
            ("./build.sh && \"$TOOL\" x", ""),
            ("componentize-py -w a componentize app", "componentize-py"),
            ("", ""),
        ] {
            assert_eq!(needed(command), programs, "{command}");
        }
    }
}
