//! seccomp: system calls that a server never needs fail, on every thread.
//!
//! It is a list of what is refused rather than of what is allowed: which calls the C library and the
//! kernel's own fast paths take differs between versions, and a server that dies after an upgrade
//! would soon be run without any filter.
//!
//! A list by number is only good for one numbering. A call by another architecture's, such as that
//! of 32-bit programs, ends the process: each filter asks for the architecture first. The kernel
//! tells nothing of the third numbering of x86-64, x32, but by the number itself.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads, sock_filter,
};

use super::Needs;

/// Refused whatever the arguments are: other programs and processes, privileges, mounts, modules
/// and the kernel itself, its debugging and tracing, and interfaces with a history of holes.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    libc::SYS_mknodat,
    libc::SYS_ioprio_set,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
];

/// Refused to a tenant's own process besides: Landlock says nothing of who may change the rights of files,
/// and all of the platform's have one owner. What is open for writing may still be changed.
const REFUSED_TO_TENANTS: &[libc::c_long] = &[
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
    libc::SYS_tkill,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

// The same number for every architecture; `libc` does not have them for each.
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const FILE_SETATTR: libc::c_long = 469;

/// Left to who starts programs.
const STARTING: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// What a process that is started must not have of its own instead of this one's.
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_PTRACE,
];

/// Those whose first argument is a process or a thread: 0 is who calls.
const OF_OTHERS: &[libc::c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];

/// Signals to a process, which is the first argument.
const SIGNALS: &[libc::c_long] =
    &[libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

/// Requests to a terminal as if somebody typed or pasted into it (`TIOCSTI`, `TIOCLINUX`, to which each C
/// library gives another type): its shell would run that with the rights of whoever started this process.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// The families of sockets that a server uses; netlink is how the C library asks for this machine's
/// own addresses when it resolves names.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// What a process is for, as far as that decides what it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Serves,
    /// It serves one tenant.
    ServesTenant,
    /// It starts others.
    Starts,
}

impl Purpose {
    pub(super) fn of(needs: &Needs) -> Self {
        match (needs.is_tenants, needs.start.is_empty()) {
            (true, _) => Self::ServesTenant,
            (false, true) => Self::Serves,
            (false, false) => Self::Starts,
        }
    }
}

/// Filters the system calls of all threads, now and later.
pub(super) fn restrict(purpose: Purpose) -> Result<()> {
    for program in programs(purpose)? {
        apply_filter_all_threads(&program).context("the kernel refused the filter")?;
    }
    Ok(())
}

/// The filters. The kernel asks each of them, and takes the strictest answer.
fn programs(purpose: Purpose) -> Result<Vec<BpfProgram>> {
    // `clone3` hides its flags from filters; told that there is none, C libraries fall back to
    // `clone`, whose flags the second filter sees.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut programs =
        vec![program(clone3, libc::ENOSYS)?, program(refused(purpose)?, libc::EPERM)?];
    programs.extend(x32());
    Ok(programs)
}

/// Whether the kernel has it.
pub(super) fn offered() -> Result<()> {
    std::fs::read_to_string("/proc/self/status")?
        .contains("\nSeccomp_filters:")
        .then_some(())
        .context("the kernel has none")
}

fn refused(purpose: Purpose) -> Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let (is_tenants, starts) = (purpose == Purpose::ServesTenant, purpose == Purpose::Starts);
    let more = if is_tenants { REFUSED_TO_TENANTS } else { &[] };
    let all = REFUSED.iter().chain(more).filter(|call| !starts || !STARTING.contains(call));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = all.map(|call| (*call, Vec::new())).collect();
    for call in OF_OTHERS {
        rules.insert(*call, vec![rule([(0, SeccompCmpOp::Ne, 0)])?]);
    }
    // Its first argument is 0 for a thread, rather than a group or a user; the second is the thread.
    let others = [0, 1].map(|argument| rule([(argument, SeccompCmpOp::Ne, 0)]));
    rules.insert(libc::SYS_setpriority, others.into_iter().collect::<Result<_>>()?);
    if is_tenants {
        let own = std::process::id().into();
        for call in SIGNALS {
            rules.insert(*call, vec![rule([(0, SeccompCmpOp::Ne, own)])?]);
        }
    }
    let typing = TYPING.map(|request| rule([(1, SeccompCmpOp::Eq, request)]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_>>()?);
    rules.insert(libc::SYS_clone, processes(starts)?);
    let others = FAMILIES.map(|family| (0, SeccompCmpOp::Ne, family as u64));
    rules.insert(libc::SYS_socket, vec![rule(others)?]);
    Ok(rules)
}

/// What may not be cloned: a process, though a thread may; or, by who starts some, one that is apart.
fn processes(starts: bool) -> Result<Vec<SeccompRule>> {
    if starts {
        let set = NAMESPACES.map(|flag| {
            // Of a word, the highest bit of which a signed number shows as its sign.
            let flag = u64::from(flag.cast_unsigned());
            rule([(0, SeccompCmpOp::MaskedEq(flag), flag)])
        });
        return set.into_iter().collect();
    }
    let thread = libc::CLONE_THREAD as u64;
    Ok(vec![rule([(0, SeccompCmpOp::MaskedEq(thread), 0)])?])
}

/// A call whose arguments fulfil all of these conditions.
fn rule<const N: usize>(conditions: [(u8, SeccompCmpOp, u64); N]) -> Result<SeccompRule> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, compare, value)| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
        })
        .collect::<Result<_, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

/// A filter that answers the calls of `rules` with `errno` and lets all others by.
fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) -> Result<BpfProgram> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// A filter that refuses all calls by the numbers of x32, each of which has this bit; no program of
/// ours makes any. Elsewhere than on x86-64 there are none.
fn x32() -> Option<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    let statement = |code: u32, k| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    cfg!(target_arch = "x86_64").then(|| {
        vec![
            // The number is the first word of what a filter sees.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
            sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32) },
            statement(libc::BPF_RET | libc::BPF_K, refuse),
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        ]
    })
}

#[cfg(test)]
mod tests;
