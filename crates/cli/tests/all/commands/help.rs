//! Every command's help: part of the contract, so each change of it is seen.

mod events;
mod packages;
mod tests;

use super::{command, printed};

pub(super) async fn help(name: &str) -> String {
    let shown = command(&[name, "--help"]).env_remove("DAYFLY_CACHE_DIR");
    let shown = shown.env_remove("DAYFLY_ENGINE").env_remove("DAYFLY_STATE_DIR").ends().await;
    // The command line's library pads empty lines.
    shown.stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[tokio::test]
async fn all_commands() {
    let shown = printed(&["--help"], 0).await;
    for name in [
        "new",
        "add",
        "build",
        "up",
        "check",
        "test",
        "run",
        "call",
        "componentize",
        "freeze",
        "compose",
        "optimize",
        "compile",
        "push",
        "pull",
        "login",
        "logout",
        "deploy",
        "apps",
        "releases",
        "rollback",
        "env",
        "secrets",
        "domains",
        "logs",
        "usage",
        "tokens",
        "tenants",
        "audit",
        "backup",
        "restore",
        "queue",
        "send",
        "dead-letters",
        "doctor",
        "completions",
    ] {
        assert!(shown.lines().any(|line| line.trim_start().starts_with(name)), "{shown}");
        assert!(help(name).await.contains("Example"), "the help of `{name}` has no example");
    }
}

#[tokio::test]
async fn check() {
    insta::assert_snapshot!(help("check").await, @r##"
    Say whether an app is valid, and what each component imports, is granted, and lacks

    An import that is `denied` or `refused` does not keep a component from running: what it calls there
    answers with an error.

    Usage: dayfly check [OPTIONS] [PATH|REF]

    Arguments:
      [PATH|REF]
              A folder with a `dayfly.toml` or `spin.toml`, a manifest, one `.wasm` or `.wat` file or a
              script, or a package of a registry (`REGISTRY/NAME:TAG`)

              [default: .]

    Options:
      -f, --from <PATH>
              The same as PATH, as Spin spells it

          --profile <NAME>
              Use the components' overrides of this profile

              [env: DAYFLY_PROFILE=]

          --source-cache-dir <DIR>
              Folder that keeps sources which come from elsewhere [default: in the user's cache folder]

              [env: DAYFLY_SOURCE_CACHE_DIR=]

          --compile
              Compile and link each component, too

          --json
              Print what was found as JSON

          --graph
              Draw which events wake which component, and where the answers go: a flowchart of Mermaid

          --engine <MODE>
              How code is made: `auto` (cached, else compiled; `up` answers by `baseline` until large
              components are), `jit` (compiled, nothing kept), `aot` (compiled ahead and kept),
              `baseline` (compiled fast, runs slower), `interpreter`

              [env: DAYFLY_ENGINE=]
              [default: auto]
              [possible values: auto, jit, aot, baseline, interpreter]

          --cache-dir <DIR>
              Folder of the artifact cache [default: the user's cache folder]

              [env: DAYFLY_CACHE_DIR=]

          --cache-size <MIB>
              Size that the artifact cache stays within, in MiB

              [env: DAYFLY_CACHE_SIZE=]
              [default: 4096]

          --stack <SIZE>
              Stack that every guest may use, whatever its limits say [default: the largest `stack`
              among the limits, 1MiB]

              [env: DAYFLY_STACK=]

      -h, --help
              Print help (see a summary with '-h')

    Exit status:
      0 when everything can run, 1 when something cannot

    Examples:
      dayfly check examples/hello
      dayfly check handler.wasm --compile
      dayfly check ghcr.io/me/hello:1.0.0
      dayfly check --graph > topology.mmd
      dayfly check --json | jq '.components[].imports'
    "##);
}

#[tokio::test]
async fn run() {
    insta::assert_snapshot!(help("run").await, @r##"
    Run a command: a component with `wasi:cli/run`, or a core module with `_start`

    It gets this process's standard streams, and of everything else only what flags grant. All that
    follows FILE is the guest's; flags of Dayfly's stand before it.

    Usage: dayfly run [OPTIONS] <FILE> [--] [ARGS]...

    Arguments:
      <FILE> [ARGS]...
              The command (`.wasm` or `.wat`), and what it is called with

    Options:
          --engine <MODE>
              How code is made: `auto` (cached, else compiled; `up` answers by `baseline` until large
              components are), `jit` (compiled, nothing kept), `aot` (compiled ahead and kept),
              `baseline` (compiled fast, runs slower), `interpreter`

              [env: DAYFLY_ENGINE=]
              [default: auto]
              [possible values: auto, jit, aot, baseline, interpreter]

          --cache-dir <DIR>
              Folder of the artifact cache [default: the user's cache folder]

              [env: DAYFLY_CACHE_DIR=]

          --cache-size <MIB>
              Size that the artifact cache stays within, in MiB

              [env: DAYFLY_CACHE_SIZE=]
              [default: 4096]

          --stack <SIZE>
              Stack that every guest may use, whatever its limits say [default: the largest `stack`
              among the limits, 1MiB]

              [env: DAYFLY_STACK=]

      -h, --help
              Print help (see a summary with '-h')

    Grants and limits:
          --dir <HOST[::GUEST]>
              Let the guest read the folder HOST, which it sees as GUEST (as HOST when left out)

          --dir-rw <HOST[::GUEST]>
              Let the guest read and write the folder HOST

      -e, --env <NAME=VALUE>
              Set an environment variable; the guest sees no other

          --allow <HOST>
              Let the guest reach a host, as `allowed_outbound_hosts` spells it: `https://example.com`

          --limit <NAME=VALUE>
              Bound the guest, such as `--limit memory=64MiB --limit cpu=500ms`; a manifest's `limits`
              has the names [default: 4 GiB of memory, no bound on time]

          --harden <WHEN>
              Give up what the guest needs none of before it runs, should it ever break out of its
              sandbox: other files, other programs, and connections if no host is granted

              Possible values:
              - auto: As far as the kernel allows
              - on:   All of it, or not at all: the command fails where the kernel lacks something
                (Linux 6.12 has it all)
              - off:  Not at all

              [env: DAYFLY_HARDEN=]
              [default: auto]

    Exit status:
      the guest's own; 134 when it trapped or was stopped at a limit, as with `wasmtime run`;
      1 when it could not be started, 2 when this command was misused

    Examples:
      dayfly run tool.wasm --verbose input.txt
      dayfly run --dir data::/data --env LANG=C tool.wasm /data/input.txt
      dayfly run --allow https://example.com --limit time=30s fetch.wasm
    "##);
}

#[tokio::test]
async fn call() {
    insta::assert_snapshot!(help("call").await, @r##"
    Call a function that a component exports; without FUNC, list those that can be called

    Arguments and result are in WAVE, the component model's text form of values: `42`, `"text"`, `[1,
    2]`, `{name: "a"}`, `some(1)`, `err("why")`. A text argument may stand without its quotes. What the
    guest prints goes to standard error, so that standard output holds the result alone.

    Usage: dayfly call [OPTIONS] <FILE> [FUNC] [ARGS]...

    Arguments:
      <FILE>
              The component, `.wasm` or `.wat`

      [FUNC]
              The function: `greet`, `math#add`, `acme:tools/math@0.1.0#add`; or a call of it: `add(1,
              2)`

      [ARGS]...
              Its arguments, each in WAVE

    Options:
          --json
              Print the result, or the list, as JSON

          --engine <MODE>
              How code is made: `auto` (cached, else compiled; `up` answers by `baseline` until large
              components are), `jit` (compiled, nothing kept), `aot` (compiled ahead and kept),
              `baseline` (compiled fast, runs slower), `interpreter`

              [env: DAYFLY_ENGINE=]
              [default: auto]
              [possible values: auto, jit, aot, baseline, interpreter]

          --cache-dir <DIR>
              Folder of the artifact cache [default: the user's cache folder]

              [env: DAYFLY_CACHE_DIR=]

          --cache-size <MIB>
              Size that the artifact cache stays within, in MiB

              [env: DAYFLY_CACHE_SIZE=]
              [default: 4096]

          --stack <SIZE>
              Stack that every guest may use, whatever its limits say [default: the largest `stack`
              among the limits, 1MiB]

              [env: DAYFLY_STACK=]

      -h, --help
              Print help (see a summary with '-h')

    Grants and limits:
          --dir <HOST[::GUEST]>
              Let the guest read the folder HOST, which it sees as GUEST (as HOST when left out)

          --dir-rw <HOST[::GUEST]>
              Let the guest read and write the folder HOST

      -e, --env <NAME=VALUE>
              Set an environment variable; the guest sees no other

          --allow <HOST>
              Let the guest reach a host, as `allowed_outbound_hosts` spells it: `https://example.com`

          --limit <NAME=VALUE>
              Bound the guest, such as `--limit memory=64MiB --limit cpu=500ms`; a manifest's `limits`
              has the names [default: 4 GiB of memory, no bound on time]

          --harden <WHEN>
              Give up what the guest needs none of before it runs, should it ever break out of its
              sandbox: other files, other programs, and connections if no host is granted

              Possible values:
              - auto: As far as the kernel allows
              - on:   All of it, or not at all: the command fails where the kernel lacks something
                (Linux 6.12 has it all)
              - off:  Not at all

              [env: DAYFLY_HARDEN=]
              [default: auto]

    Exit status:
      0 when the function returned, 1 when it returned an `err`, 134 when it trapped or was stopped at
      a limit, 2 when no such function can be called in this way

    Examples:
      dayfly call math.wasm
      dayfly call math.wasm add 1 2
      dayfly call greeter.wasm 'greet({name: "Ada", polite: true})' --json
    "##);
}

#[tokio::test]
async fn compile() {
    insta::assert_snapshot!(help("compile").await, @r##"
    Compile a component or core module to an artifact

    The artifact is for looking at, and for other embedders of Wasmtime. Dayfly itself never loads it:
    it runs only native code that it compiled itself and authenticated in its own cache.

    Usage: dayfly compile [OPTIONS] --output <FILE> <FILE>

    Arguments:
      <FILE>
              A component or core module, `.wasm` or `.wat`

    Options:
      -o, --output <FILE>
              Where the artifact goes

          --engine <MODE>
              How code is made: `auto`, `jit` and `aot` (Cranelift), `baseline` (Winch), `interpreter`

              [env: DAYFLY_ENGINE=]
              [default: auto]
              [possible values: auto, jit, aot, baseline, interpreter]

          --json
              Print what was made as JSON

      -h, --help
              Print help (see a summary with '-h')

    Example:
      dayfly compile handler.wasm -o handler.cwasm
      dayfly compile handler.wasm -o handler.pulley --engine interpreter
    "##);
}

#[tokio::test]
async fn doctor() {
    insta::assert_snapshot!(help("doctor").await, @r##"
    Say what this machine offers, and whether Dayfly runs well on it

    It measures how long a tiny component takes to compile, load and start, in a folder of its own that
    is removed again. Put its output into reports of bugs. It looks for the programs that build the app
    at PATH, and where there is none, for those of every language; what is missing it says how to
    install.

    Usage: dayfly doctor [OPTIONS] [PATH]

    Arguments:
      [PATH]
              The app's folder, or its manifest [default: the one of this folder, if there is one]

    Options:
          --json
              Print the facts as JSON

          --state-dir <DIR>
              The platform's folder: records, packages, what apps keep [default: `platform` in the
              user's data folder]

              [env: DAYFLY_STATE_DIR=]

          --engine <MODE>
              How code is made: `auto` (cached, else compiled; `up` answers by `baseline` until large
              components are), `jit` (compiled, nothing kept), `aot` (compiled ahead and kept),
              `baseline` (compiled fast, runs slower), `interpreter`

              [env: DAYFLY_ENGINE=]
              [default: auto]
              [possible values: auto, jit, aot, baseline, interpreter]

          --cache-dir <DIR>
              Folder of the artifact cache [default: the user's cache folder]

              [env: DAYFLY_CACHE_DIR=]

          --cache-size <MIB>
              Size that the artifact cache stays within, in MiB

              [env: DAYFLY_CACHE_SIZE=]
              [default: 4096]

          --stack <SIZE>
              Stack that every guest may use, whatever its limits say [default: the largest `stack`
              among the limits, 1MiB]

              [env: DAYFLY_STACK=]

      -h, --help
              Print help (see a summary with '-h')

    Exit status:
      0 when Dayfly can run here, 1 when it cannot, or the app at PATH cannot be built

    Example:
      dayfly doctor
      dayfly doctor examples/shop
      dayfly doctor --json | jq '.facts[] | select(.health != "ok")'
    "##);
}

#[tokio::test]
async fn completions() {
    insta::assert_snapshot!(help("completions").await, @r##"
    Print a script that completes commands and flags in a shell

    Usage: dayfly completions <SHELL>

    Arguments:
      <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help

    Example:
      dayfly completions bash > ~/.local/share/bash-completion/completions/dayfly
    "##);
}
