//! Landlock: which files may be opened, and which TCP ports bound or connected to, from now on.
//! <https://docs.kernel.org/userspace-api/landlock.html>

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::Needs;

/// The kernel's rights that are asked for, all of which `--harden on` insists on; an older kernel gives
/// what it has.
pub(super) const RIGHTS: ABI = ABI::V6;

/// What came with each of them, and with which Linux.
const PARTS: &[(ABI, &str)] = &[
    (ABI::V1, "files (Linux 5.13)"),
    (ABI::V2, "moving files between folders (Linux 5.19)"),
    (ABI::V3, "truncating files (Linux 6.2)"),
    (ABI::V4, "TCP (Linux 6.7)"),
    (ABI::V5, "controlling devices (Linux 6.10)"),
    (ABI::V6, "signals and abstract sockets of others (Linux 6.12)"),
];

/// What the C library reads when it resolves names and loads what that takes, what TLS reads of the
/// platform's roots, and what the runtime reads of the machine.
const SYSTEM: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
];

/// What programs read of themselves, and of the machine, as they start.
const OF_PROCESSES: &[&str] = &["/proc"];

/// How far it goes.
pub(super) struct Extent {
    /// The kernel's version of it.
    pub(super) version: String,
    /// What it does not bound here, though it is asked for.
    pub(super) lacks: Option<String>,
}

/// Restricts this thread, and those that it will start, to the rights that are asked for.
pub(super) fn restrict(needs: &Needs, rights: ABI) -> Result<Extent> {
    let status = rules(needs, rights)?.restrict_self()?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("ABI {}", effective_abi as i32),
        _ => bail!(NONE),
    };
    let lacks = match status.ruleset {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => {
            Some(lacking().unwrap_or_else(|| "a part of what is asked for".to_owned()))
        }
        RulesetStatus::NotEnforced => bail!(NONE),
    };
    Ok(Extent { version, lacks })
}

const NONE: &str = "the kernel has none, or it is turned off";

/// How far the kernel's would go; nothing is restricted.
pub(super) fn offered() -> Result<Extent> {
    let version = match PARTS.iter().rev().find(|(part, _)| is_offered(*part)) {
        Some((RIGHTS, _)) => format!("ABI {} or later", RIGHTS as i32),
        Some((part, _)) => format!("ABI {}", *part as i32),
        None => bail!(NONE),
    };
    Ok(Extent { version, lacks: lacking() })
}

/// What the kernel's does not bound of that which is asked for.
fn lacking() -> Option<String> {
    let lacking = PARTS.iter().filter(|(part, _)| !is_offered(*part)).map(|(_, what)| *what);
    Some(lacking.collect::<Vec<_>>().join(", ")).filter(|lacking| !lacking.is_empty())
}

/// Whether the kernel has what came with a version of it.
fn is_offered(part: ABI) -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    match part {
        ABI::V4 => strict.handle_access(AccessNet::from_all(part)).is_ok(),
        ABI::V6 => strict.scope(Scope::from_all(part)).is_ok(),
        _ => strict.handle_access(AccessFs::from_all(part)).is_ok(),
    }
}

fn rules(needs: &Needs, rights: ABI) -> Result<RulesetCreated> {
    if needs.reads_all {
        return rules_of_changes(needs, rights);
    }
    let all = AccessFs::from_all(rights);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut write = all & !AccessFs::Execute;
    if needs.is_tenants {
        // Others would come by them where only this process may go. Nor are those moved that are there.
        write &= !AccessFs::MakeSym;
    }
    let mut ports: BitFlags<AccessNet> = AccessNet::BindTcp.into();
    if !needs.outbound {
        ports |= AccessNet::ConnectTcp;
    }
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(ports)?
        .scope(Scope::from_all(rights))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(certificates(), read))?
        .add_rules(path_beneath_rules(&needs.read, read))?
        .add_rules(path_beneath_rules(&needs.files, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(&needs.write, write))?
        .add_rules(path_beneath_rules(&needs.unlink, AccessFs::RemoveFile))?;
    let rules = match needs.start.is_empty() {
        true => rules,
        false => {
            let (loader, libraries) = loaded();
            let start = needs.start.iter().cloned().chain(loader);
            rules
                .add_rules(path_beneath_rules(OF_PROCESSES, read))?
                .add_rules(path_beneath_rules(libraries, read))?
                .add_rules(path_beneath_rules(start, read | AccessFs::Execute))?
        }
    };
    if !needs.outbound {
        let ports = needs.connect.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
        return Ok(rules.add_rules(ports.map(|rule: Result<_, RulesetError>| rule))?);
    }
    // A socket that connects may be bound to whatever port is free.
    Ok(rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?)
}

/// The rules of a process that reads all.
fn rules_of_changes(needs: &Needs, rights: ABI) -> Result<RulesetCreated> {
    let all = AccessFs::from_all(rights) & !(AccessFs::ReadFile | AccessFs::ReadDir);
    let start = needs.start.iter().cloned().chain(loaded().0);
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(rights))?
        .create()?
        .add_rules(path_beneath_rules(&needs.write, all & !AccessFs::Execute))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&needs.unlink, AccessFs::RemoveFile))?
        .add_rules(path_beneath_rules(start, AccessFs::Execute))?;
    // A socket that connects may be bound to whatever port is free.
    Ok(rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?)
}

/// What loads programs such as this one, which the kernel runs in their place, and the libraries that this one
/// has; where a system has them in folders of its own, those that it starts need the same.
fn loaded() -> (Option<PathBuf>, BTreeSet<PathBuf>) {
    let mappings = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut loader = None;
    let base = loader_base();
    let mut libraries = BTreeSet::new();
    for line in mappings.lines() {
        // By proc(5): addresses, rights, offset, device, inode, path.
        let Some(path) = line.find('/').map(|at| PathBuf::from(&line[at..])) else { continue };
        let begin = line.split('-').next().and_then(|it| u64::from_str_radix(it, 16).ok());
        if begin.is_some() && begin == base {
            loader = Some(path.clone());
        }
        libraries.insert(path);
    }
    (loader, libraries)
}

/// Where the kernel has put what loads this program.
fn loader_base() -> Option<u64> {
    /// By getauxval(3).
    const AT_BASE: u64 = 7;
    let pairs = std::fs::read("/proc/self/auxv").ok()?;
    let (words, _) = pairs.as_chunks::<8>();
    let mut pairs = words.chunks_exact(2).map(|it| (u64::from_ne_bytes(it[0]), it[1]));
    let (_, base) = pairs.find(|(kind, _)| *kind == AT_BASE)?;
    Some(u64::from_ne_bytes(base)).filter(|base| *base != 0)
}

/// Where the environment says that the platform's roots are.
fn certificates() -> Vec<PathBuf> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
    named.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()).collect()
}
