//! The `dayfly` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    dayfly::main()
}
