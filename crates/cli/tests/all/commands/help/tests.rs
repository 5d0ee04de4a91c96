//! The help of `dayfly test`.

use super::help;

#[tokio::test]
async fn test() {
    insta::assert_snapshot!(help("test").await, @r##"
    Run the app's own tests: what `tests/*.toml` beside the manifest say

    Each test has a host, a state folder and a world outside of its own: requests and events come as
    they do in `dayfly up`, no server is needed behind a trigger, and what leaves the app is answered by
    the test or refused. Build the app before.

    Usage: dayfly test [OPTIONS] [PATH]

    Arguments:
      [PATH]
              A folder with a `dayfly.toml` or `spin.toml`, a manifest, or one `.wasm` or `.wat` file

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

      -o, --only <TEXT>
              Run only tests whose names contain TEXT, or that are in the file TEXT; may be repeated

      -j, --jobs <N>
              How many tests run at once [default: one a core]

          --list
              List the tests, and run none

          --json
              Print how they went as JSON

          --variable <NAME=VALUE>
              Set a variable of the app where no test says more; as with `dayfly up`

          --runtime-config-file <FILE>
              What really stands behind the app's grants, where a test says nothing:
              `runtime-config.toml`

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
      0 when every test passed, 1 when one failed, or there is none

    Examples:
      dayfly test
      dayfly test examples/shop --only orders
      dayfly test --json | jq '.tests[] | select(.passed | not)'
    "##);
}
