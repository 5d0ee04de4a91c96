//! What the filters say, read as the kernel reads them.

use super::*;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

// Architectures, as <linux/audit.h> numbers them.
const X86: u32 = 0x4000_0003;
const X86_64: u32 = 0xc000_003e;
const ARM: u32 = 0x4000_0028;
const AARCH64: u32 = 0xc000_00b7;

/// The architecture that runs, and that of 32-bit programs on it.
const OURS: (u32, u32) = if cfg!(target_arch = "x86_64") { (X86_64, X86) } else { (AARCH64, ARM) };

/// The answer of one filter to a call of which all arguments behind these are zero.
fn answer(program: &BpfProgram, architecture: u32, number: u32, arguments: &[u32]) -> u32 {
    // Behind the number and the architecture comes from where it is called; each argument is two words.
    let arguments = arguments.iter().flat_map(|argument| [*argument, 0]);
    let words: Vec<u32> = [number, architecture, 0, 0].into_iter().chain(arguments).collect();
    let (mut at, mut word) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        let jump = |is_so| usize::from(if is_so { jt } else { jf });
        at += 1;
        match u32::from(code) {
            // Load, then compare, combine, go on elsewhere, and answer.
            0x20 => word = words.get(k as usize / 4).copied().unwrap_or(0),
            0x15 => at += jump(word == k),
            0x25 => at += jump(word > k),
            0x35 => at += jump(word >= k),
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x06 => return k,
            other => panic!("an instruction {other:#x}"),
        }
    }
}

/// The strictest answer of all filters, which is the least as a signed number.
fn answers(architecture: u32, number: u32) -> u32 {
    answers_to(Purpose::Serves, architecture, number, &[])
}

fn answers_to(purpose: Purpose, architecture: u32, number: u32, arguments: &[u32]) -> u32 {
    let programs = programs(purpose).unwrap();
    let answers = programs.iter().map(|program| answer(program, architecture, number, arguments));
    answers.min_by_key(|answer| answer.cast_signed()).unwrap()
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap()
}

#[test]
fn what_serving_needs_is_let_by_and_the_rest_is_refused() {
    for call in [libc::SYS_read, libc::SYS_mmap, libc::SYS_accept4, libc::SYS_futex] {
        assert_eq!(answers(OURS.0, number(call)), ALLOW);
    }
    for call in REFUSED {
        assert_eq!(answers(OURS.0, number(*call)), REFUSE);
    }
    assert_eq!(answers(OURS.0, number(libc::SYS_clone)), REFUSE, "a process");
    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    assert_eq!(answers(OURS.0, number(libc::SYS_clone3)), absent);
}

#[test]
fn nothing_is_typed_into_a_terminal() {
    let ioctl =
        |request| answers_to(Purpose::Serves, OURS.0, number(libc::SYS_ioctl), &[0, request]);
    for request in TYPING {
        assert_eq!(ioctl(u32::try_from(request).unwrap()), REFUSE);
    }
    for request in [libc::TIOCGWINSZ, libc::TCGETS, libc::FIONBIO] {
        assert_eq!(ioctl(u32::try_from(request).unwrap()), ALLOW);
    }
}

#[test]
fn nobody_else_is_bounded_or_slowed_down() {
    for call in OF_OTHERS {
        assert_eq!(answers_to(Purpose::Serves, OURS.0, number(*call), &[0]), ALLOW);
        assert_eq!(answers_to(Purpose::Serves, OURS.0, number(*call), &[1]), REFUSE);
    }
    let priority = |which, who| {
        answers_to(Purpose::Serves, OURS.0, number(libc::SYS_setpriority), &[which, who, 19])
    };
    assert_eq!(priority(0, 0), ALLOW);
    assert_eq!(priority(0, 1), REFUSE);
    assert_eq!(priority(2, 0), REFUSE, "all of the user's");
}

#[test]
fn a_tenant_s_process_changes_no_rights_and_signals_itself_alone() {
    for call in REFUSED_TO_TENANTS {
        assert_eq!(answers_to(Purpose::ServesTenant, OURS.0, number(*call), &[]), REFUSE);
        assert_eq!(answers_to(Purpose::Serves, OURS.0, number(*call), &[]), ALLOW);
    }
    for call in SIGNALS {
        let of = |purpose, process| answers_to(purpose, OURS.0, number(*call), &[process]);
        let (serves, tenant) = (Purpose::Serves, Purpose::ServesTenant);
        assert_eq!((of(tenant, std::process::id()), of(serves, 1)), (ALLOW, ALLOW));
        // 0 are all of its group.
        assert_eq!([1, 0, u32::MAX].map(|process| of(tenant, process)), [REFUSE; 3]);
    }
}

#[test]
fn who_starts_programs_has_that_and_no_namespaces() {
    let of = |call, arguments: &[u32]| answers_to(Purpose::Starts, OURS.0, number(call), arguments);
    for call in REFUSED {
        let expected = if STARTING.contains(call) { ALLOW } else { REFUSE };
        assert_eq!(of(*call, &[]), expected, "{call}");
    }
    let clone = |flags: libc::c_int| of(libc::SYS_clone, &[flags.cast_unsigned()]);
    assert_eq!(clone(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD), ALLOW);
    assert_eq!(clone(libc::CLONE_VM | libc::CLONE_THREAD), ALLOW);
    for flag in NAMESPACES {
        assert_eq!(clone(flag | libc::CLONE_VM), REFUSE, "{flag:#x}");
    }
}

#[test]
fn a_call_by_another_architectures_numbers_ends_the_process() {
    // `execve` is the eleventh of 32-bit x86, where we have `munmap`.
    for call in [1, 3, 11, number(libc::SYS_execve), number(libc::SYS_read)] {
        assert_eq!(answers(OURS.1, call), KILL);
        assert_eq!(answers(0, call), KILL);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_has_no_way_around() {
    // Its `execve` and `ptrace` have numbers of their own.
    for call in
        [number(libc::SYS_read), number(libc::SYS_execve), number(libc::SYS_mount), 520, 521]
    {
        assert_eq!(answers(OURS.0, call | 0x4000_0000), REFUSE);
    }
    assert_eq!(answers(OURS.0, u32::MAX), REFUSE);
}
