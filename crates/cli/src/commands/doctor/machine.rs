//! Facts about the machine. Most are Linux's; elsewhere they are left out.

use std::fs;

use socket2::{Domain, Socket, Type};

use super::fact::Fact;
use crate::harden;
use crate::output::Size;

/// A resident component holds one descriptor and about five mappings; a connection holds one
/// descriptor.
const WANTED_FILES: u64 = 8_192;
const WANTED_MAPPINGS: u64 = 65_530;
/// What `dayfly up` reserves at its default of 1,000 instances, of both flavours, and some more.
const WANTED_ADDRESS_SPACE: u64 = 20 << 40;

pub(super) fn facts() -> Vec<Fact> {
    let mut facts = vec![Fact::ok("system", system()), Fact::ok("processors", processors())];
    facts.extend(memory());
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    facts.extend(limit(&limits, "Max open files").map(|found| {
        let hint = "raise `ulimit -n`: it bounds connections and resident components together";
        Fact::at_least("open files", found, WANTED_FILES, hint)
    }));
    facts.extend(limit(&limits, "Max address space").map(|found| {
        let hint = "raise `ulimit -v`: instances reserve address space, though they use no memory";
        Fact::at_least("address space", found, WANTED_ADDRESS_SPACE, hint)
    }));
    facts.extend(kernel_number("vm/max_map_count").map(|found| {
        let hint =
            "raise `sysctl vm.max_map_count`: a resident component takes about five mappings";
        Fact::at_least("vm.max_map_count", found, WANTED_MAPPINGS, hint)
    }));
    facts.extend(kernel_number("vm/overcommit_memory").map(overcommit));
    facts.push(reuse_port());
    facts.push(hardening());
    facts
}

/// What `dayfly up`, and each process of `dayfly serve`, puts around itself here.
fn hardening() -> Fact {
    let offered = harden::offered();
    let layers = offered.layers.join(", ");
    if offered.missing.is_empty() {
        return Fact::ok("hardening", layers);
    }
    let layers = if layers.is_empty() { "none".to_owned() } else { layers };
    Fact::warn("hardening", layers, offered.missing.join("; "))
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{name}, {} {}", kernel.trim(), std::env::consts::ARCH)
}

fn processors() -> String {
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown model", |(_, model)| model.trim());
    format!("{count} × {model}")
}

/// Memory and swap.
fn memory() -> Vec<Fact> {
    let Ok(info) = fs::read_to_string("/proc/meminfo") else { return Vec::new() };
    let bytes = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    };
    let mut facts = Vec::new();
    if let (Some(total), Some(free)) = (bytes("MemTotal"), bytes("MemAvailable")) {
        facts.push(Fact::ok("memory", format!("{}, {} available", Size(total), Size(free))));
    }
    match bytes("SwapTotal") {
        Some(0) => facts.push(Fact::ok("swap", "none")),
        Some(swap) => facts.push(Fact {
            hint: Some("with swap, memory of instances is cleared the slower way".to_owned()),
            ..Fact::ok("swap", Size(swap).to_string())
        }),
        None => {}
    }
    facts
}

/// A soft limit of this process; `u64::MAX` is none.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn kernel_number(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

fn overcommit(policy: u64) -> Fact {
    let name = "vm.overcommit_memory";
    match policy {
        2 => Fact::warn(
            name,
            "2 (never)",
            "guests may be denied memory long before it is used: `sysctl vm.overcommit_memory=0`",
        ),
        1 => Fact::ok(name, "1 (always)"),
        other => Fact::ok(name, format!("{other} (heuristic)")),
    }
}

/// Whether several threads may listen on one port, which spreads connections over them.
fn reuse_port() -> Fact {
    let tried = Socket::new(Domain::IPV4, Type::STREAM, None)
        .and_then(|socket| socket.set_reuse_port(true));
    match tried {
        Ok(()) => Fact::ok("SO_REUSEPORT", "yes"),
        Err(error) => {
            Fact::warn("SO_REUSEPORT", format!("no: {error}"), "one thread accepts for all others")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_name() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(limit(limits, "Max open files"), Some(1024));
        assert_eq!(limit(limits, "Max address space"), Some(u64::MAX));
        assert_eq!(limit(limits, "Max file locks"), None);
    }
}
