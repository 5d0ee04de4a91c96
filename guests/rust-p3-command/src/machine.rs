//! What the host says of the machine: random numbers, the time, terminals.

use wasip3::cli::{terminal_stderr, terminal_stdin, terminal_stdout};
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::random::{insecure, insecure_seed, random};

use crate::Outcome;
use crate::output::print;

/// One fact a line, what differs from run to run last.
pub async fn facts() -> Outcome {
    let now = system_clock::now();
    let seed = insecure_seed::get_insecure_seed();
    print(&format!(
        "terminals {} {} {}\nresolutions {} {}\nlengths {} {}\n\
         numbers {:x} {:x} {:x} {:x}\ntime {}.{:09} {}\n",
        terminal_stdin::get_terminal_stdin().is_some(),
        terminal_stdout::get_terminal_stdout().is_some(),
        terminal_stderr::get_terminal_stderr().is_some(),
        system_clock::get_resolution(),
        monotonic_clock::get_resolution(),
        random::get_random_bytes(9).len(),
        insecure::get_insecure_random_bytes(9).len(),
        random::get_random_u64(),
        insecure::get_insecure_random_u64(),
        seed.0,
        seed.1,
        now.seconds,
        now.nanoseconds,
        monotonic_clock::now(),
    ))
    .await
}
