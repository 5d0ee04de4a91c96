//! The process itself, as the kernel tells. Where it tells nothing, there are no samples.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use super::{Families, Metric, Value, names};

/// When the first metrics were made ready, which is soon after the process started.
static START: LazyLock<f64> = LazyLock::new(|| {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
});

/// Notes when the process started.
pub fn note_start() {
    LazyLock::force(&START);
}

pub(super) fn collect(families: &mut Families) {
    let version = env!("CARGO_PKG_VERSION");
    families.add(&names::BUILD_INFO, &[("version", version)], Value::Integer(1));
    let mut add = |metric: &'static Metric, value| families.add(metric, &[], value);
    let times = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(ticks) = cpu_ticks(&times) {
        add(&names::PROCESS_CPU, Value::Float(ticks as f64 / TICKS_PER_SECOND));
    }
    add(&names::PROCESS_START, Value::Float(*START));
    if let Some(most) = getrlimit(Resource::Nofile).current {
        add(&names::PROCESS_MAX_FDS, Value::Integer(most));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder.
        add(&names::PROCESS_FDS, Value::Integer((open.count() as u64).saturating_sub(1)));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name| field(&status, name).map(|kilobytes| Value::Integer(kilobytes << 10));
    let facts = [
        (&names::PROCESS_RESIDENT, kilobytes("VmRSS")),
        (&names::PROCESS_VIRTUAL, kilobytes("VmSize")),
        (&names::PROCESS_THREADS, field(&status, "Threads").map(Value::Integer)),
    ];
    for (metric, value) in facts {
        if let Some(value) = value {
            add(metric, value);
        }
    }
}

/// What the kernel counts CPU time in towards programs, on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// The time in user and system mode: fields 14 and 15, the name behind which they stand is in
/// brackets and may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_and_without_a_unit() {
        let status = "Name:\tx\nVmSize:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmSize"), Some(2048));
        assert_eq!(field(status, "Threads"), Some(7));
        assert_eq!(field(status, "Thread"), None);
        let stat = "1 (a) b) S 1 2 3 4 5 6 7 8 9 10 500 70 0 0";
        assert_eq!(cpu_ticks(stat), Some(570));
    }
}
