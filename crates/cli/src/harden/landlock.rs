//! Landlock: which files may be opened, and which TCP ports bound or connected to, from now on.
//! <https://docs.kernel.org/userspace-api/landlock.html>

use std::path::PathBuf;

use anyhow::{Result, bail};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::Needs;

/// The kernel's rights that are asked for; an older kernel gives what it has.
const RIGHTS: ABI = ABI::V6;

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

/// Restricts this thread, and those that it will start. Says how far.
pub(super) fn restrict(needs: &Needs) -> Result<String> {
    let status = rules(needs)?.restrict_self()?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("ABI {}", effective_abi as i32),
        _ => bail!("the kernel has none, or it is turned off"),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(version),
        RulesetStatus::PartiallyEnforced => Ok(format!("{version}, in part")),
        RulesetStatus::NotEnforced => bail!("the kernel has none, or it is turned off"),
    }
}

/// Whether the kernel has it; nothing is restricted.
pub(super) fn offered() -> Result<String> {
    let least = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    match least.handle_access(AccessFs::from_all(ABI::V1)) {
        Ok(_) => Ok(String::new()),
        Err(_) => bail!("the kernel has none, or it is turned off"),
    }
}

fn rules(needs: &Needs) -> Result<RulesetCreated> {
    let all = AccessFs::from_all(RIGHTS);
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
        .scope(Scope::from_all(RIGHTS))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(certificates(), read))?
        .add_rules(path_beneath_rules(&needs.read, read))?
        .add_rules(path_beneath_rules(&needs.files, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(&needs.write, write))?
        .add_rules(path_beneath_rules(&needs.unlink, AccessFs::RemoveFile))?;
    if !needs.outbound {
        let ports = needs.connect.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
        return Ok(rules.add_rules(ports.map(|rule: Result<_, RulesetError>| rule))?);
    }
    // A socket that connects may be bound to whatever port is free.
    Ok(rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?)
}

/// Where the environment says that the platform's roots are.
fn certificates() -> Vec<PathBuf> {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
    named.flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()).collect()
}
