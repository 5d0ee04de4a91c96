//! The help of commands that send packages to registries and fetch them.

use super::help;

#[tokio::test]
async fn push() {
    insta::assert_snapshot!(help("push").await, @r##"
    Publish an app in a registry, for `dayfly up REF` and for Spin

    What the registry has already is not sent again. Scripts, and components with `build.freeze`, are
    pushed frozen: whoever pulls them needs nothing of what they were made with. Not pushed are state,
    histories, `.env` files, runtime configurations, and the defaults of secret variables.

    Usage: dayfly push [OPTIONS] [PATH] <REF>

    Arguments:
      [PATH]
              A folder with a `dayfly.toml` or `spin.toml`, a manifest, or one `.wasm` or `.wat` file

              [default: .]

      <REF>
              What the package is to be called: `REGISTRY/NAME:TAG`

    Options:
      -f, --from <PATH>
              The same as PATH, as Spin spells it

          --profile <NAME>
              Use the components' overrides of this profile

              [env: DAYFLY_PROFILE=]

          --source-cache-dir <DIR>
              Folder that keeps sources which come from elsewhere [default: in the user's cache folder]

              [env: DAYFLY_SOURCE_CACHE_DIR=]

          --plain
              Compress no component, for hosts that know only plain ones, as Spin

      -q, --quiet
              Print no progress

          --json
              Print what was pushed as JSON

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

    Example:
      dayfly push ghcr.io/me/hello:1.0.0
      dayfly push examples/hello localhost:5000/hello
    "##);
}

#[tokio::test]
async fn pull() {
    insta::assert_snapshot!(help("pull").await, @r##"
    Fetch an app from a registry, and lay it out in a folder that `dayfly up` serves

    Packages of `dayfly push`, of `spin registry push`, and components that `wkg` published.

    Usage: dayfly pull [OPTIONS] <REF>

    Arguments:
      <REF>
              The package: `REGISTRY/NAME:TAG`, or `REGISTRY/NAME@sha256:…`

    Options:
      -o, --output <FOLDER>
              The folder, which must not be there or be empty [default: what the package is called]

          --source-cache-dir <DIR>
              Folder that keeps what was fetched [default: in the user's cache folder]

              [env: DAYFLY_SOURCE_CACHE_DIR=]

          --verify-key <FILE>
              Take the package only if it is signed by this key (PEM), as `cosign sign --key` does

              [env: DAYFLY_VERIFY_KEY=]

      -q, --quiet
              Print no progress

      -h, --help
              Print help (see a summary with '-h')

    Example:
      dayfly pull ghcr.io/me/hello:1.0.0
      dayfly pull ghcr.io/me/hello:1.0.0 -o app && dayfly up app
    "##);
}

#[tokio::test]
async fn login() {
    insta::assert_snapshot!(help("login").await, @r##"
    Keep credentials for a registry, or a token for a platform, once it has accepted them

    Those for a registry are kept where `docker login` keeps them and every tool of registries looks: in
    `config.json` of `$DOCKER_CONFIG` or `~/.docker`. Tokens for platforms (`dayfly serve`) are in
    `dayfly/platforms.json` of the user's configuration folder. Either is readable by the user alone.

    Usage: dayfly login [OPTIONS] <REGISTRY|URL>

    Arguments:
      <REGISTRY|URL>
              The registry's host, with a port if it is not the usual one; or the URL of a platform's
              admin API

    Options:
      -u, --user <NAME>
              The user's name at the registry

          --password-stdin
              Read the password, or a token, from standard input: on a command line others could see it

          --token-stdin
              Read the platform's token from standard input [default: DAYFLY_TOKEN, or what is entered]

          --tenant <NAME>
              Whose apps commands mean that do not say so [default: those of the token's tenant, or of
              `default`]

              [env: DAYFLY_TENANT=]

      -h, --help
              Print help (see a summary with '-h')

    Example:
      dayfly login ghcr.io -u me --password-stdin < token.txt
      dayfly login https://admin.apps.example.com
    "##);
}
