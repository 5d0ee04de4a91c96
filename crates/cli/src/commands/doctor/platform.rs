//! Facts about `dayfly serve` here: whether one serves, and how it would listen.

use std::fs;

use super::fact::Fact;
use crate::serve::FolderArgs;

/// The usual ports.
const USUAL: [u16; 2] = [80, 443];

pub(super) fn facts(place: &FolderArgs) -> Vec<Fact> {
    vec![platform(place), ports()]
}

/// Whether a node serves the platform of the folder.
fn platform(place: &FolderArgs) -> Fact {
    let Ok(folder) = place.folder() else {
        return Fact::ok("platform", "no folder for one: `--state-dir` names it");
    };
    let shown = folder.display();
    if !folder.join(dayfly_store::DATABASE).is_file() {
        return Fact::ok("platform", format!("none in {shown}"));
    }
    match dayfly_store::is_served(&folder) {
        true => Fact::ok("platform", format!("served from {shown}")),
        false => {
            let hint =
                "`dayfly serve` starts it; `journalctl -u dayfly` says why its unit does not";
            Fact::warn("platform", format!("in {shown}, and no node serves it"), hint)
        }
    }
}

/// Whether `dayfly serve` may listen on the usual ports itself.
fn ports() -> Fact {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(1024);
    let is_free = USUAL.iter().all(|port| *port >= first);
    match is_free || may_bind() {
        true => Fact::ok("ports 80 and 443", "may be listened on"),
        false => Fact {
            hint: Some(
                "let systemd listen: packaging/systemd, docs/how-to/run-under-systemd.md"
                    .to_owned(),
            ),
            ..Fact::ok("ports 80 and 443", "not for this user")
        },
    }
}

/// Whether this process has CAP_NET_BIND_SERVICE, which is the capability of number 10.
fn may_bind() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    set.is_some_and(|set| set & (1 << 10) != 0)
}
