//! What an escape would find: a process that is hardened as `up` is, and tries everything.

use std::io::ErrorKind::PermissionDenied;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use ::landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
};

use super::{Harden, InForce, Needs, landlock, restrict};

/// Names the folder in the environment of the process that hardens itself.
const CHILD: &str = "DAYFLY_TEST_HARDEN";

#[test]
fn an_escape_finds_nothing() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return escape(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    for part in ["read", "named", "write", "other"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        std::fs::write(folder.path().join(part).join("file"), part).unwrap();
    }
    std::os::unix::fs::symlink("elsewhere", folder.path().join("write/old")).unwrap();
    in_a_child("an_escape_finds_nothing", folder.path());
}

/// Runs a test in a process of its own: what it gives up, it never gets back.
fn in_a_child(test: &str, folder: &std::path::Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("harden::tests::{test}"), "--exact", "--nocapture"])
        .env(CHILD, folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn escape(folder: &std::path::Path) {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let needs = Needs {
        read: vec![folder.join("read")],
        files: vec![folder.join("named")],
        write: vec![folder.join("write")],
        is_tenants: true,
        ..Needs::default()
    };
    let in_force = restrict(&needs);
    assert!(in_force.missing.is_empty(), "{in_force:?}");
    assert_eq!(in_force.layers.len(), 4, "{in_force:?}");
    // A thread that is started later is bound as well, and can be started.
    std::thread::scope(|scope| scope.spawn(|| files(folder)).join()).unwrap();
    network(&open);
    processes();
    of_tenants(folder);
    Harden::Auto.apply(&needs).unwrap();
}

/// A folder and a file of another user's, if that is possible: root can make them.
fn of_another_user(folder: &std::path::Path, mode: u32) -> bool {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    std::fs::write(folder.join("file"), "text").unwrap();
    for path in [folder.join("file"), folder.to_owned()] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        if chown(path, Some(1234), Some(1234)).is_err() {
            return false;
        }
    }
    true
}

#[test]
fn root_is_not_stronger_than_the_owner_of_its_files() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = std::path::Path::new(&folder);
        let needs = Needs { read: vec![folder.to_owned()], ..Needs::default() };
        let in_force = restrict(&needs);
        assert!(in_force.missing.is_empty(), "{in_force:?}");
        std::fs::read(folder.join("file")).unwrap();
        // Landlock lets it, as all files beneath; the file's rights do not.
        let secret = std::fs::read(folder.join("inner/file"));
        return assert_eq!(secret.unwrap_err().kind(), PermissionDenied);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "text").unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    if of_another_user(&inner, 0o700) {
        in_a_child("root_is_not_stronger_than_the_owner_of_its_files", folder.path());
    }
}

#[test]
fn what_serving_needs_of_another_user_s_root_may_still_write() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = std::path::Path::new(&folder);
        let needs = Needs { write: vec![folder.to_owned()], ..Needs::default() };
        let in_force = restrict(&needs);
        let [missing] = &in_force.missing[..] else { panic!("{in_force:?}") };
        assert!(missing.contains("is open to another user only"), "{missing}");
        assert!(Harden::On.judge(&in_force).is_err());
        std::fs::write(folder.join("file"), "new").unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        return assert!(status.contains("CapEff:\t0000000000000002\n"), "{status}");
    }
    let folder = tempfile::tempdir().unwrap();
    if of_another_user(folder.path(), 0o755) {
        in_a_child("what_serving_needs_of_another_user_s_root_may_still_write", folder.path());
    }
}

/// Names the folder in the environment of a process that a hardened one has started.
const STARTED: &str = "DAYFLY_TEST_STARTED";

#[test]
fn who_starts_a_program_starts_no_other_and_gives_it_no_more() {
    if let Some(folder) = std::env::var_os(STARTED) {
        return started(folder.as_ref());
    }
    if let Some(folder) = std::env::var_os(CHILD) {
        return starting(folder.as_ref());
    }
    for reads_all in ["", "reads all"] {
        let folder = tempfile::tempdir().unwrap();
        for part in ["write", "other"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
            std::fs::write(folder.path().join(part).join("file"), part).unwrap();
        }
        std::fs::write(folder.path().join("write/kind"), reads_all).unwrap();
        in_a_child("who_starts_a_program_starts_no_other_and_gives_it_no_more", folder.path());
    }
}

/// As the control plane, or the supervisor, which reads all.
fn starting(folder: &std::path::Path) {
    let reads_all = !std::fs::read(folder.join("write/kind")).unwrap().is_empty();
    let own = std::env::current_exe().unwrap();
    // The one a folder of programs, the other its own alone.
    let folder_of_own = own.parent().unwrap().to_owned();
    let start = vec![if reads_all { folder_of_own } else { "/proc/self/exe".into() }];
    let write = vec![folder.join("write")];
    let in_force = restrict(&Needs { write, start, reads_all, ..Needs::default() });
    assert!(in_force.missing.is_empty(), "{in_force:?}");
    bounded(folder, reads_all);
    let other = Command::new("/bin/true").status().unwrap_err();
    assert_eq!(other.kind(), PermissionDenied, "{other}");
    let test = "harden::tests::who_starts_a_program_starts_no_other_and_gives_it_no_more";
    for program in [own, "/proc/self/exe".into()] {
        let mut started = Command::new(program);
        started.args([test, "--exact", "--nocapture"]).env(STARTED, folder);
        let output = started.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    }
    // What it has started it may end.
    let mut sleeps = Command::new("/proc/self/exe");
    sleeps.args([test, "--exact"]).env(STARTED, folder).env("DAYFLY_TEST_SLEEPS", "yes");
    let mut child = sleeps.spawn().unwrap();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

/// As a worker: it gives up the rest by itself, and can.
fn started(folder: &std::path::Path) {
    if std::env::var_os("DAYFLY_TEST_SLEEPS").is_some() {
        return std::thread::sleep(std::time::Duration::from_secs(60));
    }
    bounded(folder, !std::fs::read(folder.join("write/kind")).unwrap().is_empty());
    let in_force = restrict(&Needs { read: vec![folder.join("write")], ..Needs::default() });
    assert!(in_force.missing.is_empty(), "{in_force:?}");
    std::fs::read(folder.join("write/file")).unwrap();
    assert_eq!(
        std::fs::write(folder.join("write/file"), "x").unwrap_err().kind(),
        PermissionDenied
    );
    let program = Command::new("/proc/self/exe").status().unwrap_err();
    assert_eq!(program.kind(), PermissionDenied, "{program}");
}

fn bounded(folder: &std::path::Path, reads_all: bool) {
    std::fs::write(folder.join("write/file"), "new").unwrap();
    assert_eq!(
        std::fs::write(folder.join("other/file"), "x").unwrap_err().kind(),
        PermissionDenied
    );
    assert_eq!(std::fs::read(folder.join("other/file")).is_ok(), reads_all);
    assert_eq!(std::fs::read("/etc/passwd").is_ok(), reads_all);
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
}

/// As on a kernel that is older than what is asked for.
#[test]
fn a_part_of_landlock_is_not_all_of_it() {
    if std::env::var_os(CHILD).is_some() {
        let mut in_force = InForce::default();
        in_force.landlock(landlock::restrict(&Needs::default(), ABI::V10));
        assert_eq!(in_force.layers.len(), 1, "{in_force:?}");
        assert_eq!(in_force.missing.len(), 1, "{in_force:?}");
        let error = Harden::On.judge(&in_force).unwrap_err().to_string();
        assert!(error.contains("Landlock over"), "{error}");
        return Harden::Auto.judge(&in_force).unwrap();
    }
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if strict.handle_access(AccessFs::from_all(ABI::V10)).is_ok() {
        return;
    }
    in_a_child("a_part_of_landlock_is_not_all_of_it", std::path::Path::new("-"));
}

fn files(folder: &std::path::Path) {
    let denied = |path: &str| std::fs::read(path).unwrap_err().kind() == PermissionDenied;
    assert!(denied("/etc/passwd") && denied("/proc/1/environ") && denied("/bin/sh"));
    let file = |part: &str| folder.join(part).join("file");
    assert_eq!(std::fs::read(file("read")).unwrap(), b"read");
    assert_eq!(std::fs::write(file("read"), b"x").unwrap_err().kind(), PermissionDenied);
    assert_eq!(std::fs::remove_file(file("read")).unwrap_err().kind(), PermissionDenied);
    // Who knows its name reads it, and nobody else.
    assert_eq!(std::fs::read(file("named")).unwrap(), b"named");
    assert_eq!(std::fs::read_dir(folder.join("named")).unwrap_err().kind(), PermissionDenied);
    assert_eq!(std::fs::write(file("named"), b"x").unwrap_err().kind(), PermissionDenied);
    std::fs::read_dir(folder.join("read")).unwrap();
    std::fs::write(file("write"), b"x").unwrap();
    std::fs::rename(file("write"), folder.join("write/moved")).unwrap();
    assert_eq!(std::fs::read(file("other")).unwrap_err().kind(), PermissionDenied);
    assert!(std::fs::hard_link(file("other"), folder.join("write/link")).is_err());
}

fn network(open: &TcpListener) {
    // What was open stays open.
    assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().kind(), PermissionDenied);
    let address = open.local_addr().unwrap();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), PermissionDenied);
    let other = socket2::Socket::new(libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), None);
    assert_eq!(other.unwrap_err().raw_os_error(), Some(libc::EPERM));
}

fn processes() {
    let program = Command::new("/bin/true").status().unwrap_err();
    assert_eq!(program.kind(), PermissionDenied, "{program}");
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{set} in {status}");
    }
}

/// What is left to others, but not to a tenant's own process.
fn of_tenants(folder: &std::path::Path) {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::process::{Resource, Signal};

    let link = symlink(folder.join("other"), folder.join("write/way"));
    assert_eq!(link.unwrap_err().kind(), PermissionDenied);
    let inner = folder.join("write/inner");
    std::fs::create_dir(&inner).unwrap();
    assert!(std::fs::rename(folder.join("write/old"), inner.join("old")).is_err());
    assert!(std::fs::rename(folder.join("write/old"), folder.join("write/new")).is_err());
    for file in ["write/moved", "other/file"] {
        let changed = std::fs::set_permissions(folder.join(file), Permissions::from_mode(0o666));
        assert_eq!(changed.unwrap_err().kind(), PermissionDenied, "{file}");
    }
    let parent = rustix::process::getppid();
    let files = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, files).unwrap();
    rustix::process::prlimit(parent, Resource::Nofile, files).unwrap_err();
    rustix::process::setpriority_process(None, 1).unwrap();
    rustix::process::setpriority_process(parent, 1).unwrap_err();
    // By default it does nothing.
    rustix::process::kill_process(parent.unwrap(), Signal::WINCH).unwrap_err();
}
